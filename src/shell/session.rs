//! One session: a pass at each peer in turn, again while there is progress, then a report.
//!
//! A pass works at its peer for one [`TURN`] and leaves the rest to its next one: over a bad line a long queue would
//! otherwise be with Primero for hours before the first NGO hears of a child, and whatever urgent comes meanwhile would
//! wait behind all of it.
//!
//! Sessions never overlap and only the session moves events between the peers, so two writes of one case cannot race
//! each other (primero-measured.md fact 12). The peers fail apart: trouble at one ends its passes, not the other's.
//! Everything durable happens in commits the store confirms; a power cut between any two lines here is safe.

mod oscar;
mod primero;
mod reconcile;
pub mod relay;
mod settle;
pub mod shadowed;
pub mod site_check;

pub use oscar::{OscarPass, OscarSettings};
pub use primero::{PrimeroPass, kept_owed};
pub use reconcile::last_report;
pub(crate) use settle::settle;

/// How far Primero and OSCaR had been seen when the store last noted it, which may be hours behind. Unix seconds of
/// their own clocks.
pub fn kept_cursors(view: &View<'_>) -> Result<[Option<i64>; 2], StoreError> {
    Ok([primero::kept_cursor(view)?, oscar::kept_cursor(view)?])
}

use crate::core::case_news;
use crate::core::exchange::Wire;
use crate::core::fields::Site;
use crate::core::flows::Flows;
use crate::core::outbox;
use crate::core::outcome::Trouble;
use crate::core::reason::Reason;
use crate::core::record::{Head, Moment, Peer, Seq};
use crate::core::schedule::{Fared, Orders};
use crate::core::time::{BootId, Now};
use crate::peers::primero::Primero;
use crate::shell::identity::Identity;
use crate::store::{Limits, Store, StoreError, View};
use chrono_tz::Tz;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Rounds of passes in one session: each needs progress in the one before, so this only bounds a fault of ours.
const ROUNDS_MAX: usize = 6;
/// How long a pass works through its queue before the other peer has its turn. Both pay for it with a connection, which
/// servers would not keep open for longer than some seconds anyway.
pub(crate) const TURN: Duration = Duration::from_secs(60);
/// Events in a row that a peer fails on before the peer itself is taken to be down.
pub(crate) const FAILED_IN_A_ROW_MAX: u32 = 3;

/// What both passes stand on.
#[derive(Clone)]
pub struct Ground {
    pub store: Store,
    pub site: Arc<Site>,
    pub boot: BootId,
    pub clock: Arc<dyn Fn() -> Now + Send + Sync>,
    /// Set to end the session after the event in hand.
    pub stop: Arc<AtomicBool>,
    /// Set for a session that carries nothing but what is urgent: no pulls either.
    pub thrift: Arc<AtomicBool>,
    /// How long after a lost answer a missing referral counts as never arrived.
    pub read_back_after: Duration,
    pub flows: Flows,
    /// Names what is taken in from the peers.
    pub identity: Arc<Identity>,
    /// How much may wait: a pull stops, and its cursor with it, where one more event would be too many.
    pub limits: Limits,
    /// The office's time zone, in which days are counted.
    pub zone: Tz,
    /// The event in hand, for whoever notes down what is sent for it.
    pub in_hand: Arc<AtomicU64>,
    /// The OSCaR organizations of this gateway's scope: nothing else is stored.
    pub organizations: Arc<[String]>,
}

impl Ground {
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            boot: self.boot,
            unix: (self.clock)().wall.known(),
        }
    }

    /// Notes which event is worked on from here.
    pub(crate) fn take_in_hand(&self, seq: Seq) {
        self.in_hand.store(seq.0, Relaxed);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Only what is urgent may be sent, and nothing fetched.
    pub(crate) fn thrifty(&self) -> bool {
        self.thrift.load(Relaxed)
    }

    /// What may be worked on now at this peer, in this session.
    pub(crate) fn runnable(&self, peer: Peer) -> Vec<Seq> {
        self.store.queue(|queue| {
            let work = queue.runnable(peer);
            if self.thrifty() {
                queue.only_urgent(work)
            } else {
                work
            }
        })
    }
}

