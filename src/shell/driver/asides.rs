//! Work aside from the schedule: it takes its turn between sessions, one at a time. People ask for some of it; the daily
//! look at the open referrals comes by itself, when nothing else wants the lines, and makes way for what is urgent.

use super::Driver;
use super::worker::Task;
use crate::core::daily::{DOCUMENT, Daily, Turn};
use crate::core::reconcile::Report;
use crate::core::schedule::Means;
use crate::core::time::{Mono, Now};
use crate::shell::log;
use crate::shell::office::Answer;
use crate::store::StoreError;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use tokio::sync::oneshot;

/// What can be done aside from the schedule.
#[derive(Clone, Copy, Debug)]
pub enum Aside {
    /// A session that sends nothing.
    Shadow { reveal: bool },
    /// A look at the open referrals.
    Reconcile,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Running {
    Asked,
    Daily,
}

/// What was asked for, oldest first, and what is being done. Bounded by the connections of the control socket, each of
/// which waits for its answer.
pub struct Asides {
    asked: VecDeque<(Aside, oneshot::Sender<Answer>)>,
    running: Option<Running>,
    daily: Daily,
}

impl Asides {
    pub fn new(daily: Daily) -> Asides {
        Asides {
            asked: VecDeque::new(),
            running: None,
            daily,
        }
    }

    pub fn ask(&mut self, aside: Aside, reply: oneshot::Sender<Answer>) {
        self.asked.push_back((aside, reply));
    }

    pub fn running(&self) -> bool {
        self.running.is_some()
    }

    /// Hands the oldest to the thread, which must be idle.
    pub fn start(&mut self, tasks: &SyncSender<Task>) {
        if let Some((aside, reply)) = self.asked.pop_front() {
            let handed = tasks.try_send(Task::Aside(aside, Some(reply)));
            self.running = handed.is_ok().then_some(Running::Asked);
        }
    }

    fn start_look(&mut self, tasks: &SyncSender<Task>) {
        let handed = tasks.try_send(Task::Aside(Aside::Reconcile, None));
        self.running = handed.is_ok().then_some(Running::Daily);
    }

    fn ended(&mut self, whole: bool, now: Mono) {
        if self.running.take() == Some(Running::Daily) {
            self.daily.ended(whole, now);
        }
    }
}

impl Driver {
    /// Begins the daily look if it is due, the thread is idle and both systems may be asked. Quiet hours and a spent
    /// budget put it off.
    pub(super) fn look_daily(&mut self, now: Now, means: Means) {
        let restricted = self.schedule.restricted(now, means.spent);
        if restricted || !self.schedule.both_usable(now.mono) {
            return;
        }
        let (unix, due) = match self.asides.daily.turn(now) {
            Turn::Nothing => return,
            Turn::Count(unix) => (unix, false),
            Turn::Look(unix) => (unix, true),
        };
        let kept = self.parts.store.write(move |tx| {
            tx.meta_put(DOCUMENT, &unix);
            Ok::<_, StoreError>(())
        });
        // A store that takes no writes says so in louder ways.
        if kept.is_ok() {
            self.asides.daily.begun(unix);
            if due {
                log::info("the daily look at the open referrals begins");
                self.asides.start_look(&self.tasks);
            }
        }
    }

    /// Ends the daily look, if it is running, after the case in hand: something may not wait for it.
    pub(super) fn make_way(&mut self) {
        if self.asides.running == Some(Running::Daily) {
            self.parts.stop.store(true, Relaxed);
        }
    }

    /// The same where an event has come that may be urgent. Asked only while there is a look to end: the question goes
    /// through the whole queue.
    pub(super) fn make_way_for_the_urgent(&mut self) {
        let looking = self.asides.running == Some(Running::Daily);
        if looking && self.parts.store.queue(|queue| queue.urgent_waiting()) {
            self.make_way();
        }
    }

    pub(super) fn aside_ended(&mut self, looked: Option<&Report>) {
        // Set where the look was to make way; a stop of the program reads no further report.
        self.parts.stop.store(false, Relaxed);
        let now = self.now().mono;
        if looked.is_none() && self.asides.running == Some(Running::Daily) {
            log::info("the daily look has made way and begins anew in an hour");
        }
        self.asides.ended(looked.is_some_and(Report::whole), now);
        if let Some(report) = looked {
            let for_people = report.for_people();
            log::info(format_args!(
                "reconciled: {} of {} open referrals, {} services differ, {for_people} need a person",
                report.looked_at,
                report.open,
                report.differing()
            ));
            self.telemetry.reconciled(for_people);
            self.look = now;
        }
    }
}
