//! Storing what a pull shows while it is still arriving, one child at a time. Only children of our organizations that
//! a link leads to are kept.

use crate::core::event::Kind;
use crate::core::exchange::AnswerHead;
use crate::core::link::ChildId;
use crate::core::record::{Head, Subject};
use crate::core::sighting::{Element, take_in};
use crate::peers::oscar::{self, PullRead};
use crate::shell::session::{Ground, settle};
use crate::store::{StoreError, View};
use std::io::Read;

/// Matched children stored per transaction: bounds memory and the size of a commit.
const BATCH: usize = 32;

/// What has been read of a pull so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub elements: u64,
    pub confirmed: u32,
    pub whole: bool,
}

/// Stores matched children while the answer is still arriving.
pub(super) struct Sink<'a> {
    organizations: &'a [String],
    ground: &'a Ground,
    batch: Vec<Element>,
    tally: Tally,
    failed: Option<StoreError>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(organizations: &'a [String], ground: &'a Ground) -> Sink<'a> {
        Sink {
            organizations,
            ground,
            batch: Vec::new(),
            tally: Tally::default(),
            failed: None,
        }
    }

    pub(super) fn read(&mut self, head: &AnswerHead, body: &mut dyn Read) {
        if head.status != 200 || !head.json {
            return;
        }
        let PullRead { elements, whole, .. } =
            oscar::read_pull(body, &crate::shell::identity::sha256, &mut |element| {
                self.element(element)
            });
        self.tally.elements += elements;
        self.tally.whole = whole;
    }

    fn element(&mut self, element: Element) {
        if self.failed.is_some() || !self.organizations.contains(&element.organization) {
            return;
        }
        match self.wanted(&element) {
            Ok(true) => self.batch.push(element),
            Ok(false) => {}
            Err(error) => self.failed = Some(error),
        }
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// A link leads to this child, and the element says something new.
    fn wanted(&self, element: &Element) -> Result<bool, StoreError> {
        self.ground.store.read(|view| {
            let Some(subject) = subject_of(view, element)? else {
                return Ok(false);
            };
            let link = view.link(subject)?.unwrap_or_default();
            Ok(link
                .at(&element.organization)
                .is_none_or(|seen| seen.digest != element.digest))
        })
    }

    fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() || self.failed.is_some() {
            return;
        }
        let (site, at) = (self.ground.site.clone(), self.ground.moment());
        let stored = self.ground.store.write(move |tx| {
            let mut confirmed = 0;
            for element in &batch {
                let Some(subject) = subject_of(tx, element)? else {
                    continue;
                };
                let mut link = tx.link(subject)?.unwrap_or_default();
                let seqs: Vec<_> = tx
                    .queue()
                    .iter()
                    .filter(|entry| entry.subject == subject)
                    .map(|entry| entry.seq)
                    .collect();
                let mut heads: Vec<Head> = Vec::new();
                for seq in seqs {
                    let head = tx.head(seq)?;
                    heads.extend(head.filter(|h| h.kind == Kind::Referral && h.flow.to_oscar()));
                }
                let news = take_in(element, &mut link, &mut heads, &site.mapping, at);
                if news.link {
                    tx.put_link(subject, &link);
                    tx.put_id(&ChildId::GlobalId(element.global_id.clone()), subject);
                }
                for index in news.heads {
                    settle(tx, &heads[index])?;
                    confirmed += 1;
                }
            }
            Ok::<u32, StoreError>(confirmed)
        });
        match stored {
            Ok(confirmed) => self.tally.confirmed += confirmed,
            Err(error) => self.failed = Some(error),
        }
    }

    pub(super) fn finish(mut self) -> (Tally, Result<(), StoreError>) {
        self.flush();
        (self.tally, self.failed.map_or(Ok(()), Err))
    }
}

/// The subject an element belongs to: by the Primero id we gave OSCaR, else by OSCaR's own number.
fn subject_of(view: &View<'_>, element: &Element) -> Result<Option<Subject>, StoreError> {
    if let Some(external) = &element.external_id
        && let Some(subject) = view.subject_of(&ChildId::CaseId(external.clone()))?
    {
        return Ok(Some(subject));
    }
    view.subject_of(&ChildId::GlobalId(element.global_id.clone()))
}
