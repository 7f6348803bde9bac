//! What the driver tells: the log, those who waited for a session, the desk, and systemd.

use super::Driver;
use crate::core::record::Peer;
use crate::core::schedule::Fared;
use crate::core::status::{self, Picture};
use crate::core::time::Now;
use crate::shell::figures;
use crate::shell::log;
use crate::shell::session::SessionReport;
use crate::shell::surface::sync_answer;
use crate::shell::telemetry::Telemetry;
use std::sync::atomic::Ordering::Relaxed;

impl Driver {
    pub(super) fn session_ended(&mut self, report: &SessionReport, ms: u64, bytes: [u64; 2]) {
        // Set when the budget ended the session; a stop of the program reads no further report.
        self.parts.stop.store(false, Relaxed);
        let now = self.now();
        let unix = now.wall.known();
        let (primero, oscar) = (report.primero.fared(), report.oscar.fared());
        self.schedule
            .ended(primero, oscar, now.mono, unix, figures::random());
        let whole = |fared: &Fared| fared.reached && fared.trouble.is_none();
        if whole(&primero) && whole(&oscar) {
            self.last_round_trip = unix.or(self.last_round_trip);
        }
        for peer in Peer::BOTH {
            let pass = report.of(peer);
            if let Some(trouble) = pass.trouble {
                log::warn(format_args!(
                    "{}: {}: {}",
                    peer.word(),
                    trouble.word(),
                    trouble.advice()
                ));
            }
        }
        log::info(format_args!(
            "session: {} to primero, {} to oscar, {} confirmed, {} parked, {} in doubt, {ms} ms",
            report.primero.pushed,
            report.oscar.pushed,
            report.primero.confirmed + report.oscar.confirmed,
            report.primero.parked + report.oscar.parked,
            report.primero.in_doubt + report.oscar.in_doubt
        ));
        for reply in self.served.drain(..) {
            let _ = reply.send(sync_answer(report));
        }
        let figures = figures::read(&self.parts, now);
        let (picture, telemetry) = self.picture(now);
        telemetry.session(report, ms, bytes, &picture, &figures);
        let line = status::line(&picture);
        self.watchdog.say(&line);
    }

    /// The picture of this moment, and who shows it to the desk.
    pub(super) fn picture(&mut self, now: Now) -> (Picture<'_>, &mut Telemetry) {
        let store = &self.parts.store;
        let (counts, oldest) = store.queue(|queue| {
            (
                queue.counts(),
                queue.oldest_open().and_then(|entry| entry.created.unix()),
            )
        });
        let picture = Picture {
            gateway: &self.gateway,
            version: env!("CARGO_PKG_VERSION"),
            now,
            counts,
            oldest_s: status::age_s(oldest, now),
            schedule: &self.schedule,
            way: self.parts.way(self.meter.meter()),
            mqtt: self.telemetry.word(),
            last_round_trip: self.last_round_trip,
            store_failed: store.failure().is_some(),
        };
        (picture, &mut self.telemetry)
    }

    pub(super) fn publish(&mut self, beat: bool) {
        let now = self.now();
        let figures = figures::read(&self.parts, now);
        let (picture, telemetry) = self.picture(now);
        if beat {
            telemetry.beat(&picture, &figures);
        }
        telemetry.look(&picture, &figures);
        let line = status::line(&picture);
        self.watchdog.say(&line);
    }
}
