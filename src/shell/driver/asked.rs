//! What the driver is asked from outside: for the status, for a session, for work aside, by the desk.

use super::Driver;
use crate::core::command::Order;
use crate::core::status;
use crate::shell::desk::Obeyed;
use crate::shell::figures;
use crate::shell::office::{Answer, LOCKED};
use crate::shell::standing;
use crate::shell::surface::Ask;

impl Driver {
    pub(super) fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::EventAccepted => {
                self.schedule.event_accepted(self.now().mono);
                self.make_way_for_the_urgent();
            }
            Ask::Status(reply) => {
                let now = self.now();
                let figures = figures::read(&self.parts, now);
                let mut document = status::document(&self.picture(now).0);
                document["figures"] = figures.json();
                if let Some(lan) = &self.lan {
                    document["lan"] = lan.json();
                }
                // A store that does not read shows in `store`.
                let _ = standing::add(&mut document, &self.parts.tables, &self.parts.store);
                // Whoever asked may have gone.
                let _ = reply.send(document);
            }
            Ask::Desk(obeyed) => self.obeyed(&obeyed),
            Ask::Sync(reply) | Ask::Aside(_, reply) if self.locked => {
                drop(reply.send(Answer::refusal(503, "locked", LOCKED)));
            }
            Ask::Aside(aside, reply) => self.asides.ask(aside, reply),
            Ask::Sync(reply) => {
                self.waiting.push(reply);
                self.schedule.asked_by_hand();
                self.make_way();
            }
        }
    }

    /// A command of the desk has reached us, and the store if it is one for it.
    fn obeyed(&mut self, obeyed: &Obeyed) {
        let now = self.now();
        if let (Some(command), Ok(_)) = (&obeyed.command, obeyed.done) {
            if command.order != Order::Reannounce {
                self.make_way();
            }
            match command.order {
                Order::Sync => self.schedule.asked_by_hand(),
                Order::Requeue(_) => self.schedule.event_accepted(now.mono),
                Order::Lock | Order::Unlock => self.locked = command.order == Order::Lock,
                Order::Reannounce => self.heartbeat = now.mono,
            }
        }
        self.telemetry.obeyed(obeyed, now);
        self.look = now.mono;
    }
}
