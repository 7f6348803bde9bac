//! `sync --shadow`: what a session would send, for people.

use super::ask::{ask_or, refused};
use super::{Line, exit, load};
use crate::shell::{parts, shadow};
use serde_json::Value;

/// `sync --shadow`
pub fn shadow(line: &Line, reveal: bool) -> u8 {
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let target = if reveal { "/v1/shadow?reveal" } else { "/v1/shadow" };
    let answer = ask_or(line, &config, ("POST", target), Vec::new(), |config| {
        let parts = parts::open(config)?;
        shadow::run(config, &parts, reveal)
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    if answer.body["events"].is_null() {
        return refused(line, &answer);
    }
    if line.json {
        println!("{}", answer.body);
    } else {
        print!("{}", words(&answer.body));
    }
    if answer.status == 200 {
        exit::OK
    } else {
        exit::TRY_LATER
    }
}

fn words(told: &Value) -> String {
    let mut out = String::new();
    for peer in ["primero", "oscar"] {
        if let Some(advice) = told[peer]["advice"].as_str() {
            out.push_str(&format!("{peer}: {advice}\n"));
        }
    }
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for event in list(&told["events"]) {
        out.push_str(&format!(
            "event {} ({}, {}): would be {}{}\n",
            text(&event["event_key"]),
            text(&event["flow"]),
            text(&event["organization"]),
            text(&event["would_be"]),
            event["reason"]
                .as_str()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default()
        ));
        for step in list(&event["steps"]) {
            out.push_str(&format!(
                "  to {}: {} {}\n",
                text(&step["to"]),
                text(&step["what"]),
                text(&step["target"])
            ));
            for field in list(&step["fields"]) {
                let from = Some(&field["from"]).filter(|from| !from.is_null()).map(text);
                out.push_str(&format!(
                    "    {}: {} -> {}\n",
                    text(&field["field"]),
                    from.as_deref().unwrap_or("-"),
                    text(&field["to"])
                ));
            }
        }
    }
    out.push_str(&format!("{} writes planned, none sent\n", told["writes"]));
    out
}
