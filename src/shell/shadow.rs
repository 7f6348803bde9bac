//! Shadow mode: a whole session, played against a copy of the store and stand-ins of the peers, and what it would have
//! sent, event by event. Nothing is written anywhere but into the copy, which is taken away again.

use super::clock;
use super::office::Answer;
use super::parts::{self, Parts, StartError};
use super::session::SessionReport;
use super::session::shadowed::Shades;
use crate::config::Config;
use crate::core::outbox;
use crate::core::queue::Queue;
use crate::core::record::{Head, Peer, Seq, State};
use crate::core::schedule::Orders;
use crate::peers::stand_in::{Change, Planned};
use crate::shell::log;
use crate::shell::surface::sync_answer;
use crate::store::{DeviceKey, Store, StoreError, View, remove_copy};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Name of the copy in the data folder.
const COPY_FILE: &str = "shadow.redb";

fn copy_path(config: &Config) -> PathBuf {
    config.gateway.data_dir.join(COPY_FILE)
}

/// Takes away what a shadow session left behind that did not come to its end.
pub fn clear(config: &Config) {
    if let Err(error) = remove_copy(&copy_path(config)) {
        log::warn(format_args!("{COPY_FILE} cannot be taken away: {error}"));
    }
}

/// Plays a session in the shadow; `reveal` shows the values that speak of a child.
pub fn run(config: &Config, parts: &Parts, reveal: bool) -> Result<Answer, StartError> {
    let done = on_copy(config, parts, reveal);
    clear(config);
    done
}

fn on_copy(config: &Config, parts: &Parts, reveal: bool) -> Result<Answer, StartError> {
    let path = copy_path(config);
    parts.store.copy_to(&path)?;
    let key = DeviceKey::load_or_make(&config.gateway.seal_key_file).map_err(StoreError::from)?;
    let (store, opened) = Store::open(&path, key, clock::wall(0).known(), &outbox::recover)?;
    let copy = Parts {
        store,
        opened,
        ..parts.clone()
    };
    let shades = Shades::default();
    let report = parts::session_behind(config, &copy, Some(&shades))?.run(Orders {
        primero: true,
        oscar: true,
        reach_back: true,
        by_hand: true,
        urgent_only: false,
    })?;
    Ok(told(&parts.store, &copy.store, &shades, &report, reveal)?)
}

/// What a shadow session came to, as `sync --shadow` shows it: every event that would be written for, or would stand
/// elsewhere than it does now.
pub fn told(
    store: &Store,
    copy: &Store,
    shades: &Shades,
    report: &SessionReport,
    reveal: bool,
) -> Result<Answer, StoreError> {
    let planned = shades.planned();
    let mut seqs: Vec<Seq> = planned.iter().map(|planned| planned.event).collect();
    let states = |queue: &Queue| {
        queue
            .iter()
            .map(|entry| (entry.seq, entry.state))
            .collect::<BTreeMap<_, _>>()
    };
    let before = store.queue(states);
    let moved = |(seq, state): (Seq, State)| (before.get(&seq) != Some(&state)).then_some(seq);
    seqs.extend(copy.queue(states).into_iter().filter_map(moved));
    seqs.sort_unstable();
    seqs.dedup();
    let events = copy.read(|view| {
        let event = |seq: &Seq| event(view, *seq, &planned, reveal);
        seqs.iter().map(event).collect::<Result<Vec<Value>, _>>()
    })?;
    let mut answer = sync_answer(report);
    answer.body["events"] = json!(events);
    answer.body["writes"] = json!(planned.len());
    Ok(answer)
}

fn event(view: &View<'_>, seq: Seq, planned: &[Planned], reveal: bool) -> Result<Value, StoreError> {
    let head: Option<Head> = view.head(seq)?;
    let known = known_there(view, head.as_ref())?;
    let mine = planned.iter().filter(|planned| planned.event == seq);
    let steps: Vec<Value> = mine.map(|planned| step(planned, &known, reveal)).collect();
    let head = head.as_ref();
    Ok(json!({
        "event_key": head.map(|head| &head.key), "flow": head.map(|head| head.flow.word()),
        "organization": head.map(|head| &head.organization),
        "would_be": head.map(|head| head.state.word()),
        "reason": head.and_then(|head| head.reason).map(|reason| reason.code()),
        "steps": steps,
    }))
}

/// What the NGO has of the event's child, as far as a pull has shown it, by the names a push writes it under: an upsert
/// writes over it (oscar.md §3.5).
fn known_there(view: &View<'_>, head: Option<&Head>) -> Result<BTreeMap<&'static str, String>, StoreError> {
    let Some(head) = head else {
        return Ok(BTreeMap::new());
    };
    let link = view.link(head.subject)?.unwrap_or_default();
    let Some(sighting) = link.at(&head.organization) else {
        return Ok(BTreeMap::new());
    };
    let known = &sighting.known;
    let mut there = BTreeMap::from([
        ("given_name", known.given_name.0.clone()),
        ("family_name", known.family_name.0.clone()),
        ("gender", known.gender.0.clone()),
        ("date_of_birth", known.date_of_birth.0.clone()),
        ("location_current_village_code", known.location_code.0.clone()),
        ("address_current_village_code", known.location_code.0.clone()),
        ("mosvy_number", known.mosvy_number.0.clone()),
        ("external_id", sighting.external_id.clone().unwrap_or_default()),
    ]);
    there.retain(|_, value| !value.is_empty());
    Ok(there)
}

fn step(planned: &Planned, known: &BTreeMap<&'static str, String>, reveal: bool) -> Value {
    let overwrites = planned.peer == Peer::Oscar && planned.what == "push referral";
    let known = |change: &Change| known.get(change.name.as_str()).filter(|_| overwrites);
    let value = |change: &Change, value: &Value| {
        if reveal || harmless(&change.name) {
            value.clone()
        } else {
            json!("(hidden)")
        }
    };
    let fields = planned.changes.iter().map(|change| {
        let from = change.from.clone().or(known(change).map(|known| json!(known)));
        json!({ "field": change.name, "from": from.map(|from| value(change, &from)),
            "to": value(change, &change.to) })
    });
    json!({ "to": planned.peer.word(), "what": planned.what, "target": planned.target,
        "fields": fields.collect::<Vec<_>>() })
}

/// Fields whose values are codes and ids; everything else may speak of a child.
fn harmless(field: &str) -> bool {
    const CODES: [&str; 17] = [
        "id",
        "module_id",
        "status",
        "service",
        "service_record_id",
        "transitioned_to",
        "service_type",
        "service_subtype",
        "service_response_type",
        "service_implementing_agency",
        "service_implementing_agency_individual",
        "organization_name",
        "services",
        "is_referred",
        "referral_id",
        "referral_status",
        "external_id",
    ];
    let name = field.rsplit(": ").next().unwrap_or(field);
    CODES.contains(&name)
}
