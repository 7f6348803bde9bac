//! When a session starts and whom it may ask. One at a time; a burst of events makes one session, not one each; a
//! peer in backoff is left out, the other goes on.

use super::backoff::Backoff;
use super::outcome::Trouble;
use super::record::Peer;
use super::time::Mono;
use std::time::Duration;

/// A fresh event waits this long for others before it starts a session.
pub const GATHER: Duration = Duration::from_millis(1500);
/// After a refused password the peer is left alone this long, unless a person asks: each try counts towards a lock
/// that hits everybody who shares the account (primero.md §1.4).
pub const AFTER_REFUSAL: Duration = Duration::from_secs(6 * 3600);
/// Every so many scheduled sessions look back for acceptances, which move no date in OSCaR.
pub const REACH_BACK_EVERY: u32 = 6;

/// What the configuration says about time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub every: Duration,
    pub jitter: Duration,
    pub on_event: bool,
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
}

/// How one peer fared in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fared {
    pub reached: bool,
    pub trouble: Option<Trouble>,
    /// The trouble is a reason to wait before the peer is asked again.
    pub waits: bool,
    pub retry_after: Option<Duration>,
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

/// The schedule and the two peers' standing.
#[derive(Clone, Debug)]
pub struct Schedule {
    plan: Plan,
    primero: PeerState,
    oscar: PeerState,
    running: Option<Orders>,
    regular: Mono,
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
            regular: now,
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

    /// An event was accepted.
    pub fn event_accepted(&mut self, now: Mono) {
        if self.plan.on_event {
            self.fresh.get_or_insert(now.plus(GATHER));
        }
    }

    /// A person or the desk asked for a session now, whatever the backoff says.
    pub fn asked_by_hand(&mut self) {
        self.by_hand = true;
    }

