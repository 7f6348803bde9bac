//! What goes to the central desk: the payloads of `core::status`, `core::alert` and `core::news` on the topics of
//! design §6. Without an `[mqtt]` section nothing is sent and nothing else changes.
//!
//! Frugal: `status` and `health` are said every quarter of an hour. A session that moved nothing and met no new trouble
//! is not told by itself: `sync-*` is said again after an hour of such sessions.

mod answers;
mod start;

pub(crate) use start::account;
pub use start::check;

use super::log;
use super::mqtt::{MqttLink, MqttState, Publication};
use super::session::SessionReport;
use crate::core::alert::{Alerts, STEADY, Signs, Turn};
use crate::core::figures::Figures;
use crate::core::news::{Counter, Ended, Event};
use crate::core::outcome::Trouble;
use crate::core::past::{self, Past};
use crate::core::record::{Peer, State};
use crate::core::status::{self, Connection, Picture, Presence, SYNC_AGAIN, Sync};
use crate::core::time::{Mono, Now};
use crate::store::{Limits, Store, StoreError};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a stop waits for the broker.
const FAREWELL_WITHIN: Duration = Duration::from_secs(3);
/// Events told one by one when many come to need somebody at once.
const STUCK_TOLD_MAX: usize = 8;

/// The gateway's end of the line to the desk; without a desk it does nothing.
pub struct Telemetry(Option<Desk>);

struct Desk {
    link: MqttLink,
    /// `<prefix>/<fleet>/<gateway>/`
    base: String,
    session: u64,
    counter: Counter,
    alerts: Alerts,
    past: Past,
    limits: Limits,
    store: Store,
    /// Events that are known to need somebody, by seq.
    stuck: BTreeSet<u64>,
    /// What is to be said of each peer, and when it was said last; nothing is to be said until there is a session.
    syncs: [Option<Sync>; 2],
    said: [Option<Mono>; 2],
    /// Ids of commands that wait for a session to begin, and for the running one to end.
    awaited: Vec<String>,
    served: Vec<String>,
    /// By the desk.
    locked: bool,
    /// Services that differ for a person to put right, by the last look.
    differing: usize,
    /// Asleep, and when that ends by what the desk was told, Unix seconds.
    quiet_until: Option<i64>,
    /// Troubles as last told.
    troubles: [Option<Trouble>; 2],
}

impl Telemetry {
    /// The word for `status`.
    pub fn word(&self) -> &'static str {
        self.0
            .as_ref()
            .map_or(MqttState::Off, |desk| desk.link.state())
            .word()
    }

    /// Every quarter of an hour: `status`, `health`, and what has not been said for an hour of the sessions since.
    pub fn beat(&mut self, picture: &Picture, figures: &Figures) {
        let Some(desk) = &mut self.0 else { return };
        let of = desk.connection();
        let promise = status::promise(picture);
        if of.link > 0 && desk.quiet_until.is_none() {
            desk.put(
                "status",
                &status::presence(Presence::Online, of, picture.now, promise),
            );
        }
        desk.put("health", &status::health(picture, figures, of));
        desk.syncs(picture);
        if picture.now.mono.since(Mono(0)) >= STEADY && desk.past.steady() {
            desk.keep_past();
        }
    }

    /// Looks for alerts to raise or clear. Cheap; to be called whenever something may have changed.
    pub fn look(&mut self, picture: &Picture, figures: &Figures) {
        let Some(desk) = &mut self.0 else { return };
        desk.keep_quiet(picture);
        if desk.judge(picture, figures) {
            desk.put("health", &status::health(picture, figures, desk.connection()));
        }
    }

    /// After a session.
    pub fn session(
        &mut self,
        report: &SessionReport,
        ms: u64,
        bytes: [u64; 2],
        picture: &Picture,
        figures: &Figures,
    ) {
        if let Some(desk) = &mut self.0 {
            desk.session_ended(report, ms, bytes, picture, figures);
            desk.keep_quiet(picture);
        }
    }

    /// A look at the open referrals has come to its end, with so many differences for people.
    pub fn reconciled(&mut self, for_people: usize) {
        if let Some(desk) = &mut self.0 {
            desk.differing = for_people;
        }
    }

    /// A clean stop leaves `offline` with the broker, if it can be reached in time.
    pub async fn stop(self, now: Now) {
        let Some(mut desk) = self.0 else { return };
        desk.past.clean = true;
        let past = desk.past.clone();
        let kept = desk.store.write_async(move |tx| {
            tx.meta_put(past::DOCUMENT, &past);
            Ok::<(), StoreError>(())
        });
        if let Err(error) = kept.await {
            log::warn(&error);
        }
        let topic = format!("{}status", desk.base);
        let payload = status::presence(Presence::Offline, desk.connection(), now, None);
        if let Ok(farewell) = Publication::new(&topic, &payload) {
            desk.link.stop(farewell, FAREWELL_WITHIN).await;
        }
    }
}