/// Which of a session's passes one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The first: news is fetched.
    First,
    /// The first of a later round: everything may be tried again.
    Round,
    /// It goes on with what the passes of this round have not come to.
    Next,
}

/// How far the passes of one round have come at a peer.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// What has had its try.
    tried: HashSet<Seq>,
    /// Events in a row that the peer failed on, to now.
    failed_in_a_row: u32,
}

impl Round {
    /// Notes how the peer fared with one event; whether it has failed on too many in a row.
    pub(crate) fn fared(&mut self, failed: bool) -> bool {
        self.failed_in_a_row = if failed { self.failed_in_a_row + 1 } else { 0 };
        self.failed_in_a_row >= FAILED_IN_A_ROW_MAX
    }
}

/// What a pass, or all passes of a session, did at one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassReport {
    /// Why the peer could not be used to the end, if so.
    pub trouble: Option<Trouble>,
    /// The trouble is of one endpoint alone: everything else goes on, and nothing waits (oscar.md §9.1.11).
    pub partial: bool,
    /// The wait the peer itself asked for.
    pub retry_after: Option<Duration>,
    /// The peer answered as itself at least once.
    pub reached: bool,
    /// Elements of a pull that were read.
    pub pulled: u32,
    /// Events brought to this peer.
    pub pushed: u32,
    /// Ids and decisions learned from or written to this peer.
    pub confirmed: u32,
    pub parked: u32,
    pub in_doubt: u32,
    /// How far the peer has been seen, in Unix seconds of its own clock: what changed before has been taken in.
    pub cursor: Option<i64>,
    /// Whether the pull worked, if one was asked for and answered.
    pub pull_ok: Option<bool>,
    /// The pass ended with its turn, and there is more to try. Of a pass alone.
    pub more: bool,
}

impl PassReport {
    pub(crate) fn down(&mut self, trouble: Trouble, after: Option<Duration>) {
        self.trouble = Some(trouble);
        self.partial = false;
        self.retry_after = after;
    }

    /// One endpoint fails; what does not depend on it goes on.
    pub(crate) fn partly(&mut self, trouble: Trouble) {
        self.partial = self.trouble.is_none();
        self.trouble = self.trouble.or(Some(trouble));
    }

    /// A pull was answered. One of several that failed is enough to call it failing.
    pub(crate) fn pull_went(&mut self, ok: bool) {
        self.pull_ok = Some(ok && self.pull_ok != Some(false));
    }

    /// The line to the peer, or our standing with it, is gone: not merely one of its endpoints.
    pub(crate) fn cut_off(&self) -> bool {
        self.over() && self.trouble != Some(Trouble::Server)
    }

    /// Trouble that ends the peer's passes.
    pub(crate) fn over(&self) -> bool {
        self.trouble.is_some() && !self.partial
    }

    fn add(&mut self, other: PassReport) {
        self.partial = match (self.trouble, other.trouble) {
            (None, _) => other.partial,
            (Some(_), None) => self.partial,
            (Some(_), Some(_)) => self.partial && other.partial,
        };
        self.trouble = other.trouble.or(self.trouble);
        self.retry_after = other.retry_after.or(self.retry_after);
        self.reached |= other.reached;
        self.pulled += other.pulled;
        self.pushed += other.pushed;
        self.confirmed += other.confirmed;
        self.parked += other.parked;
        self.in_doubt += other.in_doubt;
        if let Some(ok) = other.pull_ok {
            self.pull_went(ok);
        }
    }

    fn progressed(&self) -> bool {
        self.pushed + self.confirmed > 0
    }

    /// What the schedule has to know.
    pub fn fared(&self) -> Fared {
        Fared {
            reached: self.reached,
            trouble: self.trouble,
            partial: self.partial,
            retry_after: self.retry_after,
            cursor: self.cursor,
            pull_ok: self.pull_ok,
        }
    }

