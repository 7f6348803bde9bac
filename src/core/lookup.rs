//! Finding a child's case in Primero by the numbers that are known of it, strongest first. Each lookup counts only if
//! it gives one row that equals what was asked for (design §1.4).

use super::ask::CaseQuery;
use super::event::{Child, Private};
use super::fields::FieldNames;

/// The lookups worth making, in order: Primero's own number, OSCaR's, the ministry's. A later one is made only where
/// the earlier found nothing.
pub fn queries(child: &Child, names: &FieldNames) -> Vec<CaseQuery> {
    let case_field = match child.primero_case_id.as_deref().map(str::len) {
        Some(7) => "short_id",
        _ => "case_id",
    };
    let pairs = [
        (case_field, &child.primero_case_id),
        (names.oscar_number.as_str(), &child.oscar_global_id),
        (names.mosvy_number.as_str(), &child.mosvy_number.0),
    ];
    let known = pairs.into_iter().filter(|(field, _)| !field.is_empty());
    known
        .filter_map(|(field, value)| {
            Some(CaseQuery {
                field: field.to_owned(),
                value: Private(value.clone()?),
            })
        })
        .collect()
}
