//! The transaction that takes a checked event in: its place in the queue, its child, its number.

use super::accept::Accepted;
use super::refusal::Refusal;
use crate::core::event::{Destination, Kind, Payload, Referral, Risk};
use crate::core::follow_up::withdraw_unsent;
use crate::core::form::FieldError;
use crate::core::link::ChildId;
use crate::core::outbox;
use crate::core::record::{Flow, Head, Moment, ServiceWork, State, Subject, Work, what};
use crate::core::station::{StationId, may_see};
use crate::shell::desk::locked;
use crate::shell::identity::Identity;
use crate::store::{Limits, StoreError, Tx};

/// Room a stored event needs beyond its body: its head, seals and history, in bytes.
pub const HEAD_BYTES: usize = 2048;

/// A checked event on its way in.
pub struct Sent {
    pub key: String,
    pub payload: Payload,
    pub station: Option<StationId>,
    pub unix: Option<i64>,
}

/// Stores the event, unless it was accepted before, its key stands for another, or there is no room.
pub fn take_in(
    tx: &mut Tx<'_>,
    identity: &Identity,
    limits: Limits,
    sent: Sent,
) -> Result<Accepted, Refusal> {
    let Sent {
        key,
        payload,
        station,
        unix,
    } = sent;
    let body_hash = Identity::body_hash(&payload);
    if let Some(first) = answered_before(tx, &key, body_hash)? {
        return first;
    }
    if locked(tx)? {
        return Err(Refusal::Locked);
    }
    let body_bytes = serde_json::to_vec(&payload).map_or(0, |bytes| bytes.len());
    if limits.exceeded(tx.queue().counts(), body_bytes + HEAD_BYTES) {
        return Err(Refusal::QueueFull);
    }
    let at = Moment {
        boot: tx.boot(),
        unix,
    };
    let mut head = blank_head(tx, identity, key, body_hash, &payload, at);
    head.station = station;
    let ids = match &payload {
        Payload::Referral(referral) => place_referral(tx, identity, &mut head, referral)?,
        Payload::Decision { target, .. } | Payload::Withdraw { target, .. } => {
            place_follow_up(tx, &mut head, target, at)?;
            Vec::new()
        }
        Payload::Child(_) => unreachable!("no door takes a child's record: only a pull makes one"),
    };
    head.note(at, what::ACCEPTED, "");
    if head.work.primero_done && head.work.oscar_done {
        outbox::deliver(&mut head, at);
        tx.insert(&head, &payload, &ids)?;
        tx.handoff(&head, head.state.word())?;
    } else {
        tx.insert(&head, &payload, &ids)?;
    }
    Ok(Accepted {
        event_key: head.key,
        seq: head.seq.0,
        state: head.state,
        repeated: false,
    })
}

/// The same key again: the first answer for the same body, a refusal for another.
fn answered_before(
    tx: &Tx<'_>,
    key: &str,
    body_hash: [u8; 32],
) -> Result<Option<Result<Accepted, Refusal>>, StoreError> {
    let (hash, seq, state) = match tx.head_by_key(key)? {
        Some(head) => (head.body_hash, head.seq, head.state),
        None => match tx.receipt(key)? {
            Some(receipt) => (receipt.body_hash, receipt.seq, receipt.state),
            None => return Ok(None),
        },
    };
    Ok(Some(if hash == body_hash {
        Ok(Accepted {
            event_key: key.to_owned(),
            seq: seq.0,
            state,
            repeated: true,
        })
    } else {
        Err(Refusal::KeyTaken)
    }))
}

/// The head of an event that has just come, before anything is known of its way.
pub fn blank_head(
    tx: &Tx<'_>,
    identity: &Identity,
    key: String,
    body_hash: [u8; 32],
    payload: &Payload,
    at: Moment,
) -> Head {
    Head {
        seq: tx.next_seq(),
        tag: identity.tag(&key),
        key,
        body_hash,
        kind: payload.kind(),
        flow: Flow::Decisions,
        organization: String::new(),
        subject: Subject([0; 16]),
        station: None,
        urgent: false,
        state: State::Pending,
        reason: None,
        attempts: 0,
        failures: 0,
        crashes: 0,
        lease: None,
        created: at,
        changed: at,
        work: Work::default(),
        history: Vec::new(),
    }
}

/// Finds the child the referral is about, by any id anybody has used for it. The ids are returned for the store.
fn place_referral(
    tx: &Tx<'_>,
    identity: &Identity,
    head: &mut Head,
    referral: &Referral,
) -> Result<Vec<ChildId>, StoreError> {
    let ids = identity.child_ids(&referral.child);
    let mut subject = None;
    for id in &ids {
        subject = tx.subject_of(id)?;
        if subject.is_some() {
            break;
        }
    }
    head.subject = subject.unwrap_or_else(|| identity.new_subject(&ids, &head.key));
    head.flow = match referral.to {
        Destination::Oscar => Flow::LocalToOscar,
        Destination::Primero => Flow::LocalToPrimero,
    };
    head.organization = referral.organization.clone();
    head.urgent = referral.risk_level.0 == Some(Risk::High);
    let service =
        |subtype: &String| ServiceWork::new(subtype.clone(), identity.service_id(&head.key, subtype));
    head.work.services = referral.services.iter().map(service).collect();
    let mut unknown = Vec::new();
    for id in ids {
        if tx.subject_of(&id)?.is_none() {
            unknown.push(id);
        }
    }
    Ok(unknown)
}

/// A decision or withdrawal travels in the lane of the referral it names, which this gateway must know and the sender may
/// see.
fn place_follow_up(tx: &mut Tx<'_>, head: &mut Head, target: &str, at: Moment) -> Result<(), Refusal> {
    let known = tx
        .head_by_key(target)?
        .filter(|target| target.kind == Kind::Referral && may_see(head.station, target.station));
    let Some(mut target) = known else {
        let reason = "no referral with this event key is known to this gateway";
        return Err(Refusal::Invalid(vec![FieldError {
            path: "/referral".to_owned(),
            reason,
        }]));
    };
    if head.kind == Kind::Withdraw && target.flow == Flow::OscarToPrimero {
        let reason = "an NGO made this referral: decide on it, only the NGO can take it back";
        return Err(Refusal::Invalid(vec![FieldError {
            path: "/referral".to_owned(),
            reason,
        }]));
    }
    head.subject = target.subject;
    head.organization = target.organization.clone();
    head.urgent = true;
    if head.kind == Kind::Withdraw && withdraw_unsent(&mut target, tx.boot(), at) {
        tx.update(&target)?;
        tx.handoff(&target, what::WITHDRAWN)?;
        let referred = target.work.services.iter().any(|s| s.referral_id.is_some());
        head.work.primero_done = !referred;
        head.work.oscar_done = !referred;
    }
    Ok(())
}
