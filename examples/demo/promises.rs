//! The promises of the README, each checked against the books of the other side.

use crate::children::{self, Case};
use crate::office::{Office, Trouble};
use crate::relay::{self, Relayed};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One promise and whether it held.
pub struct Promise {
    pub held: bool,
    pub words: String,
    /// What was found instead.
    pub found: String,
}

fn promise(held: bool, words: &str, found: &str) -> Promise {
    Promise {
        held,
        words: words.to_owned(),
        found: found.to_owned(),
    }
}

/// The whole table. The gateway has stopped: its commands work on the store itself now.
pub fn check(
    office: &Office,
    accepted: &Case,
    rejected: &Case,
    relayed: &Relayed,
) -> Result<Vec<Promise>, Trouble> {
    let events = office.events()?;
    Ok(vec![
        nothing_lost(&events, relayed),
        one_case_a_child(office),
        one_referral_in_primero(office),
        one_referral_in_oscar(office)?,
        decisions_agree(office, &events, accepted, rejected)?,
        nothing_sent_unasked(office),
        no_name_leaves(office)?,
    ])
}

fn nothing_lost(events: &[Value], relayed: &Relayed) -> Promise {
    let states = ["pending", "in_doubt", "parked", "delivered", "discarded"];
    let known = |event: &&Value| states.iter().any(|state| event["state"] == *state);
    let keys: BTreeSet<&str> = events
        .iter()
        .filter(known)
        .filter_map(|event| event["event_key"].as_str())
        .collect();
    let mut made: BTreeSet<&str> = children::all().map(|case| case.key).collect();
    made.extend([relayed.from_primero.as_str(), relayed.from_oscar.as_str()]);
    let delivered = events
        .iter()
        .filter(|event| event["state"] == "delivered")
        .count();
    promise(
        keys == made && events.len() == made.len() && delivered == made.len(),
        "nothing accepted is lost: all 12 referrals and the 2 found are there, each in one state, and that is delivered",
        &format!(
            "{} events, {} keys, {delivered} delivered",
            events.len(),
            keys.len()
        ),
    )
}

fn one_case_a_child(office: &Office) -> Promise {
    let (cases, wanted) = (
        office.primero.cases().len(),
        children::children() + relay::BOTH.len(),
    );
    promise(
        cases == wanted,
        &format!("no child twice: {wanted} children, {wanted} cases in Primero"),
        &format!("{cases} cases"),
    )
}

/// Services of events that go on to an NGO.
fn referred_services() -> usize {
    children::all()
        .filter(|case| case.to == "oscar")
        .map(|case| case.services.len())
        .sum()
}

