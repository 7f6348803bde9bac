//! Commands that ask or change something: through the control socket when the service runs, directly on the store
//! when it does not.

use super::{Line, exit, load, not_opened, unanswered};
use crate::config::Config;
use crate::core::outcome::Trouble;
use crate::core::schedule::{Orders, Schedule};
use crate::core::status::{Picture, age_s, document};
use crate::core::time::Trust;
use crate::shell::lan::certificate::Shown;
use crate::shell::meter::TrafficMeter;
use crate::shell::office::Answer;
use crate::shell::parts::Parts;
use crate::shell::surface::sync_answer;
use crate::shell::{control, parts, standing};
use serde_json::{Value, json};

/// Asks the running service, or does the same on the store itself.
pub(super) fn ask_or(
    line: &Line,
    config: &Config,
    (method, target): (&str, &str),
    body: Vec<u8>,
    directly: impl FnOnce(&Config) -> Result<Answer, parts::StartError>,
) -> Result<Answer, u8> {
    match control::ask(&parts::socket_path(config), method, target, body) {
        Ok(Some((status, body))) => Ok(Answer { status, body }),
        Ok(None) => directly(config).map_err(|error| not_opened(line, &error)),
        Err(error) => Err(unanswered(line, &error)),
    }
}

/// Prints a refusal the way it was asked for and turns it into an exit code.
pub(super) fn refused(line: &Line, answer: &Answer) -> u8 {
    if line.json {
        println!("{}", answer.body);
    } else {
        eprintln!("{}", answer.body["reason"].as_str().unwrap_or("refused"));
    }
    match answer.status {
        400 | 409 | 413 | 422 if answer.body["error"] != "not_now" => exit::REFUSED,
        503 => exit::TRY_LATER,
        _ => exit::FAILED,
    }
}

/// The status document of a gateway whose service does not run.
pub(super) fn standing_alone(config: &Config, parts: &Parts) -> Result<Value, parts::StartError> {
    let now = parts.clock.now();
    let schedule = Schedule::new(config.schedule.clone(), now.mono);
    let meter = TrafficMeter::resume(config, parts)?;
    let (counts, oldest) = parts.store.queue(|queue| {
        (
            queue.counts(),
            queue.oldest_open().and_then(|entry| entry.created.unix()),
        )
    });
    let mut document = document(&Picture {
        gateway: &config.gateway.id,
        version: env!("CARGO_PKG_VERSION"),
        now,
        counts,
        oldest_s: age_s(oldest, now),
        schedule: &schedule,
        way: parts.way(meter.meter()),
        mqtt: "not_running",
        last_round_trip: None,
        store_failed: false,
    });
    if let Some(shown) = Shown::of(config) {
        document["lan"] = shown.json();
        document["lan"]["state"] = json!("not_running");
    }
    standing::add(&mut document, &parts.tables, &parts.store)?;
    Ok(document)
}

