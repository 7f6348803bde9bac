//! The story, scene by scene. Each scene changes something in the world, shows it, and waits until it has happened.

use crate::children::{self, Case};
use crate::office::{Office, Trouble, wait};
use crate::promises;
use crate::relay;
use crate::screen::{Tone, heading, paint, quoted, say, typed};
use referral_gateway::core::record::what;
use serde_json::Value;
use simulators::wire::{Fault, FaultRule};
use std::collections::BTreeMap;

const OPENING: &str = "\
You will see an office take in twelve referrals while its line is down, the gateway carry them to Primero and
OSCaR when the line is back, each of them once although two answers get lost, and the decisions come home. Then a worker of the ministry and
an NGO refer a child each in their own systems, and the gateway carries those across too.";

const NOTE: &str = "
The gateway is the real one; Primero, OSCaR and the MQTT broker are simulated, behind real TLS. All people are
invented. The demo plays the office and prints names; the gateway's own lines stand behind a bar │ and never
hold one.";

/// Tells everything; whether every promise held.
pub fn tell(office: &Office) -> Result<bool, Trouble> {
    opening();
    the_line_is_down(office)?;
    let doubtful = the_line_comes_up(office)?;
    let rejected = people_decide(office, doubtful)?;
    let relayed = relay::others_refer(office)?;
    what_is_known(office, doubtful)?;
    what_the_centre_saw(office)?;
    heading(
        7,
        "The promises, checked against what Primero, OSCaR and the broker really hold",
    );
    let table = promises::check(office, doubtful, rejected, &relayed)?;
    for promise in &table {
        let (tone, word) = if promise.held {
            (Tone::Good, "ok    ")
        } else {
            (Tone::Bad, "FAILED")
        };
        say(&format!("  {}  {}", paint(tone, word), promise.words));
        if !promise.held {
            say(&format!("          {}", promise.found));
        }
    }
    Ok(table.iter().all(|promise| promise.held))
}

fn opening() {
    say(&paint(Tone::Heading, OPENING));
    say(NOTE);
}

/// One referral at the margin: what became of it, where it goes, and whom it is about.
fn line(word: &str, tone: Tone, case: &Case) {
    let urgent = if case.risk == "high" { "  high risk" } else { "" };
    let services = match case.services.len() {
        1 => String::new(),
        many => format!("  {many} services"),
    };
    say(&format!(
        "  {}  {}  to {:<10}  {} ({} {}){}",
        paint(tone, &format!("{word:<9}")),
        case.key,
        case.aim(),
        case.name(),
        case.local_family,
        case.local_given,
        paint(Tone::Careful, &format!("{urgent}{services}"))
    ));
}

