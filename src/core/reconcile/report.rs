//! The report of a look: one row for each service of each open referral, what was done about it, and whether it takes a
//! person.

use super::{AtOscar, AtPrimero, Difference, compare};
use crate::core::event::{Decision, Kind};
use crate::core::mapping::Mapping;
use crate::core::reason::Reason;
use crate::core::record::{Head, State};
use serde::{Deserialize, Serialize};

/// What was done about an event in the course of the look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "did", content = "reason")]
pub enum Done {
    Nothing,
    /// Something will be written to Primero or told OSCaR at the next session.
    Queued,
    /// OSCaR was told before, and has not shown it yet.
    Told,
    DoubtSettled,
    Parked(Option<Reason>),
    /// Something was learned, and nothing is left to write.
    Learned,
}

impl Done {
    /// By what the event was before and is after.
    pub fn of(before: &Head, after: &Head) -> Done {
        let due = |head: &Head| head.write_back_due() || head.report_due();
        match () {
            () if after.state == State::Parked && before.state != State::Parked => Done::Parked(after.reason),
            () if before.state == State::InDoubt && after.state != State::InDoubt => Done::DoubtSettled,
            () if due(after) || after.state == State::Pending => Done::Queued,
            () if after.report_unseen() => Done::Told,
            () if before.work != after.work => Done::Learned,
            () => Done::Nothing,
        }
    }

    pub fn words(self) -> String {
        match self {
            Done::Nothing => "nothing".to_owned(),
            Done::Queued => "queued for the next session".to_owned(),
            Done::Told => "told before; OSCaR has not shown it yet".to_owned(),
            Done::DoubtSettled => "doubt settled".to_owned(),
            Done::Parked(reason) => format!("parked: {}", reason.map_or("", Reason::code)),
            Done::Learned => "learned".to_owned(),
        }
    }
}

/// One service of one event, in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub event_key: String,
    pub flow: String,
    pub organization: String,
    pub service: String,
    pub state: String,
    pub decision: Option<Decision>,
    pub primero: AtPrimero,
    pub oscar: AtOscar,
    pub differs: Vec<Difference>,
    pub done: Done,
}

impl Row {
    /// The row of a service: compared as it was before anything was done about it.
    pub fn of(
        before: &Head,
        after: &Head,
        index: usize,
        primero: AtPrimero,
        oscar: AtOscar,
        mapping: &Mapping,
    ) -> Option<Row> {
        let work = before.work.services.get(index)?;
        Some(Row {
            event_key: before.key.clone(),
            flow: before.flow.word().to_owned(),
            organization: before.organization.clone(),
            service: work.subtype.clone(),
            state: after.state.word().to_owned(),
            decision: work.decision,
            differs: compare(before, work, &primero, &oscar, mapping),
            primero,
            oscar,
            done: Done::of(before, after),
        })
    }

    /// Something differs that nothing here will put right: a person has to.
    pub fn for_a_person(&self) -> bool {
        // What OSCaR was told shows there by itself, sooner or later.
        let shows = |d: &Difference| matches!(d, Difference::OscarUndecided | Difference::LinkMissing);
        match self.done {
            Done::Nothing | Done::Parked(_) => !self.differs.is_empty(),
            Done::Told => !self.differs.iter().all(shows),
            Done::Queued | Done::DoubtSettled | Done::Learned => false,
        }
    }
}

/// Most events of one look: each costs two requests at Primero. The rest come with the next look.
pub const EVENTS_MAX: usize = 200;

/// What a look came to. Bounded by [`EVENTS_MAX`]; ids, codes and states only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When, UTC, if the clock was plausible.
    pub at: Option<String>,
    /// Open referrals at the time, and how many of them were looked at.
    pub open: usize,
    pub looked_at: usize,
    /// The number of the event the next look begins with; nothing to begin with the oldest.
    pub next: Option<u64>,
    /// Why a system could not be asked to the end, if so.
    pub primero: Option<String>,
    pub oscar: Option<String>,
    pub rows: Vec<Row>,
}

impl Report {
    /// Both systems could be asked to the end.
    pub fn whole(&self) -> bool {
        self.primero.is_none() && self.oscar.is_none()
    }

    /// Services in which something differs.
    pub fn differing(&self) -> usize {
        self.rows.iter().filter(|row| !row.differs.is_empty()).count()
    }

    /// Of these, the ones that only a person can put right.
    pub fn for_people(&self) -> usize {
        self.rows.iter().filter(|row| row.for_a_person()).count()
    }
}

/// Whether an event belongs in the report: a referral that somebody still has to do something about.
pub fn open(head: &Head) -> bool {
    head.kind == Kind::Referral
        && (head.state.open() || head.undecided() || head.write_back_due() || head.report_due())
}
