//! A month of normal work, in compressed time: every minute of 30 days from a Monday on passes for the gateway and for
//! both servers, and nothing is multiplied. `clock.c` moves the gateway's clocks on while it waits, so its own schedule,
//! reports, pings, daily and weekly looks, purges and cursors come as often as in a month, and by themselves.
//!
//! **The month.** A session every five minutes in office hours (`*/5 7-18 * * mon-sat`, 26 days of twelve hours), each on
//! new connections that TLS resumes; what it leaves open the servers' idle timeouts end. Ten referrals a day from the office, each
//! with its session at once; the day after, the NGO takes the child and decides, and the decision goes back. The desk's
//! line is up day and night.
//!
//! **Bytes** are those of IP packets both ways, as a mobile contract counts them, with name lookups. On the **card** the
//! file system is synced after everything that happens: what the kernel would write by itself within seconds is not
//! gathered over hours.

use crate::calendar::Calendar;
use crate::card::Card;
use crate::net::{OSCAR, PRIMERO, STRANGER};
use crate::office::{PATIENCE, referral};
use crate::service::Line;
use crate::site::Site;
use crate::table::{Table, grouped};
use crate::{DESK, broker, listed, wait_for_birth};
use serde_json::Value;
use simulators::wire::Counters;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const WIRE_BYTES_MAX: u64 = 25_000_000;
const CARD_BYTES_MAX: u64 = 100_000_000;
pub const DAYS: i64 = 30;
/// Monday to Saturday.
const OFFICE_DAYS_OF_WEEK: i64 = 6;
/// An event in each of these hours, and in each a decision on one of the office day before.
const HOURS_OF_EVENTS: std::ops::Range<i64> = 8..18;
const MINUTE_OF_EVENT: i64 = 17;
const MINUTE_OF_DECISION: i64 = 41;
/// Minutes between two sessions in the month; another number shows what an office would spend or spare by it.
pub const EVERY: i64 = 5;
const MINUTE: Duration = Duration::from_secs(60);
/// Longer than a fresh event waits for others.
const GATHERED: Duration = Duration::from_secs(2);
/// Nothing has happened for so long: nothing is going to.
const QUIET: Duration = Duration::from_millis(6);
/// The same once something has been said in this minute: on a busy machine the answer comes later, and would seem to come
/// minutes later.
const ANSWERED: Duration = Duration::from_millis(25);

struct Month {
    // Before the site, in whose folder the card is mounted.
    card: Card,
    site: Site,
    socket: PathBuf,
    calendar: Calendar,
    events: usize,
    decisions: usize,
}

/// Plays so many days with a session every so many minutes of the office's hours; the budgets are those of a whole month
/// at [`EVERY`].
pub fn measure(table: &mut Table, days: i64, every: i64) {
    let schedule = format!("cron = \"*/{every} 7-18 * * mon-sat\"");
    let mut site = Site::new(&schedule, DESK);
    let broker = broker(&site);
    let calendar = Calendar::monday();
    site.environment = calendar.environment();
    let card = Card::at(&site.folder.path().join("data"));
    let mut month = Month {
        card,
        socket: site.folder.path().join("data/control.sock"),
        site,
        calendar,
        events: 0,
        decisions: 0,
    };
    month.calendar.tell(&month.site);
    month.site.start();
    wait_for_birth(&broker);
    month.settle();
    let (line, card, commits) = (month.line(), month.card.written(), month.commits());
    let before = month.counters();
    while month.calendar.minute() < days * 24 * 60 {
        month.minute();
    }
    let (line_after, card_after) = (month.line(), month.card.written());
    let spent: Vec<u64> = line_after
        .iter()
        .zip(line)
        .map(|(after, before)| after - before)
        .collect();
    month.told(table, &before, &spent);
    let what = format!("{days} days on the uplink, IP headers, name lookups and the desk's line included");
    table.hold(&what, spent[0], WIRE_BYTES_MAX, " B");
    let own = month.status()["uplink"]["month"]["bytes"].as_u64().unwrap_or(0);
    table.tell(
        "bytes of the calendar month by the gateway's own count at the end",
        grouped(own) + " B",
        "",
    );
    table.tell("commits", grouped(month.commits() - commits), "");
    let what = format!("{days} days on the card, file system and journal included");
    table.hold(&what, card_after - card, CARD_BYTES_MAX, " B");
    let reports = broker
        .log()
        .iter()
        .filter(|said| said.topic.ends_with("/health"))
        .count();
    table.note(format!("reports of health in the broker's log: {reports}"));
    // It lives in the namespace that goes with the site.
    drop(broker);
    drop(month);
}

