//! Reconciliation: what both systems show of every open referral beside what this box holds. Whatever a look shows is
//! taken in as a pull would take it in; nothing is written to either system, that is the next session's work.

use super::{PassReport, Session};
use crate::core::exchange::Wire;
use crate::core::reconcile::{AtOscar, AtPrimero, EVENTS_MAX, Report, Row, open, renew};
use crate::core::record::{Head, Seq};
use crate::core::status::stamp;
use crate::store::{StoreError, View};

/// Name of the sealed document that keeps the last report.
const LAST: &str = "reconciliation";

/// The last report, if there is one.
pub fn last_report(view: &View<'_>) -> Result<Option<Report>, StoreError> {
    view.meta_get(LAST)
}

impl<P: Wire, O: Wire> Session<P, O> {
    /// Looks at the open referrals, oldest first, at most [`EVENTS_MAX`] of them and on from where the last look
    /// ended. The report replaces the last one in the store. Nothing if the look was cut short: the next begins where
    /// this one did.
    pub fn reconcile(&mut self) -> Result<Option<Report>, StoreError> {
        let ground = self.primero.ground().clone();
        let (before, all, next) = ground.store.read(chosen)?;
        let (mut primero, mut oscar) = (PassReport::default(), PassReport::default());
        // With nothing open there is nothing to ask for.
        let (cases, children) = if before.is_empty() {
            (Vec::new(), None)
        } else {
            let cases = self.primero.look_through(&before, &mut primero)?;
            self.oscar.ledger_whole = self.primero.caught_up()?;
            let cut = ground.stopping();
            (
                cases,
                if cut {
                    None
                } else {
                    self.oscar.look_through(&before, &mut oscar)?
                },
            )
        };
        if ground.stopping() {
            return Ok(None);
        }
        self.renew(&before, &cases)?;
        let after = ground.store.read(|view| {
            let heads = before.iter().map(|head| view.head(head.seq));
            heads.collect::<Result<Vec<Option<Head>>, StoreError>>()
        })?;
        let mut rows = Vec::new();
        for ((before, after), case) in before.iter().zip(after).zip(cases) {
            let after = after.as_ref().unwrap_or(before);
            for (index, in_primero) in case.into_iter().enumerate() {
                let in_oscar = match &children {
                    Some(children) => AtOscar::of(children.of(after), &before.work.services[index]),
                    None => AtOscar::Unread,
                };
                let mapping = &ground.site.mapping;
                rows.extend(Row::of(before, after, index, in_primero, in_oscar, mapping));
            }
        }
        let word = |pass: &PassReport| pass.trouble.map(|trouble| trouble.word().to_owned());
        let report = Report {
            at: ground.moment().unix.and_then(stamp),
            open: all,
            looked_at: before.len(),
            next: next.map(|seq| seq.0),
            primero: word(&primero),
            oscar: word(&oscar),
            rows,
        };
        let kept = report.clone();
        ground.store.write(move |tx| {
            tx.meta_put(LAST, &kept);
            Ok::<_, StoreError>(())
        })?;
        Ok(Some(report))
    }

    /// Queues what the status fields have lost.
    fn renew(&self, before: &[Head], cases: &[Vec<AtPrimero>]) -> Result<(), StoreError> {
        let ground = self.primero.ground();
        for (head, shown) in before.iter().zip(cases).filter(|_| ground.flows.decisions) {
            let (seq, shown, site, at) = (head.seq, shown.clone(), ground.site.clone(), ground.moment());
            if renew(&mut head.clone(), &shown, &site.mapping, at) {
                ground.store.write(move |tx| {
                    if let Some(mut head) = tx.head(seq)?
                        && renew(&mut head, &shown, &site.mapping, at)
                    {
                        tx.update(&head)?;
                    }
                    Ok::<_, StoreError>(())
                })?;
            }
        }
        Ok(())
    }
}

/// The events to look at, how many are open, and where the next look goes on.
fn chosen(view: &View<'_>) -> Result<(Vec<Head>, usize, Option<Seq>), StoreError> {
    let from = last_report(view)?.and_then(|last| last.next).unwrap_or(0);
    let chosen = chosen_from(view, from)?;
    if from > 0 && chosen.0.is_empty() {
        return chosen_from(view, 0);
    }
    Ok(chosen)
}

fn chosen_from(view: &View<'_>, from: u64) -> Result<(Vec<Head>, usize, Option<Seq>), StoreError> {
    let (mut chosen, mut all, mut next) = (Vec::new(), 0, None);
    for entry in view.queue().iter() {
        if !(entry.state.open() || entry.undecided || entry.next_peer.is_some()) {
            continue;
        }
        let Some(head) = view.head(entry.seq)?.filter(open) else {
            continue;
        };
        all += 1;
        if entry.seq.0 < from {
            continue;
        }
        if chosen.len() < EVENTS_MAX {
            chosen.push(head);
        } else {
            next = next.or(Some(entry.seq));
        }
    }
    Ok((chosen, all, next))
}
