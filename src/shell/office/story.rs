//! One event in plain words, for somebody who has not read the code.

use crate::core::event::{Decision, Payload};
use crate::core::record::{Flow, Head, Moment, OneShot, ServiceWork, State, what};
use crate::store::Receipt;
use chrono::DateTime;
use serde_json::{Value, json};

/// An event as a listing shows it (design §4): no personal data.
pub fn event_line(head: &Head) -> Value {
    json!({
        "event_key": head.key,
        "seq": head.seq.0,
        "kind": head.kind.word(),
        "flow": head.flow.word(),
        "organization": head.organization,
        "state": head.state.word(),
        "reason": head.reason.map(|reason| reason.code()),
        "attempts": head.attempts,
        "created_at": when(head.created),
        "changed_at": when(head.changed),
        "decision": head.decision().map(Decision::word),
    })
}

/// A moment as UTC text, or nothing where the clock was not known.
fn when(moment: Moment) -> Option<String> {
    let time = DateTime::from_timestamp(moment.unix?, 0)?;
    Some(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn moment_words(moment: Moment) -> String {
    when(moment).unwrap_or_else(|| format!("clock not set (start {})", moment.boot.0))
}

/// The whole story: the line, its text for people, its history, and the sealed part if it was asked for.
pub fn story(head: &Head, payload: Option<&Payload>, reveal: bool) -> Value {
    let history: Vec<Value> = head
        .history
        .iter()
        .map(|step| {
            let mut line = json!({ "at": when(step.at), "what": step.what, "detail": step.detail });
            if let (true, Some(note)) = (reveal, &step.note) {
                line["note"] = json!(note.0);
            }
            line
        })
        .collect();
    let mut out = event_line(head);
    out["tag"] = json!(head.tag);
    if let Some(station) = head.station {
        out["station"] = json!(station);
    }
    out["text"] = json!(text(head, payload, reveal));
    out["history"] = json!(history);
    out["work"] = json!(head.work.services.iter().map(service_line).collect::<Vec<_>>());
    out["primero_short_id"] = json!(head.work.case.as_ref().map(|case| &case.short_id));
    if reveal {
        out["content"] = payload.map_or(Value::Null, |payload| json!(payload));
    }
    out
}

fn service_line(service: &ServiceWork) -> Value {
    json!({
        "subtype": service.subtype,
        "in_primero": service.placed,
        "primero_referral": service.referral_id,
        "sent_to_oscar": service.push == OneShot::Done,
        "oscar_referral": service.oscar_referral,
        "decision": service.decision.map(Decision::word),
        "decision_written": service.decision_written,
    })
}

fn text(head: &Head, payload: Option<&Payload>, reveal: bool) -> String {
    let mut out = format!(
        "Event {} (number {}, reference {})\n",
        head.key, head.seq.0, head.tag
    );
    if let Some(station) = head.station {
        out.push_str(&format!("Sent by station {} of the office\n", station.0));
    }
    out.push_str(&format!("{}\n\n", standing(head)));
    if let Some(reason) = head.reason {
        out.push_str(&format!(
            "What happened: {}\nWhat to do: {}\n\n",
            reason.what(),
            reason.advice()
        ));
    }
    for service in &head.work.services {
        out.push_str(&format!(
            "Service {}: {}\n",
            service.subtype,
            service_words(service)
        ));
    }
    if !head.work.services.is_empty() {
        out.push('\n');
    }
    out.push_str("History\n");
    for step in &head.history {
        let detail = if step.detail.is_empty() {
            String::new()
        } else {
            format!(" ({})", step.detail)
        };
        out.push_str(&format!(
            "  {}  {}{detail}\n",
            moment_words(step.at),
            step_words(&step.what)
        ));
        match (&step.note, reveal) {
            (Some(note), true) => out.push_str(&format!("      note: {}\n", note.0)),
            (Some(_), false) => out.push_str("      with a note (--reveal shows it)\n"),
            (None, _) => {}
        }
    }
    if reveal {
        match payload {
            Some(payload) => {
                let content = serde_json::to_string_pretty(payload).unwrap_or_default();
                out.push_str(&format!(
                    "\nContent (personal data: do not copy this out)\n{content}\n"
                ));
            }
            None => out.push_str("\nThe content has been erased.\n"),
        }
    }
    out
}

/// Where the event stands, in one sentence. Promise 6: each shown as what it is.
fn standing(head: &Head) -> String {
    let to = &head.organization;
    match (head.state, head.decision()) {
        (State::Pending, _) if head.attempts == 0 => format!("Waiting on this box to be sent (for {to})."),
        (State::Pending, _) if !head.work.primero_done => format!("On its way to Primero (for {to})."),
        (State::Pending, _) if head.work.wants_sighting => {
            format!("In Primero. Waiting until OSCaR shows this child at {to}.")
        }
        (State::Pending, _) => format!("In Primero. Waiting to be sent to OSCaR ({to})."),
        (State::InDoubt, _) => "In doubt: it was sent, and nobody knows whether it arrived.".to_owned(),
        (State::Parked, _) => "Parked: it needs a person.".to_owned(),
        (State::Discarded, _) => "Discarded: it will not be sent.".to_owned(),
        (State::Delivered, Some(decision)) if head.flow == Flow::OscarToPrimero => {
            let told = if head.report_due() || head.report_unseen() {
                "; OSCaR does not show it yet"
            } else {
                ""
            };
            format!("In Primero, and {} there{told}.", decision.word())
        }
        (State::Delivered, None) if head.undecided() && head.flow == Flow::OscarToPrimero => {
            format!("From {to}, in Primero. No decision there yet.")
        }
        (State::Delivered, Some(decision)) => {
            let written = if head.write_back_due() {
                "; Primero is still to be told"
            } else {
                ""
            };
            format!("Delivered, and {} by {to}{written}.", decision.word())
        }
        (State::Delivered, None) if head.undecided() && head.work.global_id.is_some() => {
            format!("Delivered and seen at {to}. No decision yet.")
        }
        (State::Delivered, None) if head.undecided() => {
            format!("Delivered to {to}. OSCaR shows nothing until a worker there opens it.")
        }
        (State::Delivered, None) => "Delivered.".to_owned(),
    }
}

fn service_words(service: &ServiceWork) -> String {
    let mut words = Vec::new();
    words.push(
        if service.placed {
            "in the Primero case"
        } else {
            "not yet in Primero"
        }
        .to_owned(),
    );
    if service.referral == OneShot::Unsure {
        words.push("Primero referral in doubt".to_owned());
    } else if service.referral_id.is_some() {
        words.push("referred in Primero".to_owned());
    }
    match service.push {
        OneShot::Done => words.push("sent to OSCaR".to_owned()),
        OneShot::Unsure => words.push("sending to OSCaR in doubt".to_owned()),
        OneShot::Todo | OneShot::Sending => {}
    }
    if let Some(number) = service.oscar_referral {
        words.push(format!("seen in OSCaR as referral {number}"));
    }
    if let Some(decision) = service.decision {
        let written = if service.decision_written {
            " and written to Primero"
        } else {
            ""
        };
        words.push(format!("{}{written}", decision.word()));
    }
    words.join(", ")
}

fn step_words(code: &str) -> &str {
    match code {
        what::ACCEPTED => "taken in and stored on this box",
        what::CASE_CREATED => "case created in Primero",
        what::CASE_FOUND => "case found in Primero",
        what::SERVICE_ADDED => "service added to the case",
        what::REFERRED => "referral made in Primero",
        what::PUSHED => "referral sent to OSCaR",
        what::SEEN => "seen in OSCaR",
        what::DECIDED => "decision learned",
        what::DECISION_WRITTEN => "decision written to Primero",
        what::DECISION_SENT => "decision sent to OSCaR",
        what::DECISION_SEEN => "decision seen in OSCaR",
        what::LINKED => "the two systems know each other's number",
        what::LINK_SENT => "case number sent to OSCaR",
        what::CASE_UPDATED => "case brought up to date in Primero",
        what::LEFT_ALONE => "nothing to do in Primero",
        what::DECISION_LOST => {
            "the service's status field no longer says the decision; it is written once more"
        }
        what::LEFT_OUT => "Primero has no field for a number; it is written once there is one",
        what::RENEWED => "replaced by what the NGO has now",
        what::DELIVERED => "delivered",
        what::RETRY => "did not work, will be tried again",
        what::IN_DOUBT => "answer lost",
        what::READ_BACK => "read back",
        what::PARKED => "set aside for a person",
        what::REQUEUED => "sent round again",
        what::RESOLVED => "settled by a person",
        what::DISCARDED => "discarded",
        what::WITHDRAWN => "withdrawn",
        what::INTERRUPTED => "interrupted",
        what::CONTENT_ERASED => "content erased from this box",
        other => other,
    }
}

/// What is left of an event that has left the queue.
pub fn receipt(key: &str, receipt: &Receipt) -> Value {
    let decision = receipt.decision.map(Decision::word);
    let text = format!(
        "Event {key} (number {}) left the queue as {}{}. Its content has been erased from this box.\n",
        receipt.seq.0,
        receipt.state.word(),
        decision.map(|word| format!(", {word}")).unwrap_or_default()
    );
    json!({
        "event_key": key,
        "seq": receipt.seq.0,
        "kind": receipt.kind.word(),
        "flow": receipt.flow.word(),
        "organization": receipt.organization,
        "state": receipt.state.word(),
        "reason": null,
        "created_at": when(receipt.created),
        "changed_at": when(receipt.closed),
        "decision": decision,
        "text": text,
    })
}
