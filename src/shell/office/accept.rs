//! One door for every event: one validation, one transaction, then "accepted".

use super::refusal::Refusal;
use super::take_in::{HEAD_BYTES, Sent, take_in};
use crate::core::event::{Destination, Payload};
use crate::core::fields::Site;
use crate::core::form::FieldError;
use crate::core::intake::{Rules, check};
use crate::core::planted::{Defect, planted};
use crate::core::record::State;
use crate::core::station::StationId;
use crate::core::time::Now;
use crate::shell::desk::locked;
use crate::shell::identity::Identity;
use crate::store::{Limits, Store, StoreError, Tx};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::sync::Arc;

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

    /// Checks and stores events in one commit, in their order, as far as the first that is refused; returns only once
    /// those before it are on disk. If the store fails, none of them is in.
    pub fn accept_together(&self, events: &[Value], now: Now) -> (Vec<Accepted>, Result<(), Refusal>) {
        let mut sent = Vec::with_capacity(events.len());
        let mut refused = Ok(());
        for event in events {
            match self.sent(event, now, None) {
                Ok(event) => sent.push(event),
                Err(refusal) => {
                    refused = Err(refusal);
                    break;
                }
            }
        }
        let (identity, limits) = (Arc::clone(&self.identity), self.limits);
        let stored = self.store.write(move |tx: &mut Tx<'_>| {
            let mut accepted = Vec::with_capacity(sent.len());
            for event in sent {
                match take_in(tx, &identity, limits, event) {
                    Ok(event) => accepted.push(event),
                    // It may have stopped half-way: all of them go, and come again.
                    Err(Refusal::Store(error)) => return Err(error),
                    Err(refusal) => return Ok((accepted, Err(refusal))),
                }
            }
            Ok((accepted, refused))
        });
        stored.unwrap_or_else(|error| (Vec::new(), Err(Refusal::Store(error))))
    }

    /// Whether no event at all would be taken now.
    pub fn takes_nothing(&self) -> bool {
        let full = self
            .store
            .queue(|queue| self.limits.exceeded(queue.counts(), HEAD_BYTES));
        full || !matches!(self.store.read(locked), Ok(false))
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
        let sent = self.sent(event, now, station)?;
        let (identity, limits) = (Arc::clone(&self.identity), self.limits);
        Ok(move |tx: &mut Tx<'_>| take_in(tx, &identity, limits, sent))
    }

    fn sent(&self, event: &Value, now: Now, station: Option<StationId>) -> Result<Sent, Refusal> {
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
        Ok(Sent {
            key,
            payload: checked.payload,
            station,
            unix: now.wall.known(),
        })
    }
}

/// The date at the office.
pub fn local_date(unix: i64, zone: Tz) -> Option<NaiveDate> {
    let moment: DateTime<Utc> = DateTime::from_timestamp(unix, 0)?;
    Some(moment.with_timezone(&zone).date_naive())
}
