//! OSCaR's list of organizations, open to anybody (oscar-measured.md fact 10): who is there, and whether they take part
//! in the exchange. Pure.

use crate::core::exchange::{Answer, Method, Request};
use serde::Deserialize;

#[derive(Deserialize)]
struct Listing {
    organizations: Vec<Organization>,
}

#[derive(Deserialize)]
struct Organization {
    short_name: String,
    /// Missing where OSCaR runs in development mode.
    integrated: Option<bool>,
}

/// Asks for the list, as nobody in particular.
pub fn request() -> Request {
    Request {
        method: Method::Get,
        target: "/api/v1/organizations".to_owned(),
        headers: vec![("accept", "application/json".to_owned())],
        body: None,
    }
}

/// Short names, and whether each is integrated; nothing if this is not that list.
pub fn read(answer: &Answer) -> Option<Vec<(String, Option<bool>)>> {
    if answer.head.status != 200 || !answer.head.json {
        return None;
    }
    let listing: Listing = serde_json::from_slice(&answer.body).ok()?;
    let rows = listing.organizations.into_iter();
    Some(rows.map(|row| (row.short_name, row.integrated)).collect())
}