fn the_line_is_down(office: &Office) -> Result<(), Trouble> {
    heading(1, "The line is down; the office works");
    office.start()?;
    say("  From the office's own software, through the gateway's socket:");
    for case in children::SOCKET {
        let (status, answer) = office.post(&case.event())?;
        if status != 201 {
            return Err(format!("{} was not accepted: {answer}", case.key).into());
        }
        line("accepted", Tone::Good, case);
    }
    let (status, _) = office.post(&children::SOCKET[1].event())?;
    if status != 200 {
        return Err("the same event again is not known again".into());
    }
    say("  office-02 is sent once more, to be sure: known already, nothing is stored twice.");

    let name = "morning.jsonl";
    let lines: String = children::FILE
        .iter()
        .map(|case| format!("{}\n", case.event()))
        .collect();
    let file = office.private(name, &lines)?;
    say("  From a file:");
    typed(&format!("enqueue {name}"));
    quoted(&office.text(&["enqueue", name])?);
    std::fs::remove_file(file)?;

    let events: Vec<Value> = children::FOLDER.iter().map(Case::event).collect();
    let file = office.drop_file("scans.json", &events)?;
    wait(
        "the drop folder is emptied",
        || Ok((!file.exists()).then_some(())),
    )?;
    say("  From the drop folder, where somebody saved scans.json:");
    children::FOLDER
        .iter()
        .for_each(|case| line("accepted", Tone::Good, case));

    let mut refused = children::SOCKET[0].event();
    refused["event_key"] = "office-13".into();
    refused["consent"]["disclosure_other_organizations"] = false.into();
    let file = office.private("one.json", &refused.to_string())?;
    say("  One without the family's consent is refused at the door:");
    typed("enqueue one.json");
    let output = office.command(&["enqueue", "one.json"])?;
    quoted(&String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(file)?;

    say("  Twelve referrals are safe on this disk, and nobody can be reached:");
    typed("status");
    quoted(&office.text(&["status"])?);
    Ok(())
}

/// Two answers will be lost: the servers act, and the line breaks before they have said so.
fn lose_two_answers(office: &Office) {
    let lose = |path: &str, skip| FaultRule {
        method: Some("POST".to_owned()),
        path_contains: path.to_owned(),
        skip,
        times: Some(1),
        fault: Fault::DropAfter,
    };
    office.primero.server().faults().add(lose("/referrals", 6));
    office.oscar.server().faults().add(lose("/clients/upsert", 1));
}

fn the_line_comes_up(office: &Office) -> Result<&'static Case, Trouble> {
    heading(
        2,
        "The line comes up, badly: one answer of Primero and one of OSCaR get lost",
    );
    lose_two_answers(office);
    office.link(true);
    let status = office.json(&["status"])?;
    let next = status["peers"]["primero"]["next_try_s"].as_u64().unwrap_or(0);
    say(&format!(
        "  Nobody does anything: the gateway tries again by itself, in {next} s at the soonest."
    ));
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    let doubtful = wait("an answer of OSCaR is lost", || {
        let events = news(office, &mut shown)?;
        let lost = events.iter().find(|event| event["reason"] == PUSH_LOST);
        let over = office.json(&["status"])?["session_running"] == false;
        Ok(lost
            .filter(|_| over)
            .and_then(|event| event["event_key"].as_str().map(children::find)))
    })?;
    say("  Two answers are lost; whether those two referrals have arrived nobody can tell:");
    typed("events list --state in_doubt");
    quoted(&office.text(&["events", "list", "--state", "in_doubt"])?);
    say("  The gateway leaves a line that breaks alone for a while. The office does not wait:");
    sync(office)?;
    wait("everything else has arrived", || {
        let events = news(office, &mut shown)?;
        let settled = |event: &Value| event["state"] == "delivered" || event["reason"] == PUSH_LOST;
        Ok(events.iter().all(settled).then_some(()))
    })?;
    say(&format!(
        "  {}: Primero can be asked. The case was read back, the referral was there; nothing was sent again.",
        read_back(office, doubtful)?
    ));
    say(&format!(
        "  {}: OSCaR cannot be asked. It stays in doubt, is not sent again, and holds up nobody else.",
        doubtful.key
    ));
    Ok(doubtful)
}

const PUSH_LOST: &str = "push_answer_lost";

/// All events; prints those whose state is news.
fn news(office: &Office, shown: &mut BTreeMap<String, String>) -> Result<Vec<Value>, Trouble> {
    let events = office.events()?;
    for event in &events {
        show_change(event, shown);
    }
    Ok(events)
}

/// Prints an event whose state is news.
fn show_change(event: &Value, shown: &mut BTreeMap<String, String>) {
    let (Some(key), Some(state)) = (event["event_key"].as_str(), event["state"].as_str()) else {
        return;
    };
    let before = shown.insert(key.to_owned(), state.to_owned());
    if state == "pending" || before.as_deref() == Some(state) {
        return;
    }
    let tone = match state {
        "delivered" => Tone::Good,
        "in_doubt" => Tone::Careful,
        _ => Tone::Bad,
    };
    line(&state.replace('_', " "), tone, children::find(key));
}

/// The event that was in doubt on the way to Primero and settled itself.
fn read_back(office: &Office, doubtful: &Case) -> Result<&'static str, Trouble> {
    for case in children::all().filter(|case| case.key != doubtful.key) {
        let story = office.json(&["events", "show", case.key])?;
        let history = story["history"].as_array().cloned().unwrap_or_default();
        if history.iter().any(|step| step["what"] == what::IN_DOUBT) {
            return Ok(case.key);
        }
    }
    Err("no answer of Primero was lost: the demo's fault did not strike".into())
}

