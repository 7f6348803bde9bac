//! Taking in the cases a pull has kept: their referrals are listed, and what Primero fails on is owed.

use super::super::sift::Kept;
use super::super::uptake::Taken;
use super::super::{Go, Heard, PrimeroPass};
use super::{BATCH, Looked};
use crate::core::ask::{PrimeroCall, PrimeroReply};
use crate::core::cursor::{Mark, OWED_MAX};
use crate::core::exchange::Wire;
use crate::core::outcome::Trouble;
use crate::shell::session::{FAILED_IN_A_ROW_MAX, PassReport};
use crate::store::StoreError;

impl<W: Wire> PrimeroPass<W> {
    /// Lists the referrals of the cases kept, and puts everything on disk.
    pub(super) fn take_in(
        &mut self,
        kept: Vec<Kept>,
        mark: &mut Mark,
        report: &mut PassReport,
    ) -> Result<Go, StoreError> {
        let mut batch = Vec::new();
        let mut failed_in_a_row = 0;
        for case in kept {
            let id = case.id.clone();
            // Asked for already, and failed on.
            if mark.owed.contains(&id) {
                continue;
            }
            match self.look_at(case, report) {
                Looked::Taken(taken) => {
                    failed_in_a_row = 0;
                    batch.push(*taken);
                }
                Looked::Gone => failed_in_a_row = 0,
                Looked::Failed => {
                    failed_in_a_row += 1;
                    let room = mark.owed.len() < OWED_MAX;
                    mark.owed.extend(room.then_some(id));
                    if !room || failed_in_a_row >= FAILED_IN_A_ROW_MAX {
                        return self.give_up(batch, mark, report);
                    }
                }
                Looked::Down => {
                    self.store(batch, mark, false, report)?;
                    return Ok(Go::Over);
                }
            }
            if batch.len() >= BATCH
                && self.store(std::mem::take(&mut batch), mark, false, report)? == Go::Over
            {
                return Ok(Go::Over);
            }
        }
        self.store(batch, mark, true, report)
    }

    /// Primero fails on too much to go on with the pull. What it failed on is owed from now on, and no session meets it
    /// first again; the watermark stays. Events that need no pull go on.
    fn give_up(&mut self, batch: Vec<Taken>, mark: &Mark, report: &mut PassReport) -> Result<Go, StoreError> {
        report.partly(Trouble::Server);
        let stands = Mark {
            owed: mark.owed.clone(),
            ..self.pull.mark.clone().expect("known since the pull began")
        };
        self.store(batch, &stands, true, report)?;
        Ok(Go::Over)
    }

    /// Cases that Primero failed on in earlier pulls; those that wait longest for another try come first.
    pub(super) fn pay_owed(&mut self, mark: &mut Mark, report: &mut PassReport) -> Result<Go, StoreError> {
        let owed = std::mem::take(&mut mark.owed);
        if owed.is_empty() {
            return Ok(Go::On);
        }
        let (mut batch, mut failed, mut failed_in_a_row, mut go) = (Vec::new(), Vec::new(), 0, Go::On);
        for (index, id) in owed.iter().enumerate() {
            if failed_in_a_row >= FAILED_IN_A_ROW_MAX {
                mark.owed.extend_from_slice(&owed[index..]);
                break;
            }
            let case = Kept {
                id: id.clone(),
                view: None,
                list: true,
            };
            match self.look_at(case, report) {
                Looked::Taken(taken) => {
                    failed_in_a_row = 0;
                    batch.push(*taken);
                }
                Looked::Gone => failed_in_a_row = 0,
                Looked::Failed => {
                    failed_in_a_row += 1;
                    failed.push(id.clone());
                }
                Looked::Down => {
                    mark.owed.extend_from_slice(&owed[index..]);
                    go = Go::Over;
                    break;
                }
            }
        }
        mark.owed.append(&mut failed);
        match self.store(batch, mark, true, report)? {
            Go::On => Ok(go),
            Go::Over => Ok(Go::Over),
        }
    }

    pub(in super::super) fn look_at(&mut self, case: Kept, report: &mut PassReport) -> Looked {
        let view = match case.view {
            Some(view) => view,
            None => match self.call(&PrimeroCall::ReadCase { id: case.id.clone() }, report) {
                Heard::Reply(PrimeroReply::Case(view)) => view,
                other => return Looked::of(&other),
            },
        };
        if !case.list {
            return Looked::Taken(Box::new(Taken { view, list: None }));
        }
        match self.call(&PrimeroCall::ListReferrals { case: case.id }, report) {
            Heard::Reply(PrimeroReply::Referrals(list)) => Looked::Taken(Box::new(Taken {
                view,
                list: Some(list),
            })),
            other => Looked::of(&other),
        }
    }
}
