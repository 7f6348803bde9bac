//! What the broker knows: who is connected, what is retained, what was published. One lock over all of it, so
//! that every client and every test sees the same order of events.
//!
//! Nothing here waits for a client: a packet goes to the client's queue or, when that is full, the client is
//! cut, which counts as an abrupt loss.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::Message;
use super::packet::{self, ACCEPTED, NOT_GRANTED};
use super::topic;

/// The log keeps this many messages, enough for any one test; the oldest go first.
const LOG_MAX: usize = 20_000;

/// Topics; a hundred gateways with five channels each and a few alerts take a third of this.
const RETAINED_MAX: usize = 2_000;

/// Packets that may wait for one client: whoever asks for `#` gets all that is retained at once, and then more.
pub(super) const OUTBOX_MAX: usize = 2 * RETAINED_MAX;

/// Messages that one client may leave unacknowledged; the same reason.
const UNACKED_MAX: usize = OUTBOX_MAX;

/// Filters that one client may hold; the gateway needs one.
const FILTERS_MAX: usize = 100;

/// Everything behind its lock.
#[derive(Default)]
pub(super) struct Hub {
    state: Mutex<State>,
    published: Condvar,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<u64, Session>,
    last_session: u64,
    retained: BTreeMap<String, Message>,
    log: VecDeque<Message>,
    /// How many messages have left the log at its front.
    forgotten: u64,
}

/// A connected client.
pub(super) struct Session {
    client_id: String,
    will: Option<Message>,
    /// To the client's writing thread.
    outbox: SyncSender<Vec<u8>>,
    /// For cutting the client off.
    socket: TcpStream,
    filters: BTreeMap<String, u8>,
    last_id: u16,
    unacked: BTreeSet<u16>,
}

/// The client's queue is full or closed, or it leaves too much unacknowledged.
struct Stuck;

impl Session {
    pub(super) fn new(
        client_id: String,
        will: Option<Message>,
        outbox: SyncSender<Vec<u8>>,
        socket: TcpStream,
    ) -> Session {
        Session {
            client_id,
            will,
            outbox,
            socket,
            filters: BTreeMap::new(),
            last_id: 0,
            unacked: BTreeSet::new(),
        }
    }

    fn send(&self, packet: Vec<u8>) -> Result<(), Stuck> {
        self.outbox.try_send(packet).map_err(|_| Stuck)
    }

    /// One copy however many filters match, at the best QoS among them.
    fn offer(&mut self, message: &Message) -> Result<(), Stuck> {
        let matching = self
            .filters
            .iter()
            .filter(|(filter, _)| topic::matches(filter, &message.topic));
        match matching.map(|(_, qos)| *qos).max() {
            Some(qos) => self.deliver(message, qos, false),
            None => Ok(()),
        }
    }

    fn deliver(&mut self, message: &Message, granted: u8, retained: bool) -> Result<(), Stuck> {
        let id = if message.qos.min(granted) == 0 {
            None
        } else {
            Some(self.fresh_id()?)
        };
        self.send(packet::publish(message, retained, id))
    }

    fn fresh_id(&mut self) -> Result<u16, Stuck> {
        if self.unacked.len() >= UNACKED_MAX {
            return Err(Stuck);
        }
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.unacked.insert(self.last_id) {
                return Ok(self.last_id);
            }
        }
    }
}

impl State {
    /// Log, retain and forward a message, and the wills of those who turn out to be lost on the way.
    fn publish(&mut self, message: Message) {
        let mut due = VecDeque::from([message]);
        while let Some(message) = due.pop_front() {
            let mut stuck = Vec::new();
            for (number, session) in &mut self.sessions {
                if session.offer(&message).is_err() {
                    stuck.push(*number);
                }
            }
            for number in stuck {
                due.extend(self.cut(number));
            }
            match (message.retained, message.payload.is_empty()) {
                (true, true) => drop(self.retained.remove(&message.topic)),
                (true, false) => drop(self.retained.insert(message.topic.clone(), message.clone())),
                (false, _) => {}
            }
            if self.log.len() == LOG_MAX {
                self.log.pop_front();
                self.forgotten += 1;
            }
            self.log.push_back(message);
        }
    }

    /// End a session from this side; its will is the caller's to publish.
    fn cut(&mut self, number: u64) -> Option<Message> {
        let session = self.sessions.remove(&number)?;
        // Already gone is as good as closed.
        let _ = session.socket.shutdown(Shutdown::Both);
        session.will
    }

