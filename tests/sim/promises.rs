//! The promises of design §1, checked against the peers' own ledgers and not against what the box was told.

use crate::world::{Made, World};
use referral_gateway::core::event::{Decision, Kind};
use referral_gateway::core::record::{Flow, Head, State};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Fails with a sentence.
pub type Verdict = Result<(), String>;

fn holds(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// After every step.
pub fn always(world: &World) -> Verdict {
    let heads = world.heads();
    nothing_accepted_is_lost(world, &heads)?;
    nothing_is_doubled_in_primero(world)?;
    nothing_is_doubled_in_oscar(world)?;
    nothing_went_to_the_wrong_place(world, &heads)?;
    no_stranger_was_touched(world)?;
    lanes_keep_their_order(&heads)?;
    counts_are_true(world, &heads)
}

fn nothing_accepted_is_lost(world: &World, heads: &[Head]) -> Verdict {
    for key in &world.accepted {
        holds(heads.iter().any(|head| head.key == *key), || {
            format!("{key} was accepted and is gone")
        })?;
    }
    for head in heads {
        let needs_reason = matches!(head.state, State::Parked | State::InDoubt);
        holds(!needs_reason || head.reason.is_some(), || {
            format!("{}: {:?} without a reason", head.key, head.state)
        })?;
    }
    Ok(())
}

fn services(case: &Value) -> Vec<Value> {
    case["services_section"].as_array().cloned().unwrap_or_default()
}

fn nothing_is_doubled_in_primero(world: &World) -> Verdict {
    let mut referrals: BTreeMap<String, u32> = BTreeMap::new();
    for referral in world.stage.primero_referrals() {
        *referrals
            .entry(referral["service_record_id"].to_string())
            .or_default() += 1;
    }
    for (service, count) in referrals {
        holds(count == 1, || {
            format!("{count} Primero referrals of service {service}")
        })?;
    }
    let mut numbers = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for case in world.stage.primero.peer(|sim| sim.cases()) {
        for service in services(&case) {
            let id = service["unique_id"].to_string();
            holds(seen.insert(id.clone()), || format!("service {id} is there twice"))?;
        }
        if let Some(number) = case["oscar_number"].as_str() {
            let cases: &mut u32 = numbers.entry(number.to_owned()).or_default();
            *cases += 1;
            holds(*cases == 1, || {
                format!("{cases} cases of the OSCaR child {number}")
            })?;
        }
    }
    Ok(())
}

fn nothing_is_doubled_in_oscar(world: &World) -> Verdict {
    let mut pushes: BTreeMap<(String, String, Vec<String>), u32> = BTreeMap::new();
    for row in pushed_rows(world) {
        let tag = row.reason.split(' ').next().unwrap_or_default().to_owned();
        *pushes.entry((row.tenant, tag, row.services)).or_default() += 1;
    }
    for (push, count) in pushes {
        holds(count == 1, || format!("{count} OSCaR referrals of {push:?}"))?;
    }
    Ok(())
}

/// The referrals that came from Primero's side.
fn pushed_rows(world: &World) -> Vec<simulators::oscar::ReferralRow> {
    let mut rows = world.stage.oscar_referrals();
    rows.retain(|row| row.reason.starts_with("[GW-"));
    rows
}

/// Routed by the service being sent and the agency list; and nothing outside the scope is even stored.
fn nothing_went_to_the_wrong_place(world: &World, heads: &[Head]) -> Verdict {
    for row in pushed_rows(world) {
        let owner = heads
            .iter()
            .find(|head| row.reason.starts_with(&format!("[{}]", head.tag)));
        holds(owner.is_none_or(|head| head.organization == row.tenant), || {
            format!("a referral to another NGO reached {}", row.tenant)
        })?;
        holds(row.tenant != "tpo", || {
            "something reached an NGO outside the scope".to_owned()
        })?;
    }
    for head in heads {
        holds(head.organization != "tpo", || {
            format!("{} is none of this box's business", head.key)
        })?;
    }
    Ok(())
}

/// No service of ours stands in a case that the ministry entered for another child under the same number.
fn no_stranger_was_touched(world: &World) -> Verdict {
    for case in world.stage.primero.peer(|sim| sim.cases()) {
        if case["mosvy_number"] == "MOSVY-1001" && case["owned_by"] == "worker" {
            holds(services(&case).is_empty(), || {
                "a case found by a number that two carry was written to".to_owned()
            })?;
        }
    }
    Ok(())
}

/// A later event of a child is never further than an earlier one that is still open.
fn lanes_keep_their_order(heads: &[Head]) -> Verdict {
    for head in heads.iter().filter(|head| head.state.open()) {
        let holds_lane = !(head.work.primero_done && head.work.oscar_done);
        let overtaken = heads.iter().find(|later| {
            later.subject == head.subject
                && later.seq > head.seq
                && later.kind == Kind::Referral
                && later.attempts > 0
                && later.flow == head.flow
        });
        holds(!holds_lane || overtaken.is_none(), || {
            format!(
                "{} was overtaken by {}",
                head.key,
                overtaken.map_or("", |later| &later.key)
            )
        })?;
    }
    Ok(())
}

fn counts_are_true(world: &World, heads: &[Head]) -> Verdict {
    let counts = world.stage.store().queue(|queue| queue.counts());
    let told = [
        counts.pending,
        counts.in_doubt,
        counts.parked,
        counts.delivered,
        counts.discarded,
    ];
    for (state, told) in State::ALL.into_iter().zip(told) {
        let there = heads.iter().filter(|head| head.state == state).count();
        holds(there == told as usize, || {
            format!("status counts {told} {}, there are {there}", state.word())
        })?;
    }
    Ok(())
}

/// After all faults are over and everybody has had time: what is not delivered waits for a person, and says why.
pub fn at_rest(world: &World) -> Verdict {
    let heads = world.heads();
    for head in &heads {
        let fine = match head.state {
            State::Delivered | State::Discarded => true,
            State::InDoubt | State::Parked => {
                let given_up = head
                    .reason
                    .is_some_and(|reason| reason.code() == "too_many_failures");
                !given_up
            }
            State::Pending => false,
        };
        holds(fine || waits_in_lane(&heads, head), || story(head))?;
        holds(head.lease.is_none(), || {
            format!("{} is in hand although nobody works", head.key)
        })?;
        if head.state == State::Delivered {
            holds(!head.write_back_due(), || {
                format!("news for Primero is left: {}", story(head))
            })?;
            holds(!head.report_due(), || {
                format!("news for OSCaR is left: {}", story(head))
            })?;
            stands_on_both_sides(world, head)?;
        }
    }
    everything_made_was_seen(world, &heads)
}

fn story(head: &Head) -> String {
    format!(
        "{}: {:?} {:?} {:?} {:?}",
        head.key, head.state, head.reason, head.work, head.history
    )
}

fn waits_in_lane(heads: &[Head], head: &Head) -> bool {
    heads
        .iter()
        .any(|other| other.subject == head.subject && other.seq < head.seq && other.state.open())
}

/// What the box calls delivered is there, at both peers, once for each service, and decided alike.
fn stands_on_both_sides(world: &World, head: &Head) -> Verdict {
    if head.kind != Kind::Referral {
        return Ok(());
    }
    if head.flow.to_oscar() {
        let tag = format!("[{}]", head.tag);
        let rows = pushed_rows(world);
        let there = rows.iter().filter(|row| row.reason.starts_with(&tag)).count();
        let services = head.work.services.len();
        return holds(there == services || withdrawn(head), || {
            let all: Vec<String> = world
                .stage
                .oscar_referrals()
                .iter()
                .map(|row| {
                    let tag = row.reason.split(' ').next().unwrap_or_default();
                    format!(
                        "{} {} {tag} {:?} {:?}",
                        row.tenant, row.id, row.external_id, row.services
                    )
                })
                .collect();
            let events: Vec<String> = world
                .heads()
                .iter()
                .filter(|other| other.subject == head.subject)
                .map(|other| format!("{} {} {:?}", other.key, other.tag, other.state))
                .collect();
            format!(
                "{there} of {services} services at OSCaR, which holds {all:?} for {events:?}: {}",
                story(head)
            )
        });
    }
    let cases = world.stage.primero.peer(|sim| sim.cases());
    for work in &head.work.services {
        let found = cases
            .iter()
            .flat_map(services)
            .find(|service| service["unique_id"] == work.unique_id.as_str());
        holds(found.is_some(), || {
            format!("a service is not in Primero: {}", story(head))
        })?;
        if let (Flow::OscarToPrimero, Some(number)) = (head.flow, work.oscar_referral) {
            decided_alike(world, head, number, work.decision)?;
        }
    }
    Ok(())
}

fn withdrawn(head: &Head) -> bool {
    head.work
        .services
        .iter()
        .all(|work| work.push == referral_gateway::core::record::OneShot::Todo)
}

fn decided_alike(world: &World, head: &Head, number: i64, decision: Option<Decision>) -> Verdict {
    let rows = world.stage.oscar_referrals();
    let row = rows
        .iter()
        .find(|row| row.tenant == head.organization && row.id == number);
    let status = row.map_or("", |row| row.status.as_str());
    let fits = match decision {
        None => true,
        Some(Decision::Accepted) => matches!(status, "Accepted" | "Active"),
        Some(Decision::Rejected) => status == "Exited",
    };
    holds(fits, || {
        format!(
            "decided {decision:?} in Primero, {status} in OSCaR: {}",
            story(head)
        )
    })
}

/// Nothing that people made at a peer for us has escaped the pulls, however late it was committed.
fn everything_made_was_seen(world: &World, heads: &[Head]) -> Verdict {
    for made in world.made.iter().filter(|made| made.in_scope()) {
        let known = heads.iter().any(|head| head.key == made.key());
        let settled_before = already_decided(world, made);
        holds(known || settled_before, || format!("never seen: {made:?}"))?;
    }
    Ok(())
}

/// Decided or taken back by people before the box first saw it: there is nothing to carry.
fn already_decided(world: &World, made: &Made) -> bool {
    match made {
        Made::InPrimero { transition, .. } => world
            .stage
            .primero_referrals()
            .iter()
            .any(|row| row["id"] == transition.as_str() && row["status"] != "in_progress"),
        Made::InOscar { organization, number } => world
            .stage
            .oscar_referrals()
            .iter()
            .any(|row| row.tenant == *organization && row.id == *number && row.status != "Referred"),
    }
}
