//! When a session starts and whom it may ask. One at a time; a burst of events makes one session, not one each, and
//! so does a line that comes back after many missed slots; a peer in backoff is left out, the other goes on.
//!
//! A cron rule needs a clock that somebody has confirmed: until then sessions come at the plain interval. In quiet
//! hours, and once the month's bytes are spent, only urgent events start a session, and it carries nothing else.

use super::backoff::{Backoff, CAP, LINE_CAP};
use super::cron::Cron;
use super::office_time::QuietHours;
use super::outcome::Trouble;
use super::record::Peer;
use super::time::{Mono, Now, Trust};
use chrono_tz::Tz;
use std::time::Duration;

/// A fresh event waits this long for others before it starts a session.
pub const GATHER: Duration = Duration::from_millis(1500);
/// After a refused password the peer is left alone this long, unless a person asks: each try counts towards a lock
/// that hits everybody who shares the account (primero.md §1.4).
pub const AFTER_REFUSAL: Duration = Duration::from_secs(6 * 3600);
/// Every so many scheduled sessions look back for acceptances, which move no date in OSCaR.
pub const REACH_BACK_EVERY: u32 = 6;

/// A returning line is given this long to settle: addresses and routes come one after the other.
pub const SETTLE: Duration = Duration::from_secs(2);
/// The wall clock may be held back a little while we wait for a slot: a slot that just came is not the next one.
const SLOT_GUARD_S: i64 = 2;
/// The wall clock has been set, and slots counted by the old time mean nothing, if it moved this far against the
/// monotonic one. Milliseconds; far below a cron minute's worth of harm and above what adjusting does to it.
const STEP_MS: i64 = 30_000;

/// What the configuration says about time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub every: Duration,
    pub jitter: Duration,
    pub on_event: bool,
    /// Office time; `every` counts while the clock is not confirmed.
    pub cron: Option<Cron>,
    pub quiet: QuietHours,
    pub zone: Tz,
}

/// Whom a session may ask, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orders {
    pub primero: bool,
    pub oscar: bool,
    /// Look back for acceptances (oscar-measured.md fact 2).
    pub reach_back: bool,
    /// A person asked: past refusals are tried again.
    pub by_hand: bool,
    /// Quiet hours, or the month's bytes are spent: carry what is urgent and nothing else.
    pub urgent_only: bool,
}

/// What the outside allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Means {
    /// The month's bytes are spent.
    pub spent: bool,
    /// Something urgent could be sent.
    pub urgent: bool,
}

/// How one peer fared in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fared {
    pub reached: bool,
    pub trouble: Option<Trouble>,
    /// The trouble is of one endpoint alone: no reason to wait before the peer is asked again.
    pub partial: bool,
    pub retry_after: Option<Duration>,
    /// How far it has been seen: see [`PeerState::cursor`].
    pub cursor: Option<i64>,
    /// Whether its pull worked, if it was asked for one and answered.
    pub pull_ok: Option<bool>,
}

/// What is known of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerState {
    backoff: Backoff,
    /// Why it could not be used to the end last time.
    pub trouble: Option<Trouble>,
    /// It has been asked at least once since the start.
    pub asked: bool,
    /// Unix seconds of the last session in which it did all that was asked.
    pub last_ok: Option<i64>,
    /// What changed there before this moment has been taken in. Unix seconds by the peer's own clock.
    pub cursor: Option<i64>,
    /// Since when it has answered and failed on its pull, without one that worked in between.
    pub pull_failing: Option<Mono>,
}

impl PeerState {
    /// The word for `status`.
    pub fn word(&self) -> &'static str {
        match (self.trouble, self.asked) {
            (Some(trouble), _) => trouble.word(),
            (None, true) => "up",
            (None, false) => "unknown",
        }
    }

    /// When it may be asked again, while it may not.
    pub fn next_try(&self) -> Option<Mono> {
        self.backoff.deadline()
    }
}

/// The next regular session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    at: Mono,
    /// The wall clock less the monotonic one when it was planned, if it was planned by cron. Milliseconds.
    by_wall: Option<i64>,
}

/// The schedule and the two peers' standing.
#[derive(Clone, Debug)]
pub struct Schedule {
    plan: Plan,
    primero: PeerState,
    oscar: PeerState,
    running: Option<Orders>,
    regular: Slot,
    fresh: Option<Mono>,
    by_hand: bool,
    turns: u32,
}

