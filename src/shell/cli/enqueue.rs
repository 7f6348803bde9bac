//! `enqueue FILE|-`: events from a file or a pipe, through the same door as everything else.

use super::{Line, exit, failed, load, not_opened, unanswered};
use crate::config::Config;
use crate::core::time::Now;
use crate::shell::event_file::{FILE_BYTES_MAX, events_in, keyed};
use crate::shell::office::Refusal;
use crate::shell::parts::{self, Parts};
use crate::shell::{clock, control};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read};

/// What became of one event: a status in HTTP's sense and the answer.
type Fate = (u16, Value);

/// `enqueue`
pub fn enqueue(line: &Line, file: &str, dry_run: bool) -> u8 {
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let words = format!("cannot read {file}: {error}");
            return failed(line, "not_read", &words, exit::FAILED);
        }
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let reason = "more than 4 MiB at once; split it";
        return report(
            line,
            &[(413, json!({"error": "too_large", "reason": reason}))],
            dry_run,
        );
    }
    let events: Result<Vec<Value>, Refusal> = events_in(&bytes).collect();
    let events: Vec<Value> = match events {
        Ok(events) => events.into_iter().map(keyed).collect(),
        Err(refusal) => return report(line, &[(refusal.status(), refusal.json())], dry_run),
    };
    if dry_run {
        return report(line, &rehearse(&config, &events), dry_run);
    }
    let mut fates = Vec::new();
    let broken = deliver(line, &config, &events, &mut fates);
    let code = report(line, &fates, dry_run);
    match broken {
        // What was accepted before the break has been said; the rest was not handed in.
        Err(broken) => broken,
        Ok(()) => code,
    }
}

/// One byte more than is allowed tells that there is too much.
fn read(file: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX + 1;
    match file {
        "-" => io::stdin().lock().take(limit).read_to_end(&mut bytes)?,
        path => File::open(path)?.take(limit).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// Checks without storing; needs no store, so it works beside a running service.
fn rehearse(config: &Config, events: &[Value]) -> Vec<Fate> {
    use crate::core::intake::{Rules, check};
    let mapping = config.tables();
    let zone = config.gateway.time_zone;
    let today = clock::wall(0)
        .known()
        .and_then(|unix| crate::shell::office::local_date(unix, zone));
    let rules = Rules {
        mapping: &mapping,
        organizations: &config.oscar.organizations,
        today,
    };
    let fate = |event: &Value| match check(event, &rules) {
        Ok(_) => (200, json!({"event_key": event["event_key"], "state": "valid"})),
        Err(fields) => {
            let refusal = Refusal::Invalid(fields);
            (refusal.status(), refusal.json())
        }
    };
    events.iter().map(fate).collect()
}

/// Hands every event in, through the service or directly; one refused event does not stop the others. An exit code
/// if the way in broke.
fn deliver(line: &Line, config: &Config, events: &[Value], fates: &mut Vec<Fate>) -> Result<(), u8> {
    let socket = parts::socket_path(config);
    let mut direct: Option<(Parts, Now)> = None;
    for event in events {
        if let Some((parts, now)) = &direct {
            fates.push(accept(parts, event, *now));
            continue;
        }
        match control::ask(&socket, "POST", "/v1/events", event.to_string().into_bytes()) {
            Err(error) => return Err(unanswered(line, &error)),
            Ok(Some(fate)) => fates.push(fate),
            Ok(None) => {
                let parts = parts::open(config).map_err(|error| not_opened(line, &error))?;
                let now = parts.clock.now();
                fates.push(accept(&parts, event, now));
                direct = Some((parts, now));
            }
        }
    }
    Ok(())
}

fn accept(parts: &Parts, event: &Value, now: Now) -> Fate {
    match parts.doorkeeper.accept(event, now) {
        Ok(accepted) => {
            let body =
                json!({"event_key": accepted.event_key, "seq": accepted.seq, "state": accepted.state.word()});
            (if accepted.repeated { 200 } else { 201 }, body)
        }
        Err(refusal) => (refusal.status(), refusal.json()),
    }
}

fn report(line: &Line, fates: &[Fate], dry_run: bool) -> u8 {
    for (index, (status, body)) in fates.iter().enumerate() {
        if line.json {
            println!("{body}");
            continue;
        }
        let key = body["event_key"].as_str().unwrap_or_default();
        match status {
            200 if dry_run => println!("event {}: valid", index + 1),
            200 => println!(
                "event {}: accepted before as {key} (number {})",
                index + 1,
                body["seq"]
            ),
            201 => println!("event {}: accepted as {key} (number {})", index + 1, body["seq"]),
            _ => eprintln!("event {}: refused: {}", index + 1, refusal_words(body)),
        }
    }
    let worst = |range: fn(u16) -> bool| fates.iter().any(|(status, _)| range(*status));
    if worst(|status| (400..500).contains(&status)) {
        exit::REFUSED
    } else if worst(|status| status == 503) {
        exit::TRY_LATER
    } else if worst(|status| status >= 500) {
        exit::FAILED
    } else {
        exit::OK
    }
}

fn refusal_words(body: &Value) -> String {
    let field = |field: &Value| {
        let path = field["path"]
            .as_str()
            .filter(|path| !path.is_empty())
            .unwrap_or("the event");
        format!("\n    {path}: {}", field["reason"].as_str().unwrap_or_default())
    };
    match body["fields"].as_array() {
        Some(fields) => fields.iter().map(field).collect(),
        None => body["reason"].as_str().unwrap_or_default().to_owned(),
    }
}
