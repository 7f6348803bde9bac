//! Reading the store: a committed state of the file, with what a transaction has staged laid over it.

use super::error::StoreError;
use super::picture::Picture;
use super::rows::{self, Envelope, Receipt};
use super::seal::{Digest, Keys};
use super::tables::{Snapshot, Staged, Table, document_key, id_key, link_key, seq_key};
use crate::core::event::Payload;
use crate::core::link::{ChildId, Link};
use crate::core::queue::Queue;
use crate::core::record::{Head, Seq, Subject};
use crate::core::time::BootId;
use serde::de::DeserializeOwned;
use std::ops::Deref;
use std::sync::{RwLockReadGuard, RwLockWriteGuard};

/// Fixed names in the meta table.
pub(super) const BOX: &[u8] = b"box";
pub(super) const CHECKPOINT: &[u8] = b"chain";

/// The picture, borrowed to look at or to try changes on.
pub(super) enum Held<'a> {
    Read(RwLockReadGuard<'a, Picture>),
    Write(RwLockWriteGuard<'a, Picture>),
}

impl Deref for Held<'_> {
    type Target = Picture;

    fn deref(&self) -> &Picture {
        match self {
            Held::Read(guard) => guard,
            Held::Write(guard) => guard,
        }
    }
}

/// The store as of one moment, for reading.
pub struct View<'a> {
    snapshot: Snapshot,
    pub(super) keys: &'a Keys,
    pub(super) picture: Held<'a>,
    /// Changes of the closures before this one in the batch.
    pub(super) batch: Staged,
    /// Changes of the closure that runs now.
    pub(super) own: Staged,
}

impl<'a> View<'a> {
    pub(super) fn new(snapshot: Snapshot, keys: &'a Keys, picture: Held<'a>) -> View<'a> {
        View {
            snapshot,
            keys,
            picture,
            batch: Staged::default(),
            own: Staged::default(),
        }
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.own.get(table, key).or_else(|| self.batch.get(table, key)) {
            Some(staged) => Ok(staged.clone()),
            None => self.snapshot.get(table, key),
        }
    }

    fn document<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.get(table, key)?
            .map(|row| rows::open_document(self.keys, table, key, &row))
            .transpose()
    }

    /// The boot this opening of the store began.
    pub fn boot(&self) -> BootId {
        self.picture.counters.state.boot
    }

    /// All stored events in short. In a transaction it includes what the batch has changed so far; in a plain read
    /// it may run one commit behind the rows.
    pub fn queue(&self) -> &Queue {
        &self.picture.queue
    }

    /// The seq the next inserted event gets.
    pub fn next_seq(&self) -> Seq {
        Seq(self.picture.counters.next_seq)
    }

    /// The session counter as it stands.
    pub fn session(&self) -> u64 {
        self.picture.counters.state.session
    }

    /// The highest wall time ever believed, Unix seconds.
    pub fn floor(&self) -> i64 {
        self.picture.counters.state.floor
    }

    /// What stands for an event key in the queue and in the hand-off log.
    pub fn key_digest(&self, key: &str) -> Digest {
        self.keys.digest("key", key.as_bytes())
    }

    pub(super) fn envelope(&self, seq: Seq) -> Result<Option<(Envelope, Vec<u8>)>, StoreError> {
        let Some(row) = self.get(Table::Event, &seq_key(seq))? else {
            return Ok(None);
        };
        let envelope = rows::open_head(self.keys, seq, &row)?;
        Ok(Some((envelope, row)))
    }

    /// The head of a stored event.
    pub fn head(&self, seq: Seq) -> Result<Option<Head>, StoreError> {
        Ok(self.envelope(seq)?.map(|(envelope, _)| envelope.head))
    }

    /// The head of the stored event with this key. An event that has left the queue has a [`View::receipt`].
    pub fn head_by_key(&self, key: &str) -> Result<Option<Head>, StoreError> {
        match self.queue().by_key(&self.key_digest(key)) {
            Some(seq) => self.head(seq),
            None => Ok(None),
        }
    }

    /// Both parts of a stored event at once.
    pub fn event(&self, seq: Seq) -> Result<Option<(Head, Option<Payload>)>, StoreError> {
        let Some((envelope, row)) = self.envelope(seq)? else {
            return Ok(None);
        };
        let payload = rows::open_content_of(self.keys, &envelope, seq, &row)?;
        Ok(Some((envelope.head, payload)))
    }

    /// The content of a stored event; nothing if it has been erased or there is no such event.
    pub fn payload(&self, seq: Seq) -> Result<Option<Payload>, StoreError> {
        match self.get(Table::Event, &seq_key(seq))? {
            Some(row) => rows::open_content(self.keys, seq, &row),
            None => Ok(None),
        }
    }

    /// What stays of an event that has left the queue.
    pub fn receipt(&self, key: &str) -> Result<Option<Receipt>, StoreError> {
        self.document(Table::Receipt, &self.key_digest(key))
    }

    /// What ties a child to records elsewhere.
    pub fn link(&self, subject: Subject) -> Result<Option<Link>, StoreError> {
        self.document(Table::Link, &link_key(subject))
    }

    /// The child an id belongs to.
    pub fn subject_of(&self, id: &ChildId) -> Result<Option<Subject>, StoreError> {
        self.subject_of_digest(self.id_digest(id))
    }

    pub(super) fn subject_of_digest(&self, digest: Digest) -> Result<Option<Subject>, StoreError> {
        if let Some(row) = self.get(Table::Link, &id_key(digest))? {
            return Ok(Some(Subject(row.try_into().map_err(|_| Table::Link.damaged())?)));
        }
        let carrier = self
            .picture
            .ids
            .get(&digest)
            .and_then(|seq| self.queue().get(*seq));
        Ok(carrier.map(|entry| entry.subject))
    }

    pub(super) fn id_digest(&self, id: &ChildId) -> Digest {
        match id {
            ChildId::CaseId(id) => self.keys.digest("case id", id.as_bytes()),
            ChildId::ShortId(id) => self.keys.digest("short id", id.as_bytes()),
            ChildId::GlobalId(id) => self.keys.digest("global id", id.as_bytes()),
            ChildId::Mosvy(id) => self.keys.digest("mosvy", id.as_bytes()),
            ChildId::Transition(id) => self.keys.digest("transition", id.as_bytes()),
            ChildId::OscarReferral(organization, number) => {
                let name = format!("{organization}\0{number}");
                self.keys.digest("oscar referral", name.as_bytes())
            }
            ChildId::Fingerprint(digest) => self.keys.digest("fingerprint", digest),
        }
    }

    /// A document of the program's own (cursors and the like), by name. The name does not appear in the file.
    pub fn meta_get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.document(
            Table::Meta,
            &document_key(self.keys.digest("document", name.as_bytes())),
        )
    }
}
