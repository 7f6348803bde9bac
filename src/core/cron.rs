//! Cron in office time: `minute hour day-of-month month day-of-week`, five fields as crontab(5) has them.
//!
//! Each field is `*`, a number, a range `7-18`, a step `*/5` or `7-18/2`, or a list of those with commas; months and
//! weekdays also by their first three letters in English. Sunday is 0 or 7. When both days are restricted, either is
//! enough, as in crontab(5). A local time that a clock change skips does not fire; one that it repeats fires once.

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeZone, Timelike};
use chrono_tz::Tz;

/// No expression that fires at all waits longer: 29 February on a given weekday comes round within 40 years.
const DAYS_MAX: u32 = 366 * 40;

/// When to fire, as sets of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a day counts by either of its two fields, or must fit both because one of them is `*`.
    either_day: bool,
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field: its name for people, its bounds, and the words that stand for its numbers, counted from the lower bound.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    words: &'static [&'static str],
}

const fn field(name: &'static str, least: u32, most: u32, words: &'static [&'static str]) -> Field {
    Field {
        name,
        least,
        most,
        words,
    }
}

impl Cron {
    /// Reads an expression; the error says which part is wrong.
    pub fn parse(text: &str) -> Result<Cron, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            return Err(format!(
                "{} fields instead of five (minute hour day month weekday)",
                parts.len()
            ));
        };
        let weekdays = field("weekday", 0, 7, &WEEKDAYS).read(weekday)?;
        let cron = Cron {
            text: parts.join(" "),
            minutes: field("minute", 0, 59, &[]).read(minute)?,
            hours: field("hour", 0, 23, &[]).read(hour)?,
            days: field("day", 1, 31, &[]).read(day)?,
            months: field("month", 1, 12, &MONTHS).read(month)?,
            weekdays: weekdays | (weekdays >> 7),
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        let long = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let possible = cron.either_day
            || (1..=12)
                .any(|month| cron.months >> month & 1 == 1 && cron.days & ((2 << long[month - 1]) - 1) != 0);
        if possible {
            Ok(cron)
        } else {
            Err("such a day never comes".to_owned())
        }
    }

    /// The expression as written, blanks set right.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first moment after `after` at which it fires, both in Unix seconds.
    pub fn next_after(&self, after: i64, zone: Tz) -> Option<i64> {
        let local = DateTime::from_timestamp(after, 0)?
            .with_timezone(&zone)
            .naive_local();
        let mut date = local.date();
        for _ in 0..DAYS_MAX {
            if self.fires_on(date) {
                let moments = (0..24 * 60).filter(|minute| {
                    self.hours >> (minute / 60) & 1 == 1 && self.minutes >> (minute % 60) & 1 == 1
                });
                for minute in moments {
                    let time = date.and_hms_opt(minute / 60, minute % 60, 0)?;
                    // The earlier of two: later ones of the same name have had their turn.
                    let moment = zone.from_local_datetime(&time).earliest();
                    let moment = moment.map(|moment| moment.timestamp()).filter(|at| *at > after);
                    if time > local && moment.is_some() {
                        return moment;
                    }
                }
            }
            date = date.checked_add_days(Days::new(1))?;
        }
        None
    }

    fn fires_on(&self, date: NaiveDate) -> bool {
        let day = self.days >> date.day() & 1 == 1;
        let weekday = self.weekdays >> date.weekday().num_days_from_sunday() & 1 == 1;
        let fits = if self.either_day {
            day || weekday
        } else {
            day && weekday
        };
        fits && self.months >> date.month() & 1 == 1
    }
}

impl Field {
    /// The set of numbers a field means.
    fn read(&self, text: &str) -> Result<u64, String> {
        let mut set = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, step.parse().ok().filter(|step| (1..=59).contains(step))),
                None => (part, Some(1)),
            };
            let bounds = match range.split_once('-') {
                _ if range == "*" => Some((self.least, self.most)),
                Some((from, to)) => self.number(from).zip(self.number(to)),
                // `7/2` counts from 7 to the end, as everywhere.
                None if part.contains('/') => self.number(range).map(|from| (from, self.most)),
                None => self.number(range).map(|only| (only, only)),
            };
            let good = bounds.zip(step).filter(|((from, to), _)| from <= to);
            let Some(((from, to), step)) = good else {
                let Field {
                    name, least, most, ..
                } = self;
                return Err(format!("\"{part}\" is no {name} (from {least} to {most})"));
            };
            (from..=to).step_by(step).for_each(|number| set |= 1 << number);
        }
        Ok(set)
    }

    fn number(&self, text: &str) -> Option<u32> {
        let word = |known: &&str| text.eq_ignore_ascii_case(known);
        let named = self
            .words
            .iter()
            .position(word)
            .and_then(|at| u32::try_from(at).ok());
        let number = named.map_or_else(|| text.parse().ok(), |at| Some(at + self.least));
        number.filter(|number| (self.least..=self.most).contains(number))
    }
}

