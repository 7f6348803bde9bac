//! How a PATCH meets what is stored (primero.md 2.9).

use serde_json::Value;

use super::config::{Field, Kind};
use super::state::Data;

/// Merge permitted changes into a record: subforms by `unique_id`, all else replaced.
pub(super) fn merge(fields: &[Field], data: &mut Data, changes: Data) {
    for (key, value) in changes {
        let subform = fields
            .iter()
            .any(|f| f.name == key && matches!(f.kind, Kind::Subform(_)));
        match (subform, value) {
            (true, Value::Array(entries)) => {
                // `[]` changes nothing, and makes no key either.
                if entries.is_empty() {
                    continue;
                }
                let stored = data.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                if !stored.is_array() {
                    *stored = Value::Array(Vec::new());
                }
                if let Value::Array(stored) = stored {
                    merge_subform(stored, entries);
                }
            }
            (_, value) => {
                data.insert(key, value);
            }
        }
    }
}

/// Entries meet only those stored before: an id that comes twice in one body is appended twice
/// (primero-measured.md, "Creating cases": two services with the same id are accepted).
fn merge_subform(stored: &mut Vec<Value>, entries: Vec<Value>) {
    let mut added = Vec::new();
    for entry in entries {
        let id = entry.get("unique_id").and_then(Value::as_str).map(str::to_string);
        let place = id.as_deref().and_then(|id| {
            stored
                .iter()
                .position(|known| known.get("unique_id").and_then(Value::as_str) == Some(id))
        });
        let destroy = entry.get("_destroy") == Some(&Value::Bool(true));
        match (place, destroy) {
            (Some(at), true) => {
                stored.remove(at);
            }
            (None, true) => {}
            (Some(at), false) => {
                if let (Some(known), Value::Object(changes)) = (stored[at].as_object_mut(), entry) {
                    known.extend(changes);
                }
            }
            // Unknown or missing id: appended, on every repeat again.
            (None, false) => added.push(entry),
        }
    }
    stored.extend(added);
}

/// What changed: keys that are new or differ.
pub(super) fn changed(before: &Data, after: &Data) -> Data {
    after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
