//! What Primero shows of the open referrals, for the reconciliation.

use super::pull::{BATCH, Looked};
use super::sift::Kept;
use super::uptake::Taken;
use super::{Go, PrimeroPass};
use crate::core::cursor::Mark;
use crate::core::exchange::Wire;
use crate::core::reconcile::AtPrimero;
use crate::core::record::Head;
use crate::shell::session::{FAILED_IN_A_ROW_MAX, Ground, PassReport};
use crate::store::StoreError;

impl<W: Wire> PrimeroPass<W> {
    pub(in crate::shell::session) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// What Primero shows of each service of each event; what a look shows is taken in as in a pull, but for the
    /// watermark, which stays where it is. A case that several events speak of is read once.
    pub(in crate::shell::session) fn look_through(
        &mut self,
        heads: &[Head],
        report: &mut PassReport,
    ) -> Result<Vec<Vec<AtPrimero>>, StoreError> {
        let all = |head: &Head, shown: AtPrimero| vec![shown; head.work.services.len()];
        let id = |head: &Head| head.work.case.as_ref().map(|case| case.id.clone());
        let unread = |head: &Head| match id(head) {
            Some(_) => all(head, AtPrimero::Unread),
            None => all(head, AtPrimero::None),
        };
        let mut shown: Vec<_> = heads.iter().map(unread).collect();
        if self.healthy(report) == Go::Over {
            return Ok(shown);
        }
        let pulls = self.ground.flows.pull_primero();
        let mark = if pulls { self.know_mark(report)? } else { None };
        let (mut done, mut failed_in_a_row) = (std::collections::HashSet::new(), 0);
        let mut batch = Vec::new();
        for head in heads {
            let Some(id) = id(head).filter(|id| done.insert(id.clone())) else {
                continue;
            };
            if self.ground.stopping() || report.over() {
                break;
            }
            let same = |other: &&Head| other.work.case.as_ref().is_some_and(|case| case.id == id);
            let ours = heads.iter().zip(&mut shown).filter(|(other, _)| same(other));
            let case = Kept {
                id: id.clone(),
                view: None,
                list: true,
            };
            match self.look_at(case, report) {
                Looked::Taken(taken) => {
                    let names = &self.ground.site.names;
                    for (other, rows) in ours {
                        let list = taken.list.as_deref().unwrap_or_default();
                        let services = other.work.services.iter();
                        *rows = services
                            .map(|work| AtPrimero::of(&taken.view, list, work, names))
                            .collect();
                    }
                    failed_in_a_row = 0;
                    batch.push(*taken);
                }
                Looked::Gone => {
                    failed_in_a_row = 0;
                    ours.for_each(|(other, rows)| *rows = all(other, AtPrimero::Gone));
                }
                Looked::Failed => failed_in_a_row += 1,
                Looked::Down => break,
            }
            if failed_in_a_row >= FAILED_IN_A_ROW_MAX {
                report.down(crate::core::outcome::Trouble::Server, None);
            }
            if batch.len() >= BATCH {
                self.take_in_looked(std::mem::take(&mut batch), mark.as_ref(), report)?;
            }
        }
        self.take_in_looked(batch, mark.as_ref(), report)?;
        Ok(shown)
    }

    /// A full queue is no reason to end the look: what did not fit comes with the next pull.
    fn take_in_looked(
        &mut self,
        batch: Vec<Taken>,
        mark: Option<&Mark>,
        report: &mut PassReport,
    ) -> Result<(), StoreError> {
        match mark {
            Some(mark) => self.store(batch, mark, false, report).map(|_| ()),
            None => Ok(()),
        }
    }
}
