//! The line of a session that tells nobody anything: reads go out, writes are answered by a stand-in.

use crate::core::exchange::{Answer, AnswerHead, Failure, Request, Wire};
use crate::core::record::{Peer, Seq};
use crate::peers::stand_in::{Planned, StandIn};
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

/// What stands between a session and a peer in shadow mode.
#[derive(Clone)]
pub struct Shade {
    stand_in: Arc<Mutex<StandIn>>,
    in_hand: Arc<AtomicU64>,
}

impl Shade {
    /// `in_hand` is the session's own note of which event it works on.
    pub fn new(stand_in: StandIn, in_hand: Arc<AtomicU64>) -> Shade {
        Shade {
            stand_in: Arc::new(Mutex::new(stand_in)),
            in_hand,
        }
    }

    /// The stand-in, and with it everything that was planned.
    pub fn stand_in(&self) -> MutexGuard<'_, StandIn> {
        self.stand_in.lock().expect("nobody panics while holding it")
    }

    fn answer(&self, request: &Request) -> Option<Answer> {
        self.stand_in().answer(request, Seq(self.in_hand.load(Relaxed)))
    }
}

/// Both shades of a session.
pub struct Shades {
    pub in_hand: Arc<AtomicU64>,
    pub primero: Shade,
    pub oscar: Shade,
}

impl Default for Shades {
    fn default() -> Shades {
        let in_hand = Arc::<AtomicU64>::default();
        let shade = |peer| Shade::new(StandIn::new(peer), Arc::clone(&in_hand));
        Shades {
            primero: shade(Peer::Primero),
            oscar: shade(Peer::Oscar),
            in_hand,
        }
    }
}

impl Shades {
    /// Everything that was planned, by peer.
    pub fn planned(&self) -> Vec<Planned> {
        let take = |shade: &Shade| std::mem::take(&mut shade.stand_in().planned);
        let mut planned = take(&self.primero);
        planned.extend(take(&self.oscar));
        planned
    }
}

/// A line, with or without a shade.
pub struct Shadowed<W> {
    wire: W,
    shade: Option<Shade>,
}

impl<W> Shadowed<W> {
    pub fn new(wire: W, shade: Option<Shade>) -> Shadowed<W> {
        Shadowed { wire, shade }
    }
}

impl<W: Wire> Wire for Shadowed<W> {
    fn exchange(&mut self, request: &Request) -> Result<Answer, Failure> {
        let Some(shade) = &self.shade else {
            return self.wire.exchange(request);
        };
        match shade.answer(request) {
            Some(answer) => Ok(answer),
            None => {
                let answer = self.wire.exchange(request)?;
                Ok(shade.stand_in().shown(request, answer))
            }
        }
    }

    fn stream(
        &mut self,
        request: &Request,
        read: &mut dyn FnMut(&AnswerHead, &mut dyn Read),
    ) -> Result<AnswerHead, Failure> {
        if let Some(Answer { head, body }) = self.shade.as_ref().and_then(|shade| shade.answer(request)) {
            read(&head, &mut Cursor::new(body));
            return Ok(head);
        }
        self.wire.stream(request, read)
    }

    fn hang_up(&mut self) {
        self.wire.hang_up();
    }
}
