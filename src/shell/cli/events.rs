//! `events …`: what is stored, and what a person may do with it.

use super::ask::{ask_or, refused};
use super::{EventsCommand, Line, exit, load};
use crate::config::Config;
use crate::core::record::{Seq, State};
use crate::shell::office::Order;
use crate::shell::parts::{self, Parts};
use serde_json::Value;

/// `events …`
pub fn events(line: &Line, command: &EventsCommand) -> u8 {
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let who = || {
        line.by
            .clone()
            .or_else(login_name)
            .unwrap_or_else(|| "unnamed".to_owned())
    };
    let order = match command {
        EventsCommand::List { state } => return list(line, &config, *state),
        EventsCommand::Show { key, reveal } => Order::Show {
            key: key.clone(),
            reveal: *reveal,
        },
        EventsCommand::Requeue { key } => Order::Requeue {
            key: key.clone(),
            who: who(),
        },
        EventsCommand::Resolve { key, verdict } => Order::Resolve {
            key: key.clone(),
            who: who(),
            verdict: *verdict,
        },
        EventsCommand::Discard { key, note } => Order::Discard {
            key: key.clone(),
            who: who(),
            note: note.clone(),
        },
        EventsCommand::Rejected { file } => return super::inspect::rejected(line, &config, file),
    };
    let body = serde_json::to_vec(&order).expect("an order is plain values and serializes");
    let answer = ask_or(line, &config, ("POST", "/v1/orders"), body, move |config| {
        let parts = parts::open(config)?;
        Ok(order.carry_out(&parts.store, parts.clock.now().wall.known()))
    });
    match answer {
        Ok(answer) if answer.status == 200 => {
            print_event(line, command, &answer.body);
            exit::OK
        }
        Ok(answer) => refused(line, &answer),
        Err(code) => code,
    }
}

/// `events list`: the whole list, page by page. Kept as the text it becomes, and printed only once it is whole.
fn list(line: &Line, config: &Config, state: Option<State>) -> u8 {
    let mut direct: Option<Parts> = None;
    let (mut text, mut count, mut after) = (String::new(), 0_usize, None);
    loop {
        let order = Order::List { state, after };
        let answer = match &direct {
            Some(parts) => Ok(order.carry_out(&parts.store, None)),
            None => {
                let body = serde_json::to_vec(&order).expect("an order is plain values and serializes");
                ask_or(line, config, ("POST", "/v1/orders"), body, |config| {
                    let parts = direct.insert(parts::open(config)?);
                    Ok(order.carry_out(&parts.store, None))
                })
            }
        };
        let page = match answer {
            Ok(answer) if answer.status == 200 => answer.body,
            Ok(answer) => return refused(line, &answer),
            Err(code) => return code,
        };
        for event in page["events"].as_array().into_iter().flatten() {
            let (between, shown) = match line.json {
                true => (",", event.to_string()),
                false => ("\n", row(event)),
            };
            if count > 0 {
                text.push_str(between);
            }
            text.push_str(&shown);
            count += 1;
        }
        after = page["next"].as_u64().map(Seq);
        if after.is_none() {
            break;
        }
    }
    if line.json {
        println!("{{\"events\":[{text}]}}");
    } else {
        if count > 0 {
            println!("{text}");
        }
        println!("{count} {}", if count == 1 { "event" } else { "events" });
    }
    exit::OK
}

fn print_event(line: &Line, command: &EventsCommand, body: &Value) {
    if line.json {
        println!("{body}");
    } else if let (EventsCommand::Show { .. }, Some(text)) = (command, body["text"].as_str()) {
        print!("{text}");
    } else {
        println!("{}", row(body));
    }
}

/// An event in one line.
fn row(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
    let optional = |key: &str| {
        let word = event[key].as_str();
        word.map(|word| format!("  {word}")).unwrap_or_default()
    };
    format!(
        "{:>6}  {:<38} {:<9} {:<16} {:<8} {:<9}{}{}",
        event["seq"].as_u64().unwrap_or_default(),
        text("event_key"),
        text("kind"),
        text("flow"),
        text("organization"),
        text("state"),
        optional("decision"),
        optional("reason")
    )
}

/// The name a person is logged in with; behind sudo, theirs and not root's.
fn login_name() -> Option<String> {
    ["SUDO_USER", "LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|name| !name.is_empty())
}