impl Month {
    /// One minute, and what people do in it.
    fn minute(&mut self) {
        self.pass(MINUTE);
        let minute = self.calendar.minute();
        let (day, hour, minute) = (minute / (24 * 60), minute / 60 % 24, minute % 60);
        let office = day % 7 < OFFICE_DAYS_OF_WEEK && HOURS_OF_EVENTS.contains(&hour);
        if office && minute == MINUTE_OF_EVENT {
            self.enqueue();
            self.pass(GATHERED);
        }
        if office && minute == MINUTE_OF_DECISION && self.decisions + HOURS_OF_EVENTS.count() <= self.events {
            self.decide();
        }
        if (hour, minute) == (23, 59) {
            let all = grouped(self.site.net.passed.bytes());
            eprintln!(
                "day {}: {} events, {} decisions, {all} B",
                day + 1,
                self.events,
                self.decisions
            );
        }
    }

    fn pass(&mut self, time: Duration) {
        self.calendar.pass(&self.site, time);
        self.settle();
    }

    fn enqueue(&mut self) {
        let name = format!("Child {}", self.events);
        let mut event = referral(&format!("month-{}", self.events), &name, "cif");
        event["child"]["local_given_name"] = name.into();
        Line::to(&self.socket).enqueue(&event);
        self.card.settle();
        self.events += 1;
    }

    /// The NGO takes the child of an earlier referral and accepts it.
    fn decide(&mut self) {
        let index = self.decisions;
        self.site.oscar.with(|sim| {
            let number = sim.referrals()[index].id;
            sim.register_child("cif", number).expect("the child was referred");
            sim.hand_decide("cif", number, "Accepted")
                .expect("the referral is open");
        });
        self.decisions += 1;
    }

    /// Wakes the gateway, which finds that time has passed, and waits until it has done what is due; then the servers
    /// tire of the connections.
    fn settle(&self) {
        let packets = || {
            self.site
                .net
                .passed
                .packets
                .each_ref()
                .map(|packets| packets.load(Relaxed))
        };
        let (begun, before) = (Instant::now(), packets());
        let (mut seen, mut since, mut ended) = (before, Instant::now(), false);
        loop {
            let running = self.status()["session_running"] != false;
            let now = packets();
            if now != seen || running {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() >= if now == before { QUIET } else { ANSWERED } {
                if ended || now == before {
                    break;
                }
                // What was said to the desk alone leaves nothing to end.
                self.site.primero.server().end_connections();
                self.site.oscar.server().end_connections();
                (ended, since) = (true, Instant::now());
            }
            assert!(begun.elapsed() < PATIENCE * 4, "{}", self.status());
            std::thread::sleep(Duration::from_millis(1));
        }
        if seen != before {
            self.card.settle();
        }
    }

    fn status(&self) -> Value {
        let (_, text) = Line::to(&self.socket).ask("GET", "/v1/status", "");
        serde_json::from_str(&text).expect("JSON")
    }

    fn commits(&self) -> u64 {
        self.status()["figures"]["commits"].as_u64().expect("a number")
    }

    /// Bytes: all, Primero's, OSCaR's, the desk's, and those of name lookups.
    fn line(&self) -> [u64; 5] {
        let passed = &self.site.net.passed;
        let hosts = [PRIMERO, OSCAR, STRANGER].map(|host| passed.bytes_with(host));
        [
            passed.bytes(),
            hosts[0],
            hosts[1],
            hosts[2],
            passed.lookups.load(Relaxed),
        ]
    }

    fn counters(&self) -> [Counters; 2] {
        [
            self.site.primero.server().counters(),
            self.site.oscar.server().counters(),
        ]
    }

    fn told(&self, table: &mut Table, before: &[Counters; 2], spent: &[u64]) {
        let status = self.status();
        assert_eq!(status["queue"]["pending"], 0, "{status}");
        assert_eq!(status["queue"]["parked"], 0, "{status}");
        let after = self.counters();
        let sum = |part: fn(&Counters) -> u64| {
            after.iter().map(part).sum::<u64>() - before.iter().map(part).sum::<u64>()
        };
        let bytes = |bytes: u64| grouped(bytes) + " B";
        let work = format!("{}, {}, {}", self.site.sessions(), self.events, self.decisions);
        table.tell("a month of normal work: sessions, events, decisions", work, "");
        let hands = format!(
            "{}, {}",
            sum(|c| c.handshakes_full),
            sum(|c| c.handshakes_resumed)
        );
        table.tell("TLS handshakes with both systems, in full and resumed", hands, "");
        for (what, at) in [("Primero", 1), ("OSCaR", 2), ("the desk's broker", 3)] {
            table.tell(
                &format!("to and from {what}, IP headers included"),
                bytes(spent[at]),
                "",
            );
        }
        table.tell("name lookups", bytes(spent[4]), "");
        let payload = sum(|c| c.bytes_in + c.bytes_out);
        table.tell(
            "carried by TCP to and from both systems, TLS included",
            bytes(payload),
            "",
        );
        listed(table, "month", before, &after);
    }
}
