//! How far an event has got: the steps taken at each peer and what they answered, one row per service.

use super::event::Decision;
use super::record::Peer;
use serde::{Deserialize, Serialize};

/// Leaves out of a stored head what says nothing: three events instead of two then fit a page of the store.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The Primero case of a child: `id` for URLs, `case_id` for OSCaR, `short_id` for people (primero.md §0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseRef {
    pub id: String,
    pub case_id: String,
    pub short_id: String,
}

/// How far one write that cannot be repeated has got.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OneShot {
    /// Not sent, or proven not to have arrived: may be sent.
    #[default]
    Todo,
    /// Committed before the request leaves: if the program dies now, it is in doubt.
    Sending,
    /// Sent, and nobody knows.
    Unsure,
    /// Confirmed.
    Done,
}

/// One service of a referral event: each becomes its own Primero service, Primero referral and OSCaR referral.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceWork {
    /// Primero subtype, kept because two of them share one OSCaR name (oscar.md §9.2 row 18).
    pub subtype: String,
    /// Our own id of the service in `services_section`.
    pub unique_id: String,
    /// What OSCaR calls a service that has no counterpart in Primero: said in words there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    /// Seen in the case after writing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub placed: bool,
    /// The Primero referral to the agency's user (`local-to-oscar` only).
    #[serde(default, skip_serializing_if = "is_default")]
    pub referral: OneShot,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral_id: Option<String>,
    /// The OSCaR push (`local-to-oscar` only).
    #[serde(default, skip_serializing_if = "is_default")]
    pub push: OneShot,
    /// OSCaR's own number of the referral, once a pull has shown it (per organization, oscar.md §1.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oscar_referral: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The side the decision was made on; nothing for OSCaR or the office.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Peer>,
    /// A decision made in Primero was sent to OSCaR, which said it saved it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub decision_sent: bool,
    /// What OSCaR last showed as the decision on a referral the NGO made, whoever made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_there: Option<Decision>,
    /// A decision made in Primero stands on the OSCaR referral, seen there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub decision_reported: bool,
    /// The decision stands on the Primero referral.
    #[serde(default, skip_serializing_if = "is_default")]
    pub referral_decided: bool,
    /// The decision stands on the Primero referral and in the service's status field.
    #[serde(default, skip_serializing_if = "is_default")]
    pub decision_written: bool,
    /// The status field lost the decision later and was queued to be written once more.
    #[serde(default, skip_serializing_if = "is_default")]
    pub renewed: bool,
    /// OSCaR's referral number stands in the service.
    #[serde(default, skip_serializing_if = "is_default")]
    pub link_written: bool,
}

impl ServiceWork {
    pub fn new(subtype: String, unique_id: String) -> ServiceWork {
        ServiceWork {
            subtype,
            unique_id,
            called: None,
            placed: false,
            referral: OneShot::Todo,
            referral_id: None,
            push: OneShot::Todo,
            oscar_referral: None,
            decision: None,
            decided_at: None,
            decision_sent: false,
            shown_there: None,
            decision_reported: false,
            referral_decided: false,
            decision_written: false,
            renewed: false,
            link_written: false,
        }
    }
}

impl Work {
    /// What is decided about one Primero service. Several subtypes of it are several referrals in OSCaR: one taken in
    /// means that the child is, and only all turned down mean that it is not.
    pub fn decision_of(&self, unique_id: &str) -> Option<Decision> {
        let mut all_rejected = true;
        for service in self
            .services
            .iter()
            .filter(|service| service.unique_id == unique_id)
        {
            match service.decision {
                Some(Decision::Accepted) => return Some(Decision::Accepted),
                Some(Decision::Rejected) => {}
                None => all_rejected = false,
            }
        }
        all_rejected.then_some(Decision::Rejected)
    }

    /// Puts services drawn anew in the place of those of which nothing was sent. What is decided of one stands, whatever
    /// its subtypes are now.
    pub fn redraw(&mut self, mut services: Vec<ServiceWork>) {
        for service in &mut services {
            let same = |before: &&ServiceWork| before.unique_id == service.unique_id;
            if let Some(before) = self.services.iter().find(same) {
                let subtype = std::mem::take(&mut service.subtype);
                *service = ServiceWork {
                    subtype,
                    ..before.clone()
                };
            }
        }
        self.services = services;
    }
}

/// What has been reached for an event, peer by peer.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Work {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseRef>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub services: Vec<ServiceWork>,
    /// OSCaR's child number and slug, once a pull has shown the child at the event's organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// The OSCaR number stands in the Primero case.
    #[serde(default, skip_serializing_if = "is_default")]
    pub number_written: bool,
    /// The child's number, or the referrals' numbers, found no field in this Primero: they are written once it has one,
    /// and hold up nothing else.
    #[serde(default, skip_serializing_if = "is_default")]
    pub number_left_out: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub links_left_out: bool,
    /// The Primero case's number was sent to OSCaR (`update_links`), and then seen there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub link_sent: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub link_seen: bool,
    /// A person has said that the NGO made this referral, where the two systems leave it open.
    #[serde(default, skip_serializing_if = "is_default")]
    pub confirmed: bool,
    /// Whose values a person took where both sides had changed the same field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<Peer>,
    /// How far OSCaR had been seen when the first push left, Unix seconds of its clock: where looking back starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_at: Option<i64>,
    /// Everything this event asks of that peer is done.
    #[serde(default, skip_serializing_if = "is_default")]
    pub primero_done: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub oscar_done: bool,
    /// Nothing may be pushed before a pull has shown this child at the organization (oscar.md §3.7).
    #[serde(default, skip_serializing_if = "is_default")]
    pub wants_sighting: bool,
    /// A deep pull has looked for that child in vain or not.
    #[serde(default, skip_serializing_if = "is_default")]
    pub looked_deep: bool,
}