    /// Counts how an event left a talk.
    pub(crate) fn count(&mut self, head: &Head) {
        use crate::core::record::State;
        match head.state {
            State::Parked => self.parked += 1,
            State::InDoubt => self.in_doubt += 1,
            State::Pending | State::Delivered | State::Discarded => {}
        }
    }
}

/// Whether Primero still stands behind a referral: the consent of its case, and the referral itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footing {
    Holds,
    /// Set aside for this reason, with a word about it.
    Lost(Reason, &'static str),
    /// Primero cannot be asked now. What it showed when the referral was made there then counts: Primero being down
    /// does not stop OSCaR.
    Unknown,
}

impl Footing {
    /// Sets an event aside that has lost its footing; whether it had.
    pub(crate) fn judge(self, head: &mut Head, at: Moment) -> bool {
        match self {
            Footing::Lost(Reason::EndedUnsent, word) => case_news::end(head, word, at),
            Footing::Lost(reason, word) => outbox::park(head, at, reason, word),
            Footing::Holds | Footing::Unknown => return false,
        }
        true
    }
}

/// What a session did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionReport {
    pub primero: PassReport,
    pub oscar: PassReport,
}

impl SessionReport {
    pub fn of(&self, peer: Peer) -> &PassReport {
        match peer {
            Peer::Primero => &self.primero,
            Peer::Oscar => &self.oscar,
        }
    }
}

/// The two passes and the order they run in.
pub struct Session<P: Wire, O: Wire> {
    pub primero: PrimeroPass<P>,
    pub oscar: OscarPass<O>,
}

impl<P: Wire, O: Wire> Session<P, O> {
    /// Nothing is asked of the peers for a while: an idle connection would be ended by them, at the price of more packets.
    pub fn hang_up(&mut self) {
        self.primero.wire.hang_up();
        self.oscar.wire.hang_up();
    }

    /// Speaks to both systems as these from now on.
    pub fn speak_as(&mut self, primero: Primero, oscar: OscarSettings) {
        self.primero.codec = primero;
        self.oscar.speak_as(oscar);
    }

    /// Runs until nothing moves any more. An error is the store's: nothing can be done without it.
    pub fn run(&mut self, orders: Orders) -> Result<SessionReport, StoreError> {
        let mut report = SessionReport::default();
        let (mut turn, mut rounds, mut moved) = (Turn::First, 1, false);
        loop {
            let more = self.turn(turn, orders, &mut report, &mut moved)?;
            turn = match more {
                true => Turn::Next,
                false if moved && rounds < ROUNDS_MAX => Turn::Round,
                false => break,
            };
            if turn == Turn::Round {
                (rounds, moved) = (rounds + 1, false);
            }
        }
        report.primero.cursor = self.primero.cursor();
        report.oscar.cursor = self.oscar.cursor();
        Ok(report)
    }

    /// A pass at each peer; whether one of them has more to try.
    fn turn(
        &mut self,
        turn: Turn,
        orders: Orders,
        report: &mut SessionReport,
        moved: &mut bool,
    ) -> Result<bool, StoreError> {
        let mut more = false;
        if orders.primero && !report.primero.over() {
            let pass = self.primero.run(turn)?;
            *moved |= pass.progressed();
            more |= pass.more;
            report.primero.add(pass);
        }
        if orders.oscar && !report.oscar.over() {
            self.oscar.ledger_whole = self.primero.caught_up()?;
            let (primero, may_ask) = (&mut self.primero, orders.primero && !report.primero.over());
            let mut footing = |head: &Head, now: bool| {
                if may_ask {
                    primero.footing(head, now)
                } else {
                    Some(Footing::Unknown)
                }
            };
            let pass = self.oscar.run(turn, orders, more, &mut footing)?;
            *moved |= pass.progressed();
            more |= pass.more;
            report.oscar.add(pass);
        }
        Ok(more)
    }
}
