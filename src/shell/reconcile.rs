//! `reconcile` and what it answers: a look at the open referrals, or the report of the last one.

use super::office::Answer;
use super::session::{Session, last_report};
use crate::core::exchange::Wire;
use crate::core::outcome::Trouble;
use crate::core::reconcile::Report;
use crate::core::time::Trust;
use crate::store::{Store, StoreError, View};
use serde_json::{Value, json};

/// Looks now. Nothing where the clock lets no certificate be judged, or the look was cut short.
pub fn run<P: Wire, O: Wire>(
    session: &mut Session<P, O>,
    trust: Trust,
) -> Result<Option<Report>, StoreError> {
    if trust == Trust::Unset {
        return Ok(None);
    }
    session.reconcile()
}

/// What is answered to whoever asked for a look. 503 where neither system could be asked to the end; the report says why.
pub fn answer(looked: Option<&Report>, trust: Trust) -> Answer {
    match looked {
        None if trust == Trust::Unset => Answer::refusal(503, "clock", Trouble::Clock.advice()),
        None => Answer::refusal(
            503,
            "cut_short",
            "the look was cut short: something more urgent came between",
        ),
        Some(report) => Answer {
            status: if report.primero.is_some() && report.oscar.is_some() {
                503
            } else {
                200
            },
            body: json!(report),
        },
    }
}

/// What `status` says of the last look: counts, no names; nothing where there was none.
pub fn summary(view: &View<'_>) -> Result<Option<Value>, StoreError> {
    let report = last_report(view)?;
    Ok(report.map(|report| {
        json!({ "at": report.at, "open": report.open, "looked_at": report.looked_at,
            "differing": report.differing(), "for_people": report.for_people(),
            "primero": report.primero, "oscar": report.oscar })
    }))
}

/// The same for people.
pub fn summary_words(summary: &Value) -> String {
    if !summary.is_object() {
        return String::new();
    }
    let at = summary["at"].as_str().unwrap_or("at an unknown time");
    let mut out = format!(
        "reconcile {at}: {} of {} open referrals looked at, {} services differ\n",
        summary["looked_at"], summary["open"], summary["differing"]
    );
    if summary["for_people"] != 0 {
        out.push_str(&format!(
            "          {} of them need a person: `reconcile --last`\n",
            summary["for_people"]
        ));
    }
    out
}

/// The report of the last look; 404 where there was none.
pub fn last(store: &Store) -> Answer {
    match store.read(last_report) {
        Ok(Some(report)) => Answer::ok(json!(report)),
        Ok(None) => Answer::refusal(404, "not_found", NO_REPORT),
        Err(error) => Answer::refusal(503, "store", &error.to_string()),
    }
}

const NO_REPORT: &str = "nothing has been reconciled yet: run `referral-gateway reconcile`";