impl Desk {
    fn connection(&self) -> Connection {
        Connection {
            session: self.session,
            link: self.link.connection(),
        }
    }

    fn put(&self, channel: &str, payload: &[u8]) {
        let done = self.link.put(&format!("{}{channel}", self.base), payload);
        debug_assert!(done.is_ok(), "few topics, bounded payloads");
    }

    fn say_once(&self, channel: &str, payload: &[u8]) {
        let done = self.link.tell(&format!("{}{channel}", self.base), payload);
        debug_assert!(done.is_ok(), "bounded payloads");
    }

    fn tell(&mut self, event: Event, now: Now) {
        let payload = self.counter.tell(event, self.link.dropped(), now);
        self.say_once("event", &payload);
    }

    /// Goes to sleep when a planned silence begins, and wakes when it has ended. Meanwhile everything is kept for the
    /// desk as if the broker were away.
    fn keep_quiet(&mut self, picture: &Picture) {
        let now = picture.now;
        let quiet = picture.schedule.quiet_until(now);
        let over = self.quiet_until.is_some_and(|until| now.wall.unix >= until);
        if self.quiet_until.is_some() && (quiet.is_none() || over) {
            self.link.wake();
            self.quiet_until = None;
        }
        if quiet.is_some() && self.quiet_until.is_none() {
            let payload = status::presence(
                Presence::Sleeping,
                self.connection(),
                now,
                status::promise(picture),
            );
            if let Ok(last_word) = Publication::new(&format!("{}status", self.base), &payload) {
                self.link.sleep(last_word);
            }
            self.quiet_until = quiet;
        }
    }

    /// Nobody waits for it: if it is lost with the power, the next run knows a little less.
    fn keep_past(&self) {
        let past = self.past.clone();
        let kept = self.store.submit(
            move |tx| {
                tx.meta_put(past::DOCUMENT, &past);
                Ok::<(), StoreError>(())
            },
            drop,
        );
        // A store that takes no writes says so in louder ways.
        drop(kept);
    }

    fn session_ended(
        &mut self,
        report: &SessionReport,
        ms: u64,
        bytes: [u64; 2],
        picture: &Picture,
        figures: &Figures,
    ) {
        let now = picture.now;
        self.answer_awaited(report, now);
        let mut worth = false;
        for (at, peer) in Peer::BOTH.into_iter().enumerate() {
            let pass = report.of(peer);
            if !pass.reached && pass.trouble.is_none() {
                continue;
            }
            let sync = Sync {
                last_attempt: now.wall.known(),
                pulled: pass.pulled,
                pushed: pass.pushed,
                confirmed: pass.confirmed,
                parked: pass.parked,
                in_doubt: pass.in_doubt,
                ms,
                bytes: bytes[at],
            };
            let moved = pass.pushed + pass.confirmed + pass.parked + pass.in_doubt > 0;
            let turned = picture.schedule.peer(peer).trouble != self.troubles[at];
            self.troubles[at] = picture.schedule.peer(peer).trouble;
            let first = self.said[at].is_none();
            self.syncs[at] = Some(sync);
            if moved || turned || first {
                self.sync(at, picture);
                worth = true;
            }
            let unix = now.wall.known().filter(|_| pass.trouble.is_none());
            if unix.is_some_and(|unix| self.past.succeeded(peer, unix)) {
                self.keep_past();
            }
        }
        if worth {
            self.tell(Event::Session(&ended(report, ms, bytes)), now);
        }
        self.tell_stuck(now);
        if self.judge(picture, figures) || worth {
            self.put("health", &status::health(picture, figures, self.connection()));
        }
    }

