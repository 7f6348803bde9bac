//! The gateway's and the servers' clocks, moved on together while everybody waits.

use crate::net::run;
use crate::site::Site;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Office time is ahead of UTC by this much, all the year round.
const OFFICE_AHEAD: TimeDelta = TimeDelta::hours(7);

pub struct Calendar {
    /// Seconds the clocks are ahead of the kernel's, shared with the gateway (`clock.c`).
    shared: File,
    ahead: i64,
    began: DateTime<Utc>,
    folder: TempDir,
}

impl Calendar {
    /// A calendar that stands at the beginning of a Monday in the office.
    pub fn monday() -> Calendar {
        let folder = TempDir::new().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/uplink/clock.c");
        run(&format!(
            "cc -O1 -shared -fPIC -o {} {source} -ldl",
            at("clock.so")
        ));
        let shared = File::create(at("ahead")).expect("a file");
        let now: DateTime<Utc> = SystemTime::now().into();
        let here = now + OFFICE_AHEAD;
        let to_monday = 7 - i64::from(here.weekday().num_days_from_monday());
        let midnight = here.date_naive().and_time(chrono::NaiveTime::MIN) + TimeDelta::days(to_monday);
        let began = midnight.and_utc() - OFFICE_AHEAD;
        let mut calendar = Calendar {
            shared,
            ahead: 0,
            began,
            folder,
        };
        calendar.set((began - now).num_seconds() + 1);
        calendar
    }

    /// What a program that lives by this calendar needs in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        vec![("LD_PRELOAD", at("clock.so")), ("CLOCK_AHEAD", at("ahead"))]
    }

    fn set(&mut self, ahead: i64) {
        self.ahead = ahead;
        let written = self.shared.write_at(&ahead.to_ne_bytes(), 0);
        written.expect("the file takes eight bytes");
    }

    /// Moves all clocks on.
    pub fn pass(&mut self, site: &Site, time: Duration) {
        self.set(self.ahead + i64::try_from(time.as_secs()).expect("a short time"));
        self.tell(site);
    }

    /// Tells the servers the time.
    pub fn tell(&self, site: &Site) {
        let now = self.now();
        site.primero.set_now(now);
        site.oscar.server().set_date_skew(self.ahead);
        site.oscar.with(|sim| sim.set_now(now));
    }

    fn now(&self) -> DateTime<Utc> {
        DateTime::<Utc>::from(SystemTime::now()) + TimeDelta::seconds(self.ahead)
    }

    /// Whole minutes since the beginning.
    pub fn minute(&self) -> i64 {
        (self.now() - self.began).num_minutes()
    }
}
