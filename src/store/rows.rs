//! What the rows hold, and how they are written down.
//!
//! **Event row.** `version (1) | length of sealed head (2) | sealed head | sealed content`. The sealed head opens to
//! `flags (1) | content key (32, if there is content) | n (1) | n id digests (16 each) | length of history (2) |
//! history as JSON | rest of the head as JSON`; the history stands apart, so that opening the store need not read it.
//! Taking the key and the content out of the row is what erasing means. The id digests say by which ids the event's child is
//! known: they ride in the row, because one more B-tree per intake would cost one more page per event; they move to
//! the link table when the row is retired.
//!
//! **Receipt.** `version (1) | sealed JSON`. **Hand-off entry.** `version (1) | chained hash (32) | sealed entry`.

use super::error::StoreError;
use super::seal::{ContentKey, Digest, Keys};
use super::tables::{Table, seq_key};
use crate::core::event::{Decision, Kind, Payload};
use crate::core::record::{Flow, Head, Moment, Seq, State};
use crate::core::station::StationId;
use crate::core::time::BootId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// First byte of every row this code writes.
const VERSION: u8 = 1;
/// A body may be 256 KiB (design §3); with its head it stays below this.
pub const ROW_BYTES_MAX: usize = 300 * 1024;
/// The length of a sealed head is two bytes.
const HEAD_BYTES_MAX: usize = u16::MAX as usize;

const HAS_CONTENT: u8 = 1;

const PLAIN: &str = "stored values are plain and serialize";

/// A sealed head, opened.
pub(super) struct Envelope {
    pub head: Head,
    pub content_key: Option<ContentKey>,
    pub ids: Vec<Digest>,
}

/// Where in the row a sealed part belongs; bound into its seal.
fn place(part: &[u8; 4], seq: Seq) -> [u8; 17] {
    let mut place = *b"event????????????";
    place[5..9].copy_from_slice(part);
    place[9..].copy_from_slice(&seq_key(seq));
    place
}

/// Writes an event row. `content` is already sealed.
pub(super) fn encode_event(keys: &Keys, envelope: &Envelope, content: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut plain = Vec::with_capacity(1024);
    plain.push(if envelope.content_key.is_some() {
        HAS_CONTENT
    } else {
        0
    });
    plain.extend_from_slice(envelope.content_key.as_ref().map_or(&[][..], |key| &key[..]));
    plain.push(u8::try_from(envelope.ids.len()).expect("a child has few ids"));
    for id in &envelope.ids {
        plain.extend_from_slice(id);
    }
    let mut head = envelope.head.clone();
    let history = serde_json::to_vec(&std::mem::take(&mut head.history)).expect(PLAIN);
    let length = u16::try_from(history.len()).map_err(|_| StoreError::TooLarge {
        bytes: history.len(),
        bytes_max: HEAD_BYTES_MAX,
    })?;
    plain.extend_from_slice(&length.to_be_bytes());
    plain.extend_from_slice(&history);
    serde_json::to_writer(&mut plain, &head).expect(PLAIN);
    let head = keys.seal(Table::Event.index(), &place(b"head", envelope.head.seq), plain);
    let bytes = 3 + head.len() + content.len();
    if bytes > ROW_BYTES_MAX || head.len() > HEAD_BYTES_MAX {
        return Err(StoreError::TooLarge {
            bytes,
            bytes_max: ROW_BYTES_MAX,
        });
    }
    let length = u16::try_from(head.len()).expect("checked above");
    let mut row = Vec::with_capacity(bytes);
    row.push(VERSION);
    row.extend_from_slice(&length.to_be_bytes());
    row.extend_from_slice(&head);
    row.extend_from_slice(content);
    Ok(row)
}

/// The two sealed parts of an event row.
pub(super) fn split_event(row: &[u8]) -> Result<(&[u8], &[u8]), StoreError> {
    let Some((&[VERSION, high, low], rest)) = row.split_first_chunk::<3>() else {
        return Err(Table::Event.damaged());
    };
    rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))
        .ok_or(Table::Event.damaged())
}

/// Opens the head of a row found at `seq`.
pub(super) fn open_head(keys: &Keys, seq: Seq, row: &[u8]) -> Result<Envelope, StoreError> {
    open_envelope(keys, seq, row, &mut Vec::new(), true)
}

/// Opens a head without its history, for looking over many; `scratch` is reused from row to row.
pub(super) fn glance(
    keys: &Keys,
    seq: Seq,
    row: &[u8],
    scratch: &mut Vec<u8>,
) -> Result<Envelope, StoreError> {
    open_envelope(keys, seq, row, scratch, false)
}

fn open_envelope(
    keys: &Keys,
    seq: Seq,
    row: &[u8],
    plain: &mut Vec<u8>,
    with_history: bool,
) -> Result<Envelope, StoreError> {
    let (sealed, _) = split_event(row)?;
    if !keys.open(Table::Event.index(), &place(b"head", seq), sealed, plain) {
        return Err(Table::Event.damaged());
    }
    parse_envelope(plain, with_history)
        .filter(|envelope| envelope.head.seq == seq)
        .ok_or(Table::Event.damaged())
}

fn parse_envelope(plain: &[u8], with_history: bool) -> Option<Envelope> {
    let (&flags, mut rest) = plain.split_first()?;
    let mut content_key = None;
    if flags & HAS_CONTENT != 0 {
        let (key, after) = rest.split_first_chunk::<32>()?;
        content_key = Some(*key);
        rest = after;
    }
    let (&count, mut rest) = rest.split_first()?;
    let mut ids = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (id, after) = rest.split_first_chunk::<16>()?;
        ids.push(*id);
        rest = after;
    }
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (history, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let mut head: Head = serde_json::from_slice(rest).ok()?;
    if with_history {
        head.history = serde_json::from_slice(history).ok()?;
    }
    Some(Envelope {
        head,
        content_key,
        ids,
    })
}