fn one_referral_in_primero(office: &Office) -> Promise {
    let ledger = office.primero.ledger();
    let struck = office.primero.server().faults().struck();
    let per_service = ledger["referrals_per_service"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let once = per_service.values().all(|count| *count == 1);
    // The ministry's worker made one of them.
    let wanted = referred_services() + 1;
    promise(
        once && per_service.len() == wanted && struck == 1,
        &format!(
            "nothing twice in Primero: {wanted} services, one referral each, although an answer was lost"
        ),
        &format!("{struck} answers lost; {ledger}"),
    )
}

fn one_referral_in_oscar(office: &Office) -> Result<Promise, Trouble> {
    let struck = office.oscar.server().faults().struck();
    let rows = office.oscar.with(|sim| sim.referrals());
    let mut found = format!("{} referrals, {struck} answers lost", rows.len());
    // One came from the ministry, and one the NGO made itself.
    let mut held = rows.len() == referred_services() + 2 && struck == 1;
    for case in children::all() {
        let story = office.json(&["events", "show", case.key])?;
        let tag = story["tag"].as_str().unwrap_or_default();
        let here = rows.iter().filter(|row| row.reason.contains(tag));
        let here = here.filter(|row| row.tenant == case.organization).count();
        let wanted = if case.to == "oscar" {
            case.services.len()
        } else {
            0
        };
        if tag.is_empty() || here != wanted {
            held = false;
            found.push_str(&format!("; {}: {here} of {wanted}", case.key));
        }
    }
    let wanted = referred_services() + 1;
    let words = format!(
        "nothing twice in OSCaR: {wanted} services sent, one referral each, although an answer was lost"
    );
    Ok(promise(held, &words, &found))
}

/// What Primero says of a case's first service: the service's own field, and the referral's status.
pub fn in_primero(office: &Office, case: &Case) -> Result<(String, String), Trouble> {
    let story = office.json(&["events", "show", case.key])?;
    let referral_id = &story["work"][0]["primero_referral"];
    let referrals = office.primero.referrals();
    let referral = referrals
        .iter()
        .find(|referral| referral["id"] == *referral_id)
        .ok_or("Primero does not hold the referral")?;
    let service_id = referral["service_record_id"].clone();
    let cases = office.primero.cases();
    let service = cases
        .iter()
        .filter_map(|case| case["services_section"].as_array())
        .flatten()
        .find(|service| service["unique_id"] == service_id)
        .ok_or("Primero does not hold the service")?;
    let option = service["referral_status_edf41f2"].as_str().unwrap_or("-");
    // The lookup's options end in digits of their own.
    let word = option.split('_').next().unwrap_or("-").to_owned();
    Ok((word, referral["status"].as_str().unwrap_or("-").to_owned()))
}

fn decisions_agree(
    office: &Office,
    events: &[Value],
    accepted: &Case,
    rejected: &Case,
) -> Result<Promise, Trouble> {
    let mut held = true;
    let mut found = String::new();
    let rows = office.oscar.with(|sim| sim.referrals());
    for (case, decision, status) in [
        (accepted, "accepted", "Accepted"),
        (rejected, "rejected", "Exited"),
    ] {
        let story = office.json(&["events", "show", case.key])?;
        let tag = story["tag"].as_str().unwrap_or_default();
        let row = rows.iter().find(|row| row.reason.contains(tag));
        let there = row.map_or("-", |row| row.status.as_str());
        let here = &story["decision"];
        let (service, referral) = in_primero(office, case)?;
        held &= there == status && *here == decision && service == decision && referral == decision;
        found.push_str(&format!(
            "{}: OSCaR {there}, gateway {here}, Primero {referral} and {service}; ",
            case.key
        ));
    }
    let decided = events.iter().filter(|event| !event["decision"].is_null()).count();
    found.push_str(&format!("{decided} decisions"));
    Ok(promise(
        held && decided == 4,
        "decisions are the same in OSCaR, here and in Primero, and nobody else's has changed",
        &found,
    ))
}

/// Every write is one somebody asked for: pushes and referrals as many as services.
fn nothing_sent_unasked(office: &Office) -> Promise {
    let pushes = posts(&office.oscar.server().log(), "/clients/upsert");
    let referrals = posts(&office.primero.server().log(), "/referrals");
    let wanted = referred_services();
    promise(
        pushes == wanted + 1 && referrals == wanted,
        "what may double is sent once: no such request was made a second time, not even for a lost answer",
        &format!("{pushes} pushes and {referrals} referral requests for {wanted} services of the office"),
    )
}

fn posts(log: &[simulators::wire::LoggedRequest], path: &str) -> usize {
    log.iter()
        .filter(|request| request.method == "POST" && request.path.contains(path))
        .count()
}

fn no_name_leaves(office: &Office) -> Result<Promise, Trouble> {
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    files_in(&office.data_dir(), &mut places)?;
    let store_seen = places
        .iter()
        .any(|(place, bytes)| place.ends_with(".redb") && bytes.len() > 10_000);
    places.push(("the log".to_owned(), office.log().into_bytes()));
    places.push((
        "what the gateway printed".to_owned(),
        office.printed().into_bytes(),
    ));
    for message in office.broker.log() {
        places.push((message.topic, message.payload));
    }
    let secrets = children::secrets();
    let mut found = Vec::new();
    for (place, bytes) in &places {
        let holds = |word: &&&str| holds(bytes, word) || place.contains(**word);
        found.extend(
            secrets
                .iter()
                .filter(holds)
                .map(|word| format!("{word} in {place}")),
        );
    }
    // The same search must find every child where it belongs, or it proves nothing.
    let cases = Value::from(office.primero.cases()).to_string();
    let blind = children::all().any(|case| {
        [case.given, case.family, case.local_given, case.local_family]
            .iter()
            .any(|word| !holds(cases.as_bytes(), word))
    });
    let words = format!(
        "no name, Latin or Khmer, no telephone, no reason in the store, drop folder, log, output or MQTT \
         ({} texts searched)",
        places.len()
    );
    if blind || !store_seen {
        found.push("the search does not see what is there".to_owned());
    }
    Ok(promise(found.is_empty(), &words, &found.join(", ")))
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

fn files_in(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) -> Result<(), Trouble> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        if kind.is_dir() {
            files_in(&path, into)?;
        } else if kind.is_file() {
            into.push((path.display().to_string(), fs::read(&path)?));
        }
    }
    Ok(())
}
