//! What must hold whatever has happened, checked against the peers' own ledgers and not against what we were told.

use crate::stage::Stage;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{Head, State};
use std::collections::{BTreeMap, BTreeSet};

/// Fails with a sentence.
pub type Verdict = Result<(), String>;

fn holds(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// At any moment: nothing accepted is lost, nothing is doubled. `children` are all there are.
pub fn always(stage: &Stage, accepted: &BTreeSet<String>, children: usize) -> Verdict {
    for key in accepted {
        let head = stage
            .store()
            .read(|view| view.head_by_key(key))
            .map_err(|error| error.to_string())?;
        let head = head.ok_or_else(|| format!("{key} is gone"))?;
        let needs_reason = matches!(head.state, State::Parked | State::InDoubt);
        holds(!needs_reason || head.reason.is_some(), || {
            format!("{key}: {:?} without a reason", head.state)
        })?;
    }
    let cases = stage.primero.peer(|sim| sim.cases());
    holds(cases.len() <= children, || {
        format!("{} cases of {children} children", cases.len())
    })?;
    for case in &cases {
        let services = case["services_section"].as_array().cloned().unwrap_or_default();
        let ids: BTreeSet<_> = services
            .iter()
            .map(|service| service["unique_id"].to_string())
            .collect();
        holds(ids.len() == services.len(), || {
            "a service is there twice".to_owned()
        })?;
    }
    let mut referrals: BTreeMap<String, u32> = BTreeMap::new();
    for referral in stage.primero_referrals() {
        *referrals
            .entry(referral["service_record_id"].to_string())
            .or_default() += 1;
    }
    for (service, count) in referrals {
        holds(count == 1, || {
            format!("{count} Primero referrals of service {service}")
        })?;
    }
    let mut pushes: BTreeMap<(String, String, Vec<String>), u32> = BTreeMap::new();
    for row in stage.oscar_referrals() {
        let tag = row.reason.split(' ').next().unwrap_or_default().to_owned();
        *pushes.entry((row.tenant, tag, row.services)).or_default() += 1;
    }
    for (push, count) in pushes {
        holds(count == 1, || format!("{count} OSCaR referrals of {push:?}"))?;
    }
    Ok(())
}

/// After all faults are over and everybody has had time: what is not delivered waits for a person, and says why.
pub fn at_rest(stage: &Stage, accepted: &BTreeSet<String>) -> Verdict {
    let rows = stage.oscar_referrals();
    for key in accepted {
        let head = stage.head(key);
        let fine = match (head.state, head.reason) {
            (State::Delivered | State::Discarded, _) => true,
            (
                State::InDoubt,
                Some(Reason::PushAnswerLost | Reason::PushServerError | Reason::PushHalfRefused),
            ) => true,
            (State::Parked, reason) => !matches!(reason, None | Some(Reason::TooManyFailures)),
            // Behind an event of the same child that waits for a person.
            (State::Pending | State::InDoubt, _) => waits_in_lane(stage, accepted, &head),
        };
        holds(fine, || {
            format!("{key}: {:?} {:?} {:?}", head.state, head.reason, head.history)
        })?;
        holds(head.lease.is_none(), || {
            format!("{key} is in hand although nobody works")
        })?;
        if head.state == State::Delivered && head.flow == referral_gateway::core::record::Flow::LocalToOscar {
            let tag = format!("[{}]", head.tag);
            let there = rows.iter().filter(|row| row.reason.starts_with(&tag)).count();
            let services = head.work.services.len();
            holds(there == services, || {
                format!("{key} delivered, {there} of {services} services at OSCaR")
            })?;
        }
    }
    Ok(())
}

fn waits_in_lane(stage: &Stage, accepted: &BTreeSet<String>, head: &Head) -> bool {
    let mut others = accepted.iter().map(|key| stage.head(key));
    others.any(|other| other.subject == head.subject && other.seq < head.seq && other.state.open())
}

/// Every decision of the NGO that an event carries stands at Primero.
pub fn decisions_written(stage: &Stage, accepted: &BTreeSet<String>) -> Verdict {
    for key in accepted {
        let head = stage.head(key);
        if head.state == State::Delivered {
            holds(!head.write_back_due(), || {
                format!("{key} still has news for Primero: {:?}", head.work)
            })?;
        }
    }
    Ok(())
}
