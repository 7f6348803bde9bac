//! The two stages a write goes through: silent permission, then the JSON schema (primero.md 2.7).

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value};

use super::config::{BUILT_IN_MODULES, Config, Field, Kind};
use super::state::{Data, timestamp};

/// Keep what may be written and has a plausible structure; everything else vanishes without a word.
pub(super) fn permit(fields: &[Field], data: &Data, allowed: &dyn Fn(&Field) -> bool) -> Data {
    let mut kept = Map::new();
    for (key, value) in data {
        let Some(field) = fields.iter().find(|f| f.name == key) else {
            continue;
        };
        if !allowed(field) {
            continue;
        }
        let value = match (&field.kind, value) {
            (Kind::Derived, _) => continue,
            (Kind::Subform(inner), Value::Array(entries)) => Value::Array(
                entries
                    .iter()
                    .filter_map(|entry| permit_entry(inner, entry))
                    .collect(),
            ),
            // A lone object survives to fail the schema (cases#49).
            (Kind::Subform(_), Value::Object(_)) => value.clone(),
            (Kind::Multi(_), Value::Array(items)) => {
                Value::Array(items.iter().filter(|item| is_scalar(item)).cloned().collect())
            }
            (Kind::Subform(_) | Kind::Multi(_), _) => continue,
            (_, scalar) if is_scalar(scalar) => scalar.clone(),
            _ => continue,
        };
        kept.insert(key.clone(), value);
    }
    kept
}

fn permit_entry(fields: &[Field], entry: &Value) -> Option<Value> {
    let entry = entry.as_object()?;
    let mut kept = permit(fields, entry, &|_| true);
    for key in ["unique_id", "_destroy"] {
        if let Some(value) = entry.get(key) {
            kept.insert(key.to_string(), value.clone());
        }
    }
    Some(Value::Object(kept))
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

/// JSON pointers to what the schema refuses; a select is listed twice, its schema being an any-of.
pub(super) fn refused(config: &Config, fields: &[Field], data: &Data, under: &str) -> Vec<String> {
    let mut pointers = Vec::new();
    for (key, value) in data {
        let pointer = format!("{under}/{key}");
        match (key.as_str(), fields.iter().find(|f| f.name == key)) {
            ("unique_id", None) if value.as_str().is_none_or(|id| !is_uuid(id)) => pointers.push(pointer),
            ("_destroy", None) if !value.is_boolean() && !value.is_null() => pointers.push(pointer),
            (_, Some(field)) => refused_value(config, field, value, pointer, &mut pointers),
            _ => {}
        }
    }
    pointers
}

fn refused_value(config: &Config, field: &Field, value: &Value, pointer: String, out: &mut Vec<String>) {
    let is_option = |lookup: &str, id: &Value| {
        let ids = config.lookups.get(lookup);
        id.as_str()
            .is_some_and(|id| ids.is_some_and(|ids| ids.iter().any(|known| known == id)))
    };
    match &field.kind {
        Kind::Select(lookup) if !value.is_null() && !is_option(lookup, value) => {
            out.extend([pointer.clone(), pointer]);
        }
        Kind::Multi(lookup) => {
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                if !is_option(lookup, item) {
                    out.push(format!("{pointer}/{index}"));
                }
            }
        }
        Kind::Subform(inner) => match value.as_array() {
            Some(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    let empty = Map::new();
                    let entry = entry.as_object().unwrap_or(&empty);
                    out.extend(refused(config, inner, entry, &format!("{pointer}/{index}")));
                }
            }
            None => out.push(pointer),
        },
        kind if !fits(kind, field.name, value) => out.push(pointer),
        _ => {}
    }
}

/// Whether a scalar passes the schema of a kind without options.
fn fits(kind: &Kind, name: &str, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Tick, value) => value.is_boolean(),
        (_, Value::Null) => true,
        (Kind::Open, Value::String(text)) if name == "module_id" => BUILT_IN_MODULES.contains(&text.as_str()),
        // A text that is an ISO date was parsed to a date before it got here, and a date is no string.
        (Kind::Text | Kind::Open, Value::String(text)) => {
            parse_date(text).is_none() && parse_time(text).is_none()
        }
        // JSON schema takes 10.0 for an integer.
        (Kind::Numeric, Value::Number(number)) => number
            .as_f64()
            .is_some_and(|n| n.fract() == 0.0 && n.abs() <= f64::from(i32::MAX) + 1.0),
        (Kind::Date, Value::String(text)) => parse_date(text).is_some(),
        (Kind::DateTime, Value::String(text)) => parse_time(text).is_some(),
        (Kind::Select(_) | Kind::Multi(_) | Kind::Subform(_), _) => true,
        _ => false,
    }
}

/// Rewrite every time in a permitted value to UTC milliseconds, as it will be stored.
pub(super) fn normalise(fields: &[Field], data: &mut Data) {
    for (key, value) in data.iter_mut() {
        match fields.iter().find(|f| f.name == key).map(|f| &f.kind) {
            Some(Kind::DateTime) => {
                if let Some(time) = value.as_str().and_then(parse_time) {
                    *value = timestamp(time).into();
                }
            }
            Some(Kind::Subform(inner)) => {
                for entry in value.as_array_mut().into_iter().flatten() {
                    if let Some(entry) = entry.as_object_mut() {
                        normalise(inner, entry);
                    }
                }
            }
            _ => {}
        }
    }
}

/// PostgreSQL cannot store a NUL in a text (cases#46).
pub(super) fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(entries) => entries.values().any(has_nul),
        _ => false,
    }
}

/// Lower-case hexadecimal UUID, the only form accepted for ids.
pub(super) fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| {
            if dashes.contains(&i) {
                b == b'-'
            } else {
                b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
            }
        })
}

/// `YYYY-MM-DD` of a day that exists.
pub(super) fn parse_date(text: &str) -> Option<NaiveDate> {
    let shaped = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    shaped
        .then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
        .flatten()
}

/// `YYYY-MM-DDTHH:MM:SS[.fff](Z|+HH:MM)`, nothing looser.
pub(super) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let shaped =
        text.len() >= 20 && text.is_ascii() && &text[10..11] == "T" && parse_date(&text[..10]).is_some();
    shaped
        .then(|| DateTime::parse_from_rfc3339(text).ok())
        .flatten()
        .map(|time| time.with_timezone(&Utc))
}
