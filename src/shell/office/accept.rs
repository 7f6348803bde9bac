//! One door for every event: one validation, one transaction, then "accepted".

use super::refusal::Refusal;
use crate::core::event::{Kind, Payload, Referral};
use crate::core::follow_up::withdraw_unsent;
use crate::core::form::FieldError;
use crate::core::intake::{Rules, check};
use crate::core::link::ChildId;
use crate::core::outbox;
use crate::core::planted::{Defect, planted};
use crate::core::record::{Flow, Head, Moment, ServiceWork, State, Subject, Work, what};
use crate::core::station::StationId;
use crate::core::time::Now;
use crate::core::{event::Destination, event::Risk, fields::Site};
use crate::shell::desk::locked;
use crate::shell::identity::Identity;
use crate::store::{Limits, Store, StoreError, Tx};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::sync::Arc;

/// Room a stored event needs beyond its body: its head, seals and history, in bytes.
const HEAD_BYTES: usize = 2048;

/// Lets events in, or says why not.
pub struct Doorkeeper {
    store: Store,
    site: Arc<Site>,
    identity: Arc<Identity>,
    limits: Limits,
    organizations: Vec<String>,
    zone: Tz,
    flows: (bool, bool),
    random: SystemRandom,
}

/// An event that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub event_key: String,
    pub seq: u64,
    pub state: State,
    /// The same event had been accepted before: this is the first answer again.
    pub repeated: bool,
}

impl Doorkeeper {
    #[expect(clippy::too_many_arguments, reason = "made once, in the wiring")]
    pub fn new(
        store: Store,
        site: Arc<Site>,
        identity: Arc<Identity>,
        limits: Limits,
        organizations: Vec<String>,
        zone: Tz,
        local_to_oscar: bool,
        local_to_primero: bool,
    ) -> Doorkeeper {
        let (flows, random) = ((local_to_oscar, local_to_primero), SystemRandom::new());
        Doorkeeper {
            store,
            site,
            identity,
            limits,
            organizations,
            zone,
            flows,
            random,
        }
    }

    /// What a referral may name at this gateway: for whoever fills in a form.
    pub fn form(&self, now: Now) -> Value {
        let (oscar, primero) = self.flows;
        let to = [(oscar, "oscar"), (primero, "primero")];
        let to: Vec<&str> = to.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        let services: Vec<Value> = self
            .site
            .mapping
            .primero_services()
            .map(|service| json!({ "subtype": service.subtype, "type": service.kind }))
            .collect();
        let today = now.wall.known().and_then(|unix| local_date(unix, self.zone));
        json!({ "to": to, "organizations": self.organizations, "services": services,
            "today": today.map(|today| today.to_string()) })
    }

    /// Checks an event without storing it.
    pub fn check(&self, event: &Value, now: Now) -> Result<(), Refusal> {
        self.checked(event, now).map(|_| ())
    }

    /// Checks and stores an event; returns only once it is on disk.
    pub fn accept(&self, event: &Value, now: Now) -> Result<Accepted, Refusal> {
        let job = self.job(event, now, None)?;
        if planted(Defect::AcknowledgeBeforeCommit) {
            return self.acknowledge_early(job);
        }
        self.store.write(job)
    }

    /// The answer as soon as the transaction has run, on disk or not.
    fn acknowledge_early(
        &self,
        job: impl FnOnce(&mut Tx<'_>) -> Result<Accepted, Refusal> + Send + 'static,
    ) -> Result<Accepted, Refusal> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let early = move |tx: &mut Tx<'_>| {
            let answer = job(tx);
            drop(sender.send(answer.clone()));
            answer
        };
        self.store.submit(early, drop).map_err(Refusal::Store)?;
        receiver.recv().unwrap_or(Err(Refusal::QueueFull))
    }

    /// The same for callers that may not block, with the station that sent the event if it was one.
    pub async fn accept_async(
        &self,
        event: &Value,
        now: Now,
        station: Option<StationId>,
    ) -> Result<Accepted, Refusal> {
        let job = self.job(event, now, station)?;
        self.store.write_async(job).await
    }

    fn checked(&self, event: &Value, now: Now) -> Result<crate::core::intake::Checked, Refusal> {
        let today = now.wall.known().and_then(|unix| local_date(unix, self.zone));
        let rules = Rules {
            mapping: &self.site.mapping,
            organizations: &self.organizations,
            today,
        };
        let checked = check(event, &rules).map_err(Refusal::Invalid)?;
        if let Payload::Referral(referral) = &checked.payload {
            let on = match referral.to {
                Destination::Oscar => self.flows.0,
                Destination::Primero => self.flows.1,
            };
            if !on {
                let reason = "this flow is switched off on this gateway";
                return Err(Refusal::Invalid(vec![FieldError {
                    path: "/to".to_owned(),
                    reason,
                }]));
            }
        }
        Ok(checked)
    }

    /// The transaction that takes the event in.
    fn job(
        &self,
        event: &Value,
        now: Now,
        station: Option<StationId>,
    ) -> Result<impl FnOnce(&mut Tx<'_>) -> Result<Accepted, Refusal> + Send + use<>, Refusal> {
        let checked = self.checked(event, now)?;
        let key = match checked.event_key {
            Some(key) => key,
            None => {
                let mut random = [0; 16];
                self.random.fill(&mut random).map_err(|_| {
                    Refusal::Store(StoreError::Failed {
                        what: "the system gives no random numbers".to_owned(),
                    })
                })?;
                Identity::event_key(&random)
            }
        };
        let identity = Arc::clone(&self.identity);
        let limits = self.limits;
        let sent = Sent {
            key,
            payload: checked.payload,
            station,
            unix: now.wall.known(),
        };
        Ok(move |tx: &mut Tx<'_>| take_in(tx, &identity, limits, sent))
    }
}

/// The date at the office.
pub fn local_date(unix: i64, zone: Tz) -> Option<NaiveDate> {
    let moment: DateTime<Utc> = DateTime::from_timestamp(unix, 0)?;
    Some(moment.with_timezone(&zone).date_naive())
}

/// A checked event on its way in.
struct Sent {
    key: String,
    payload: Payload,
    station: Option<StationId>,
    unix: Option<i64>,
}

fn take_in(tx: &mut Tx<'_>, identity: &Identity, limits: Limits, sent: Sent) -> Result<Accepted, Refusal> {
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

fn blank_head(
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

/// A decision or withdrawal travels in the lane of the referral it names, which this gateway must know.
fn place_follow_up(tx: &mut Tx<'_>, head: &mut Head, target: &str, at: Moment) -> Result<(), Refusal> {
    let known = tx
        .head_by_key(target)?
        .filter(|target| target.kind == Kind::Referral);
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
        head.work.primero_done = true;
        head.work.oscar_done = true;
    }
    Ok(())
}
