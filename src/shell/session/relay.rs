//! Taking in what others made in Primero or OSCaR: one event for each referral, ever. The ledger that says so is the
//! ids of the referrals themselves, kept with the child they belong to.

use super::Ground;
use crate::core::event::{Payload, Referral, Risk};
use crate::core::link::ChildId;
use crate::core::outbox;
use crate::core::reason::Reason;
use crate::core::record::{Flow, Head, Moment, Seq, State, Subject, Work, what};
use crate::shell::identity::Identity;
use crate::shell::office::{HEAD_BYTES, blank_head};
use crate::store::{Limits, StoreError, Tx};

/// A referral seen at a peer, ready to be stored.
pub struct Arrival {
    /// Made from what the peer calls the referral, so that the same one always has the same key.
    pub key: String,
    pub flow: Flow,
    pub subject: Subject,
    /// What leads to the child from now on, the ledger entries of this referral among them.
    pub ids: Vec<ChildId>,
    pub referral: Box<Referral>,
    /// What is reached already: the peer that has the referral is done.
    pub work: Work,
    /// Why a person has to look before anything is sent; `(state, reason)`.
    pub held: Option<(State, Reason)>,
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolled {
    New(Seq),
    /// Taken in before, on this box.
    Known,
    /// The queue is full: nothing was stored, and the cursor must not pass this referral.
    Full,
}

/// Stores an arrival, in the transaction that moves whatever cursor it came by.
pub fn enroll(
    tx: &mut Tx<'_>,
    identity: &Identity,
    limits: Limits,
    arrival: Arrival,
    at: Moment,
) -> Result<Enrolled, StoreError> {
    let referral = arrival.referral;
    let new = NewEvent {
        key: arrival.key,
        flow: arrival.flow,
        subject: arrival.subject,
        ids: arrival.ids,
        organization: referral.organization.clone(),
        urgent: referral.risk_level.0 == Some(Risk::High),
        payload: Payload::Referral(referral),
        work: arrival.work,
        held: arrival.held,
    };
    enter(tx, identity, limits, new, at)
}

/// Anything taken in from a peer.
pub struct NewEvent {
    pub key: String,
    pub flow: Flow,
    pub subject: Subject,
    pub ids: Vec<ChildId>,
    pub organization: String,
    pub urgent: bool,
    pub payload: Payload,
    pub work: Work,
    pub held: Option<(State, Reason)>,
}

/// Stores an event that a peer has shown, once.
pub fn enter(
    tx: &mut Tx<'_>,
    identity: &Identity,
    limits: Limits,
    new: NewEvent,
    at: Moment,
) -> Result<Enrolled, StoreError> {
    let mut key = new.key;
    while let Some(flow) = flow_of(tx, &key)? {
        if flow == new.flow {
            return Ok(Enrolled::Known);
        }
        // A sender had this key before such keys were refused: the referral comes in under the next.
        key.push('x');
    }
    let payload = new.payload;
    let body_bytes = serde_json::to_vec(&payload).map_or(0, |bytes| bytes.len());
    if limits.exceeded(tx.queue().counts(), body_bytes + HEAD_BYTES) {
        return Ok(Enrolled::Full);
    }
    let blank = blank_head(tx, identity, key, Identity::body_hash(&payload), &payload, at);
    let mut head = Head {
        flow: new.flow,
        organization: new.organization,
        subject: new.subject,
        urgent: new.urgent,
        work: new.work,
        ..blank
    };
    let from = if new.flow.to_oscar() {
        "from Primero"
    } else {
        "from OSCaR"
    };
    head.note(at, what::ACCEPTED, from);
    match new.held {
        Some((State::InDoubt, reason)) => outbox::doubt(&mut head, at, reason, ""),
        Some((_, reason)) => outbox::park(&mut head, at, reason, ""),
        None => {}
    }
    let mut unknown = Vec::new();
    for id in new.ids {
        if tx.subject_of(&id)?.is_none() {
            unknown.push(id);
        }
    }
    tx.insert(&head, &payload, &unknown)?;
    Ok(Enrolled::New(head.seq))
}

/// The way of the event that has this key, on its way or over.
fn flow_of(tx: &Tx<'_>, key: &str) -> Result<Option<Flow>, StoreError> {
    Ok(match tx.head_by_key(key)? {
        Some(head) => Some(head.flow),
        None => tx.receipt(key)?.map(|receipt| receipt.flow),
    })
}

impl Ground {
    /// Whether an organization is in this gateway's scope.
    pub fn relays_for(&self, organization: &str) -> bool {
        self.organizations.iter().any(|ours| ours == organization)
    }
}