pub(super) fn seal_content(keys: &Keys, key: &ContentKey, seq: Seq, payload: &Payload) -> Vec<u8> {
    let plain = serde_json::to_vec(payload).expect(PLAIN);
    keys.seal_content(key, &place(b"body", seq), plain)
}

/// The content of a row, or nothing if it has been erased.
pub(super) fn open_content(keys: &Keys, seq: Seq, row: &[u8]) -> Result<Option<Payload>, StoreError> {
    open_content_of(keys, &glance(keys, seq, row, &mut Vec::new())?, seq, row)
}

/// The same where the head has been opened already.
pub(super) fn open_content_of(
    keys: &Keys,
    envelope: &Envelope,
    seq: Seq,
    row: &[u8],
) -> Result<Option<Payload>, StoreError> {
    let Some(key) = &envelope.content_key else {
        return Ok(None);
    };
    let (_, sealed) = split_event(row)?;
    let mut plain = Vec::new();
    if !keys.open_content(key, &place(b"body", seq), sealed, &mut plain) {
        return Err(Table::Event.damaged());
    }
    serde_json::from_slice(&plain)
        .map(Some)
        .map_err(|_| Table::Event.damaged())
}

/// Seals a value as JSON for the row `key` of `table`.
pub(super) fn encode_document(keys: &Keys, table: Table, key: &[u8], value: &impl Serialize) -> Vec<u8> {
    let plain = serde_json::to_vec(value).expect(PLAIN);
    let mut row = vec![VERSION];
    row.extend_from_slice(&keys.seal(table.index(), key, plain));
    row
}

pub(super) fn open_document<T: DeserializeOwned>(
    keys: &Keys,
    table: Table,
    key: &[u8],
    row: &[u8],
) -> Result<T, StoreError> {
    let mut plain = Vec::new();
    match row.split_first() {
        Some((&VERSION, sealed)) if keys.open(table.index(), key, sealed, &mut plain) => {
            serde_json::from_slice(&plain).map_err(|_| table.damaged())
        }
        _ => Err(table.damaged()),
    }
}

/// What stays of an event that has left the queue: enough to answer its key as before, and to recognise its
/// referral when a peer speaks of it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub seq: Seq,
    pub key: String,
    #[serde(with = "crate::core::hex")]
    pub body_hash: [u8; 32],
    pub kind: Kind,
    pub flow: Flow,
    pub organization: String,
    pub state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Primero's record id of the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oscar_referrals: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<StationId>,
    pub created: Moment,
    pub closed: Moment,
}

impl Receipt {
    /// The receipt of an event as it stands.
    pub fn of(head: &Head) -> Receipt {
        Receipt {
            seq: head.seq,
            key: head.key.clone(),
            body_hash: head.body_hash,
            kind: head.kind,
            flow: head.flow,
            organization: head.organization.clone(),
            state: head.state,
            decision: head.decision(),
            case_id: head.work.case.as_ref().map(|case| case.id.clone()),
            oscar_referrals: head
                .work
                .services
                .iter()
                .filter_map(|service| service.oscar_referral)
                .collect(),
            station: head.station,
            created: head.created,
            closed: head.changed,
        }
    }
}

/// One outcome in the hand-off log: that an event was handed over, or set aside, or decided. No names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handoff {
    pub seq: Seq,
    /// Keyed digest of the event key.
    pub key: Digest,
    pub body_hash: [u8; 32],
    pub state: State,
    /// A word of the history's vocabulary or a reason code.
    pub outcome: String,
    pub when: Moment,
}

/// Stands for "the clock was not plausible".
const NO_TIME: i64 = i64::MIN;

impl Handoff {
    pub(super) fn encode(&self) -> Vec<u8> {
        let state = State::ALL
            .iter()
            .position(|state| *state == self.state)
            .expect("ALL holds every state");
        let mut plain = Vec::with_capacity(73 + self.outcome.len());
        plain.extend_from_slice(&seq_key(self.seq));
        plain.extend_from_slice(&self.key);
        plain.extend_from_slice(&self.body_hash);
        plain.push(u8::try_from(state).expect("there are five states"));
        plain.extend_from_slice(&self.when.boot.0.to_be_bytes());
        plain.extend_from_slice(&self.when.unix.unwrap_or(NO_TIME).to_be_bytes());
        plain.extend_from_slice(self.outcome.as_bytes());
        plain
    }

    pub(super) fn decode(plain: &[u8]) -> Option<Handoff> {
        let (seq, rest) = plain.split_first_chunk::<8>()?;
        let (key, rest) = rest.split_first_chunk::<16>()?;
        let (body_hash, rest) = rest.split_first_chunk::<32>()?;
        let (&state, rest) = rest.split_first()?;
        let (boot, rest) = rest.split_first_chunk::<8>()?;
        let (unix, outcome) = rest.split_first_chunk::<8>()?;
        let unix = i64::from_be_bytes(*unix);
        Some(Handoff {
            seq: Seq(u64::from_be_bytes(*seq)),
            key: *key,
            body_hash: *body_hash,
            state: *State::ALL.get(usize::from(state))?,
            outcome: String::from_utf8(outcome.to_vec()).ok()?,
            when: Moment {
                boot: BootId(u64::from_be_bytes(*boot)),
                unix: (unix != NO_TIME).then_some(unix),
            },
        })
    }
}
