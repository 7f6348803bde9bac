//! Pulling from OSCaR: several looks at one endpoint, one cursor of the server's own clock.
//!
//! - once, at a first start that looks back: window after window of what was created since then ([`super::load`]);
//! - every session: what changed since the watermark;
//! - every week: sixty days back, since much moves no date (oscar.md §6.5);
//! - more rarely, while OSCaR has yet to show something of ours: back to where it was sent from, since neither an
//!   acceptance nor a link moves a date (oscar-measured.md fact 2);
//! - when a child must be found that the office named or OSCaR says it knows: sixty days back.
//!
//! A referral an NGO makes moves its child's stamp, so the pull that first sees it has it in the first shape, with its
//! reason; the second shape never makes an event. The answer is read child by child; what is not ours is dropped before
//! it is stored. The watermark moves only after all of an answer is on disk, and only by the server's `Date` less the
//! request's duration and a margin (oscar.md §2.8). Where a look fails, it stays, the trouble is shown, and everything
//! that needs no pull goes on.

use super::load::Load;
use super::sink::{Glass, Sink};
use super::{Go, OscarPass, hear};
use crate::core::exchange::{AnswerHead, Failure, Wire};
use crate::core::outcome::{Outcome, Repeat, Trouble, judge_failure, judge_head};
use crate::core::planted::{Defect, planted};
use crate::core::record::{Head, Peer, Seq};
use crate::peers::oscar::{self, Session};
use crate::shell::session::PassReport;
use crate::store::{StoreError, View};
use serde::{Deserialize, Serialize};

/// Taken off the server's clock, so that a slow commit there is not missed. Seconds.
pub const MARGIN_S: i64 = 600;
/// How far a deep look goes back (oscar.md §2.8). Seconds.
pub const DEEP_S: i64 = 60 * DAY_S;
/// How often it is made, by OSCaR's clock. Seconds.
pub const DEEP_EVERY_S: i64 = 7 * DAY_S;
/// The watermark on disk may lag this far behind: moving it costs a commit, and looking back costs bytes only after a
/// restart. Seconds.
pub const WATERMARK_LAG_S: i64 = 6 * 3600;
pub(super) const DAY_S: i64 = 24 * 3600;

/// How far back everything has been seen, in Unix seconds of OSCaR's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    pub since: i64,
    /// Where the first look began: nothing older is taken in.
    #[serde(default)]
    pub floor: i64,
    /// ETag of the last incremental answer; it depends on the content alone (oscar-measured.md).
    pub etag: Option<String>,
    /// ETag of the last look back for acceptances.
    pub reach_etag: Option<String>,
    /// OSCaR's clock at the last weekly look.
    #[serde(default)]
    pub deep_at: Option<i64>,
    /// What is left of the first load.
    #[serde(default)]
    pub load: Option<Load>,
}

impl Watermark {
    /// The same, once an answer from this moment on is on disk.
    pub(super) fn seen(&self, since: i64, head: &AnswerHead) -> Watermark {
        let mut mark = self.clone();
        let kept = if since < self.since {
            &mut mark.reach_etag
        } else {
            &mut mark.etag
        };
        *kept = head.etag.clone().or(kept.take());
        mark
    }
}

/// Name of the sealed document that keeps the watermark.
const WATERMARK: &str = "oscar watermark";

/// What a look at the endpoint came to.
pub(super) enum Looked {
    /// Everything selected is stored; the server's clock, if it told.
    Whole(AnswerHead, Rest),
    /// Nothing differs from the last answer.
    Unchanged(AnswerHead),
    /// Not usable now.
    Not,
}

/// What a whole look has left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    pub elements: u64,
    pub held: bool,
}

/// The cursor on disk.
pub fn kept_cursor(view: &View<'_>) -> Result<Option<i64>, StoreError> {
    Ok(view.meta_get::<Watermark>(WATERMARK)?.map(|mark| mark.since))
}

impl<W: Wire> OscarPass<W> {
    /// The watermark of earlier sessions, or a first one.
    pub(super) fn know_watermark(&mut self, report: &mut PassReport) -> Result<Go, StoreError> {
        if self.watermark.is_none() {
            self.watermark = self
                .ground
                .store
                .read(|view| view.meta_get::<Watermark>(WATERMARK))?;
        }
        match self.watermark {
            Some(_) => Ok(Go::On),
            None => self.first_watermark(report),
        }
    }

    pub(super) fn mark(&self) -> Watermark {
        self.watermark.clone().expect("known since the pass began")
    }

