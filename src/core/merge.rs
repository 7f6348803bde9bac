//! Three-way comparison of a child's values: as last agreed, as the NGO has them now, as Primero has them now.

use super::event::{Private, Values};
use super::mapping::{raised_risk, risk_of};
use super::record::Peer;

/// What the two sides' changes since they last agreed come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Changed at the NGO alone: to be written.
    pub fields: Values,
    /// Changed on both sides and not alike: name, OSCaR's value, Primero's.
    pub conflicts: Vec<(String, Private<String>, Private<String>)>,
}

/// Compares field by field: `before` as last agreed, `now` at the NGO, `there` in Primero. What is blank or missing at
/// the NGO clears nothing.
pub fn merge<'v>(
    before: &Values,
    now: &Values,
    risk_field: &str,
    there: &dyn Fn(&str) -> Option<&'v str>,
    take: Option<Peer>,
) -> Merged {
    let mut merged = Merged::default();
    for (name, value) in now {
        let agreed = before
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, v)| v.0.as_str());
        let here = value.0.as_str();
        if agreed == Some(here) || there(name) == Some(here) {
            continue;
        }
        if name == risk_field {
            if raised_risk(there(name).and_then(risk_of), risk_of(here)).is_some() {
                merged.fields.push((name.clone(), value.clone()));
            }
        } else if there(name) == agreed || take == Some(Peer::Oscar) {
            merged.fields.push((name.clone(), value.clone()));
        } else if take.is_none() {
            let theirs = there(name).unwrap_or_default().to_owned();
            merged
                .conflicts
                .push((name.clone(), value.clone(), Private(theirs)));
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), Private((*v).to_owned())))
            .collect()
    }

    /// before, at the NGO, in Primero, and what comes of it: written, conflict, or neither.
    #[test]
    fn each_side_keeps_what_it_alone_has_changed() {
        let table = [
            (Some("A"), "A", Some("A"), false, false),
            (Some("A"), "B", Some("A"), true, false),
            (Some("A"), "A", Some("C"), false, false),
            (Some("A"), "B", Some("B"), false, false),
            (Some("A"), "B", Some("C"), false, true),
            (Some("A"), "B", None, false, true),
            (None, "B", None, true, false),
            (None, "B", Some("C"), false, true),
        ];
        for (before, now, there, written, conflict) in table {
            let before = values(&before.map(|v| ("name_first", v)).into_iter().collect::<Vec<_>>());
            let now = values(&[("name_first", now)]);
            let merged = merge(&before, &now, "risk_level", &|_| there, None);
            assert_eq!(!merged.fields.is_empty(), written, "{before:?} {there:?}");
            assert_eq!(!merged.conflicts.is_empty(), conflict, "{before:?} {there:?}");
            let oscar = merge(&before, &now, "risk_level", &|_| there, Some(Peer::Oscar));
            assert_eq!(!oscar.fields.is_empty(), written || conflict);
            let primero = merge(&before, &now, "risk_level", &|_| there, Some(Peer::Primero));
            assert_eq!(
                (!primero.fields.is_empty(), primero.conflicts.len()),
                (written, 0)
            );
        }
    }

    #[test]
    fn a_risk_only_rises_and_never_conflicts() {
        let table = [
            ("low", "high", Some("low"), true),
            ("high", "low", Some("high"), false),
            ("low", "medium", Some("high"), false),
            ("low", "medium", Some("no_action"), true),
            ("low", "medium", None, true),
            // A worker has lowered it since, and the NGO says nothing new.
            ("high", "high", Some("low"), false),
        ];
        for (before, now, there, written) in table {
            let merged = merge(
                &values(&[("risk_level", before)]),
                &values(&[("risk_level", now)]),
                "risk_level",
                &|_| there,
                None,
            );
            assert_eq!(
                (!merged.fields.is_empty(), merged.conflicts.len()),
                (written, 0),
                "{before} {now} {there:?}"
            );
        }
    }

    #[test]
    fn what_the_ngo_does_not_say_clears_nothing() {
        let before = values(&[("name_first", "A"), ("location_current", "2")]);
        let merged = merge(
            &before,
            &values(&[("name_first", "A")]),
            "risk_level",
            &|_| Some("X"),
            None,
        );
        assert_eq!(merged, Merged::default());
    }
}