    /// The next session, if one is due now. Its end must be reported before another starts.
    pub fn due(&mut self, now: Mono, seed: u64) -> Option<Orders> {
        if self.running.is_some() {
            return None;
        }
        let regular = now >= self.regular;
        let fresh = self.fresh.is_some_and(|at| now >= at);
        let again = self.retry().is_some_and(|at| now >= at);
        if !regular && !fresh && !again && !self.by_hand {
            return None;
        }
        let by_hand = std::mem::take(&mut self.by_hand);
        self.fresh = None;
        let mut reach_back = by_hand;
        if regular {
            reach_back |= self.turns.is_multiple_of(REACH_BACK_EVERY);
            self.turns = self.turns.wrapping_add(1);
            let jitter_ms = u64::try_from(self.plan.jitter.as_millis()).unwrap_or(0);
            let jitter = Duration::from_millis(seed % (jitter_ms + 1));
            self.regular = now.plus(self.plan.every + jitter);
        }
        let open = |peer: &PeerState| by_hand || peer.backoff.open(now);
        let orders = Orders {
            primero: open(&self.primero),
            oscar: open(&self.oscar),
            reach_back,
            by_hand,
        };
        if !orders.primero && !orders.oscar {
            return None;
        }
        self.running = Some(orders);
        Some(orders)
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
            match fared.trouble {
                None => {
                    state.backoff.succeed(now);
                    state.last_ok = unix.or(state.last_ok);
                }
                Some(_) if !fared.waits => state.backoff.succeed(now),
                Some(Trouble::Auth) => state.backoff.fail(now, Some(AFTER_REFUSAL), seed),
                Some(_) => state.backoff.fail(now, fared.retry_after, seed),
            }
        }
    }

    /// When to look again.
    pub fn deadline(&self, now: Mono) -> Option<Mono> {
        if self.running.is_some() {
            return None;
        }
        if self.by_hand {
            return Some(now);
        }
        let times = [Some(self.regular), self.fresh, self.retry()];
        times.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        every: Duration::from_secs(300),
        jitter: Duration::from_secs(20),
        on_event: true,
    };
    const GOOD: Fared = Fared {
        reached: true,
        trouble: None,
        waits: true,
        retry_after: None,
    };

    fn bad(trouble: Trouble) -> Fared {
        Fared {
            reached: false,
            trouble: Some(trouble),
            waits: true,
            retry_after: None,
        }
    }

    #[test]
    fn a_burst_of_events_makes_one_session() {
        let mut schedule = Schedule::new(PLAN, Mono(0));
        assert!(schedule.due(Mono(0), 0).is_some());
        schedule.ended(GOOD, GOOD, Mono(10), None, 0);
        for at in 0..50 {
            schedule.event_accepted(Mono(1_000 + at));
        }
        assert!(schedule.due(Mono(1_100), 0).is_none());
        assert!(schedule.due(Mono(2_600), 0).is_some());
        assert!(schedule.due(Mono(2_700), 0).is_none(), "never two at a time");
        schedule.ended(GOOD, GOOD, Mono(3_000), None, 0);
        assert!(schedule.due(Mono(3_000), 0).is_none());
    }

    #[test]
    fn a_peer_in_trouble_is_left_out_and_the_other_goes_on() {
        let mut schedule = Schedule::new(PLAN, Mono(0));
        schedule.due(Mono(0), 0);
        schedule.ended(bad(Trouble::Timeout), GOOD, Mono(10), Some(5), u64::MAX);
        schedule.event_accepted(Mono(100));
        let orders = schedule.due(Mono(5_000), 0).expect("the other peer");
        assert_eq!((orders.primero, orders.oscar), (false, true));
        assert_eq!(schedule.peer(Peer::Primero).word(), "timeout");
        assert_eq!(schedule.peer(Peer::Oscar).last_ok, Some(5));
    }

    #[test]
    fn a_refused_password_waits_for_hours_but_obeys_a_person() {
        let mut schedule = Schedule::new(PLAN, Mono(0));
        schedule.due(Mono(0), 0);
        schedule.ended(bad(Trouble::Auth), GOOD, Mono(0), None, 0);
        let hour = Mono(3_600_000);
        assert!(!schedule.due(hour, 0).expect("regular").primero);
        schedule.ended(GOOD, GOOD, hour, None, 0);
        schedule.asked_by_hand();
        assert_eq!(schedule.deadline(hour), Some(hour));
        let orders = schedule.due(hour, 0).expect("by hand");
        assert!(orders.primero && orders.by_hand && orders.reach_back);
    }

    #[test]
    fn a_returning_line_is_noticed_when_the_backoff_ends() {
        let mut schedule = Schedule::new(PLAN, Mono(0));
        schedule.due(Mono(0), 0);
        schedule.ended(bad(Trouble::Route), bad(Trouble::Route), Mono(0), None, 0);
        schedule.event_accepted(Mono(10));
        assert!(schedule.due(Mono(2_000), 0).is_none(), "nobody may be asked yet");
        let again = schedule.deadline(Mono(2_000)).expect("a retry");
        assert!(again < Mono(60_000), "long before the regular slot: {again:?}");
        assert!(
            schedule
                .due(again, 0)
                .is_some_and(|orders| orders.primero && orders.oscar)
        );
        schedule.ended(GOOD, GOOD, again, None, 0);
        assert!(
            schedule.due(again.plus(Duration::from_secs(30)), 0).is_none(),
            "once, not again and again"
        );
    }

    #[test]
    fn looking_back_for_acceptances_is_rarer_than_looking() {
        let mut schedule = Schedule::new(PLAN, Mono(0));
        let mut reached = 0;
        let mut now = Mono(0);
        for _ in 0..REACH_BACK_EVERY * 3 {
            let orders = schedule.due(now, 7).expect("due");
            reached += u32::from(orders.reach_back);
            schedule.ended(GOOD, GOOD, now, None, 0);
            now = schedule.deadline(now).expect("scheduled");
        }
        assert_eq!(reached, 3);
    }
}
