//! Changing the store in a transaction.
//!
//! A [`Tx`] stages its changes in memory and reads through them. They are kept only if the closure that made them
//! returns `Ok`, and reach the file together with those of everybody else in the batch, or not at all.

use super::error::StoreError;
use super::handoff::{self, ChainEnd};
use super::picture::{Change, Counters, Picture};
use super::rows::{self, Envelope, Handoff, Receipt};
use super::seal::{Digest, Keys};
use super::tables::{Snapshot, Staged, Table, document_key, id_key, link_key, seq_key};
use super::view::{BOX, CHECKPOINT, Held, View};
use crate::core::event::Payload;
use crate::core::link::{ChildId, Link};
use crate::core::queue::Entry;
use crate::core::record::{Head, Seq, Subject};
use serde::Serialize;
use std::ops::Deref;
use std::sync::RwLockWriteGuard;

/// A transaction: a [`View`] that can also be changed. Reads see the changes made so far.
pub struct Tx<'a> {
    view: View<'a>,
    /// What the batch does to the picture, and how to take it back, in step with each other.
    forward: Vec<Change>,
    backward: Vec<Change>,
    counters_before: Counters,
}

/// Where a batch stood before a closure ran.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    changes: usize,
    counters: Counters,
}

/// What a batch changes, once it is ready to be committed.
pub(super) struct Batch {
    pub rows: Staged,
    pub changes: Vec<Change>,
    pub counters: Counters,
}

