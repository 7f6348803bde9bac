//! `enqueue FILE|-`: events from a file or a pipe, through the same door as everything else.

use super::{Line, exit, load};
use crate::config::Config;
use crate::core::time::Now;
use crate::shell::drop_folder::{FILE_BYTES_MAX, content_digest, events_in, keyed};
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
            eprintln!("cannot read {file}: {error}");
            return exit::FAILED;
        }
    };
    let digest = content_digest(&bytes);
    let events: Vec<Value> = match events_in(&bytes) {
        Ok(events) => events
            .into_iter()
            .enumerate()
            .map(|(index, event)| keyed(event, &digest, index))
            .collect(),
        Err(refusal) => return report(line, &[(refusal.status(), refusal.json())], dry_run),
    };
    let fates = if dry_run {
        rehearse(&config, &events)
    } else {
        deliver(&config, &events)
    };
    match fates {
        Ok(fates) => report(line, &fates, dry_run),
        Err(words) => {
            eprintln!("{words}");
            exit::FAILED
        }
    }
}

fn read(file: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX + 1;
    match file {
        "-" => io::stdin().lock().take(limit).read_to_end(&mut bytes)?,
        path => File::open(path)?.take(limit).read_to_end(&mut bytes)?,
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("more than 4 MiB; split it"));
    }
    Ok(bytes)
}

/// Checks without storing; needs no store, so it works beside a running service.
fn rehearse(config: &Config, events: &[Value]) -> Result<Vec<Fate>, String> {
    use crate::core::intake::{Rules, check};
    use crate::core::mapping::Mapping;
    let mapping = Mapping::built_in();
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
    Ok(events.iter().map(fate).collect())
}

/// Hands every event in, through the service or directly; one refused event does not stop the others.
fn deliver(config: &Config, events: &[Value]) -> Result<Vec<Fate>, String> {
    let socket = parts::socket_path(config);
    let mut fates = Vec::new();
    let mut direct: Option<(Parts, Now)> = None;
    for event in events {
        if let Some((parts, now)) = &direct {
            fates.push(accept(parts, event, *now));
            continue;
        }
        let asked = control::ask(&socket, "POST", "/v1/events", event.to_string().into_bytes());
        match asked.map_err(|error| format!("the service does not answer on its control socket: {error}"))? {
            Some(fate) => fates.push(fate),
            None => {
                let parts = parts::open(config).map_err(|error| error.to_string())?;
                let now = parts.clock.now();
                fates.push(accept(&parts, event, now));
                direct = Some((parts, now));
            }
        }
    }
    Ok(fates)
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
