//! The line to a simulated peer: what the real transport would report, with faults on demand.
//!
//! A fault strikes before the peer sees the request, or after it has acted: the whole difference between "nothing
//! happened" and "nobody knows".

use crate::disk::{Dice, Disk};
use crate::stage::Clock;
use chrono::{DateTime, Utc};
use referral_gateway::core::exchange::{Answer, AnswerHead, Failure, Phase, Request, SessionHeaders, Wire};
use simulators::wire::{Reply, Request as WireRequest};
use simulators::{oscar, primero};
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard};

/// How long every exchange takes on a good line.
const EXCHANGE_MS: u64 = 50;

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It ends in this phase before the peer hears of it; with [`Phase::Sent`], nobody can know that.
    Never(Phase),
    /// The peer acts; its answer is lost.
    AnswerLost,
    /// The peer acts; its answer breaks off half-way.
    CutOff,
    /// Somebody else answers in the peer's place.
    Instead(Reply),
    /// The peer acts, and somebody else answers.
    ActsThen(Reply),
}

impl Fault {
    /// A web page in place of an answer.
    pub fn page(status: u16) -> Fault {
        Fault::Instead(Reply::html(status, "<h1>Sign in to this network</h1>"))
    }

    fn any(dice: &mut Dice) -> Fault {
        let html = |status| Reply::html(status, "<h1>Trouble</h1>");
        let busy = html(503).with_header("Retry-After", "30");
        match dice.below(11) {
            0 => Fault::Never(Phase::Connect),
            1 => Fault::Never(Phase::Tls),
            2 | 3 => Fault::Never(Phase::Sent),
            4 | 5 => Fault::AnswerLost,
            6 => Fault::CutOff,
            7 => Fault::Instead(html(502)),
            8 => Fault::ActsThen(html(504)),
            9 => Fault::Instead(busy),
            _ => Fault::Instead(html(500)),
        }
    }
}

/// Which requests a fault strikes.
#[derive(Clone, Debug)]
pub struct Rule {
    method: &'static str,
    path: &'static str,
    skip: u32,
    times: u32,
    fault: Fault,
}

impl Rule {
    /// Strikes once, at the first request of this method whose path contains this. An empty method is any.
    pub fn once(method: &'static str, path: &'static str, fault: Fault) -> Rule {
        let (skip, times) = (0, 1);
        Rule {
            method,
            path,
            skip,
            times,
            fault,
        }
    }

    pub fn always(method: &'static str, path: &'static str, fault: Fault) -> Rule {
        Rule {
            times: u32::MAX,
            ..Rule::once(method, path, fault)
        }
    }

    /// Lets so many pass first.
    pub fn after(self, skip: u32) -> Rule {
        Rule { skip, ..self }
    }
}

/// A peer in process.
pub trait Peer: Send + 'static {
    fn answer(&mut self, request: &WireRequest, now: DateTime<Utc>) -> Reply;
}

impl Peer for primero::Sim {
    fn answer(&mut self, request: &WireRequest, now: DateTime<Utc>) -> Reply {
        self.set_now(now);
        self.handle(request)
    }
}

impl Peer for oscar::Sim {
    fn answer(&mut self, request: &WireRequest, now: DateTime<Utc>) -> Reply {
        self.set_now(now);
        self.handle(request)
    }
}

/// One request that left the box, and the bytes of both bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub what: String,
    /// What followed the question mark.
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub status: Option<u16>,
    pub sent: usize,
    pub received: usize,
}

type Act<P> = Box<dyn FnOnce(&mut P) + Send>;

struct State<P> {
    exchange_ms: u64,
    rules: Vec<Rule>,
    /// What somebody does at the peer just before it hears a request: of this method, with this in its path, after so
    /// many more of them.
    meanwhile: Vec<(&'static str, &'static str, u32, Act<P>)>,
    /// Faults at random: the dice, and how many of a hundred requests are struck.
    chaos: Option<(Dice, u64)>,
    log: Vec<Logged>,
    /// The time its answers tell, if not the right one. Unix seconds.
    tells: Option<i64>,
    /// The box this line belongs to: without power nothing leaves it.
    power: Disk,
}

