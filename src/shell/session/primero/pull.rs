//! Pulling Primero's changed cases: page by page, each page on disk together with the watermark that passes it.
//!
//! The rows of a page are read as they arrive. Only cases that can have changed something for us are kept, and dropped
//! again once they are taken in: those referred to one of our NGOs' users, and those with an event of ours under way.
//! For these alone the referrals are listed, once for each change.

use super::sift::Page;
use super::uptake::{Taken, Uptake};
use super::{Go, PrimeroPass};
use crate::core::ask::CaseView;
use crate::core::cursor::{Last, Mark, Next, OVERLAP_S, Walk, stamp_ms};
use crate::core::exchange::{AnswerHead, Failure, Request, Wire};
use crate::core::outcome::{Outcome, Repeat, Trouble, judge_failure, judge_head};
use crate::peers::primero::{Metadata, read_cases};
use crate::shell::session::PassReport;
use crate::store::{StoreError, View};
use std::time::Duration;

mod looked;
mod memory;
mod take_in;

pub(super) use looked::Looked;
use looked::over_if_down;
pub(super) use memory::PullMemory;

/// Cases taken in per transaction.
pub(super) const BATCH: usize = 32;
/// How often a pull looks hours back ([`Mark::look_again`]).
const LOOK_AGAIN: Duration = Duration::from_secs(6 * 3600);
/// The watermark on disk may lag this far behind: moving it costs a commit, and reading again costs bytes only after a
/// restart. Seconds.
const WATERMARK_LAG_S: i64 = 6 * 3600;
/// Name of the sealed document that keeps the watermark.
const WATERMARK: &str = "primero watermark";

/// The cursor on disk.
pub fn kept_cursor(view: &View<'_>) -> Result<Option<i64>, StoreError> {
    Ok(view.meta_get::<Mark>(WATERMARK)?.map(|mark| mark.seen))
}

/// Record ids of the cases that Primero fails on whenever it is asked for them.
pub fn kept_owed(view: &View<'_>) -> Result<Vec<String>, StoreError> {
    let mark = view.meta_get::<Mark>(WATERMARK)?;
    Ok(mark.map(|mark| mark.owed).unwrap_or_default())
}

impl<W: Wire> PrimeroPass<W> {
    /// Takes in what has changed in Primero. Trouble with the answers themselves is told in the report and ends the
    /// pull, not the pass.
    pub(super) fn pull(&mut self, report: &mut PassReport) -> Result<Go, StoreError> {
        let Some(mut mark) = self.know_mark(report)? else {
            return Ok(over_if_down(report));
        };
        if self.pay_owed(&mut mark, report)? == Go::Over {
            return Ok(Go::Over);
        }
        let now = (self.ground.clock)().mono;
        let again = now.since(*self.pull.looked_again.get_or_insert(now)) >= LOOK_AGAIN;
        let from = self.pull.from(&mark, again, now);
        let mut walk = Walk::new(from);
        for page in 0u32.. {
            if self.ground.stopping() {
                return Ok(Go::On);
            }
            let Some(answer) = self.page(&mut walk, again, report)? else {
                return Ok(over_if_down(report));
            };
            if let Some(date) = answer.date.filter(|_| page == 0)
                && self.pull.behind.told(date, mark.seen - OVERLAP_S, now)
            {
                mark.fall_back(date);
                return self.store(Vec::new(), &mark, true, report);
            }
            if answer.unchanged {
                self.pull.ended(&mark, false, now);
                return Ok(Go::On);
            }
            let metadata = answer.metadata.expect("an answer without is refused");
            if page == 0 && answer.rows == 0 && self.suspicious(&mark, from, report) {
                return Ok(over_if_down(report));
            }
            let next = walk.heard(metadata.total, metadata.per);
            if let Next::Wrong(_) = next {
                self.distrusted = true;
                return Ok(Go::On);
            }
            let (seen, last) = walk.done();
            // A stamp from the future says nothing of what comes until then.
            mark.advance(answer.date.map_or(seen, |date| seen.min(date)), last);
            let nothing_new = answer.kept.is_empty();
            if self.take_in(answer.kept, &mut mark, report)? == Go::Over {
                return Ok(over_if_down(report));
            }
            if next == Next::Whole {
                self.pull.ended(&mark, page > 0, now);
                let old = nothing_new && page == 0 && !self.distrusted;
                self.pull.answered = answer.answered.filter(|_| old);
                break;
            }
        }
        if again {
            self.pull.looked_again = Some(now);
            mark.look_again();
            self.store(Vec::new(), &mark, true, report)?;
        }
        Ok(Go::On)
    }

