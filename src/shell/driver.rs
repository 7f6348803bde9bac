//! The running service: one loop that starts sessions when they are due, answers questions and tells the centre.
//! It decides nothing itself: [`Schedule`] says when, the session says what, `status` says how.

mod asides;
mod asked;
mod telling;
mod worker;

use super::control;
use super::desk::locked;
use super::drop_folder::DropFolder;
use super::figures;
use super::lan::Lan;
use super::log;
use super::meter::TrafficMeter;
use super::office::Answer;
use super::parts::{self, Parts, StartError};
use super::surface::Surface;
use super::telemetry::Telemetry;
use super::uplink::check_interface;
use super::watchdog::Watchdog;
use crate::config::Config;
use crate::core::daily::{self, Daily};
use crate::core::schedule::{Means, Schedule};
use crate::core::status;
use crate::core::time::{Mono, Now};
use crate::store::StoreError;
pub use asides::Aside;
use asides::Asides;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use worker::{Done, Task, session_thread};

/// How often a line in trouble is looked at: two small files of the kernel, no bytes on the line.
const LINE_LOOK: Duration = Duration::from_secs(2);
/// How often the signs for alerts are looked at, besides after each session.
const LOOK: Duration = Duration::from_secs(60);
/// How often finished events are purged, at the least: each purge costs the card a commit, whatever goes in it.
const PURGE_EVERY: Duration = Duration::from_secs(6 * 3600);
/// A content that is kept for less is purged so many times while it is kept: it outstays by that part at most.
const PURGES_PER_KEEP: u32 = 12;
/// How long a stop waits for the event in hand; systemd's own patience is longer.
const STOP_WITHIN: Duration = Duration::from_secs(25);
/// Runs the service until it is told to stop or the store fails. The store must be open already.
pub async fn run(config: &Config, parts: Parts) -> Result<(), StartError> {
    // First of all: whoever finds the socket may also stop us.
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    if let Some(missing) = check_interface(config.uplink.interface.as_deref()).map_err(StartError::Setting)? {
        log::warn(missing);
    }
    let socket = parts::socket_path(config);
    let listener = control::bind(&socket)
        .map_err(|error| StartError::Setting(format!("cannot bind {}: {error}", socket.display())))?;
    let (ask_sender, mut asks) = mpsc::channel(64);
    let orders = ask_sender.clone();
    let drop_folder = DropFolder::open(config, &parts, ask_sender.clone()).map_err(no_drop_folder)?;
    let surface = Surface::open(&parts, ask_sender)?;
    let lan = Lan::open(config, &parts, &surface)?;
    let (tasks, mut done) = session_thread(config, &parts)?;
    let telemetry = Telemetry::start(config, &parts, orders).await?;
    let meter = TrafficMeter::resume(config, &parts)?;
    let kept = parts
        .store
        .read(|view| Ok((locked(view)?, Daily::resume(view.meta_get(daily::DOCUMENT)?))))?;
    let mut driver = Driver::new(config, parts, meter, tasks, telemetry, lan.clone(), kept);
    if let Some(lan) = lan {
        tokio::spawn(lan.serve());
    }
    tokio::spawn(control::serve(listener, surface));
    let emptying = drop_folder.emptied().map_err(no_drop_folder)?;
    let mut watch = tokio::time::interval(driver.watchdog.every());
    log::info(format_args!("ready, boot {}", driver.parts.opened.boot.0));
    driver.watchdog.say("READY=1");
    loop {
        let wake = driver.step();
        tokio::select! {
            Some(ask) = asks.recv() => driver.asked(ask),
            Some(done) = done.recv() => driver.done(done)?,
            _ = tokio::time::sleep_until(wake) => {}
            _ = watch.tick() => {
                let (running, now) = (driver.schedule.running() || driver.asides.running(), driver.now().mono);
                driver.watchdog.look(&driver.parts, running, driver.purging, now);
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    log::info("stopping");
    driver.watchdog.say("STOPPING=1");
    emptying.stop();
    driver.stop(&mut done).await;
    // Its absence says that nobody serves here.
    let _ = std::fs::remove_file(&socket);
    Ok(())
}

fn no_drop_folder(error: std::io::Error) -> StartError {
    StartError::Setting(format!("cannot make the drop folder: {error}"))
}

fn no_signals(error: std::io::Error) -> StartError {
    StartError::Setting(format!("cannot listen for signals: {error}"))
}

/// The loop's state.
struct Driver {
    gateway: String,
    parts: Parts,
    tasks: std::sync::mpsc::SyncSender<Task>,
    telemetry: Telemetry,
    watchdog: Watchdog,
    lan: Option<Arc<Lan>>,
    schedule: Schedule,
    meter: TrafficMeter,
    waiting: Vec<oneshot::Sender<Answer>>,
    /// Those who asked before the running session began do not wait for the next one.
    served: Vec<oneshot::Sender<Answer>>,
    last_round_trip: Option<i64>,
    heartbeat: Mono,
    look: Mono,
    purge: Mono,
    purging: bool,
    purge_every: Duration,
    /// By the desk: no session starts.
    locked: bool,
    asides: Asides,
    /// When a line in trouble is looked at next, and whether it had a way out at the last look.
    line_look: Option<Mono>,
    route: Option<bool>,
}

impl Driver {
    fn new(
        config: &Config,
        parts: Parts,
        meter: TrafficMeter,
        tasks: std::sync::mpsc::SyncSender<Task>,
        telemetry: Telemetry,
        lan: Option<Arc<Lan>>,
        (locked, daily): (bool, Daily),
    ) -> Driver {
        let now = parts.clock.now().mono;
        Driver {
            gateway: config.gateway.id.clone(),
            parts,
            tasks,
            telemetry,
            watchdog: Watchdog::new(config, now),
            lan,
            meter,
            schedule: Schedule::new(config.schedule.clone(), now),
            waiting: Vec::new(),
            served: Vec::new(),
            last_round_trip: None,
            heartbeat: now,
            look: now,
            purge: now.plus(Duration::from_secs(60)),
            purging: false,
            purge_every: PURGE_EVERY.min(config.limits.keep_delivered / PURGES_PER_KEEP),
            locked,
            asides: Asides::new(daily),
            line_look: None,
            route: None,
        }
    }

    fn now(&self) -> Now {
        self.parts.clock.now()
    }

    /// Does what is due and says when to look again.
    fn step(&mut self) -> tokio::time::Instant {
        let now = self.now();
        let idle = !self.schedule.running() && !self.purging && !self.asides.running();
        if idle && now.mono >= self.purge && self.tasks.try_send(Task::Purge).is_ok() {
            self.purging = true;
            self.purge = now.mono.plus(self.purge_every);
        }
        if idle && !self.purging {
            self.asides.start(&self.tasks);
        }
        self.look_at_the_line(now.mono);
        self.look_at_the_meter(now);
        let means = self.means(now);
        if !self.purging
            && !self.locked
            && !self.asides.running()
            && let Some(orders) = self.schedule.due(now, means, figures::random())
        {
            if orders.by_hand {
                self.served.append(&mut self.waiting);
                self.telemetry.session_by_hand();
            }
            self.tasks
                .try_send(Task::Session(orders))
                .expect("the thread is idle between two sessions");
        }
        let busy = self.schedule.running() || self.purging || self.asides.running();
        if !busy && !self.locked {
            self.look_daily(now, means);
        }
        if now.mono >= self.look {
            self.look = now.mono.plus(LOOK);
            let beat = now.mono >= self.heartbeat;
            if beat {
                self.heartbeat = status::next_heartbeat(now.mono);
            }
            self.publish(beat);
        }
        let due = self.schedule.deadline(now, means);
        let due = due.filter(|_| !self.purging && !self.locked && !self.asides.running());
        let wake = due
            .map_or(self.look, |due| due.min(self.look))
            .min(self.purge.max(now.mono))
            .min(self.line_look.unwrap_or(Mono(u64::MAX)));
        // At least a moment ahead: what is due and cannot start yet waits for the thread's report.
        self.parts
            .clock
            .instant(wake.max(now.mono.plus(Duration::from_millis(20))))
    }

    /// While a line is in trouble, its return starts a session: once, and without waiting for a slot.
    fn look_at_the_line(&mut self, now: Mono) {
        if self.schedule.running() || !self.schedule.line_in_trouble() {
            (self.line_look, self.route) = (None, None);
        } else if self.line_look.is_none_or(|at| now >= at) {
            self.line_look = Some(now.plus(LINE_LOOK));
            let route = self.parts.uplink.route();
            if route && self.route.replace(route) == Some(false) {
                log::info("the line is back");
                self.schedule.line_returned(now, figures::random());
            }
            self.route = Some(route);
        }
    }

    /// Counts what has passed. A session that meets the end of the budget ends after the event in hand.
    fn look_at_the_meter(&mut self, now: Now) {
        // A store that fails says so where events are taken in; until then the count goes on in memory.
        let _ = self.meter.look(now);
        if self.meter.meter().spent() && self.schedule.running_in_full() {
            self.parts.stop.store(true, Relaxed);
        }
        if self.meter.meter().spent() {
            self.make_way();
        }
    }

    fn means(&self, now: Now) -> Means {
        let spent = self.meter.meter().spent();
        let restricted = self.schedule.restricted(now, spent);
        let urgent = restricted && self.parts.store.queue(|queue| queue.urgent_waiting());
        Means { spent, urgent }
    }

    fn done(&mut self, done: Done) -> Result<(), StoreError> {
        match done {
            Done::Purged => self.purging = false,
            Done::Aside(looked) => self.aside_ended(looked.as_ref()),
            Done::Store(error) => return Err(error),
            Done::Session { report, ms, bytes } => self.session_ended(&report, ms, bytes),
        }
        Ok(())
    }

    /// Lets the event in hand finish, then says goodbye.
    async fn stop(mut self, done: &mut mpsc::Receiver<Done>) {
        self.parts.stop.store(true, Relaxed);
        if self.schedule.running() || self.purging {
            let _ = tokio::time::timeout(STOP_WITHIN, done.recv()).await;
        }
        let now = self.now();
        self.telemetry.stop(now).await;
        // Without it the next start takes the reserve for spent: too much rather than too little.
        let _ = self.meter.close(now);
    }
}
