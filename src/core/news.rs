//! The numbered `event` channel: what happened, each thing said once, so that a gap in the numbers shows.
//!
//! Numbers begin at one with each start and go with the session's own number; what was not said before a power cut is
//! lost, and the next `boot` tells that there was one. Events hold counts, codes and the box's own sequence numbers.

use super::flat::{Flat, Payload};
use super::time::Now;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The program started.
    Boot {
        boot: u64,
        /// The run before ended with a stop, not with a death.
        clean: bool,
        /// Deaths in a row without a steady run between them.
        crashes: u32,
    },
    /// Another version than the run before.
    Update { from: &'a str, to: &'a str },
    /// A session moved something, or a peer's trouble changed. Sessions that found nothing to do are not told one by
    /// one; `health` counts them.
    Session(&'a Ended),
    /// An event came to need somebody. `state` is `parked` or `in_doubt`.
    Stuck {
        state: &'a str,
        seq: u64,
        reason: &'a str,
    },
    /// More came to need somebody at once than are told one by one.
    MoreStuck { more: u64 },
    /// An alert was raised or cleared.
    Alert { code: &'a str, raised: bool },
}

/// A session in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub pushed: u64,
    pub confirmed: u64,
    pub pulled: u64,
    pub parked: u64,
    pub in_doubt: u64,
    pub primero_error: Option<&'static str>,
    pub oscar_error: Option<&'static str>,
    pub ms: u64,
    pub bytes: u64,
}

/// Numbers the events of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    pub session: u64,
    n: u64,
}

impl Counter {
    pub fn new(session: u64) -> Counter {
        Counter { session, n: 0 }
    }

    /// The next event. `dropped` is how many of this run could not be kept for the broker so far.
    pub fn tell(&mut self, event: Event, dropped: u64, now: Now) -> Payload {
        self.n += 1;
        let mut flat = Flat::new(now.wall.known());
        flat.count("session", self.session)
            .count("n", self.n)
            .count("dropped", dropped);
        match event {
            Event::Boot { boot, clean, crashes } => flat
                .word("event", Some("boot"))
                .count("boot", boot)
                .truth("clean", clean)
                .count("crashes", crashes.into()),
            Event::Update { from, to } => flat
                .word("event", Some("update"))
                .word("from", Some(from))
                .word("to", Some(to)),
            Event::Session(ended) => flat
                .word("event", Some("session"))
                .count("pulled", ended.pulled)
                .count("pushed", ended.pushed)
                .count("confirmed", ended.confirmed)
                .count("parked", ended.parked)
                .count("in_doubt", ended.in_doubt)
                .word("primero_error", ended.primero_error)
                .word("oscar_error", ended.oscar_error)
                .count("ms", ended.ms)
                .count("bytes", ended.bytes),
            Event::Stuck { state, seq, reason } => flat
                .word("event", Some(state))
                .count("seq", seq)
                .word("reason", Some(reason)),
            Event::MoreStuck { more } => flat.word("event", Some("more_stuck")).count("more", more),
            Event::Alert { code, raised } => flat
                .word("event", Some("alert"))
                .word("code", Some(code))
                .truth("raised", raised),
        };
        flat.done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::{BUILD_FLOOR, Mono, Wall};
    use serde_json::Value;

    #[test]
    fn numbers_go_up_by_one_whatever_is_told() {
        let now = Now {
            mono: Mono(1),
            wall: Wall::judge(BUILD_FLOOR + 1, 0, true),
        };
        let mut counter = Counter::new(7);
        let ended = Ended {
            primero_error: Some("dns"),
            ..Ended::default()
        };
        let told = [
            Event::Boot {
                boot: 3,
                clean: false,
                crashes: 1,
            },
            Event::Session(&ended),
            Event::Stuck {
                state: "parked",
                seq: 17,
                reason: "case_not_found",
            },
            Event::Alert {
                code: "parked",
                raised: true,
            },
        ];
        for (index, event) in told.into_iter().enumerate() {
            let payload: Value = serde_json::from_slice(&counter.tell(event, 2, now)).unwrap();
            assert_eq!(payload["n"], index + 1);
            assert_eq!(
                (payload["session"].as_u64(), payload["dropped"].as_u64()),
                (Some(7), Some(2))
            );
            assert!(payload["event"].is_string());
        }
    }
}
