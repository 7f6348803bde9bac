//! What both systems show of a referral of ours, beside what this box holds of it, and what differs.
//!
//! Absence in a pull means nothing (oscar.md §2.8), so what OSCaR does not show is said but is no difference unless it
//! was seen before. Rows hold ids, codes and states, never content.

use super::ask::{CaseView, ReferralView};
use super::element::Item;
use super::event::Decision;
use super::fields::FieldNames;
use super::mapping::{Mapping, referral_decision};
use super::record::{Head, Moment, OneShot, ServiceWork, State, what};
use serde::{Deserialize, Serialize};

mod report;

pub use report::{Done, EVENTS_MAX, Report, Row, open};

/// What Primero shows of one service of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "case")]
pub enum AtPrimero {
    /// Not asked, or no answer.
    Unread,
    /// The event has no case yet.
    None,
    /// 404 or 403: deleted, or out of this gateway's sight.
    Gone,
    Seen {
        /// The status of our referral there; nothing if there is none.
        referral: Option<String>,
        /// The service is in the case.
        service: bool,
        /// The option of its status field.
        option: Option<String>,
        /// OSCaR's number of the child, as the case has it.
        number: Option<String>,
    },
}

/// What OSCaR shows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "child")]
pub enum AtOscar {
    /// Not asked, or no answer.
    Unread,
    /// Asked, and not shown: the NGO has not opened it, or nothing about the child has moved lately.
    NotShown,
    Seen {
        global_id: String,
        /// The Primero number the child is linked to there.
        external_id: Option<String>,
        /// Our referral's number and status, if it is known and shown.
        referral: Option<(i64, String)>,
    },
}

/// A child at the event's organization, as a look showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub global_id: String,
    pub external_id: Option<String>,
    pub items: Vec<Item>,
}

impl AtPrimero {
    /// What a look at the case means for one service; `list` has the case's referrals.
    pub fn of(view: &CaseView, list: &[ReferralView], work: &ServiceWork, names: &FieldNames) -> AtPrimero {
        let ours = |made: &&ReferralView| match &work.referral_id {
            Some(id) => made.id == *id,
            None => work.referral != OneShot::Todo && made.service.as_ref() == Some(&work.unique_id),
        };
        let service = view.service(&work.unique_id);
        let option = service.and_then(|service| service.get(&names.service_decision)?.as_str());
        AtPrimero::Seen {
            referral: list.iter().find(ours).map(|made| made.status.clone()),
            service: service.is_some(),
            option: option.map(str::to_owned),
            number: view.text(&names.oscar_number).map(str::to_owned),
        }
    }
}

impl AtOscar {
    /// What a look means for one service.
    pub fn of(shown: Option<&Shown>, work: &ServiceWork) -> AtOscar {
        let Some(shown) = shown else {
            return AtOscar::NotShown;
        };
        let ours = |item: &&Item| Some(item.number) == work.oscar_referral;
        AtOscar::Seen {
            global_id: shown.global_id.clone(),
            external_id: shown.external_id.clone(),
            referral: shown
                .items
                .iter()
                .find(ours)
                .map(|item| (item.number, item.status.clone())),
        }
    }
}

macro_rules! differences {
    ($($name:ident = $code:literal, $words:literal;)*) => {
        /// Something that is not the same everywhere.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Difference { $($name,)* }

        impl Difference {
            /// Every difference there is.
            pub const ALL: &'static [Difference] = &[$(Difference::$name,)*];

            pub fn code(self) -> &'static str {
                match self { $(Difference::$name => $code,)* }
            }

            /// For whoever reads the report.
            pub fn words(self) -> &'static str {
                match self { $(Difference::$name => $words,)* }
            }
        }
    };
}

differences! {
    CaseGone = "case_gone", "the Primero case is gone, or the gateway may not see it any more";
    ServiceGone = "service_gone", "the service was taken out of the Primero case";
    ReferralGone = "referral_gone", "Primero has no such referral";
    ReferralRevoked = "referral_revoked", "the referral was taken back in Primero";
    PrimeroUndecided = "primero_undecided", "the decision known here does not stand on the Primero referral";
    FieldUndecided = "field_undecided", "the service's status field does not say the decision";
    PrimeroDecided = "primero_decided", "Primero says a decision that is not known here";
    PrimeroOtherwise = "primero_otherwise", "Primero says another decision than the one known here";
    OscarDecided = "oscar_decided", "OSCaR says a decision that is not known here";
    OscarOtherwise = "oscar_otherwise", "OSCaR says another decision than the one known here";
    OscarUndecided = "oscar_undecided", "the decision made in Primero does not stand in OSCaR";
    SystemsDisagree = "systems_disagree", "the two systems say opposite decisions";
    NumberMissing = "number_missing", "the Primero case lacks the child's OSCaR number";
    NumberOther = "number_other", "the Primero case has another OSCaR number";
    LinkMissing = "link_missing", "OSCaR does not have the child's Primero number";
    LinkOther = "link_other", "OSCaR links the child to another Primero case";
    ReferralUnknown = "referral_unknown", "OSCaR no longer shows a referral it has shown before";
}

