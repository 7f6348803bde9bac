//! What OSCaR shows of the children of the open referrals, for the reconciliation.

use super::pull::{DEEP_S, Looked};
use super::sink::Glass;
use super::{Go, OscarPass};
use crate::core::element::Element;
use crate::core::exchange::Wire;
use crate::core::reconcile::Shown;
use crate::core::record::Head;
use crate::shell::session::PassReport;
use crate::store::StoreError;
use std::collections::HashMap;

/// The children to look out for, each by its organization and either of its ids, and what was shown of them. Bounded by
/// the events of one look.
#[derive(Default)]
pub struct Children {
    ids: HashMap<(String, String), Option<usize>>,
    shown: Vec<Shown>,
}

impl Children {
    fn wanted(heads: &[Head]) -> Children {
        let ids = heads.iter().flat_map(|head| {
            let ids = ids_of(head).map(str::to_owned);
            ids.map(|id| ((head.organization.clone(), id), None))
        });
        Children {
            ids: ids.collect(),
            shown: Vec::new(),
        }
    }

    /// Notes what an element shows, if it is of one of them. A child may stand in both halves of an answer.
    pub(super) fn note(&mut self, element: &Element) {
        let key = |id: &str| (element.organization.clone(), id.to_owned());
        let keys: Vec<_> = [Some(element.global_id.as_str()), element.external_id.as_deref()]
            .into_iter()
            .flatten()
            .map(key)
            .collect();
        if !keys.iter().any(|key| self.ids.contains_key(key)) {
            return;
        }
        let known = keys.iter().find_map(|key| self.ids.get(key).copied().flatten());
        let index = known.unwrap_or(self.shown.len());
        if index == self.shown.len() {
            self.shown.push(Shown {
                global_id: element.global_id.clone(),
                external_id: None,
                items: Vec::new(),
            });
        }
        let shown = &mut self.shown[index];
        shown.external_id = element.external_id.clone().or(shown.external_id.take());
        for item in &element.items {
            if !shown.items.contains(item) {
                shown.items.push(item.clone());
            }
        }
        self.ids.extend(keys.into_iter().map(|key| (key, Some(index))));
    }

    /// What was shown of an event's child at its organization.
    pub fn of(&self, head: &Head) -> Option<&Shown> {
        let index = ids_of(head).find_map(|id| {
            let key = (head.organization.clone(), id.to_owned());
            self.ids.get(&key).copied().flatten()
        })?;
        self.shown.get(index)
    }
}

fn ids_of(head: &Head) -> impl Iterator<Item = &str> {
    let case = head.work.case.as_ref().map(|case| case.case_id.as_str());
    [head.work.global_id.as_deref(), case].into_iter().flatten()
}

/// How far OSCaR had been seen when it was first told of these or first showed them: what it shows of them has moved
/// since. Nothing if that is not known of one of them.
fn met_since(heads: &[Head]) -> Option<i64> {
    let all: Option<Vec<i64>> = heads.iter().map(|head| head.work.pushed_at).collect();
    all?.into_iter().min()
}

impl<W: Wire> OscarPass<W> {
    /// One look back to where OSCaR first met one of these, sixty days at most, taken in as any pull is; nothing if
    /// OSCaR could not be asked.
    pub(in crate::shell::session) fn look_through(
        &mut self,
        heads: &[Head],
        report: &mut PassReport,
    ) -> Result<Option<Children>, StoreError> {
        self.replayed = false;
        if self.sign_in_if_needed(report)? == Go::Over || self.know_watermark(report)? == Go::Over {
            return Ok(None);
        }
        let mark = self.mark();
        let since = met_since(heads).map_or(mark.since - DEEP_S, |since| {
            since.clamp(mark.since - DEEP_S, mark.since)
        });
        let glass = Glass {
            inbound: self.ground.flows.pull_oscar() && since >= mark.floor,
            ..self.glass(since)
        };
        self.watched = Some(Children::wanted(heads));
        let looked = self.look(glass, None, report);
        let children = self.watched.take();
        Ok(match looked? {
            Looked::Whole(..) | Looked::Unchanged(_) => children,
            Looked::Not => None,
        })
    }
}
