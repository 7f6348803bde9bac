//! What maintainers ask for when a box misbehaves, as far as it stands in the store and the running program: counts,
//! codes and times.

use super::log;
use super::office::worth_a_look;
use crate::core::hex;
use crate::store::{SCHEMA, Store, StoreError};
use serde_json::{Value, json};

/// Everything of the store and the log. Walks the whole hand-off log: seconds on a slow card, and nobody waits for it.
pub fn of(store: &Store) -> Value {
    let figures = store.figures();
    json!({
        "store": { "schema": SCHEMA, "file_bytes": figures.file_bytes, "commits": figures.commits,
            "writes": figures.writes, "refused": figures.refused,
            "failure": store.failure().map(|error| error.to_string()) },
        "handoff": handoff(store),
        "events": worth_a_look(store).unwrap_or_default(),
        "log": log::kept(),
    })
}

/// Whether the chain of hand-offs is whole, and its head, to be compared with one noted earlier.
fn handoff(store: &Store) -> Value {
    match store.verify_handoff(|_, _| {}) {
        Ok(report) => json!({ "whole": true, "entries": report.entries, "trimmed": report.trimmed,
            "head": hex::short(&report.hash) }),
        Err(StoreError::Damaged { table }) => json!({ "whole": false, "table": table }),
        Err(error) => json!({ "whole": null, "reason": error.to_string() }),
    }
}
