//! A round at Primero: every event that waits for it has one try, over as many passes as that takes.

use super::{Go, PrimeroPass};
use crate::core::exchange::Wire;
use crate::core::outcome::Trouble;
use crate::core::record::{Peer, Seq, State};
use crate::shell::session::{PassReport, Round, TURN};
use crate::store::StoreError;

impl<W: Wire> PrimeroPass<W> {
    pub(super) fn begin_round(&mut self) {
        (self.round, self.answered) = (Round::default(), false);
        self.failed.clear();
    }

    pub(super) fn end_round(&mut self, report: &mut PassReport) -> Result<(), StoreError> {
        let failed = std::mem::take(&mut self.failed);
        if !failed.is_empty() && !self.answered {
            // A server that fails on everything fails on no record in particular.
            report.down(Trouble::Server, None);
            self.forgive(&failed)?;
        }
        self.late = failed;
        Ok(())
    }

    pub(super) fn work_through(&mut self, report: &mut PassReport) -> Result<(), StoreError> {
        let began = (self.ground.clock)().mono;
        loop {
            let work = self.untried();
            if work.is_empty() {
                return Ok(());
            }
            for seq in work {
                if self.ground.stopping() {
                    return Ok(());
                }
                if (self.ground.clock)().mono.since(began) >= TURN {
                    report.more = true;
                    return Ok(());
                }
                self.round.tried.insert(seq);
                let failures = self.failures(seq);
                if self.event(seq, report)? == Go::Over {
                    return Ok(());
                }
                let failed = self.failures(seq) > failures;
                if failed {
                    self.failed.push(seq);
                }
                if self.round.fared(failed) {
                    report.down(Trouble::Server, None);
                    return Ok(());
                }
            }
        }
    }

    /// What waits for its try in this round.
    fn untried(&self) -> Vec<Seq> {
        let decisions = self.ground.flows.decisions;
        let mut work = self.ground.runnable(Peer::Primero);
        self.ground.store.queue(|queue| {
            // Of a delivered event only news from OSCaR is left to bring.
            let news = |seq: &Seq| {
                queue
                    .get(*seq)
                    .is_some_and(|entry| entry.state == State::Delivered)
            };
            work.retain(|seq| !self.round.tried.contains(seq) && (decisions || !news(seq)));
        });
        work.sort_by_key(|seq| self.late.contains(seq));
        work
    }

    /// Takes back the failures of this pass.
    fn forgive(&self, failed: &[Seq]) -> Result<(), StoreError> {
        let failed = failed.to_vec();
        self.ground.store.write(move |tx| {
            for seq in failed {
                if let Some(mut head) = tx.head(seq)? {
                    head.failures = head.failures.saturating_sub(1);
                    tx.update(&head)?;
                }
            }
            Ok(())
        })
    }

    fn failures(&self, seq: Seq) -> u32 {
        let head = self.ground.store.read(|view| view.head(seq)).ok().flatten();
        head.map_or(0, |head| head.failures)
    }
}