/// The line and the peer behind it; clones share both, and both outlive the box.
pub struct Line<P> {
    peer: Arc<Mutex<P>>,
    state: Arc<Mutex<State<P>>>,
    clock: Clock,
}

impl<P> Clone for Line<P> {
    fn clone(&self) -> Self {
        Line {
            peer: Arc::clone(&self.peer),
            state: Arc::clone(&self.state),
            clock: self.clock.clone(),
        }
    }
}

impl<P: Peer> Line<P> {
    pub fn new(peer: P, clock: Clock, power: Disk) -> Line<P> {
        Line {
            peer: Arc::new(Mutex::new(peer)),
            state: Arc::new(Mutex::new(State::of(power))),
            clock,
        }
    }

    /// Another box's line to the same peer, with faults of its own.
    pub fn another(&self, power: Disk) -> Line<P> {
        Line {
            peer: Arc::clone(&self.peer),
            state: Arc::new(Mutex::new(State::of(power))),
            clock: self.clock.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().expect("no holder of the line panics")
    }

    /// The people and the ledger on the other side.
    pub fn peer<T>(&self, act: impl FnOnce(&mut P) -> T) -> T {
        act(&mut self.at_peer())
    }

    fn at_peer(&self) -> MutexGuard<'_, P> {
        self.peer.lock().expect("no holder of the peer panics")
    }

    pub fn plug_into(&self, power: Disk) {
        self.state().power = power;
    }

    /// From now on every exchange takes so long.
    pub fn slow(&self, exchange_ms: u64) {
        self.state().exchange_ms = exchange_ms;
    }

    pub fn fault(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    /// Lets the peer's answers tell this time, Unix seconds, or the right one again.
    pub fn tells(&self, unix: Option<i64>) {
        self.state().tells = unix;
    }

    /// Lets somebody act at the peer just before it hears such a request, after so many of them.
    pub fn meanwhile(
        &self,
        method: &'static str,
        path: &'static str,
        skip: u32,
        act: impl FnOnce(&mut P) + Send + 'static,
    ) {
        self.state().meanwhile.push((method, path, skip, Box::new(act)));
    }

    pub fn chaos(&self, seed: u64, percent: u64) {
        self.state().chaos = Some((Dice(seed), percent));
    }

    /// From now on everything works.
    pub fn mend(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.chaos = None;
    }

    /// What left the box since the last look.
    pub fn taken(&self) -> Vec<Logged> {
        std::mem::take(&mut self.state().log)
    }

    /// How many of the requests since the last look begin so, e.g. `POST /api/v2/cases`.
    pub fn count(&self, start: &str) -> usize {
        self.state()
            .log
            .iter()
            .filter(|entry| entry.what.starts_with(start))
            .count()
    }

    /// The answer, and whether only the first half of its body came.
    fn carry(&self, request: &Request) -> Result<(AnswerHead, Vec<u8>, bool), Failure> {
        let mut state = self.state();
        self.clock.pass_ms(state.exchange_ms);
        let now = self.clock.utc();
        let date = state.tells.unwrap_or(now.timestamp());
        let sent = wire_request(request);
        let what = format!("{} {}", sent.method, sent.path);
        for act in state.due(&sent) {
            act(&mut self.at_peer());
        }
        let fault = if state.power.dead() {
            Some(Fault::Never(Phase::Connect))
        } else {
            state.log.push(Logged {
                what,
                query: sent.query.clone(),
                headers: sent.headers.clone(),
                body: String::from_utf8_lossy(&sent.body).into_owned(),
                status: None,
                sent: sent.body.len(),
                received: 0,
            });
            state.strike(&sent)
        };
        let lost = |phase| Failure {
            phase,
            timed_out: phase == Phase::Sent,
            status: None,
        };
        let reply = match fault {
            Some(Fault::Never(phase)) => return Err(lost(phase)),
            Some(Fault::Instead(reply)) => reply,
            Some(Fault::AnswerLost) => {
                self.at_peer().answer(&sent, now);
                return Err(lost(Phase::Sent));
            }
            Some(Fault::CutOff) => {
                let mut reply = self.at_peer().answer(&sent, now);
                reply.body.truncate(reply.body.len() / 2);
                return Ok((head(&reply, date), reply.body, true));
            }
            Some(Fault::ActsThen(reply)) => {
                self.at_peer().answer(&sent, now);
                reply
            }
            None => self.at_peer().answer(&sent, now),
        };
        if let Some(entry) = state.log.last_mut() {
            (entry.status, entry.received) = (Some(reply.status), reply.body.len());
        }
        Ok((head(&reply, date), reply.body, false))
    }
}

impl<P> State<P> {
    fn of(power: Disk) -> State<P> {
        State {
            exchange_ms: EXCHANGE_MS,
            rules: Vec::new(),
            meanwhile: Vec::new(),
            chaos: None,
            log: Vec::new(),
            tells: None,
            power,
        }
    }