    /// Send packets to one client, cutting it if it is stuck.
    fn attend(&mut self, number: u64, act: impl FnOnce(&mut Session, &State) -> Result<(), Stuck>) {
        // Taken out, so that the rest can be read meanwhile.
        let Some(mut session) = self.sessions.remove(&number) else {
            return;
        };
        let outcome = act(&mut session, self);
        self.sessions.insert(number, session);
        if outcome.is_err()
            && let Some(will) = self.cut(number)
        {
            self.publish(will);
        }
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the broker's lock is never poisoned")
    }

    /// Let a client in and answer its CONNECT. Whoever holds the same client id is cut first, will and all.
    pub(super) fn join(&self, session: Session) -> u64 {
        let mut state = self.lock();
        let rival = state
            .sessions
            .iter()
            .find(|(_, other)| !session.client_id.is_empty() && other.client_id == session.client_id)
            .map(|(number, _)| *number);
        if let Some(will) = rival.and_then(|number| state.cut(number)) {
            state.publish(will);
            self.published.notify_all();
        }
        state.last_session += 1;
        let number = state.last_session;
        state.sessions.insert(number, session);
        state.attend(number, |session, _| session.send(packet::connack(ACCEPTED)));
        number
    }

    /// A client is gone; its will is published unless it said goodbye. Nothing happens if it was cut before.
    pub(super) fn leave(&self, number: u64, goodbye: bool) {
        let mut state = self.lock();
        let will = state.sessions.remove(&number).and_then(|session| session.will);
        if let Some(will) = will
            && !goodbye
        {
            state.publish(will);
            self.published.notify_all();
        }
    }

    /// Whether a message may be published: not if it would retain yet another topic beyond the bound.
    pub(super) fn has_room_for(&self, message: &Message) -> bool {
        let state = self.lock();
        !message.retained
            || message.payload.is_empty()
            || state.retained.len() < RETAINED_MAX
            || state.retained.contains_key(&message.topic)
    }

    pub(super) fn publish(&self, message: Message) {
        self.lock().publish(message);
        self.published.notify_all();
    }

    /// Grant filters and send what is retained under them.
    pub(super) fn subscribe(&self, number: u64, id: u16, filters: Vec<(String, u8)>) {
        self.lock().attend(number, |session, state| {
            let mut granted = Vec::new();
            let mut taken = Vec::new();
            for (filter, qos) in filters {
                let full = session.filters.len() >= FILTERS_MAX && !session.filters.contains_key(&filter);
                if full {
                    granted.push(NOT_GRANTED);
                    continue;
                }
                let qos = qos.min(1);
                granted.push(qos);
                session.filters.insert(filter.clone(), qos);
                taken.push((filter, qos));
            }
            session.send(packet::suback(id, &granted))?;
            for (filter, qos) in taken {
                for message in state.retained.values() {
                    if topic::matches(&filter, &message.topic) {
                        session.deliver(message, qos, true)?;
                    }
                }
            }
            Ok(())
        });
        self.published.notify_all();
    }

    pub(super) fn unsubscribe(&self, number: u64, id: u16, filters: &[String]) {
        self.lock().attend(number, |session, _| {
            for filter in filters {
                session.filters.remove(filter);
            }
            session.send(packet::unsuback(id))
        });
        self.published.notify_all();
    }

    /// The client has the message of this id.
    pub(super) fn acknowledged(&self, number: u64, id: u16) {
        if let Some(session) = self.lock().sessions.get_mut(&number) {
            session.unacked.remove(&id);
        }
    }

    pub(super) fn retained(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.lock();
        let pair = |(topic, message): (&String, &Message)| (topic.clone(), message.payload.clone());
        state.retained.iter().map(pair).collect()
    }

    pub(super) fn log(&self) -> Vec<Message> {
        self.lock().log.iter().cloned().collect()
    }

    pub(super) fn clear_log(&self) {
        let mut state = self.lock();
        state.forgotten += state.log.len() as u64;
        state.log.clear();
    }

    pub(super) fn wait_for(
        &self,
        is_wanted: &dyn Fn(&Message) -> bool,
        timeout: Duration,
    ) -> Option<Message> {
        let end = Instant::now() + timeout;
        let mut seen = 0;
        let mut state = self.lock();
        loop {
            let known = state.forgotten + state.log.len() as u64;
            let skip = usize::try_from(seen.max(state.forgotten) - state.forgotten).unwrap_or(usize::MAX);
            let fresh: Vec<Message> = state.log.iter().skip(skip).cloned().collect();
            seen = known;
            // Asked without the lock: the question may look at the broker again.
            drop(state);
            if let Some(found) = fresh.into_iter().find(|message| is_wanted(message)) {
                return Some(found);
            }
            state = self.lock();
            while state.forgotten + state.log.len() as u64 == seen {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                state = self
                    .published
                    .wait_timeout(state, left)
                    .expect("the broker's lock is never poisoned")
                    .0;
            }
        }
    }
}
