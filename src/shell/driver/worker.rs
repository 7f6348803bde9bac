//! The thread that owns the two connections: it runs sessions and, between them, the housekeeping of the store.

use super::asides::Aside;
use crate::config::Config;
use crate::core::outcome::Trouble;
use crate::core::reconcile::Report;
use crate::core::record::Peer;
use crate::core::schedule::Orders;
use crate::core::time::Trust;
use crate::shell::clock::Clock;
use crate::shell::log;
use crate::shell::office::Answer;
use crate::shell::parts::{self, Parts, PeerLine, StartError};
use crate::shell::reconcile;
use crate::shell::sealed;
use crate::shell::session::{Session, SessionReport};
use crate::shell::shadow;
use crate::shell::uplink::clock_unset;
use crate::store::{Store, StoreError};
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::{mpsc, oneshot};

/// The stored floor of the clock is raised when it has moved this far, in seconds: each raise is a commit.
const FLOOR_STEP_S: i64 = 24 * 3600;

/// What the session thread is told to do.
pub enum Task {
    Session(Orders),
    Purge,
    /// Work whose result goes straight to whoever asked; nobody, where the day asked.
    Aside(Aside, Option<oneshot::Sender<Answer>>),
}

/// What it reports.
pub enum Done {
    Session {
        report: SessionReport,
        ms: u64,
        bytes: [u64; 2],
    },
    Purged,
    /// With the report, if there was a look and it came to its end.
    Aside(Option<Report>),
    /// The store failed: nothing can go on.
    Store(StoreError),
}

