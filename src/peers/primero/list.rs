//! Primero's list of cases, asked for by date and read as it arrives.

use super::Primero;
use crate::core::ask::CaseView;
use crate::core::cursor::{Ask, CROWD_ROWS, PAGE_ROWS};
use crate::core::event::Private;
use crate::core::exchange::Request;
use crate::core::fields::Site;
use crate::peers::rows::read_rows;
use chrono::DateTime;
use serde_json::Value;
use std::io::Read;

/// What stands beside the rows of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Cases on the server that the filter selects.
    pub total: u64,
    /// The page size the server used, whatever was asked for (primero-measured.md fact 4).
    pub per: u64,
}

impl Primero {
    /// Asks for what a pull wants next. The moment ends in `Z`: any other spelling may turn the filter off
    /// (primero.md §2.2).
    pub fn pull(&self, ask: Ask, site: &Site) -> Option<Request> {
        let moment = |second| Some(DateTime::from_timestamp(second, 0)?.format("%Y-%m-%dT%H:%M:%SZ"));
        let query = match ask {
            Ask::From(from) => {
                let from = moment(from)?;
                format!("last_updated_at={from}..&order_by=last_updated_at&order=asc&per={PAGE_ROWS}")
            }
            Ask::Second { at, page } => {
                let at = moment(at)?;
                format!("last_updated_at={at}..{at}&order_by=short_id&order=asc&per={CROWD_ROWS}&page={page}")
            }
        };
        let columns = site.case_columns().join(",");
        Some(self.get(format!("/api/v2/cases?{query}&fields={columns}"), None))
    }

    /// Asks for the newest case there is, without any filter: what a suspiciously empty answer is held against
    /// (primero.md §9.7).
    pub fn newest(&self) -> Request {
        let query = "per=1&order_by=last_updated_at&order=desc&fields=case_id";
        self.get(format!("/api/v2/cases?{query}"), None)
    }
}

/// Shows every case of a list; nothing if the body was not a whole list of cases.
pub fn read_cases(body: &mut dyn Read, each: &mut dyn FnMut(CaseView)) -> Option<Metadata> {
    let mut strange = false;
    let metadata = read_rows(body, &mut |row| {
        let id = row.get("id").and_then(Value::as_str).map(str::to_owned);
        match (id, row) {
            (Some(id), Value::Object(fields)) => each(CaseView {
                id,
                fields: Private(fields),
            }),
            _ => strange = true,
        }
    })?;
    let number = |name: &str| metadata.get(name).and_then(Value::as_u64);
    Some(Metadata {
        total: number("total")?,
        per: number("per")?,
    })
    .filter(|_| !strange)
}
