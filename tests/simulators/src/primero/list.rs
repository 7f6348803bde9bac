//! GET /api/v2/cases: scope, filters, order and pages (primero.md 2.1 to 2.4).

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::config::Kind;
use super::errors::{Refusal, ok};
use super::fields::SEARCHED_IDS;
use super::filters::{Filter, read};
use super::state::{Caller, Case, Data, Sim, text};
use crate::wire::{Reply, Request};

/// `per` is cut to this without a word (primero-measured.md, fact 4).
pub(super) const PER_CAP: i64 = 1000;
const PER_DEFAULT: i64 = 20;

/// Names every caller may filter by, whatever its forms; all other names need a field the role reads.
const ALWAYS_FILTERED: [&str; 12] = [
    "id",
    "short_id",
    "case_id_display",
    "last_updated_at",
    "created_at",
    "registration_date",
    "date_closure",
    "status",
    "workflow",
    "owned_by",
    "module_id",
    "record_state",
];

/// The parameters of one list request.
#[derive(Default)]
struct Wanted {
    all: Vec<(String, Filter)>,
    any: Vec<(String, Filter)>,
    none: Vec<(String, Filter)>,
    query: Option<String>,
    phonetic: bool,
    id_search: bool,
    order_by: Option<String>,
    ascending: bool,
    page: i64,
    per: i64,
    fields: Option<String>,
}

impl Sim {
    pub(super) fn list_cases(&mut self, request: &Request, caller: &Caller) -> Result<Reply, Refusal> {
        if !caller.role.can("read") {
            return Err(Refusal::forbidden());
        }
        let wanted = self.wanted(request, caller);
        if wanted.page < 1 || wanted.per < 0 {
            return Err(Refusal::internal(
                "PG::InvalidRowCountInResultOffsetClause: ERROR:  OFFSET must not be negative",
            ));
        }
        let ids: Vec<String> = self.cases.keys().cloned().collect();
        let mut found: Vec<(String, u64)> = Vec::new();
        for id in ids {
            // Without a tie-break in the SQL, equal rows come in any order, a new one each time.
            let tie = self.roll();
            let listed = self.cases.get(&id).and_then(|case| self.listed(case));
            if listed.is_some_and(|data| self.is_wanted(&wanted, &id, data, caller)) {
                found.push((id, tie));
            }
        }
        found.sort_by(|(a, tie_a), (b, tie_b)| self.compare(&wanted, a, b).then_with(|| tie_a.cmp(tie_b)));
        let skip = (wanted.page - 1).saturating_mul(wanted.per);
        let items: Vec<Value> = found
            .iter()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            .take(usize::try_from(wanted.per).unwrap_or(0))
            .filter_map(|(id, _)| {
                let case = self.cases.get(id)?;
                let data = self.listed(case)?;
                Some(Value::Object(self.case_body(
                    id,
                    case,
                    data,
                    wanted.fields.as_deref(),
                    caller,
                    true,
                )))
            })
            .collect();
        Ok(ok(&json!({
            "data": items,
            "metadata": {"total": found.len(), "per": wanted.per, "page": wanted.page},
        })))
    }

