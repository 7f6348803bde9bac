//! Questions about stored events and the few things a person may do with them.

use super::refusal::LOCKED;
use super::story::{event_line, story};
use crate::core::event::{Kind, Payload};
use crate::core::outbox::{self, NotNow, Verdict};
use crate::core::queue::Entry;
use crate::core::record::{Head, Moment, Peer, Seq, State, what};
use crate::core::station::{StationId, may_see};
use crate::shell::desk::locked;
use crate::store::{Store, StoreError, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most events of one answer: about 700 KB while it is made. A full queue comes in a hundred of them.
pub const PAGE_MAX: usize = 250;
/// Most events a station is shown of its own.
pub const OWN_MAX: usize = 50;

/// What somebody wants of the stored events. Travels as JSON over the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum Order {
    /// All events, or those in one state; oldest first, [`PAGE_MAX`] at a time. The answer's `next`, if there is one,
    /// is the `after` that goes on from there.
    List {
        state: Option<State>,
        after: Option<Seq>,
    },
    /// One event's story; `reveal` opens the sealed part.
    Show {
        key: String,
        reveal: bool,
    },
    Requeue {
        key: String,
        who: String,
    },
    Discard {
        key: String,
        who: String,
        note: String,
    },
    Resolve {
        key: String,
        who: String,
        verdict: Settlement,
    },
}

/// [`Verdict`] as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    Arrived,
    NotArrived,
    Settled,
    TakeOscar,
    TakePrimero,
}

impl From<Settlement> for Verdict {
    fn from(settlement: Settlement) -> Verdict {
        match settlement {
            Settlement::Arrived => Verdict::Arrived,
            Settlement::NotArrived => Verdict::NotArrived,
            Settlement::Settled => Verdict::Settled,
            Settlement::TakeOscar => Verdict::Take(Peer::Oscar),
            Settlement::TakePrimero => Verdict::Take(Peer::Primero),
        }
    }
}

/// A status in HTTP's sense and a JSON body; the command line prints the body or its `text`.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    pub fn ok(body: Value) -> Answer {
        Answer { status: 200, body }
    }

    /// A refusal with a code for programs and a sentence for people.
    pub fn refusal(status: u16, code: &str, reason: &str) -> Answer {
        Answer {
            status,
            body: json!({ "error": code, "reason": reason }),
        }
    }
}

/// Why a change was not made.
enum No {
    NotFound,
    NotNow(NotNow),
    Store(StoreError),
}

impl From<StoreError> for No {
    fn from(error: StoreError) -> No {
        No::Store(error)
    }
}

impl From<No> for Answer {
    fn from(no: No) -> Answer {
        match no {
            No::NotFound => Answer::refusal(404, "not_found", "no event with this key"),
            No::NotNow(NotNow(why)) => Answer::refusal(409, "not_now", why),
            No::Store(error) => Answer::refusal(503, "store", &error.to_string()),
        }
    }
}

impl Order {
    /// Carries the order out. `unix` is the wall clock where it is plausible.
    pub fn carry_out(self, store: &Store, unix: Option<i64>) -> Answer {
        match self {
            Order::List { state, after } => {
                list(store, state, after).unwrap_or_else(|error| No::Store(error).into())
            }
            Order::Show { key, reveal } => {
                story_of(store, &key, reveal, None).unwrap_or_else(|error| No::Store(error).into())
            }
            Order::Requeue { key, who } => {
                change(store, key, unix, move |head, at| outbox::requeue(head, at, &who))
            }
            Order::Discard { key, who, note } => {
                let note = note.trim().to_owned();
                if note.is_empty() {
                    return Answer::refusal(422, "note_required", "say why with --note");
                }
                change(store, key, unix, move |head, at| {
                    outbox::discard(head, at, &who, &note)
                })
            }
            Order::Resolve { key, who, verdict } => change(store, key, unix, move |head, at| {
                outbox::resolve(head, at, verdict.into(), &who)
            }),
        }
    }
}

fn list(store: &Store, state: Option<State>, after: Option<Seq>) -> Result<Answer, StoreError> {
    let mut wanted: Vec<Seq> = store.queue(|queue| {
        let fits = |entry: &&Entry| Some(entry.seq) > after && state.is_none_or(|state| entry.state == state);
        let wanted = queue.iter().filter(fits).map(|entry| entry.seq);
        wanted.take(PAGE_MAX + 1).collect()
    });
    let more = wanted.len() > PAGE_MAX;
    wanted.truncate(PAGE_MAX);
    let next = wanted.last().copied().filter(|_| more);
    let mut answer = lines(store, wanted)?;
    if let Some(next) = next {
        answer.body["next"] = json!(next);
    }
    Ok(answer)
}