impl<'a> Deref for Tx<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl<'a> Tx<'a> {
    pub(super) fn new(snapshot: Snapshot, keys: &'a Keys, picture: RwLockWriteGuard<'a, Picture>) -> Tx<'a> {
        let counters_before = picture.counters;
        let view = View::new(snapshot, keys, Held::Write(picture));
        Tx {
            view,
            forward: Vec::new(),
            backward: Vec::new(),
            counters_before,
        }
    }

    fn picture(&mut self) -> &mut Picture {
        match &mut self.view.picture {
            Held::Write(guard) => guard,
            Held::Read(_) => {
                unreachable!("a transaction is only ever made with the picture held for writing")
            }
        }
    }

    fn change(&mut self, change: Change) {
        let back = self.picture().apply(change);
        self.forward.push(change);
        self.backward.push(back);
    }

    fn set(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        self.view.own.set(table, key, value);
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            changes: self.forward.len(),
            counters: self.view.picture.counters,
        }
    }

    /// The closure that ran since the last mark succeeded: its changes join the batch.
    pub(super) fn keep(&mut self) {
        self.view.batch.take_over(&mut self.view.own);
    }

    /// The closure that ran since `mark` failed: as if it had not run.
    pub(super) fn take_back(&mut self, mark: Mark) {
        self.view.own.clear();
        self.forward.truncate(mark.changes);
        for change in self.backward.split_off(mark.changes).into_iter().rev() {
            self.picture().apply(change);
        }
        self.picture().counters = mark.counters;
    }

    /// Ends the batch: the picture is left as it was, and what to commit is handed out.
    pub(super) fn finish(mut self) -> Batch {
        let counters = self.view.picture.counters;
        let changes = std::mem::take(&mut self.forward);
        for change in std::mem::take(&mut self.backward).into_iter().rev() {
            self.picture().apply(change);
        }
        let before = self.counters_before;
        self.picture().counters = before;
        Batch {
            rows: self.view.batch,
            changes,
            counters,
        }
    }

    /// Stores a new event. Its seq must be [`View::next_seq`], its key unused.
    ///
    /// `ids` are the ids by which nobody knew the event's child before (see [`View::subject_of`]): they lead to the
    /// head's subject from now on, and outlive the event. An id that leads somewhere already keeps leading there.
    pub fn insert(&mut self, head: &Head, payload: &Payload, ids: &[ChildId]) -> Result<(), StoreError> {
        assert_eq!(
            head.seq,
            self.next_seq(),
            "an event is numbered by next_seq of its own transaction"
        );
        let key = self.key_digest(&head.key);
        assert!(
            self.queue().by_key(&key).is_none(),
            "the caller has looked whether the event key is taken"
        );
        let ids: Vec<Digest> = ids.iter().map(|id| self.id_digest(id)).collect();
        let content_key = self.view.keys.fresh_content_key();
        let content = rows::seal_content(self.view.keys, &content_key, head.seq, payload);
        let envelope = Envelope {
            head: head.clone(),
            content_key: Some(content_key),
            ids,
        };
        self.put_event(&envelope, &content)?;
        for id in envelope.ids {
            if !self.view.picture.ids.contains_key(&id) {
                self.change(Change::Id(id, Some(head.seq)));
            }
        }
        self.picture().counters.next_seq += 1;
        Ok(())
    }

    fn put_event(&mut self, envelope: &Envelope, content: &[u8]) -> Result<(), StoreError> {
        let row = rows::encode_event(self.view.keys, envelope, content)?;
        let head = &envelope.head;
        let bytes = u32::try_from(row.len()).expect("a row is at most ROW_BYTES_MAX");
        let entry = Entry::of(
            head,
            self.key_digest(&head.key),
            bytes,
            envelope.content_key.is_some(),
        );
        self.set(Table::Event, &seq_key(head.seq), Some(row));
        self.change(Change::Entry(head.seq, Some(entry)));
        Ok(())
    }

    /// Stores a changed head; the content stays as it is. Key and body hash never change.
    pub fn update(&mut self, head: &Head) -> Result<(), StoreError> {
        let (mut envelope, row) = self
            .view
            .envelope(head.seq)?
            .ok_or(StoreError::Unknown(head.seq))?;
        assert_eq!(envelope.head.key, head.key, "an event keeps its key");
        envelope.head.clone_from(head);
        let (_, content) = rows::split_event(&row)?;
        self.put_event(&envelope, content)
    }

    /// Stores a changed head with other content, for an event whose sender has corrected it before anything was done
    /// about it. Its key stays.
    pub fn rewrite(&mut self, head: &Head, payload: &Payload) -> Result<(), StoreError> {
        let (mut envelope, _) = self
            .view
            .envelope(head.seq)?
            .ok_or(StoreError::Unknown(head.seq))?;
        assert_eq!(envelope.head.key, head.key, "an event keeps its key");
        let content_key = self.view.keys.fresh_content_key();
        let content = rows::seal_content(self.view.keys, &content_key, head.seq, payload);
        envelope.head.clone_from(head);
        envelope.content_key = Some(content_key);
        self.put_event(&envelope, &content)
    }

    /// Stores a changed head and destroys the event's content together with its key.
    pub fn erase_content(&mut self, head: &Head) -> Result<(), StoreError> {
        let (mut envelope, _) = self
            .view
            .envelope(head.seq)?
            .ok_or(StoreError::Unknown(head.seq))?;
        envelope.head.clone_from(head);
        envelope.content_key = None;
        self.put_event(&envelope, &[])
    }

    /// Takes a closed event out of the queue and leaves a receipt. Its ids move to the link table, and those of its
    /// referrals in Primero with them: one still open there is not taken in anew, whoever asks for it.
    pub fn retire(&mut self, seq: Seq, receipt: &Receipt) -> Result<(), StoreError> {
        let (envelope, _) = self.view.envelope(seq)?.ok_or(StoreError::Unknown(seq))?;
        assert!(
            envelope.head.closed(),
            "an event with something left to happen is never retired"
        );
        let services = envelope.head.work.services.iter();
        let made = services.filter_map(|service| service.referral_id.clone());
        let made: Vec<Digest> = made.map(|id| self.id_digest(&ChildId::Transition(id))).collect();
        for id in envelope.ids.into_iter().chain(made) {
            if self.view.get(Table::Link, &id_key(id))?.is_none() {
                // Found through the picture, not taken from this head: the id may be another event's first.
                let subject = self.view.subject_of_digest(id)?.unwrap_or(envelope.head.subject);
                self.set(Table::Link, &id_key(id), Some(subject.0.to_vec()));
            }
            if self.view.picture.ids.get(&id) == Some(&seq) {
                self.change(Change::Id(id, None));
            }
        }
        let key = self.key_digest(&envelope.head.key);
        let row = rows::encode_document(self.view.keys, Table::Receipt, &key, receipt);
        self.set(Table::Receipt, &key, Some(row));
        self.set(Table::Event, &seq_key(seq), None);
        self.change(Change::Entry(seq, None));
        // The row that remembered this seq is gone; the number must not be given out again.
        if self.picture().counters.state.next_seq <= seq.0 {
            self.change_box(|counters| counters.state.next_seq = counters.next_seq);
        }
        Ok(())
    }

    /// Stores what ties a child to records elsewhere.
    pub fn put_link(&mut self, subject: Subject, link: &Link) {
        let key = link_key(subject);
        let row = rows::encode_document(self.view.keys, Table::Link, &key, link);
        self.set(Table::Link, &key, Some(row));
    }

    /// Makes an id lead to a child, wherever it led before.
    pub fn put_id(&mut self, id: &ChildId, subject: Subject) {
        let key = id_key(self.id_digest(id));
        self.set(Table::Link, &key, Some(subject.0.to_vec()));
    }

    /// Stores a document of the program's own by name.
    pub fn meta_put(&mut self, name: &str, value: &impl Serialize) {
        let key = document_key(self.view.keys.digest("document", name.as_bytes()));
        let row = rows::encode_document(self.view.keys, Table::Meta, &key, value);
        self.set(Table::Meta, &key, Some(row));
    }

    /// Takes away a document of the program's own.
    pub fn meta_remove(&mut self, name: &str) {
        let key = document_key(self.view.keys.digest("document", name.as_bytes()));
        self.set(Table::Meta, &key, None);
    }

    /// Counts a session with the broker and returns its number.
    pub fn next_session(&mut self) -> u64 {
        self.change_box(|counters| counters.state.session += 1);
        self.session()
    }

    /// Remembers a wall time that was believed, so that no later clock below it is.
    pub fn raise_floor(&mut self, unix: i64) {
        if unix > self.floor() {
            self.change_box(|counters| counters.state.floor = unix);
        }
    }

    pub(super) fn change_box(&mut self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.picture().counters);
        let state = self.view.picture.counters.state;
        let row = rows::encode_document(self.view.keys, Table::Meta, BOX, &state);
        self.set(Table::Meta, BOX, Some(row));
    }

    /// Appends the event's present standing to the hand-off log, under a word of the history or a reason code.
    pub fn handoff(&mut self, head: &Head, outcome: &str) -> Result<(), StoreError> {
        let entry = Handoff {
            seq: head.seq,
            key: self.key_digest(&head.key),
            body_hash: head.body_hash,
            state: head.state,
            outcome: outcome.to_owned(),
            when: head.changed,
        };
        let (end, row) = handoff::append(self.view.keys, self.view.picture.counters.chain, &entry);
        self.set(Table::Handoff, &end.n.to_be_bytes(), Some(row));
        let counters = &mut self.picture().counters;
        counters.chain = end;
        counters.chain_rows += 1;
        if counters.chain_rows > handoff::KEPT_MAX {
            self.trim_handoff()
        } else {
            Ok(())
        }
    }

    fn trim_handoff(&mut self) -> Result<(), StoreError> {
        let counters = self.view.picture.counters;
        let first = counters.chain.n + 1 - counters.chain_rows;
        let last = first + handoff::TRIM - 1;
        let row = self
            .get(Table::Handoff, &last.to_be_bytes())?
            .ok_or(Table::Handoff.damaged())?;
        let (hash, _) = handoff::split(&row)?;
        for n in first..=last {
            self.set(Table::Handoff, &n.to_be_bytes(), None);
        }
        let checkpoint = ChainEnd { n: last, hash };
        let row = rows::encode_document(self.view.keys, Table::Meta, CHECKPOINT, &checkpoint);
        self.set(Table::Meta, CHECKPOINT, Some(row));
        self.picture().counters.chain_rows -= handoff::TRIM;
        Ok(())
    }
}