/// Compares one service of an event.
pub fn compare(
    head: &Head,
    work: &ServiceWork,
    primero: &AtPrimero,
    oscar: &AtOscar,
    mapping: &Mapping,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let in_primero = match primero {
        AtPrimero::Unread | AtPrimero::None => None,
        AtPrimero::Gone => {
            found.push(Difference::CaseGone);
            None
        }
        AtPrimero::Seen { .. } => at_primero(head, work, primero, mapping, &mut found),
    };
    let in_oscar = at_oscar(head, work, oscar, mapping, &mut found);
    if let (Some(a), Some(b)) = (in_primero, in_oscar)
        && a != b
    {
        found.push(Difference::SystemsDisagree);
    }
    found
}

/// The decision Primero shows, its differences added.
fn at_primero(
    head: &Head,
    work: &ServiceWork,
    primero: &AtPrimero,
    mapping: &Mapping,
    found: &mut Vec<Difference>,
) -> Option<Decision> {
    let AtPrimero::Seen {
        referral,
        service,
        option,
        number,
    } = primero
    else {
        return None;
    };
    if work.placed && !service {
        found.push(Difference::ServiceGone);
    }
    let made = work.referral_id.is_some() || work.referral == OneShot::Done;
    let there = referral.as_deref().and_then(referral_decision);
    let said = option
        .as_deref()
        .and_then(|option| mapping.option_decision(option));
    let (decided, otherwise) = (Difference::PrimeroDecided, Difference::PrimeroOtherwise);
    match referral.as_deref() {
        None if made => found.push(Difference::ReferralGone),
        // What an NGO refers has no referral in Primero: the service's field is all there is.
        None => {
            let words = [decided, otherwise, Difference::FieldUndecided];
            found.extend(against(work.decision, said, words));
        }
        // Taken back by the office itself: both know.
        Some("revoked") if head.history.iter().any(|step| step.what == what::WITHDRAWN) => {}
        Some("revoked") => found.push(Difference::ReferralRevoked),
        Some(_) => {
            let words = [decided, otherwise, Difference::PrimeroUndecided];
            found.extend(against(work.decision, there, words));
            if *service && work.decision.is_some() && said != work.decision {
                found.push(Difference::FieldUndecided);
            }
        }
    }
    match (&head.work.global_id, number) {
        (Some(_), None) => found.push(Difference::NumberMissing),
        (Some(known), Some(there)) if known != there => found.push(Difference::NumberOther),
        _ => {}
    }
    there.or(said)
}

/// The decision OSCaR shows, its differences added.
fn at_oscar(
    head: &Head,
    work: &ServiceWork,
    oscar: &AtOscar,
    mapping: &Mapping,
    found: &mut Vec<Difference>,
) -> Option<Decision> {
    let AtOscar::Seen {
        external_id,
        referral,
        ..
    } = oscar
    else {
        return None;
    };
    match (&head.work.case, external_id) {
        (Some(_), None) => found.push(Difference::LinkMissing),
        (Some(case), Some(there)) if case.case_id != *there => found.push(Difference::LinkOther),
        _ => {}
    }
    let Some((_, status)) = referral else {
        if work.oscar_referral.is_some() {
            found.push(Difference::ReferralUnknown);
        }
        return None;
    };
    let there = mapping.decision(status);
    found.extend(against(
        work.decision,
        there,
        [
            Difference::OscarDecided,
            Difference::OscarOtherwise,
            Difference::OscarUndecided,
        ],
    ));
    there
}

/// Queues what a service's status field has lost: a decision that was written there and that Primero's own referral still
/// says. The two are one truth to be kept together (primero.md §4), so it is written once more. Once: who empties it again
/// means it. A field that says something else is somebody's word, and an NGO's referral has no other record in Primero:
/// both are left to people. True if there was one; `shown` has a row for each service.
pub fn renew(head: &mut Head, shown: &[AtPrimero], mapping: &Mapping, at: Moment) -> bool {
    let lost = |work: &ServiceWork, shown: &AtPrimero| {
        let AtPrimero::Seen {
            referral: Some(status),
            service: true,
            option,
            ..
        } = shown
        else {
            return false;
        };
        let decision = head.work.decision_of(&work.unique_id);
        let empty = option
            .as_deref()
            .is_none_or(|option| option.is_empty() || option == mapping.pending_option());
        let written = work.decision_written && !work.renewed;
        written && empty && decision.is_some() && referral_decision(status) == decision
    };
    let pairs = head.work.services.iter().zip(shown);
    let lost: Vec<String> = pairs
        .filter(|(work, shown)| lost(work, shown))
        .map(|(work, _)| work.unique_id.clone())
        .collect();
    if lost.is_empty() || head.state != State::Delivered {
        return false;
    }
    let services = head.work.services.iter_mut();
    for work in services.filter(|work| lost.contains(&work.unique_id)) {
        (work.decision_written, work.renewed) = (false, true);
    }
    head.note(at, what::DECISION_LOST, "");
    true
}

/// Decided only there, otherwise there, only here.
fn against(here: Option<Decision>, there: Option<Decision>, words: [Difference; 3]) -> Option<Difference> {
    match (here, there) {
        (None, Some(_)) => Some(words[0]),
        (Some(a), Some(b)) if a != b => Some(words[1]),
        (Some(_), None) => Some(words[2]),
        _ => None,
    }
}