impl Schedule {
    /// The first session is due at once: after a restart nobody knows what happened meanwhile.
    pub fn new(plan: Plan, now: Mono) -> Schedule {
        Schedule {
            plan,
            primero: PeerState::default(),
            oscar: PeerState::default(),
            running: None,
            regular: Slot {
                at: now,
                by_wall: None,
            },
            fresh: None,
            by_hand: false,
            turns: 0,
        }
    }

    pub fn peer(&self, peer: Peer) -> &PeerState {
        match peer {
            Peer::Primero => &self.primero,
            Peer::Oscar => &self.oscar,
        }
    }

    fn peer_mut(&mut self, peer: Peer) -> &mut PeerState {
        match peer {
            Peer::Primero => &mut self.primero,
            Peer::Oscar => &mut self.oscar,
        }
    }

    pub fn running(&self) -> bool {
        self.running.is_some()
    }

    /// The running session carries everything, not only what is urgent.
    pub fn running_in_full(&self) -> bool {
        self.running
            .is_some_and(|orders| !orders.urgent_only && !orders.by_hand)
    }

    /// An event was accepted.
    pub fn event_accepted(&mut self, now: Mono) {
        if self.plan.on_event {
            let soon = now.plus(GATHER);
            self.fresh = Some(self.fresh.map_or(soon, |at| at.min(soon)));
        }
    }

    /// A person or the desk asked for a session now, whatever backoff, quiet hours and budget say.
    pub fn asked_by_hand(&mut self) {
        self.by_hand = true;
    }

    /// The box has a way out again. `seed` keeps the gateways behind one mast apart.
    pub fn line_returned(&mut self, now: Mono, seed: u64) {
        let jitter_ms = u64::try_from(self.plan.jitter.as_millis()).unwrap_or(0);
        let after = SETTLE + Duration::from_millis(seed % (jitter_ms + 1));
        for peer in Peer::BOTH {
            let state = self.peer_mut(peer);
            if state.trouble.is_some_and(Trouble::of_the_line) {
                state.backoff.cut_short(now, after);
            }
        }
    }

    /// Both peers have been asked since the start and may be asked again now.
    pub fn both_usable(&self, now: Mono) -> bool {
        let usable = |peer| self.peer(peer).asked && self.peer(peer).backoff.open(now);
        Peer::BOTH.into_iter().all(usable)
    }

    /// Any peer's last trouble was one of the line: its return is worth looking for.
    pub fn line_in_trouble(&self) -> bool {
        let troubled = |peer| self.peer(peer).trouble.is_some_and(Trouble::of_the_line);
        Peer::BOTH.into_iter().any(troubled)
    }

    /// The end of the quiet hours the office is in, Unix seconds. Until then nothing is promised to anybody: what the
    /// desk hears is `sleeping` with this as the base of `next_by`.
    pub fn quiet_until(&self, now: Now) -> Option<i64> {
        self.plan.quiet.until(now, self.plan.zone)
    }

    fn quiet_end(&self, now: Now) -> Option<Mono> {
        let seconds = u64::try_from(self.quiet_until(now)? - now.wall.unix).ok()?;
        Some(now.mono.plus(Duration::from_secs(seconds)))
    }