    /// The pulls of a session's first pass.
    pub(super) fn pull(&mut self, reach_back: bool, report: &mut PassReport) -> Result<Go, StoreError> {
        if self.mark().load.is_some() && self.load(report)? == Go::Over {
            return Ok(self.after_failure(report));
        }
        let mark = self.mark();
        let started = (self.ground.clock)().mono;
        if planted(Defect::CursorBeforeStore) {
            let since = (self.ground.clock)().wall.unix;
            self.keep(Watermark {
                since,
                ..mark.clone()
            })?;
        }
        let owed = if reach_back { self.owed(&mark)? } else { None };
        // From further back the same answer shows all that is new as well, unless that is not to be taken in from there.
        let only = owed.filter(|owed| owed.since >= mark.floor);
        let (since, etag) = match only {
            Some(owed) => (owed.since.min(mark.since), owed.etag(&mark)),
            None => (mark.since, mark.etag.as_deref()),
        };
        let looked = self.look(self.glass(since), etag, report)?;
        let took_s = (self.ground.clock)().mono.since(started).as_secs();
        let (head, rest) = match looked {
            Looked::Not => return Ok(self.after_failure(report)),
            Looked::Whole(head, rest) => (head, rest),
            Looked::Unchanged(head) => (head, Rest::default()),
        };
        if !rest.held {
            self.advance(mark.seen(since, &head), &head, took_s)?;
        }
        self.deep(&head, report)?;
        if let Some(owed) = owed.filter(|_| only.is_none()) {
            self.reach_back(owed, report)?;
        }
        Ok(self.after_failure(report))
    }

    /// A pull that fails stops nothing but pulls, unless the peer itself is down.
    fn after_failure(&self, report: &PassReport) -> Go {
        if report.over() { Go::Over } else { Go::On }
    }

    pub(super) fn glass(&self, since: i64) -> Glass {
        Glass {
            since,
            until: None,
            inbound: true,
            ledger_whole: self.ledger_whole,
        }
    }

    /// A first run looks back to the configured day, or starts now by OSCaR's own clock.
    fn first_watermark(&mut self, report: &mut PassReport) -> Result<Go, StoreError> {
        // Signed in before the last restart: what OSCaR's clock says is not known any more.
        if self.server_date.is_none() && self.sign_in(report)? == Go::Over {
            return Ok(Go::Over);
        }
        let Some(date) = self.server_date.or((self.ground.clock)().wall.known()) else {
            report.down(Trouble::Clock, None);
            return Ok(Go::Over);
        };
        let since = self.ground.flows.start.unwrap_or(date).min(date) - MARGIN_S;
        let mark = Watermark {
            since,
            floor: since,
            etag: None,
            reach_etag: None,
            deep_at: Some(date),
            load: Load::first(since, date),
        };
        self.keep(mark)?;
        Ok(Go::On)
    }

    pub(super) fn keep(&mut self, mark: Watermark) -> Result<(), StoreError> {
        self.watermark = Some(mark.clone());
        self.ground.store.write(move |tx| {
            tx.meta_put(WATERMARK, &mark);
            Ok(())
        })
    }

    /// Moves the watermark in memory, and on disk when it has moved far.
    fn advance(&mut self, mark: Watermark, head: &AnswerHead, took_s: u64) -> Result<(), StoreError> {
        let took_s = i64::try_from(took_s).unwrap_or(i64::MAX / 2);
        // Without the server's `Date` the watermark stays: our own clock decides nothing.
        let next = head.date.map_or(mark.since, |date| date - took_s - MARGIN_S);
        let moved = match head.date {
            // Nothing may hide in between: how far back that is the weekly look, due at once, finds out.
            Some(date) if self.behind.told(date, mark.since, (self.ground.clock)().mono) => {
                // Told by the wrong clock as well, it is no bound.
                let floor = if date < mark.floor { next } else { mark.floor };
                Watermark {
                    since: next.max(floor),
                    floor,
                    deep_at: None,
                    ..mark
                }
            }
            _ => Watermark {
                since: next.max(mark.since),
                ..mark
            },
        };
        let stored = self
            .ground
            .store
            .read(|view| view.meta_get::<Watermark>(WATERMARK))?;
        let lag = stored.map_or(i64::MAX, |stored| moved.since - stored.since);
        if !(0..WATERMARK_LAG_S).contains(&lag) {
            return self.keep(moved);
        }
        self.watermark = Some(moved);
        Ok(())
    }

    /// Once a week everything of the last sixty days, for what moved no date.
    fn deep(&mut self, head: &AnswerHead, report: &mut PassReport) -> Result<(), StoreError> {
        let mark = self.mark();
        let Some(date) = head.date else { return Ok(()) };
        let due = mark.deep_at.is_none_or(|last| date - last >= DEEP_EVERY_S);
        if !due {
            return Ok(());
        }
        let since = (mark.since - DEEP_S).max(mark.floor);
        if let Looked::Whole(_, Rest { held: false, .. }) = self.look(self.glass(since), None, report)? {
            let deep_at = Some(date);
            self.keep(Watermark {
                deep_at,
                ..self.mark()
            })?;
        }
        Ok(())
    }