/// The number of an event's first referral in OSCaR, found by the reference tag in its reason.
fn oscar_number(office: &Office, case: &Case) -> Result<i64, Trouble> {
    let story = office.json(&["events", "show", case.key])?;
    let tag = story["tag"].as_str().unwrap_or_default().to_owned();
    let rows = office.oscar.with(|sim| sim.referrals());
    let row = rows
        .iter()
        .find(|row| row.tenant == case.organization && row.reason.contains(&tag));
    row.map(|row| row.id)
        .ok_or_else(|| format!("OSCaR holds no referral {tag}").into())
}

pub fn sync(office: &Office) -> Result<(), Trouble> {
    typed("sync");
    quoted(&office.text(&["sync"])?);
    Ok(())
}

fn people_decide(office: &Office, doubtful: &'static Case) -> Result<&'static Case, Trouble> {
    heading(3, "People at the NGOs open their OSCaR");
    let number = oscar_number(office, doubtful)?;
    say(&format!(
        "  A worker at {} finds the referral of {} and registers the child.",
        doubtful.organization,
        doubtful.name()
    ));
    let organization = doubtful.organization;
    office
        .oscar
        .with(|sim| sim.register_child(organization, number))?;
    sync(office)?;
    wait("the doubt settles", || {
        let event = office.json(&["events", "show", doubtful.key])?;
        Ok((event["state"] == "delivered").then_some(()))
    })?;
    line("delivered", Tone::Good, doubtful);
    say("  OSCaR shows the child now, with our referral: the doubt has settled, and nothing was sent again.");

    let rejected = children::find("office-08");
    say(&format!(
        "  She accepts the child. A worker at {} rejects {}: no wheelchairs this year.",
        rejected.organization,
        rejected.name()
    ));
    office
        .oscar
        .with(|sim| sim.hand_decide(organization, number, "Accepted"))?;
    let other = oscar_number(office, rejected)?;
    office.oscar.with(|sim| {
        let child = sim.register_child(rejected.organization, other)?;
        sim.reject(rejected.organization, child)
    })?;
    sync(office)?;
    for case in [doubtful, rejected] {
        wait("the decisions are written to Primero", || {
            let event = office.json(&["events", "show", case.key])?;
            let work = event["work"].as_array().cloned().unwrap_or_default();
            let written = |service: &Value| service["decision_written"] == true;
            Ok((!work.is_empty() && work.iter().all(written)).then_some(()))
        })?;
        let (service, referral) = promises::in_primero(office, case)?;
        say(&format!(
            "  Primero now says of {}: referral {referral}, service {service}.",
            case.name()
        ));
    }
    Ok(rejected)
}

fn what_is_known(office: &Office, doubtful: &Case) -> Result<(), Trouble> {
    heading(5, "What the office sees of one event");
    typed(&format!("events show {}", doubtful.key));
    quoted(&office.text(&["events", "show", doubtful.key])?);
    Ok(())
}

fn what_the_centre_saw(office: &Office) -> Result<(), Trouble> {
    heading(
        6,
        "What the centre saw: counts and codes, no names, no case numbers",
    );
    let all_topics = ["health", "status", "sync-oscar", "sync-primero"];
    let retained = wait("the centre has heard everything", || {
        let retained = office.broker.retained();
        let heard = |topic: &&str| retained.keys().any(|known| known.ends_with(*topic));
        let settled = retained
            .iter()
            .any(|(topic, payload)| topic.ends_with("health") && contains(payload, "\"delivered\":14"));
        Ok((settled && all_topics.iter().all(heard)).then_some(retained))
    })?;
    for (topic, payload) in &retained {
        say(&format!("  {topic}"));
        quoted(&String::from_utf8_lossy(payload));
    }
    if !office.stop()? {
        return Err("the gateway did not stop cleanly".into());
    }
    let farewell = wait("the farewell arrives", || {
        let retained = office.broker.retained();
        let status = retained
            .into_iter()
            .find(|(topic, payload)| topic.ends_with("/status") && contains(payload, "offline"));
        Ok(status.map(|(_, payload)| payload))
    })?;
    say("  The gateway is stopped, and its status there changes to:");
    quoted(&String::from_utf8_lossy(&farewell));
    Ok(())
}

fn contains(payload: &[u8], word: &str) -> bool {
    String::from_utf8_lossy(payload).contains(word)
}
