//! What a changed Primero case means for the referrals of its child that are under way.
//!
//! A decision is made in Primero by hand in either of two places, the referral's status or the service's own field
//! (primero.md §4), and counts once; writing the other place and telling OSCaR are later, separate steps. Absence means
//! nothing: a referral that is not in the list is merely out of sight (primero.md §9.17).

use super::ask::{CaseView, ReferralView};
use super::event::{Decision, Kind};
use super::fields::Site;
use super::mapping::referral_decision;
use super::outbox;
use super::reason::Reason;
use super::record::{Flow, Head, Moment, OneShot, Peer, State, what};
use serde_json::Value;

/// Takes the case in for one event of its child. `list` is the case's referrals, if they were asked for; `decisions`
/// whether this gateway carries decisions at all.
pub fn take_in(
    view: &CaseView,
    list: Option<&[ReferralView]>,
    head: &mut Head,
    site: &Site,
    decisions: bool,
    at: Moment,
) {
    if head.kind != Kind::Referral || head.closed() {
        return;
    }
    // As decided before: one decision is about every subtype of a service, and the first one taken in hides no other.
    let together: Vec<Option<Decision>> = head
        .work
        .services
        .iter()
        .map(|service| head.work.decision_of(&service.unique_id))
        .collect();
    if head.flow.to_oscar() {
        let of = |id: &Option<String>| list?.iter().find(|made| Some(&made.id) == id.as_ref());
        let status = |id: &Option<String>| of(id).map(|made| made.status.as_str());
        let statuses: Vec<Option<&str>> = head
            .work
            .services
            .iter()
            .map(|service| status(&service.referral_id))
            .collect();
        if let Some(word) = statuses.iter().flatten().find_map(|status| ended(status, head)) {
            end(head, word, at);
            return;
        }
        for (index, status) in statuses.into_iter().enumerate().filter(|_| decisions) {
            decide_to_oscar(view, status, head, (index, together[index]), site, at);
        }
    } else if head.flow == Flow::OscarToPrimero && decisions {
        for at_service in together.into_iter().enumerate() {
            decide_from_oscar(view, head, at_service, site, at);
        }
    }
}

/// Whether a status ends a referral that still had a way to go: revoked always, any final word while nothing was sent.
fn ended(status: &str, head: &Head) -> Option<&'static str> {
    let unsent = head.state.open() && untouched(head);
    match status {
        "revoked" => Some("revoked in Primero"),
        "rejected" if unsent => Some("rejected in Primero"),
        "done" if unsent => Some("done in Primero"),
        _ => None,
    }
}

/// Nothing of it has left for OSCaR.
fn untouched(head: &Head) -> bool {
    head.work
        .services
        .iter()
        .all(|service| service.push == OneShot::Todo)
}

/// A referral that Primero has ended. What was not sent never will be; who was told has to be told again, by people.
/// Neither holds up the child's next referral.
pub fn end(head: &mut Head, word: &str, at: Moment) {
    let told_already = head.history.iter().any(|step| step.what == what::WITHDRAWN);
    if head.state == State::Delivered && told_already {
        return;
    }
    let reason = if untouched(head) {
        Reason::EndedUnsent
    } else {
        Reason::TellTheNgo
    };
    if head.state == State::Parked && head.reason == Some(reason) {
        return;
    }
    head.work.primero_done = true;
    head.work.oscar_done = true;
    head.work.wants_sighting = false;
    outbox::park(head, at, reason, word);
}

/// What is left of a referral's standing for a push that has waited: the word that stops it.
pub fn stopped(list: &[ReferralView], head: &Head) -> Option<&'static str> {
    let made = |id: &String| list.iter().find(|made| made.id == *id);
    let ids = head
        .work
        .services
        .iter()
        .filter_map(|service| service.referral_id.as_ref());
    ids.filter_map(made).find_map(|made| ended(&made.status, head))
}

fn decide_to_oscar(
    view: &CaseView,
    status: Option<&str>,
    head: &mut Head,
    (index, together): (usize, Option<Decision>),
    site: &Site,
    at: Moment,
) {
    let service = &head.work.services[index];
    if service.decision_written {
        return;
    }
    let by_status = status.and_then(referral_decision);
    let by_field = in_field(view, &service.unique_id, site);
    let said = match (by_status, by_field) {
        (Some(status), Some(field)) if status != field => {
            let detail = format!(
                "in Primero the referral is {}, its service {}",
                status.word(),
                field.word()
            );
            return conflict(head, &detail, at);
        }
        (Some(said), _) | (None, Some(said)) => said,
        (None, None) => return,
    };
    if !agree(head, index, together, said, at) {
        return;
    }
    let service = &mut head.work.services[index];
    service.referral_decided |= by_status == Some(said);
    // Nothing is left to write where both places say it.
    service.decision_written |= by_status == Some(said) && by_field == Some(said);
}

fn decide_from_oscar(
    view: &CaseView,
    head: &mut Head,
    (index, together): (usize, Option<Decision>),
    site: &Site,
    at: Moment,
) {
    let service = &head.work.services[index];
    if service.decision_written {
        return;
    }
    if let Some(said) = in_field(view, &service.unique_id, site) {
        agree(head, index, together, said, at);
    }
}

/// The decision in a service's own field, if it holds one.
pub fn in_field(view: &CaseView, service: &str, site: &Site) -> Option<Decision> {
    let option = view
        .service(service)?
        .get(&site.names.service_decision)
        .and_then(Value::as_str)?;
    site.mapping.option_decision(option)
}

/// Takes a decision made in Primero; false if OSCaR's side has another. A correction counts until OSCaR was told.
fn agree(head: &mut Head, index: usize, together: Option<Decision>, said: Decision, at: Moment) -> bool {
    let service = &mut head.work.services[index];
    match service.decision {
        known if together == Some(said) || known == Some(said) => return true,
        Some(known) if service.decided_at != Some(Peer::Primero) || service.decision_reported => {
            let detail = format!("Primero says {}, the other side {}", said.word(), known.word());
            conflict(head, &detail, at);
            return false;
        }
        _ => {}
    }
    service.decision = Some(said);
    service.decided_at = Some(Peer::Primero);
    head.note(at, what::DECIDED, &format!("{}, says Primero", said.word()));
    true
}

fn conflict(head: &mut Head, detail: &str, at: Moment) {
    // What is parked waits for a person already; what is on its way first has to get there.
    if head.state == State::Delivered {
        outbox::park(head, at, Reason::DecisionConflict, detail);
    }
}
