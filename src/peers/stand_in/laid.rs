//! Planned fields laid over what was read, and told apart from it.

use super::Change;
use crate::core::ask::Fields;
use serde_json::{Map, Value, json};

const SERVICES: &str = "services_section";

/// Lays planned fields over a record: services by their own ids, as Primero merges them (primero.md §2.9).
pub fn merge(record: &mut Fields, planned: Option<&Fields>) {
    for (name, value) in planned.into_iter().flatten() {
        match (name.as_str(), value) {
            (SERVICES, Value::Array(entries)) => {
                let there = record.entry(SERVICES).or_insert_with(|| json!([]));
                if !there.is_array() {
                    *there = json!([]);
                }
                let there = there.as_array_mut().expect("made one just above");
                for entry in entries {
                    let known = there
                        .iter_mut()
                        .find(|known| known["unique_id"] == entry["unique_id"]);
                    match (known.and_then(Value::as_object_mut), entry.as_object()) {
                        (Some(known), Some(entry)) => known.extend(entry.clone()),
                        _ => there.push(entry.clone()),
                    }
                }
            }
            _ => {
                record.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Field by field, what a write would change; services are named by the beginning of their ids.
pub fn changes(before: Option<&Fields>, written: &Fields) -> Vec<Change> {
    let mut out = Vec::new();
    let empty = Map::new();
    let before = before.unwrap_or(&empty);
    let mut compare = |prefix: &str, before: &Fields, after: &Fields| {
        for (name, to) in after
            .iter()
            .filter(|(name, _)| *name != "unique_id" && *name != SERVICES)
        {
            let from = before.get(name).filter(|value| !value.is_null()).cloned();
            if from.as_ref() != Some(to) {
                let name = format!("{prefix}{name}");
                out.push(Change {
                    name,
                    from,
                    to: to.clone(),
                });
            }
        }
    };
    compare("", before, written);
    let entries = |fields: &Fields| {
        fields
            .get(SERVICES)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let there = entries(before);
    for entry in entries(written) {
        let id = entry["unique_id"].as_str().unwrap_or_default();
        let known = there
            .iter()
            .find(|known| known["unique_id"] == entry["unique_id"]);
        let known = known.and_then(Value::as_object).unwrap_or(&empty);
        let prefix = format!("service {}: ", id.get(..8).unwrap_or(id));
        compare(&prefix, known, entry.as_object().unwrap_or(&empty));
    }
    out
}
