//! A pass at OSCaR: one session token, one pull of what changed, then every lane that waits to be pushed.
//!
//! The pull and the pushes do not depend on each other: one poisoned tenant makes every pull a 500, and pushes go on
//! (oscar.md §9.1.11).

use super::{Footing, Ground, PassReport, Round, TURN, Turn, settle};
use crate::core::ask::{OscarCall, OscarReply};
use crate::core::exchange::{Answer, Failure, Wire};
use crate::core::outcome::{Outcome, Trouble, judge};
use crate::core::record::{Head, Peer, Seq, State};
use crate::core::schedule::Orders;
use crate::core::server_clock::Behind;
use crate::core::time::Mono;
use crate::peers::oscar::{self, Session};
use crate::store::StoreError;
use std::collections::HashSet;

mod hold;
mod load;
mod look_through;
mod pull;
mod push;
mod reach;
mod report;
mod sink;
mod take;

use hold::Hold;
use look_through::Children;
use pull::Watermark;
pub use pull::kept_cursor;

/// Whom to sign in as, and whom to act for.
#[derive(Clone)]
pub struct OscarSettings {
    pub email: String,
    pub password: String,
}

/// Works at one OSCaR server.
pub struct OscarPass<W: Wire> {
    ground: Ground,
    settings: OscarSettings,
    pub(super) wire: W,
    session: Option<Session>,
    /// Signed in anew because of a refusal during this session: a second refusal is final (oscar.md §1.3).
    replayed: bool,
    /// The session ends soon: sign in anew before the next one is asked anything.
    renew: bool,
    /// OSCaR's clock at the last sign-in.
    server_date: Option<i64>,
    watermark: Option<Watermark>,
    /// The server's clock against the watermark.
    behind: Behind,
    round: Round,
    /// What has been reported, or failed to be, in this round.
    reported: HashSet<Seq>,
    /// When the pass began with what waits.
    turn_began: Mono,
    /// Whether pushes wait; not known before the store has been asked. Pulls go on.
    hold: Option<Hold>,
    /// The same for decisions and links, which wait for themselves alone.
    report_hold: Hold,
    /// OSCaR has answered something about an event since a report failed there.
    answered: bool,
    /// All of our own pushes that Primero can tell of are in the ledger.
    pub(super) ledger_whole: bool,
    /// Children whose showing is noted, during a reconciliation.
    watched: Option<Children>,
    /// A push that was answered a moment ago and is not on disk yet: it goes there with the next one's *sending*, which
    /// is written before anything else is asked of anybody. To the disk it is on its way until then.
    answered_push: Option<Head>,
}

/// What a call came to.
enum Heard {
    Reply(OscarReply),
    Down,
    Failed(Trouble),
    Doubt(Trouble),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Go {
    On,
    Over,
}

/// Asks whether Primero still stands behind a referral, for pushes that have waited (primero.md §9.20); unless `true` is
/// given, only where that takes no request.
type AskPrimero<'a> = &'a mut dyn FnMut(&Head, bool) -> Option<Footing>;

/// Name of the sealed document that keeps the session between runs.
const SESSION: &str = "oscar session";

impl<W: Wire> OscarPass<W> {
    pub fn new(ground: Ground, settings: OscarSettings, wire: W) -> OscarPass<W> {
        OscarPass {
            ground,
            settings,
            wire,
            session: None,
            replayed: false,
            renew: false,
            server_date: None,
            watermark: None,
            behind: Behind::default(),
            round: Round::default(),
            reported: HashSet::new(),
            turn_began: Mono(0),
            hold: None,
            report_hold: Hold::default(),
            answered: false,
            ledger_whole: true,
            watched: None,
            answered_push: None,
        }
    }

    /// Speaks to OSCaR as this account from now on.
    pub(super) fn speak_as(&mut self, settings: OscarSettings) {
        self.renew |= settings.email != self.settings.email;
        self.settings = settings;
    }

    /// How far OSCaR has been seen, in Unix seconds of its own clock; nothing before the first sign-in.
    pub fn cursor(&self) -> Option<i64> {
        self.watermark.as_ref().map(|mark| mark.since)
    }

    /// One pass; the first of a session pulls, later ones only when a child must be looked for, once no further events
    /// come from Primero in this round.
    pub fn run(
        &mut self,
        turn: Turn,
        orders: Orders,
        more_to_come: bool,
        footing: AskPrimero<'_>,
    ) -> Result<PassReport, StoreError> {
        let mut report = PassReport::default();
        if turn == Turn::First {
            self.replayed = false;
            if orders.by_hand {
                self.hold = Some(Hold::default());
                self.report_hold = Hold::default();
            }
            if self.sign_in_if_needed(&mut report)? == Go::Over
                || self.know_watermark(&mut report)? == Go::Over
                || (self.ground.flows.pull_oscar()
                    && !self.ground.thrifty()
                    && self.pull(orders.reach_back, &mut report)? == Go::Over)
            {
                return Ok(report);
            }
        }
        if turn != Turn::Next {
            self.round = Round::default();
            self.reported.clear();
        }
        self.turn_began = (self.ground.clock)().mono;
        // Pushes and reports fail apart too: as published, the server fails both, and other servers one of them.
        let pushed = self.push_all(footing, &mut report)?;
        if !report.cut_off() {
            self.report_all(&mut report)?;
        }
        if pushed == Go::Over || report.more || more_to_come {
            return Ok(report);
        }
        // B3 and named children: look for them once, then push again in the same pass.
        let looked_for = self.look_for_children(&mut report)?;
        if !looked_for.is_empty() {
            self.round.tried.retain(|seq| !looked_for.contains(seq));
            self.push_all(footing, &mut report)?;
        }
        Ok(report)
    }

