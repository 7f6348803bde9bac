//! Finding a child's case in Primero by the numbers that are known of it, strongest first. Each lookup counts only if
//! it gives one row that equals what was asked for (design §1.4).

use super::ask::{CaseQuery, CaseView};
use super::draw;
use super::event::{Child, Private};
use super::fields::{FieldNames, Site};
use super::referral_talk::case_ref;

/// The lookups worth making, in order: Primero's own number, OSCaR's, the ministry's. A later one is made only where
/// the earlier found nothing.
pub fn queries(child: &Child, names: &FieldNames) -> Vec<CaseQuery> {
    let case_field = match child.primero_case_id.as_deref().map(str::len) {
        Some(7) => "short_id",
        _ => "case_id",
    };
    let pairs = [
        (case_field, child.primero_case_id.as_deref()),
        (names.oscar_number.as_str(), child.oscar_global_id.as_deref()),
        (names.mosvy_number.as_str(), child.ministry_number()),
    ];
    let known = pairs.into_iter().filter(|(field, _)| !field.is_empty());
    known
        .filter_map(|(field, value)| {
            Some(CaseQuery {
                field: field.to_owned(),
                value: Private(value?.to_owned()),
            })
        })
        .collect()
}

/// Whether a case that was found is another child's, going by numbers and names. It must be the one the event names, if
/// it names one. Without that it must not carry another OSCaR number, and where the ministry's number alone led to it,
/// which is free text, it must share a name.
pub fn stranger(view: &CaseView, child: &Child, site: &Site) -> bool {
    if let Some(named) = &child.primero_case_id {
        // The box may know the child by another of the event's numbers, and that child's case is not the one named.
        return case_ref(view).is_none_or(|case| *named != case.case_id && *named != case.short_id);
    }
    let number = child.oscar_global_id.as_deref();
    let there = view.text(&site.names.oscar_number);
    if number.is_some() && number == there {
        return false;
    }
    let (other_number, by_ministry) = (number.and(there).is_some(), child.ministry_number().is_some());
    other_number || (by_ministry && other_names(child, &draw::child(view, site).0))
}

/// Whether names of the same script are known of both, and none of them is the same. Given and family names are often
/// entered the wrong way round, so any will do.
fn other_names(one: &Child, other: &Child) -> bool {
    let (ours, theirs) = (one.folded_names(), other.folded_names());
    let pairs = ours.iter().flat_map(|a| theirs.iter().map(move |b| (a, b)));
    let mut known = pairs.filter(|(a, b)| !a.is_empty() && !b.is_empty() && a.is_ascii() == b.is_ascii());
    known.clone().next().is_some() && known.all(|(a, b)| a != b)
}