    fn due(&mut self, request: &WireRequest) -> Vec<Act<P>> {
        let mut due = Vec::new();
        for (method, path, mut skip, act) in std::mem::take(&mut self.meanwhile) {
            let meant = request.method == method && request.path.contains(path);
            if meant && skip == 0 {
                due.push(act);
                continue;
            }
            skip -= u32::from(meant);
            self.meanwhile.push((method, path, skip, act));
        }
        due
    }

    fn strike(&mut self, request: &WireRequest) -> Option<Fault> {
        for rule in &mut self.rules {
            let meant = (rule.method.is_empty() || rule.method == request.method)
                && request.path.contains(rule.path)
                && rule.times > 0;
            if meant && rule.skip > 0 {
                rule.skip -= 1;
            } else if meant {
                rule.times -= 1;
                return Some(rule.fault.clone());
            }
        }
        let (dice, percent) = self.chaos.as_mut()?;
        (dice.below(100) < *percent).then(|| Fault::any(dice))
    }
}

fn wire_request(request: &Request) -> WireRequest {
    let mut out = WireRequest::new(request.method.word(), &request.target);
    for (name, value) in &request.headers {
        out = out.with_header(name, value);
    }
    out.body = request.body.clone().unwrap_or_default();
    out
}

/// As the shell's transport reads it.
fn head(reply: &Reply, date: i64) -> AnswerHead {
    let text = |name| reply.header(name).map(str::to_owned);
    AnswerHead {
        status: reply.status,
        json: text("content-type").is_some_and(|kind| kind.starts_with("application/json")),
        date: Some(date),
        retry_after_s: text("retry-after").and_then(|seconds| seconds.parse().ok()),
        etag: text("etag"),
        session: (|| {
            Some(SessionHeaders {
                access_token: text("access-token")?,
                client: text("client")?,
                uid: text("uid")?,
                expiry: text("expiry")?.parse().ok()?,
            })
        })(),
    }
}

fn broken_off(head: &AnswerHead) -> Failure {
    Failure {
        phase: Phase::Body,
        timed_out: false,
        status: Some(head.status),
    }
}

impl<P: Peer> Wire for Line<P> {
    fn exchange(&mut self, request: &Request) -> Result<Answer, Failure> {
        let (head, body, broken) = self.carry(request)?;
        if broken {
            Err(broken_off(&head))
        } else {
            Ok(Answer { head, body })
        }
    }

    fn stream(
        &mut self,
        request: &Request,
        read: &mut dyn FnMut(&AnswerHead, &mut dyn Read),
    ) -> Result<AnswerHead, Failure> {
        let (head, body, broken) = self.carry(request)?;
        read(&head, &mut body.as_slice());
        if broken { Err(broken_off(&head)) } else { Ok(head) }
    }
}