    /// Looks sixty days back for children that a push waits for; afterwards those events know that it was done.
    pub(super) fn look_for_children(&mut self, report: &mut PassReport) -> Result<Vec<Seq>, StoreError> {
        let waiting = self.ground.store.read(|view| {
            let mut waiting: Vec<Head> = Vec::new();
            let mut work = view.queue().runnable(Peer::Oscar);
            if self.ground.thrifty() {
                work = view.queue().only_urgent(work);
            }
            for seq in work {
                if let Some(head) = view.head(seq)? {
                    waiting.extend(Some(head).filter(|h| h.work.wants_sighting && !h.work.looked_deep));
                }
            }
            Ok(waiting)
        })?;
        let Some(mark) = self.watermark.clone().filter(|_| !waiting.is_empty()) else {
            return Ok(Vec::new());
        };
        let glass = Glass {
            inbound: false,
            ..self.glass(mark.since - DEEP_S)
        };
        match self.look(glass, None, report)? {
            Looked::Not => return Ok(Vec::new()),
            Looked::Whole(..) | Looked::Unchanged(_) => {}
        }
        self.ground.store.write(move |tx| {
            for head in &waiting {
                if let Some(mut fresh) = tx.head(head.seq)? {
                    fresh.work.looked_deep = true;
                    tx.update(&fresh)?;
                }
            }
            Ok(waiting.iter().map(|head| head.seq).collect())
        })
    }

    /// One request, its answer stored as it is read.
    pub(super) fn look(
        &mut self,
        glass: Glass,
        etag: Option<&str>,
        report: &mut PassReport,
    ) -> Result<Looked, StoreError> {
        let etag = etag.filter(|_| !planted(Defect::EchoNotSuppressed));
        loop {
            let Some(session) = self.session.clone() else {
                return Ok(Looked::Not);
            };
            let Some(request) = oscar::pull(&session, glass.since, glass.until, etag) else {
                return Ok(Looked::Not);
            };
            let mut sink = Sink::new(&self.ground, glass, self.watched.as_mut());
            let result = self
                .wire
                .stream(&request, &mut |head, body| sink.read(head, body));
            let (read, stored) = sink.finish();
            stored?;
            report.pulled += u32::try_from(read.elements).unwrap_or(u32::MAX);
            report.confirmed += read.confirmed;
            report.parked += read.parked;
            if read.misshapen {
                report.partly(Trouble::Shape);
            }
            match result {
                Ok(head) if head.status == 304 => {
                    report.reached = true;
                    report.pull_went(true);
                    self.adopt(&head);
                    return Ok(Looked::Unchanged(head));
                }
                Ok(head) if head.status == 200 && head.json && read.whole => {
                    report.reached = true;
                    report.pull_went(true);
                    self.adopt(&head);
                    let rest = Rest {
                        elements: read.elements,
                        held: read.held,
                    };
                    return Ok(Looked::Whole(head, rest));
                }
                result => match self.refused(result, report)? {
                    Some(()) => {}
                    None => return Ok(Looked::Not),
                },
            }
        }
    }

    /// What a refused pull means; `Some` to ask once more with a new session.
    fn refused(
        &mut self,
        result: Result<AnswerHead, Failure>,
        report: &mut PassReport,
    ) -> Result<Option<()>, StoreError> {
        let outcome = match &result {
            Ok(head) => judge_head(head, Repeat::Harmless),
            Err(failure) => judge_failure(failure, Repeat::Harmless),
        };
        match outcome {
            Outcome::Unauthorized if !self.replayed => {
                self.replayed = true;
                Ok((self.sign_in(report)? == Go::On).then_some(()))
            }
            // The server is up and fails on this: a poisoned tenant. Nothing else depends on it.
            Outcome::Failed(trouble) if result.is_ok_and(|head| head.json || head.status == 500) => {
                report.reached = true;
                report.pull_went(false);
                report.partly(trouble);
                Ok(None)
            }
            Outcome::Failed(trouble) => {
                report.down(trouble, None);
                Ok(None)
            }
            outcome => {
                hear(outcome, report);
                Ok(None)
            }
        }
    }

    /// A different session in an answer replaces ours; one about to end is signed in anew next time.
    fn adopt(&mut self, head: &AnswerHead) {
        if let Some(session) = Session::of(head).filter(|new| Some(new) != self.session.as_ref()) {
            self.session = Some(session);
        }
        let ending = |session: &Session| head.date.is_some_and(|date| session.ending(date));
        self.renew = self.session.as_ref().is_some_and(ending);
    }
}