/// `status`
pub fn status(line: &Line) -> u8 {
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let answer = ask_or(line, &config, ("GET", "/v1/status?cases"), Vec::new(), |config| {
        let parts = parts::open(config)?;
        let mut document = standing_alone(config, &parts)?;
        standing::name_cases(&mut document, &parts.store)?;
        Ok(Answer::ok(document))
    });
    match answer {
        Ok(answer) if answer.status == 200 => {
            if line.json {
                println!("{}", answer.body);
            } else {
                print!("{}", status_words(&answer.body));
            }
            exit::OK
        }
        Ok(answer) => refused(line, &answer),
        Err(code) => code,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// The line as a whole, and what holds sessions back.
fn uplink_words(uplink: &Value) -> String {
    let mut out = format!("uplink    {}\n", text(&uplink["state"]));
    let mut more = |words: &str| out.push_str(&format!("          {words}\n"));
    if let Some(advice) = uplink["advice"].as_str() {
        more(advice);
    }
    if let Some(until) = uplink["quiet_until"].as_str() {
        more(&format!("quiet hours until {until}: only urgent events go"));
    }
    let month = &uplink["month"];
    if let (Some(name), Some(bytes)) = (month["month"].as_str(), month["bytes"].as_u64()) {
        let budget = month["budget"].as_u64();
        let of = budget.map_or(String::new(), |budget| format!(" of {} MB", budget / 1_000_000));
        more(&format!("{name}: {} kB{of}", bytes / 1000));
    }
    if month["spent"] == true {
        more("the month's bytes are spent: only urgent events go");
    }
    if let Some(wrong) = uplink["clock_wrong_by_s"].as_i64() {
        more(&format!("the clock is {wrong} s ahead of the servers': set it"));
    }
    if uplink["timing"]
        .as_str()
        .is_some_and(|timing| timing.starts_with("every,"))
    {
        more("nobody has confirmed the clock: sessions come at the plain interval, not by cron");
    }
    out
}

fn status_words(status: &Value) -> String {
    let queue = &status["queue"];
    let mut out = format!(
        "gateway {} (version {})\n",
        text(&status["gateway"]),
        text(&status["version"])
    );
    out.push_str(&format!(
        "queue     {} pending, {} in doubt, {} parked; {} delivered, {} discarded\n",
        queue["pending"], queue["in_doubt"], queue["parked"], queue["delivered"], queue["discarded"]
    ));
    if let Some(age) = queue["oldest_s"].as_i64() {
        out.push_str(&format!("          the oldest has waited {} min\n", age / 60));
    }
    out.push_str(&uplink_words(&status["uplink"]));
    for peer in ["primero", "oscar"] {
        let state = &status["peers"][peer];
        out.push_str(&format!(
            "{peer:<9} {}, last ok {}",
            text(&state["state"]),
            text(&state["last_ok"])
        ));
        if let Some(cursor) = state["cursor"].as_str() {
            out.push_str(&format!(", seen up to {cursor} by its clock"));
        }
        if let Some(wait) = state["next_try_s"].as_u64() {
            out.push_str(&format!(", next try in {wait} s"));
        }
        out.push('\n');
        if let Some(advice) = state["advice"].as_str() {
            out.push_str(&format!("          {advice}\n"));
        }
    }
    out.push_str(&format!("mqtt      {}\n", text(&status["mqtt"]["state"])));
    let lan = &status["lan"];
    if lan.is_object() {
        out.push_str(&format!(
            "lan       {} {}\n",
            text(&lan["state"]),
            text(&lan["listen"])
        ));
        if let Some(advice) = lan["advice"].as_str() {
            out.push_str(&format!("          {advice}\n"));
        }
        out.push_str(&format!(
            "          certificate SHA-256 {}\n",
            text(&lan["fingerprint"])
        ));
    }
    out.push_str(&standing::words(status));
    out.push_str(&format!("clock     {}\n", text(&status["clock"])));
    out.push_str(&format!("last round trip {}\n", text(&status["last_round_trip"])));
    let figures = &status["figures"];
    if figures.is_object() {
        let kb = |key: &str| figures[key].as_u64().unwrap_or_default() / 1000;
        let (wire, flash) = (kb("wire_bytes"), kb("flash_bytes"));
        out.push_str(&format!(
            "since the start: {wire} kB over the wire, {flash} kB written to the card\n"
        ));
    }
    if status["session_running"] == true {
        out.push_str("a session is running\n");
    }
    if queue["in_doubt"] != 0 || queue["parked"] != 0 {
        out.push_str("some events need a person: `referral-gateway events list`\n");
    }
    out
}

/// `sync`
pub fn sync(line: &Line) -> u8 {
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let answer = ask_or(line, &config, ("POST", "/v1/sync"), Vec::new(), |config| {
        let parts = parts::open(config)?;
        let mut session = parts::session(config, &parts)?;
        let mut meter = TrafficMeter::resume(config, &parts)?;
        let trust = parts.clock.now().wall.trust;
        if trust == Trust::Unset {
            return Ok(Answer::refusal(503, "clock", Trouble::Clock.advice()));
        }
        let report = session.run(Orders {
            primero: true,
            oscar: true,
            reach_back: true,
            by_hand: true,
            urgent_only: false,
        })?;
        let report = parts.uplink.named(report, trust);
        meter.close(parts.clock.now())?;
        Ok(sync_answer(&report))
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let peers = ["primero", "oscar"].map(|peer| (peer, &answer.body[peer]));
    if peers.iter().any(|(_, done)| done.is_null()) {
        return refused(line, &answer);
    }
    if line.json {
        println!("{}", answer.body);
    } else {
        for (peer, done) in peers {
            println!(
                "{peer:<9} {} sent, {} confirmed, {} parked, {} in doubt{}",
                done["pushed"],
                done["confirmed"],
                done["parked"],
                done["in_doubt"],
                done["error"]
                    .as_str()
                    .map(|error| format!("; stopped: {error}"))
                    .unwrap_or_default()
            );
            if let Some(advice) = done["advice"].as_str() {
                println!("          {advice}");
            }
        }
    }
    match answer.status {
        _ if peers.iter().any(|(_, done)| done["error"] == "auth") => exit::NEEDS_A_PERSON,
        200 => exit::OK,
        _ => exit::TRY_LATER,
    }
}
