//! Storing what a pull shows while it is still arriving, one child at a time. Only children of our organizations are
//! kept, and of those only the ones a link leads to or who must be brought to Primero.

use super::look_through::Children;
use super::take::{Taken, Taking};
use crate::core::element::{Element, Shape};
use crate::core::exchange::AnswerHead;
use crate::core::link::ChildId;
use crate::core::planted::{Defect, planted};
use crate::core::record::{Seq, State, Subject};
use crate::peers::oscar::{self, PullRead};
use crate::shell::session::Ground;
use crate::store::{StoreError, Tx, View};
use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

/// Matched children stored per transaction: bounds memory and the size of a commit.
const BATCH: usize = 32;

/// How one look into OSCaR differs from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glass {
    /// What is selected: changed since then, Unix seconds of OSCaR's clock.
    pub since: i64,
    /// Or created since then and until now.
    pub until: Option<i64>,
    /// New referrals and shared children are taken in. Not where the look goes back before what the operator chose.
    pub inbound: bool,
    /// All of our own pushes that Primero can tell of are in the ledger.
    pub ledger_whole: bool,
}

/// What has been read of a pull so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub elements: u64,
    pub confirmed: u32,
    pub parked: u32,
    pub whole: bool,
    /// Something had to be left for another time: the watermark must not pass it.
    pub held: bool,
    /// A child did not fit into the store.
    pub misshapen: bool,
}

/// Stores matched children while the answer is still arriving.
pub(super) struct Sink<'a> {
    ground: &'a Ground,
    glass: Glass,
    /// Children whose showing is noted, whether it is news or not.
    watched: Option<&'a mut Children>,
    /// Children of whom OSCaR was told something that no pull has shown: looked at though nothing has changed.
    told: HashSet<Subject>,
    date: Option<i64>,
    batch: Vec<Element>,
    tally: Tally,
    failed: Option<StoreError>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(ground: &'a Ground, glass: Glass, watched: Option<&'a mut Children>) -> Sink<'a> {
        let told = ground.store.queue(|queue| {
            let told = queue
                .iter()
                .filter(|entry| entry.told && entry.state == State::Delivered);
            told.map(|entry| entry.subject).collect()
        });
        Sink {
            ground,
            glass,
            watched,
            told,
            date: None,
            batch: Vec::new(),
            tally: Tally::default(),
            failed: None,
        }
    }

    pub(super) fn read(&mut self, head: &AnswerHead, body: &mut dyn Read) {
        if head.status != 200 || !head.json {
            return;
        }
        self.date = head.date;
        let PullRead {
            elements,
            too_large,
            whole,
            ..
        } = oscar::read_pull(body, &crate::shell::identity::sha256, &mut |element| {
            self.element(element)
        });
        self.tally.held |= too_large > 0;
        self.tally.misshapen |= too_large > 0;
        self.tally.elements += elements;
        self.tally.whole = whole;
    }

    fn element(&mut self, element: Element) {
        if self.failed.is_some() {
            return;
        }
        if let Some(watched) = &mut self.watched {
            watched.note(&element);
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

    /// The element says something new of a child we know, or of one that has to be brought to Primero.
    fn wanted(&self, element: &Element) -> Result<bool, StoreError> {
        let ours = self.ground.relays_for(&element.organization);
        self.ground.store.read(|view| {
            let Some(subject) = subject_of(view, element)? else {
                return Ok(ours && self.new_to_primero(element));
            };
            let link = view.link(subject)?.unwrap_or_default();
            if !ours {
                let knows = !element.global_id.is_empty()
                    && link.sightings.iter().any(|s| s.global_id == element.global_id);
                return Ok(knows && (!link.elsewhere || super::take::linked_elsewhere(&link, element)));
            }
            let seen = link
                .at(&element.organization)
                .is_some_and(|seen| seen.has(element));
            let echo = planted(Defect::EchoNotSuppressed);
            Ok(!seen || echo || self.told.contains(&subject))
        })
    }

    fn new_to_primero(&self, element: &Element) -> bool {
        let flows = &self.ground.flows;
        let referred =
            element.shape == Shape::Referred && element.items.iter().any(|item| item.status == "Referred");
        self.glass.inbound
            && ((flows.oscar_to_primero && referred)
                || (flows.shares_cases() && element.external_id.is_none()))
    }

    /// A child that does not fit is left out alone: it holds the watermark, and nobody else up.
    fn flush(&mut self) {
        let batch = Arc::new(std::mem::take(&mut self.batch));
        if batch.is_empty() || self.failed.is_some() {
            return;
        }
        match self.store(&batch, 0..batch.len()) {
            Err(StoreError::TooLarge { .. }) => {
                for one in 0..batch.len() {
                    match self.store(&batch, one..one + 1) {
                        Err(StoreError::TooLarge { .. }) => {
                            self.tally.held = true;
                            self.tally.misshapen = true;
                        }
                        stored => self.failed = stored.err().or(self.failed.take()),
                    }
                }
            }
            stored => self.failed = stored.err(),
        }
    }

    fn store(&mut self, batch: &Arc<Vec<Element>>, these: Range<usize>) -> Result<(), StoreError> {
        let batch = Arc::clone(batch);
        let taking = Taking::new(self.ground, self.glass, self.date);
        let echo = planted(Defect::EchoNotSuppressed);
        let stored = self.ground.store.write(move |tx| {
            let mut all = Taken::default();
            for element in &batch[these] {
                all.add(taking.take(tx, element)?);
                if echo {
                    answer_the_echo(tx, element)?;
                }
            }
            Ok::<Taken, StoreError>(all)
        });
        let taken = stored?;
        self.tally.confirmed += taken.confirmed;
        self.tally.parked += taken.parked;
        self.tally.held |= taken.held;
        Ok(())
    }

    pub(super) fn finish(mut self) -> (Tally, Result<(), StoreError>) {
        self.flush();
        (self.tally, self.failed.map_or(Ok(()), Err))
    }
}

/// The planted defect: what was written because of this element counts as not written.
fn answer_the_echo(tx: &mut Tx<'_>, element: &Element) -> Result<(), StoreError> {
    let subject = subject_of(tx, element)?;
    let entries = tx.queue().iter().filter(|entry| Some(entry.subject) == subject);
    let seqs: Vec<Seq> = entries.map(|entry| entry.seq).collect();
    for seq in seqs {
        if let Some(mut head) = tx.head(seq)? {
            for service in &mut head.work.services {
                (service.referral_decided, service.decision_written) = (false, false);
            }
            tx.update(&head)?;
        }
    }
    Ok(())
}

/// The subject an element belongs to: by the Primero id we gave OSCaR, else by OSCaR's own number.
pub(super) fn subject_of(view: &View<'_>, element: &Element) -> Result<Option<Subject>, StoreError> {
    if let Some(external) = &element.external_id
        && let Some(subject) = view.subject_of(&ChildId::CaseId(external.clone()))?
    {
        return Ok(Some(subject));
    }
    view.subject_of(&ChildId::GlobalId(element.global_id.clone()))
}