fn lines(store: &Store, wanted: Vec<Seq>) -> Result<Answer, StoreError> {
    let mut events = Vec::with_capacity(wanted.len());
    for seq in wanted {
        if let Some(head) = store.read(|view| view.head(seq))? {
            events.push(event_line(&head));
        }
    }
    Ok(Answer::ok(json!({ "events": events })))
}

/// One event's story without its content. Where a station asks, the event must be its own: another's is not there.
pub fn show(store: &Store, key: &str, sender: Option<StationId>) -> Answer {
    story_of(store, key, false, sender).unwrap_or_else(|error| No::Store(error).into())
}

/// The newest events a station has sent, as the listing shows them.
pub fn newest_of(store: &Store, station: StationId) -> Answer {
    let wanted: Vec<Seq> = store.queue(|queue| {
        let own = queue.iter().rev().filter(|entry| entry.station == Some(station));
        own.map(|entry| entry.seq).take(OWN_MAX).collect()
    });
    lines(store, wanted).unwrap_or_else(|error| No::Store(error).into())
}

/// Events in a diagnosis: of those that need a person, and of the others, the newest so many.
const DIAGNOSED_MAX: usize = 250;

/// What maintainers look at: events that need a person, and the newest of the others, oldest first. Without their
/// keys: senders make those, and may put anything into them.
pub fn worth_a_look(store: &Store) -> Result<Value, StoreError> {
    let mut wanted: Vec<Seq> = store.queue(|queue| {
        let stuck = |entry: &&Entry| matches!(entry.state, State::Parked | State::InDoubt);
        let newest = |wanted: bool| queue.iter().rev().filter(move |entry| stuck(entry) == wanted);
        let both = newest(true)
            .take(DIAGNOSED_MAX)
            .chain(newest(false).take(DIAGNOSED_MAX));
        both.map(|entry| entry.seq).collect()
    });
    wanted.sort_unstable();
    let mut events = lines(store, wanted)?.body["events"].take();
    for event in events.as_array_mut().into_iter().flatten() {
        event
            .as_object_mut()
            .and_then(|fields| fields.remove("event_key"));
    }
    Ok(events)
}

fn story_of(store: &Store, key: &str, reveal: bool, sender: Option<StationId>) -> Result<Answer, StoreError> {
    store.read(|view| {
        if let Some(head) = view.head_by_key(key)? {
            if !may_see(sender, head.station) {
                return Ok(No::NotFound.into());
            }
            if reveal && locked(view)? {
                return Ok(Answer::refusal(403, "locked", LOCKED));
            }
            let payload = if reveal { view.payload(head.seq)? } else { None };
            return Ok(Answer::ok(story(&head, payload.as_ref(), reveal)));
        }
        Ok(match view.receipt(key)? {
            Some(receipt) if may_see(sender, receipt.station) => {
                Answer::ok(super::story::receipt(key, &receipt))
            }
            Some(_) | None => No::NotFound.into(),
        })
    })
}

fn change(
    store: &Store,
    key: String,
    unix: Option<i64>,
    act: impl FnOnce(&mut Head, Moment) -> Result<(), NotNow> + Send + 'static,
) -> Answer {
    let done = store.write(move |tx: &mut Tx<'_>| {
        let mut head = tx.head_by_key(&key)?.ok_or(No::NotFound)?;
        let at = Moment {
            boot: tx.boot(),
            unix,
        };
        let before = head.state;
        act(&mut head, at).map_err(No::NotNow)?;
        tx.update(&head)?;
        if head.state != before {
            close_withdrawn(tx, &head, at)?;
            tx.handoff(&head, head.state.word())?;
        }
        Ok::<Value, No>(event_line(&head))
    });
    done.map_or_else(Answer::from, Answer::ok)
}

/// A withdrawal that a person has settled, because the NGO knows by now, closes its referral: nobody decides on it any more.
fn close_withdrawn(tx: &mut Tx<'_>, head: &Head, at: Moment) -> Result<(), StoreError> {
    let over = head.kind == Kind::Withdraw && head.state == State::Delivered;
    let payload = if over { tx.payload(head.seq)? } else { None };
    let Some(key) = payload.as_ref().and_then(Payload::target) else {
        return Ok(());
    };
    match tx.head_by_key(key)? {
        Some(mut target) if target.state == State::Delivered => {
            outbox::put_right(&mut target.work);
            target.note(at, what::WITHDRAWN, "and the NGO knows");
            tx.update(&target)
        }
        _ => Ok(()),
    }
}