    /// The state lists show: an older one while a write is on its way to being visible.
    fn listed<'a>(&self, case: &'a Case) -> Option<&'a Data> {
        match &case.stale {
            Some((until, shown)) if self.now() < *until => shown.as_ref(),
            _ => Some(&case.data),
        }
    }

    fn wanted(&self, request: &Request, caller: &Caller) -> Wanted {
        let mut wanted = Wanted {
            page: 1,
            per: PER_DEFAULT,
            ..Wanted::default()
        };
        for (name, value) in request.query_pairs() {
            match name.as_str() {
                "page" => wanted.page = to_i(&value),
                "per" => wanted.per = to_i(&value).min(PER_CAP),
                "order_by" => wanted.order_by = Some(value),
                // Anything but desc sorts upwards.
                "order" => wanted.ascending = value != "desc",
                "fields" => wanted.fields = Some(value),
                "query" => wanted.query = Some(value.to_lowercase()).filter(|query| !query.is_empty()),
                "phonetic" => wanted.phonetic = value == "true",
                "id_search" => wanted.id_search = value == "true",
                _ => {
                    let bracketed = |group: &str| name.strip_prefix(group)?.strip_suffix(']');
                    if let Some(inner) = bracketed("or[") {
                        wanted
                            .any
                            .push((inner.to_string(), self.filter(inner, &value, caller)));
                    } else if let Some(inner) = bracketed("not[") {
                        wanted
                            .none
                            .push((inner.to_string(), self.filter(inner, &value, caller)));
                    } else if let Some(field) = name.strip_prefix("loc:") {
                        wanted.all.push((field.to_string(), Filter::Under(value)));
                    } else {
                        wanted
                            .all
                            .push((name.clone(), self.filter(&name, &value, caller)));
                    }
                }
            }
        }
        wanted.any.retain(|(_, filter)| *filter != Filter::Dropped);
        wanted.none.retain(|(_, filter)| *filter != Filter::Dropped);
        wanted
    }

    fn filter(&self, name: &str, value: &str, caller: &Caller) -> Filter {
        let field = self.config.field(name);
        let permitted =
            ALWAYS_FILTERED.contains(&name) || field.is_some_and(|field| self.reads(caller, field, None));
        if !permitted {
            return Filter::Dropped;
        }
        let kind = field.map_or(Kind::Open, |field| field.kind.clone());
        let identifier = name == "short_id" || field.is_some_and(|field| field.identifier);
        read(name, &kind, identifier, value)
    }

    fn is_wanted(&self, wanted: &Wanted, id: &str, data: &Data, caller: &Caller) -> bool {
        let whole_system = wanted.id_search && caller.role.can("search_owned_by_others");
        if !whole_system && !self.in_scope(caller, data) {
            return false;
        }
        let key = Value::from(id);
        let stored = |name: &str| if name == "id" { Some(&key) } else { data.get(name) };
        let passes = |(name, filter): &(String, Filter)| filter.passes(stored(name));
        wanted.all.iter().all(passes)
            && (wanted.any.is_empty() || wanted.any.iter().any(passes))
            && !wanted.none.iter().any(passes)
            && wanted
                .query
                .as_ref()
                .is_none_or(|query| matches_query(data, query, wanted.phonetic))
    }

    /// The requested order; PostgreSQL puts nulls last going up and first going down.
    fn compare(&self, wanted: &Wanted, a: &str, b: &str) -> Ordering {
        let searching_names = wanted.query.is_some() && wanted.phonetic;
        let key = match &wanted.order_by {
            Some(key) if !searching_names => key.as_str(),
            _ => "created_at",
        };
        let value = |id: &str| {
            self.cases
                .get(id)
                .and_then(|case| self.listed(case))
                .and_then(|d| d.get(key))
        };
        let ordering = match (value(a), value(b)) {
            (Some(Value::String(a)), Some(Value::String(b))) => a.cmp(b),
            (Some(Value::Number(a)), Some(Value::Number(b))) => {
                a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
            }
            (Some(a), Some(b)) if !a.is_null() && !b.is_null() => Ordering::Equal,
            (a, b) => {
                let missing = |value: Option<&Value>| value.is_none_or(Value::is_null);
                missing(a).cmp(&missing(b))
            }
        };
        if wanted.ascending {
            ordering
        } else {
            ordering.reverse()
        }
    }
}

/// Substring of a stored identifier, or every word of it in the name.
fn matches_query(data: &Data, query: &str, phonetic: bool) -> bool {
    if phonetic {
        let name = text(data, "name").unwrap_or_default().to_lowercase();
        return query.split_whitespace().all(|word| name.contains(word));
    }
    SEARCHED_IDS
        .iter()
        .filter_map(|key| text(data, key))
        .any(|id| id.to_lowercase().contains(query))
}

/// Ruby's `to_i`: leading digits, else zero.
pub(super) fn to_i(text: &str) -> i64 {
    let text = text.trim();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse::<i64>().map_or(0, |number| sign * number)
}