/// The minute of the day at the office, from 0 to 1439.
pub(super) fn minute_of_day(unix: i64, zone: Tz) -> Option<u32> {
    let local = DateTime::from_timestamp(unix, 0)?.with_timezone(&zone);
    Some(local.hour() * 60 + local.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Tz {
        "Asia/Phnom_Penh".parse().unwrap()
    }

    /// `2026-11-23 07:00` at the office as Unix seconds.
    fn at(text: &str) -> i64 {
        let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        zone().from_local_datetime(&naive).unwrap().timestamp()
    }

    fn next(cron: &str, after: &str) -> String {
        let next = Cron::parse(cron).unwrap().next_after(at(after), zone()).unwrap();
        let local = DateTime::from_timestamp(next, 0).unwrap().with_timezone(&zone());
        local.format("%Y-%m-%d %H:%M").to_string()
    }

    #[test]
    fn office_hours_fire_every_five_minutes_and_not_on_sunday() {
        let cron = "*/5 7-18 * * mon-sat";
        // 23 November 2026 is a Monday.
        for (after, then) in [
            ("2026-11-23 06:59", "2026-11-23 07:00"),
            ("2026-11-23 07:00", "2026-11-23 07:05"),
            ("2026-11-23 07:03", "2026-11-23 07:05"),
            ("2026-11-23 18:55", "2026-11-24 07:00"),
            ("2026-11-28 18:56", "2026-11-30 07:00"),
            ("2026-11-29 10:00", "2026-11-30 07:00"),
        ] {
            assert_eq!(next(cron, after), then, "{after}");
        }
    }

    #[test]
    fn lists_steps_names_and_both_kinds_of_day_are_understood() {
        for (cron, then) in [
            ("0 8,13 * * *", "2026-11-23 08:00"),
            ("30 */6 * * *", "2026-11-23 12:30"),
            ("15 9/4 * * *", "2026-11-23 09:15"),
            ("0 0 1 JAN *", "2027-01-01 00:00"),
            ("0 0 29 2 *", "2028-02-29 00:00"),
            ("0 12 * * 7", "2026-11-29 12:00"),
            ("0 12 * * 0", "2026-11-29 12:00"),
            ("0 12 * * fri-7", "2026-11-27 12:00"),
            // Either the 25th or a Tuesday.
            ("0 12 25 * tue", "2026-11-24 12:00"),
            // A `*` with a step restricts nothing as far as the days' rule goes.
            ("0 12 */2 * tue", "2026-12-01 12:00"),
        ] {
            assert_eq!(next(cron, "2026-11-23 07:59"), then, "{cron}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_part() {
        for (cron, part) in [
            ("* * * *", "4 fields"),
            ("60 * * * *", "\"60\" is no minute"),
            ("* 24 * * *", "\"24\" is no hour"),
            ("* * 0 * *", "\"0\" is no day"),
            ("* * * 13 *", "\"13\" is no month"),
            ("* * * * moon", "\"moon\" is no weekday"),
            ("*/0 * * * *", "\"*/0\" is no minute"),
            ("9-7 * * * *", "\"9-7\" is no minute"),
            ("1,,2 * * * *", "\"\" is no minute"),
            ("0 0 30 2 *", "never comes"),
            ("0 0 31 4,6 *", "never comes"),
        ] {
            let error = Cron::parse(cron).unwrap_err();
            assert!(error.contains(part), "{cron}: {error}");
        }
    }

    #[test]
    fn every_next_moment_is_the_first_that_fits() {
        let cron = Cron::parse("7,40-50/5 */3 * * 1-5").unwrap();
        let mut expected = Vec::new();
        let start = at("2026-11-20 00:00");
        for minute in 1..10 * 24 * 60 {
            let moment = start + minute * 60;
            let local = DateTime::from_timestamp(moment, 0)
                .unwrap()
                .with_timezone(&zone());
            let fits = [7, 40, 45, 50].contains(&local.minute())
                && local.hour().is_multiple_of(3)
                && (1..=5).contains(&local.weekday().num_days_from_sunday());
            if fits {
                expected.push(moment);
            }
        }
        let mut found = Vec::new();
        let mut moment = start;
        while found.len() < expected.len() {
            moment = cron.next_after(moment, zone()).unwrap();
            found.push(moment);
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn a_skipped_time_does_not_fire_and_a_repeated_one_fires_once() {
        // Dhaka went from 23:00 to midnight on 19 June 2009, and back at the end of that year.
        let zone: Tz = "Asia/Dhaka".parse().unwrap();
        let cron = Cron::parse("30 23 * * *").unwrap();
        let local = |moment: i64| {
            let utc = DateTime::from_timestamp(moment, 0).unwrap();
            utc.with_timezone(&zone).format("%m-%d %H:%M %z").to_string()
        };
        let noon = zone.with_ymd_and_hms(2009, 6, 19, 12, 0, 0).unwrap().timestamp();
        let next = cron.next_after(noon, zone).unwrap();
        assert_eq!(local(next), "06-20 23:30 +0700");
        let noon = zone.with_ymd_and_hms(2009, 12, 31, 12, 0, 0).unwrap().timestamp();
        let first = cron.next_after(noon, zone).unwrap();
        let second = cron.next_after(first, zone).unwrap();
        assert_eq!(
            (local(first), local(second)),
            ("12-31 23:30 +0700".into(), "01-01 23:30 +0600".into())
        );
    }
}
