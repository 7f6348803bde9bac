//! One query parameter as a filter: what it means, when it is dropped, when it breaks the SQL
//! (primero.md 2.1 and 2.2, primero-measured.md facts 5, 6 and 8).

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, Utc};
use serde_json::Value;

use super::config::Kind;
use super::validate::{parse_date, parse_time};

/// What became of a parameter.
#[derive(Debug, PartialEq)]
pub(super) enum Filter {
    /// Not understood or not permitted: as if it had not been sent.
    Dropped,
    /// The SQL failed and the failure was swallowed: nothing is found.
    Failed,
    Times {
        from: Bound,
        to: Option<Bound>,
        whole_seconds: bool,
    },
    Integers {
        from: i64,
        to: i64,
    },
    AnyOf(Vec<Value>),
    /// A location and everything below it.
    Under(String),
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    Day(NaiveDate),
    At(DateTime<Utc>),
}

impl Bound {
    fn parse(text: &str) -> Option<Bound> {
        parse_date(text)
            .map(Bound::Day)
            .or_else(|| parse_time(text).map(Bound::At))
    }
}

/// Read a parameter for a field of this kind.
pub(super) fn read(name: &str, kind: &Kind, identifier: bool, raw: &str) -> Filter {
    let timed = matches!(kind, Kind::Date | Kind::DateTime) || name == "last_updated_at";
    if timed {
        return read_times(name, kind, raw);
    }
    if identifier || name == "id" {
        return Filter::AnyOf(raw.split(',').map(Value::from).collect());
    }
    if let (Kind::Numeric, Some((from, to))) = (kind, raw.split_once("..")) {
        return match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) => Filter::Integers { from, to },
            _ => Filter::Dropped,
        };
    }
    let values: Vec<Value> = raw.split(',').map(coerced).collect();
    let fits = |value: &Value| match kind {
        Kind::Tick => value.is_boolean(),
        Kind::Numeric => value.is_number(),
        _ => true,
    };
    if values.iter().all(fits) {
        Filter::AnyOf(values)
    } else {
        Filter::Failed
    }
}

fn read_times(name: &str, kind: &Kind, raw: &str) -> Filter {
    // Only last_updated_at is compared by whole seconds; created_at is not (primero-measured.md, fact 6).
    let whole_seconds = name == "last_updated_at";
    let Some((from, to)) = raw.split_once("..") else {
        return match (kind, parse_date(raw)) {
            (Kind::Date, Some(day)) => Filter::Times {
                from: Bound::Day(day),
                to: Some(Bound::Day(day)),
                whole_seconds,
            },
            _ => Filter::Failed,
        };
    };
    let Some(from) = Bound::parse(from) else {
        return Filter::Dropped;
    };
    if to.is_empty() {
        return Filter::Times {
            from,
            to: None,
            whole_seconds,
        };
    }
    match (from, Bound::parse(to)) {
        (_, None) => Filter::Dropped,
        (Bound::Day(_), Some(Bound::Day(_))) | (Bound::At(_), Some(Bound::At(_))) => Filter::Times {
            from,
            to: Bound::parse(to),
            whole_seconds,
        },
        _ => Filter::Failed,
    }
}

/// What a parameter's text turns into before it is compared.
fn coerced(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits
            .parse::<i64>()
            .map_or_else(|_| Value::from(digits), Value::from),
        other => Value::from(other),
    }
}

impl Filter {
    /// Whether a stored value passes. Dropped filters pass everything, failed ones nothing.
    pub(super) fn passes(&self, stored: Option<&Value>) -> bool {
        match self {
            Filter::Dropped => true,
            Filter::Failed => false,
            Filter::AnyOf(wanted) => match stored {
                Some(Value::Array(items)) => items.iter().any(|item| wanted.contains(item)),
                Some(value) => wanted.contains(value),
                None => false,
            },
            Filter::Integers { from, to } => stored
                .and_then(Value::as_i64)
                .is_some_and(|value| (*from..=*to).contains(&value)),
            Filter::Under(code) => stored
                .and_then(Value::as_str)
                .is_some_and(|at| at.starts_with(code.as_str())),
            Filter::Times {
                from,
                to,
                whole_seconds,
            } => {
                let Some(value) = stored.and_then(Value::as_str).and_then(instant) else {
                    return false;
                };
                let seconds = |time: DateTime<Utc>| {
                    if *whole_seconds {
                        time.trunc_subsecs(0)
                    } else {
                        time
                    }
                };
                let after = match from {
                    Bound::Day(day) => value.date_naive() >= *day,
                    Bound::At(at) => seconds(value) >= seconds(*at),
                };
                let before = match to {
                    None => true,
                    Some(Bound::Day(day)) => value.date_naive() <= *day,
                    Some(Bound::At(at)) => seconds(value) <= seconds(*at),
                };
                after && before
            }
        }
    }
}

/// A stored date or time as an instant.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    parse_time(text).or_else(|| Some(parse_date(text)?.and_time(NaiveTime::MIN).and_utc()))
}