    fn sync(&mut self, at: usize, picture: &Picture) {
        let Some(sync) = self.syncs[at].take() else {
            return;
        };
        self.said[at] = Some(picture.now.mono);
        let peer = Peer::BOTH[at];
        let channel = match peer {
            Peer::Primero => "sync-primero",
            Peer::Oscar => "sync-oscar",
        };
        let payload = status::sync(picture.schedule.peer(peer), &sync, picture);
        self.put(channel, &payload);
    }

    fn syncs(&mut self, picture: &Picture) {
        for at in 0..self.syncs.len() {
            let again = |said: Mono| picture.now.mono.since(said) >= SYNC_AGAIN;
            if self.said[at].is_some_and(again) {
                self.sync(at, picture);
            }
        }
    }

    /// Tells which events have come to need somebody since the last look.
    fn tell_stuck(&mut self, now: Now) {
        let stuck = stuck(&self.store);
        let fresh: Vec<u64> = stuck.difference(&self.stuck).copied().collect();
        self.stuck = stuck;
        for seq in fresh.iter().take(STUCK_TOLD_MAX) {
            let head = self.store.read(|view| view.head(crate::core::record::Seq(*seq)));
            if let Ok(Some(head)) = head {
                let reason = head.reason.map_or("", |reason| reason.code());
                let state = head.state.word();
                self.tell(
                    Event::Stuck {
                        state,
                        seq: *seq,
                        reason,
                    },
                    now,
                );
            }
        }
        if let Some(more) = fresh.len().checked_sub(STUCK_TOLD_MAX).filter(|more| *more > 0) {
            self.tell(Event::MoreStuck { more: more as u64 }, now);
        }
    }

    /// Raises and clears alerts; true if one was raised anew or cleared.
    fn judge(&mut self, picture: &Picture, figures: &Figures) -> bool {
        let signs = Signs {
            counts: picture.counts,
            events_max: self.limits.events,
            bytes_max: self.limits.bytes,
            oldest_s: picture.oldest_s,
            primero: picture.schedule.peer(Peer::Primero),
            oscar: picture.schedule.peer(Peer::Oscar),
            differing: self.differing,
            last_ok: self.past.last_ok,
            store_failed: picture.store_failed,
            disk_free: figures.disk_free,
            crashes: self.past.crashes,
            certificate: figures.certificate,
            over_budget: picture.way.month.spent(),
            locked: self.locked,
        };
        let before = self.alerts.raised_now();
        let changes = self.alerts.judge(&signs, picture.now);
        let mut turned = false;
        for say in &changes {
            let code = say.code.word();
            self.put(&format!("alert-{code}"), &say.payload);
            // The first look after a start clears everything; that is no news.
            let news = say.turn == Turn::Raised || (say.turn == Turn::Cleared && before.contains(&say.code));
            if news {
                let raised = say.turn == Turn::Raised;
                self.tell(Event::Alert { code, raised }, picture.now);
                turned = true;
            }
        }
        turned
    }
}

fn ended(report: &SessionReport, ms: u64, bytes: [u64; 2]) -> Ended {
    let (primero, oscar) = (&report.primero, &report.oscar);
    Ended {
        pushed: (primero.pushed + oscar.pushed).into(),
        confirmed: (primero.confirmed + oscar.confirmed).into(),
        pulled: (primero.pulled + oscar.pulled).into(),
        parked: (primero.parked + oscar.parked).into(),
        in_doubt: (primero.in_doubt + oscar.in_doubt).into(),
        primero_error: primero.trouble.map(|trouble| trouble.word()),
        oscar_error: oscar.trouble.map(|trouble| trouble.word()),
        ms,
        bytes: bytes[0] + bytes[1],
    }
}

/// Events that need somebody, by seq. Their number is bounded by the queue's own bound.
fn stuck(store: &Store) -> BTreeSet<u64> {
    store.queue(|queue| {
        queue
            .iter()
            .filter(|entry| matches!(entry.state, State::Parked | State::InDoubt))
            .map(|entry| entry.seq.0)
            .collect()
    })
}