    /// Whether the ledger holds every push of ours that Primero can tell of: until then a child's referral at OSCaR may
    /// turn out to be one.
    pub fn caught_up(&self) -> Result<bool, StoreError> {
        if !self.ground.flows.pull_primero() {
            return Ok(true);
        }
        let stored = match &self.pull.mark {
            Some(mark) => return Ok(mark.caught_up()),
            None => self.ground.store.read(|view| view.meta_get::<Mark>(WATERMARK))?,
        };
        Ok(stored.is_some_and(|mark| mark.caught_up()))
    }

    /// The watermark of earlier sessions, or a first one: everything that is there now lies before it, unless a day was
    /// configured to look back to.
    pub(super) fn know_mark(&mut self, report: &mut PassReport) -> Result<Option<Mark>, StoreError> {
        if self.pull.mark.is_none() {
            let stored = self.ground.store.read(|view| view.meta_get::<Mark>(WATERMARK))?;
            self.pull.stored.clone_from(&stored);
            self.pull.mark = stored;
        }
        if let Some(mark) = &self.pull.mark {
            return Ok(Some(mark.clone()));
        }
        let Some((newest, date)) = self.newest(report) else {
            return Ok(None);
        };
        // A server without a single case: its own clock says when we came.
        let Some(newest_ms) = newest
            .as_ref()
            .map(|last| last.ms)
            // A stamp from the future is no time of day.
            .map(|ms| date.map_or(ms, |date| ms.min(date * 1000)))
            .or(date.map(|date| date * 1000))
        else {
            self.distrusted = true;
            return Ok(None);
        };
        let mark = Mark::first(newest_ms, newest, self.ground.flows.start);
        self.store(Vec::new(), &mark, true, report)?;
        Ok(Some(mark))
    }

    /// The newest case on the server and the server's clock; nothing if it cannot be asked.
    fn newest(&mut self, report: &mut PassReport) -> Option<(Option<Last>, Option<i64>)> {
        let request = self.codec.newest();
        let mut last = None;
        let (head, metadata) = self.stream(&request, report, &mut |view| {
            let ms = view.stamp().and_then(stamp_ms);
            last = ms.map(|ms| Last { id: view.id, ms });
        })?;
        if metadata.is_none_or(|metadata| (metadata.total == 0) != last.is_none()) {
            self.distrusted = true;
            return None;
        }
        Some((last, head.date))
    }

    /// An empty answer where the last case seen should have been: 200 and nothing may also be the server's own failure
    /// (primero.md §9.7). Believed only if the newest case on the whole server is older.
    fn suspicious(&mut self, mark: &Mark, from: i64, report: &mut PassReport) -> bool {
        let expected = mark
            .last
            .as_ref()
            .is_some_and(|last| last.ms.div_euclid(1000) >= from);
        if !expected || self.pull.believed == Some(from) {
            return false;
        }
        match self.newest(report) {
            Some((Some(newest), _)) if newest.ms.div_euclid(1000) < from => {
                self.pull.believed = Some(from);
                false
            }
            Some(_) => {
                self.distrusted = true;
                true
            }
            None => true,
        }
    }

