//! Looking back for what moves no date in OSCaR: acceptances and links (oscar-measured.md fact 2).

use super::OscarPass;
use super::pull::{DEEP_S, Looked, Rest, Watermark};
use super::sink::Glass;
use crate::core::exchange::Wire;
use crate::core::queue::Entry;
use crate::core::record::State;
use crate::shell::session::PassReport;
use crate::store::StoreError;

/// What OSCaR has yet to show, as far as a look back is concerned.
#[derive(Clone, Copy)]
pub(super) struct Owed {
    /// Unix seconds of OSCaR's clock.
    pub since: i64,
    /// It was told something that no pull has shown.
    told: bool,
}

impl Owed {
    /// The mark of the last answer from there. The same answer again is news where something should have changed.
    pub fn etag(self, mark: &Watermark) -> Option<&str> {
        let kept = if self.since < mark.since {
            &mark.reach_etag
        } else {
            &mark.etag
        };
        kept.as_deref().filter(|_| !self.told)
    }
}

impl<W: Wire> OscarPass<W> {
    /// Where the first thing was sent from that OSCaR has yet to show or the NGO to decide, sixty days back at most.
    pub(super) fn owed(&self, mark: &Watermark) -> Result<Option<Owed>, StoreError> {
        let (since, told) = self.ground.store.read(|view| {
            let (mut oldest, mut told): (Option<i64>, bool) = (None, false);
            let open = |entry: &&Entry| entry.undecided || entry.told || entry.state == State::InDoubt;
            for entry in view.queue().iter().filter(open) {
                let Some(head) = view.head(entry.seq)? else {
                    continue;
                };
                // What waits for a decision in Primero has nothing to look for here.
                let awaited = head.flow.to_oscar() || head.report_unseen();
                told |= entry.told;
                oldest = match (oldest, head.work.pushed_at.filter(|_| awaited)) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            Ok((oldest, told))
        })?;
        Ok(since.map(|since| Owed {
            since: since.max(mark.since - DEEP_S),
            told,
        }))
    }

    /// Back to there, where nothing new may be taken in.
    pub(super) fn reach_back(&mut self, owed: Owed, report: &mut PassReport) -> Result<(), StoreError> {
        let mark = self.mark();
        let glass = Glass {
            inbound: false,
            ..self.glass(owed.since)
        };
        let looked = self.look(glass, owed.etag(&mark), report)?;
        if let Looked::Whole(head, Rest { held: false, .. }) = looked {
            self.watermark = Some(mark.seen(owed.since, &head));
        }
        Ok(())
    }
}
