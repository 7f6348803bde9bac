//! Answers to the desk's commands, on `cmd-result`.

use super::{Desk, Telemetry};
use crate::core::command::Order;
use crate::core::flat::Flat;
use crate::core::time::Now;
use crate::shell::desk::Obeyed;
use crate::shell::session::SessionReport;

impl Telemetry {
    /// What became of a command goes to the desk; a session it asked for is answered when it ends.
    pub fn obeyed(&mut self, obeyed: &Obeyed, now: Now) {
        let Some(desk) = &mut self.0 else { return };
        match (&obeyed.command, obeyed.done) {
            (Some(command), Ok(_)) if command.order == Order::Sync => desk.awaited.push(command.id.clone()),
            (Some(command), done) => {
                if command.order == Order::Reannounce {
                    desk.link.reannounce();
                }
                desk.locked = match (command.order, done) {
                    (Order::Lock, Ok(_)) => true,
                    (Order::Unlock, Ok(_)) => false,
                    _ => desk.locked,
                };
                desk.result(obeyed, now);
            }
            (None, _) => desk.result(obeyed, now),
        }
    }

    /// A session begins that was asked for: those who asked before it are answered at its end.
    pub fn session_by_hand(&mut self) {
        if let Some(desk) = &mut self.0 {
            desk.served.append(&mut desk.awaited);
        }
    }
}

impl Desk {
    /// Says what became of a command, on `cmd-result`.
    fn result(&self, obeyed: &Obeyed, now: Now) {
        let mut flat = Flat::new(now.wall.known());
        let id = obeyed.command.as_ref().map(|command| command.id.as_str());
        let cmd = obeyed.command.as_ref().map(|command| command.order.word());
        flat.word("id", id).word("cmd", cmd);
        match obeyed.done {
            Ok(moved) => flat.word("outcome", Some("done")).count("events", moved),
            Err(refusal) => flat
                .word("outcome", Some("refused"))
                .word("reason", Some(refusal.word())),
        };
        self.say_once("cmd-result", &flat.done());
    }

    /// The sessions commands asked for have ended.
    pub(super) fn answer_awaited(&mut self, report: &SessionReport, now: Now) {
        for id in std::mem::take(&mut self.served) {
            let reached = report.primero.reached || report.oscar.reached;
            let moved = report.primero.pushed + report.oscar.pushed;
            let payload = Flat::new(now.wall.known())
                .word("id", Some(&id))
                .word("cmd", Some(Order::Sync.word()))
                .word("outcome", Some(if reached { "done" } else { "unreached" }))
                .count("events", moved.into())
                .done();
            self.say_once("cmd-result", &payload);
        }
    }
}