    /// Whether the turn is over: then what has had no try waits for the next one.
    fn turn_over(&self, now: Mono, report: &mut PassReport) -> bool {
        let over = now.since(self.turn_began) >= TURN;
        report.more |= over;
        over
    }

    /// Events in these states that wait for OSCaR.
    fn waiting(&self, wanted: impl Fn(State) -> bool) -> Vec<Seq> {
        self.ground.store.queue(|queue| {
            let mut work = queue.runnable(Peer::Oscar);
            if self.ground.thrifty() {
                work = queue.only_urgent(work);
            }
            work.retain(|seq| queue.get(*seq).is_some_and(|entry| wanted(entry.state)));
            work
        })
    }

    /// Puts the head on disk, and the answer before it in the same commit; false if the event is not as it was `known`
    /// any more.
    fn settle(&mut self, known: Option<Head>, head: Head) -> Result<bool, StoreError> {
        let answered = self.answered_push.take();
        self.ground.store.write(move |tx| {
            if let Some(answered) = answered {
                settle(tx, &answered)?;
            }
            if known.is_some() && tx.head(head.seq)? != known {
                return Ok(false);
            }
            settle(tx, &head).map(|()| true)
        })
    }

    /// One call, with one new sign-in if the session is refused: the 401 comes before any write (oscar.md §1.3).
    fn call(&mut self, call: &OscarCall, report: &mut PassReport) -> Result<Heard, StoreError> {
        loop {
            let Some(session) = self.session.clone() else {
                report.down(Trouble::Auth, None);
                return Ok(Heard::Down);
            };
            let result = self.wire.exchange(&oscar::encode(call, &session));
            if let Ok(answer) = &result
                && let Some(reply) = oscar::decode(call, answer)
            {
                report.reached = true;
                self.answered = true;
                return Ok(Heard::Reply(reply));
            }
            match judge(&result, call.repeat(), |_| false) {
                Outcome::Unauthorized if !self.replayed => {
                    self.replayed = true;
                    if self.sign_in(report)? == Go::Over {
                        return Ok(Heard::Down);
                    }
                }
                outcome => return Ok(hear(outcome, report)),
            }
        }
    }

    fn sign_in_if_needed(&mut self, report: &mut PassReport) -> Result<Go, StoreError> {
        if self.session.is_none() {
            let kept = self.ground.store.read(|view| view.meta_get::<Session>(SESSION))?;
            // Not one of an account that is not the configured one any more (oscar.md §1.2: `uid` is the e-mail).
            self.session = kept.filter(|kept| kept.uid.eq_ignore_ascii_case(&self.settings.email));
        }
        match self.session {
            Some(_) if !self.renew => Ok(Go::On),
            _ => self.sign_in(report),
        }
    }

    fn sign_in(&mut self, report: &mut PassReport) -> Result<Go, StoreError> {
        self.session = None;
        self.renew = false;
        let request = oscar::sign_in(&self.settings.email, &self.settings.password);
        let result: Result<Answer, Failure> = self.wire.exchange(&request);
        let signed_in = |answer: &Answer| answer.head.status == 200 && Session::of(&answer.head).is_some();
        match judge(&result, crate::core::outcome::Repeat::Harmless, signed_in) {
            Outcome::Answered => {
                self.server_date = result.as_ref().ok().and_then(|answer| answer.head.date);
                let session = result.ok().and_then(|answer| Session::of(&answer.head));
                let session = session.expect("judged as answered just above");
                report.reached = true;
                self.session = Some(session.clone());
                self.ground.store.write(move |tx| {
                    tx.meta_put(SESSION, &session);
                    Ok::<_, StoreError>(())
                })?;
                Ok(Go::On)
            }
            outcome => {
                if let Heard::Failed(trouble) = hear(outcome, report) {
                    report.down(trouble, None);
                }
                Ok(Go::Over)
            }
        }
    }
}

/// What an outcome of the policy table means for the pass.
fn hear(outcome: Outcome, report: &mut PassReport) -> Heard {
    match outcome {
        Outcome::Answered => Heard::Failed(Trouble::Shape),
        Outcome::Down(trouble, after) => {
            report.down(trouble, after);
            Heard::Down
        }
        Outcome::Unauthorized => {
            report.down(Trouble::Auth, None);
            Heard::Down
        }
        Outcome::Failed(trouble) => Heard::Failed(trouble),
        Outcome::Doubt(trouble) => Heard::Doubt(trouble),
    }
}