    /// One answer of the walk, its rows shown to `walk` and sifted.
    fn page(
        &mut self,
        walk: &mut Walk,
        again: bool,
        report: &mut PassReport,
    ) -> Result<Option<Page>, StoreError> {
        let Some(mut request) = self.codec.pull(walk.ask(), &self.ground.site) else {
            self.distrusted = true;
            return Ok(None);
        };
        let commits = self.ground.store.figures().commits;
        if let Some(mark) = self.pull.mark_of(&request.target, commits).filter(|_| !again) {
            request.headers.push(("if-none-match", mark.to_owned()));
        }
        let mut page = Page::default();
        let (ground, mut unstamped) = (self.ground.clone(), false);
        let heard = self.stream(
            &request,
            report,
            &mut |view| match view.stamp().and_then(stamp_ms) {
                Some(ms) => {
                    walk.row(&view.id, ms);
                    page.row(view, &ground, again);
                }
                None => unstamped = true,
            },
        );
        if let Some(error) = page.failed.take() {
            return Err(error);
        }
        report.pulled += page.rows;
        self.distrusted |= unstamped;
        let Some((head, metadata)) = heard.filter(|_| !unstamped) else {
            return Ok(None);
        };
        page.unchanged = metadata.is_none();
        page.metadata = metadata;
        page.date = head.date;
        page.answered = head.etag.map(|mark| (request.target, mark, commits));
        Ok(Some(page))
    }

    /// One list request, read as it arrives; its head and what stands beside the rows, nothing if they are unchanged.
    fn stream(
        &mut self,
        request: &Request,
        report: &mut PassReport,
        each: &mut dyn FnMut(CaseView),
    ) -> Option<(AnswerHead, Option<Metadata>)> {
        let mut metadata = None;
        let result = self.wire.stream(request, &mut |head, body| {
            if head.status == 200 && head.json {
                metadata = read_cases(body, each);
            }
        });
        let conditional = request.headers.iter().any(|(name, _)| *name == "if-none-match");
        if let Ok(head) = &result
            && (metadata.is_some() || conditional && head.status == 304)
        {
            report.reached = true;
            self.answered = true;
            return Some((head.clone(), metadata));
        }
        self.unusable(result.map(|head| judge_head(&head, Repeat::Harmless)), report);
        None
    }

    fn unusable(&mut self, result: Result<Outcome, Failure>, report: &mut PassReport) {
        match result.unwrap_or_else(|failure| judge_failure(&failure, Repeat::Harmless)) {
            Outcome::Down(trouble, after) => report.down(trouble, after),
            Outcome::Unauthorized => report.down(Trouble::Auth, None),
            Outcome::Failed(Trouble::Server) => report.down(Trouble::Server, None),
            Outcome::Failed(_) | Outcome::Doubt(_) | Outcome::Answered => self.distrusted = true,
        }
    }

    /// Puts a batch on disk, and the watermark with it if everything before it is in it or on disk already.
    pub(super) fn store(
        &mut self,
        batch: Vec<Taken>,
        mark: &Mark,
        passes: bool,
        report: &mut PassReport,
    ) -> Result<Go, StoreError> {
        let due = self.pull.stored.as_ref().is_none_or(|stored| {
            mark.seen - stored.seen >= WATERMARK_LAG_S
                || mark.seen < stored.seen
                || mark.owed != stored.owed
                || mark.again != stored.again
        });
        if batch.is_empty() && !(passes && due) {
            if passes {
                self.pull.mark = Some(mark.clone());
            }
            return Ok(Go::On);
        }
        let uptake = Uptake::new(&self.ground, self.codec.user_name(), mark);
        let kept = mark.clone();
        let done = self.ground.store.write(move |tx| {
            let done = uptake.take(tx, &batch)?;
            if passes && !done.full && !done.blind {
                tx.meta_put(WATERMARK, &kept);
            }
            Ok::<_, StoreError>(done)
        })?;
        report.confirmed += done.confirmed;
        report.parked += done.parked;
        report.in_doubt += done.in_doubt;
        // Read a moment ago: their push needs no further look at the case in this session.
        self.looked.extend(done.new);
        self.distrusted |= done.blind;
        if done.full || done.blind {
            return Ok(Go::Over);
        }
        if passes {
            self.pull.mark = Some(mark.clone());
            self.pull.stored = Some(mark.clone());
        }
        Ok(Go::On)
    }
}