/// The thread that owns the two connections. Bounded by nature: it is told one thing at a time.
pub fn session_thread(
    config: &Config,
    parts: &Parts,
) -> Result<(std::sync::mpsc::SyncSender<Task>, mpsc::Receiver<Done>), StartError> {
    let mut session = parts::session(config, parts)?;
    let (task_sender, tasks) = std::sync::mpsc::sync_channel::<Task>(1);
    let (done_sender, done) = mpsc::channel(4);
    let clock = parts.clock.clone();
    let store = parts.store.clone();
    let keep_s = i64::try_from(config.limits.keep_delivered.as_secs()).unwrap_or(i64::MAX);
    let counts = [parts.primero_count.clone(), parts.oscar_count.clone()];
    let (uplink, thrift) = (parts.uplink.clone(), parts.thrift.clone());
    let (mut config, parts) = (config.clone(), parts.clone());
    let mut refused = Refused::default();
    let work = move || {
        for task in tasks {
            let done = match task {
                Task::Session(orders) => {
                    let started = clock.now();
                    let bytes = || counts.each_ref().map(|count| parts::wire_bytes(count));
                    let before = bytes();
                    thrift.store(orders.urgent_only, Relaxed);
                    if refused.any() {
                        read_passwords_again(&mut config, &mut session);
                    }
                    let result = if started.wall.trust == Trust::Unset {
                        Ok(clock_unset(orders))
                    } else {
                        past_what_does_not_fit(session.run(orders))
                    };
                    if nothing_waits(&store) {
                        session.hang_up();
                    }
                    let after = bytes();
                    let ms = u64::try_from(clock.now().mono.since(started.mono).as_millis()).unwrap_or(0);
                    match result {
                        Ok(report) => {
                            refused.note(&report);
                            counts.iter().for_each(|count| clock.heard(count));
                            let report = uplink.named(report, clock.now().wall.trust);
                            let bytes = [after[0] - before[0], after[1] - before[1]];
                            Done::Session { report, ms, bytes }
                        }
                        Err(error) => Done::Store(error),
                    }
                }
                Task::Aside(aside, reply) => {
                    thrift.store(false, Relaxed);
                    let (answer, looked) = carry_out(&config, &parts, &mut session, aside);
                    session.hang_up();
                    // Whoever asked may have gone.
                    let _ = reply.map(|reply| reply.send(answer));
                    Done::Aside(looked)
                }
                Task::Purge => match tidy(&store, &clock, keep_s) {
                    Ok(()) => Done::Purged,
                    Err(error) => Done::Store(error),
                },
            };
            if done_sender.blocking_send(done).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("session".to_owned())
        .spawn(work)
        .map_err(|error| StartError::Setting(format!("no thread for sessions: {error}")))?;
    Ok((task_sender, done))
}

/// What a peer says may be too large for a row: that ends its session and not the service.
fn past_what_does_not_fit(run: Result<SessionReport, StoreError>) -> Result<SessionReport, StoreError> {
    match run {
        Err(error @ StoreError::TooLarge { .. }) => {
            log::warn(&error);
            let mut report = SessionReport::default();
            report.primero.partly(Trouble::Shape);
            report.oscar.partly(Trouble::Shape);
            Ok(report)
        }
        run => run,
    }
}

/// No session is about to follow: what has come in meanwhile would find the connections still open.
fn nothing_waits(store: &Store) -> bool {
    store.queue(|queue| Peer::BOTH.iter().all(|peer| queue.runnable(*peer).is_empty()))
}

/// The systems that refused their password the last time they were asked; those that were left alone since are still
/// among them.
#[derive(Default)]
struct Refused([bool; 2]);

impl Refused {
    fn note(&mut self, report: &SessionReport) {
        for (refused, pass) in self.0.iter_mut().zip([&report.primero, &report.oscar]) {
            *refused = pass.trouble == Some(Trouble::Auth) || *refused && !pass.reached;
        }
    }

    fn any(&self) -> bool {
        self.0.contains(&true)
    }
}

/// A person may have corrected a password that was refused: nobody has to restart the service for it.
fn read_passwords_again(config: &mut Config, session: &mut Session<PeerLine, PeerLine>) {
    match sealed::read_again(config) {
        Ok(()) => {
            let (primero, oscar) = parts::accounts(config);
            session.speak_as(primero, oscar);
        }
        Err(error) => log::warn(format_args!("the passwords cannot be read again: {error}")),
    }
}

fn carry_out(
    config: &Config,
    parts: &Parts,
    session: &mut Session<PeerLine, PeerLine>,
    aside: Aside,
) -> (Answer, Option<Report>) {
    let trust = parts.clock.now().wall.trust;
    let done = match aside {
        Aside::Shadow { reveal } => shadow::run(config, parts, reveal).map(|answer| (answer, None)),
        Aside::Reconcile => reconcile::run(session, trust)
            .map(|looked| (reconcile::answer(looked.as_ref(), trust), looked))
            .map_err(StartError::from),
    };
    done.unwrap_or_else(|error| (Answer::refusal(500, "failed", &error.to_string()), None))
}

/// The housekeeping of the store.
fn tidy(store: &Store, clock: &Clock, keep_s: i64) -> Result<(), StoreError> {
    let wall = clock.now().wall;
    store.purge(wall.known(), keep_s)?;
    // Never to the wall clock's own reading, or the time service's, which nobody signs: one wrong by a year would stop
    // everything for that year.
    if let Some(told) = clock.agreed().filter(|_| wall.trust == Trust::Synced) {
        let floor = store.read(|view| Ok(view.floor()))?;
        if told - floor > FLOOR_STEP_S {
            store.write(move |tx| {
                tx.raise_floor(told);
                Ok::<(), StoreError>(())
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::outbox;
    use crate::shell::clock;
    use crate::shell::count::WireCount;
    use crate::store::DeviceKey;

    #[test]
    fn the_floor_is_raised_to_the_time_a_peer_told_and_to_no_other() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let key = DeviceKey::from_bytes([7; 32]);
        let (store, _) =
            Store::open(&folder.path().join("store"), key, None, &outbox::recover).expect("opens");
        let (clock, count) = (Clock::new(0), WireCount::default());
        let ours = clock.now().wall.unix;
        let tidied = |told: i64| {
            count.told.store(clock::at_start(told), Relaxed);
            clock.heard(&count);
            tidy(&store, &clock, 3600).expect("works");
            store.read(|view| Ok(view.floor())).expect("reads")
        };
        assert_eq!(tidied(ours - 3600), 0, "they do not agree");
        assert_eq!(tidied(ours + 3600), 0, "they do not agree");
        let floor = tidied(ours - 40);
        assert!((ours - 40..ours - 20).contains(&floor), "{floor}");
    }
}