    /// How sessions are timed now, for `status`.
    pub fn timing(&self, now: Now) -> &'static str {
        match (&self.plan.cron, now.wall.trust) {
            (None, _) => "every",
            (Some(_), Trust::Synced) => "cron",
            (Some(_), Trust::Floor | Trust::Unset) => "every, until the clock is confirmed",
        }
    }

    /// Only urgent events may go now.
    pub fn restricted(&self, now: Now, spent: bool) -> bool {
        spent || self.quiet_until(now).is_some()
    }

    /// The next session, if one is due now. Its end must be reported before another starts.
    pub fn due(&mut self, now: Now, means: Means, seed: u64) -> Option<Orders> {
        if self.running.is_some() {
            return None;
        }
        self.mind_the_clock(now, seed);
        let restricted = self.restricted(now, means.spent);
        let shut = restricted && !means.urgent && !self.by_hand;
        let regular = now.mono >= self.regular.at;
        let come = |at: Option<Mono>| !shut && at.is_some_and(|at| now.mono >= at);
        let due = come(self.fresh) || come(self.retry()) || self.by_hand;
        if !regular && !due {
            return None;
        }
        let mut reach_back = self.by_hand;
        if regular {
            reach_back |= self.turns.is_multiple_of(REACH_BACK_EVERY);
            self.turns = self.turns.wrapping_add(u32::from(!shut));
            self.regular = self.next_slot(now, seed);
        }
        if shut {
            return None;
        }
        let by_hand = std::mem::take(&mut self.by_hand);
        let urgent_only = restricted && !by_hand;
        // What is new and may not go with the urgent goes when the quiet hours end, not with the next slot.
        let left = self.fresh.take().filter(|_| urgent_only);
        self.fresh = left.and(self.quiet_end(now));
        let open = |peer: &PeerState| by_hand || peer.backoff.open(now.mono);
        let orders = Orders {
            primero: open(&self.primero),
            oscar: open(&self.oscar),
            reach_back,
            by_hand,
            urgent_only,
        };
        if !orders.primero && !orders.oscar {
            return None;
        }
        self.running = Some(orders);
        Some(orders)
    }

    /// A slot counted by a clock that has been set since, or that is believed only now, is counted anew.
    fn mind_the_clock(&mut self, now: Now, seed: u64) {
        let by_wall = self.plan.cron.is_some().then(|| ahead_ms(now)).flatten();
        let same = match (by_wall, self.regular.by_wall) {
            (Some(is), Some(was)) => (is - was).abs() < STEP_MS,
            (is, was) => is.is_none() && was.is_none(),
        };
        // The very first slot, and any that has come, stands.
        if !same && now.mono < self.regular.at {
            self.regular = self.next_slot(now, seed);
        }
    }

    fn next_slot(&self, now: Now, seed: u64) -> Slot {
        let jitter_ms = u64::try_from(self.plan.jitter.as_millis()).unwrap_or(0);
        let jitter = Duration::from_millis(seed % (jitter_ms + 1));
        let by_wall = ahead_ms(now);
        let cron = self.plan.cron.as_ref().filter(|_| by_wall.is_some());
        let next = cron.and_then(|cron| cron.next_after(now.wall.unix + SLOT_GUARD_S, self.plan.zone));
        match next.map(|next| u64::try_from(next - now.wall.unix).unwrap_or(0)) {
            Some(wait_s) => Slot {
                at: now.mono.plus(Duration::from_secs(wait_s) + jitter),
                by_wall,
            },
            None => Slot {
                at: now.mono.plus(self.plan.every + jitter),
                by_wall: None,
            },
        }
    }

    /// When a peer in trouble may be asked again: the return of its line is noticed then, and not only at the next
    /// regular slot.
    fn retry(&self) -> Option<Mono> {
        let waiting = |peer: &PeerState| peer.trouble.and(peer.backoff.deadline());
        match (waiting(&self.primero), waiting(&self.oscar)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The session ended.
    pub fn ended(&mut self, primero: Fared, oscar: Fared, now: Mono, unix: Option<i64>, seed: u64) {
        let Some(orders) = self.running.take() else { return };
        for (peer, asked, fared) in [
            (Peer::Primero, orders.primero, primero),
            (Peer::Oscar, orders.oscar, oscar),
        ] {
            if !asked {
                continue;
            }
            let state = self.peer_mut(peer);
            state.asked = true;
            state.trouble = fared.trouble;
            state.cursor = fared.cursor.or(state.cursor);
            state.pull_failing = match fared.pull_ok {
                Some(true) => None,
                Some(false) => state.pull_failing.or(Some(now)),
                None => state.pull_failing,
            };
            match fared.trouble {
                None => {
                    state.backoff.succeed(now);
                    state.last_ok = unix.or(state.last_ok);
                }
                Some(_) if fared.partial => state.backoff.succeed(now),
                Some(Trouble::Auth) => state.backoff.fail(now, Some(AFTER_REFUSAL), CAP, seed),
                Some(trouble) => {
                    let cap = if trouble.of_the_line() { LINE_CAP } else { CAP };
                    state.backoff.fail(now, fared.retry_after, cap, seed);
                }
            }
        }
    }

    /// When to look again.
    pub fn deadline(&self, now: Now, means: Means) -> Option<Mono> {
        if self.running.is_some() {
            return None;
        }
        if self.by_hand {
            return Some(now.mono);
        }
        let shut = self.restricted(now, means.spent) && !means.urgent;
        if !shut {
            let times = [Some(self.regular.at), self.fresh, self.retry()];
            return times.into_iter().flatten().min();
        }
        Some(
            self.quiet_end(now)
                .map_or(self.regular.at, |end| end.min(self.regular.at)),
        )
    }
}

/// How far the wall clock is ahead of the monotonic one, while it is confirmed. Milliseconds.
fn ahead_ms(now: Now) -> Option<i64> {
    let mono = i64::try_from(now.mono.0).ok()?;
    (now.wall.trust == Trust::Synced).then(|| now.wall.unix * 1000 - mono)
}
