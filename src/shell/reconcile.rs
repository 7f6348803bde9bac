//! `reconcile` and what it answers: a look at the open referrals, or the report of the last one.

use super::office::Answer;
use super::session::{Session, last_report};
use crate::core::exchange::Wire;
use crate::core::outcome::Trouble;
use crate::core::reconcile::Report;
use crate::core::time::Trust;
use crate::store::{Store, StoreError};
use serde_json::json;

/// Looks now. 503 where neither system could be asked to the end; the report says why.
pub fn run<P: Wire, O: Wire>(session: &mut Session<P, O>, trust: Trust) -> Result<Answer, StoreError> {
    if trust == Trust::Unset {
        // No certificate can be judged.
        return Ok(Answer::refusal(503, "clock", Trouble::Clock.advice()));
    }
    let report = session.reconcile()?;
    let nobody = report.primero.is_some() && report.oscar.is_some();
    Ok(Answer {
        status: if nobody { 503 } else { 200 },
        body: json!(report),
    })
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

/// Lines of a report in which something differs, and those in which nothing could be done about it.
pub fn differing(report: &Report) -> (usize, usize) {
    use crate::core::reconcile::Done;
    let differing = report.rows.iter().filter(|row| !row.differs.is_empty());
    let left = differing.clone().filter(|row| row.done == Done::Nothing);
    (differing.count(), left.count())
}
