//! Work aside from the schedule: it takes its turn between sessions, one at a time.

use super::worker::Task;
use crate::shell::office::Answer;
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use tokio::sync::oneshot;

/// What can be asked for aside from the schedule.
#[derive(Clone, Copy, Debug)]
pub enum Aside {
    /// A session that sends nothing.
    Shadow { reveal: bool },
    /// A look at the open referrals.
    Reconcile,
}

/// What was asked for, oldest first, and whether one is being done. Bounded by the connections of the control socket,
/// each of which waits for its answer.
#[derive(Default)]
pub struct Asides {
    asked: VecDeque<(Aside, oneshot::Sender<Answer>)>,
    running: bool,
}

impl Asides {
    pub fn ask(&mut self, aside: Aside, reply: oneshot::Sender<Answer>) {
        self.asked.push_back((aside, reply));
    }

    pub fn running(&self) -> bool {
        self.running
    }

    /// Hands the oldest to the thread, which must be idle.
    pub fn start(&mut self, tasks: &SyncSender<Task>) {
        if let Some((aside, reply)) = self.asked.pop_front() {
            self.running = tasks.try_send(Task::Aside(aside, reply)).is_ok();
        }
    }

    pub fn ended(&mut self) {
        self.running = false;
    }
}
