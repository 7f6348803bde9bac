//! The office's calendar: quiet hours and the month a byte budget runs for. Only a clock that somebody has confirmed
//! is asked; without one there are no quiet hours and no new month.

use super::cron::minute_of_day;
use super::time::{Now, Trust};
use chrono::{DateTime, Datelike};
use chrono_tz::Tz;

const DAY_MIN: u32 = 24 * 60;

/// Parts of each day in which nothing leaves but what is urgent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct QuietHours(Vec<(u32, u32)>);

impl QuietHours {
    /// Reads `22:00-05:00`; a window may go over midnight.
    pub fn parse<'a>(windows: impl IntoIterator<Item = &'a str>) -> Result<QuietHours, String> {
        let read = |window: &'a str| {
            let bounds = window
                .split_once('-')
                .and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
            bounds
                .filter(|(from, to)| from % DAY_MIN != to % DAY_MIN)
                .ok_or_else(|| format!("\"{window}\": write hours like \"22:00-05:00\""))
        };
        windows
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(QuietHours)
    }

    /// Each window as it is written.
    pub fn printed(&self) -> String {
        let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        let shown: Vec<String> = self
            .0
            .iter()
            .map(|(from, to)| format!("{}-{}", clock(*from), clock(*to)))
            .collect();
        shown.join(", ")
    }

    /// The end of the window the office is in, in Unix seconds; windows that touch count as one. Exact where clocks
    /// are never changed; where they are, up to an hour off on that night, and looked at again then.
    pub fn until(&self, now: Now, zone: Tz) -> Option<i64> {
        if self.0.is_empty() || now.wall.trust != Trust::Synced {
            return None;
        }
        let here = minute_of_day(now.wall.unix, zone)?;
        let mut end = here;
        for _ in 0..=self.0.len() {
            let inside = |(from, to): &&(u32, u32)| {
                (end % DAY_MIN + DAY_MIN - from) % DAY_MIN < (to + DAY_MIN - from) % DAY_MIN
            };
            let Some((_, to)) = self.0.iter().find(inside) else {
                break;
            };
            end += (to + DAY_MIN - end % DAY_MIN) % DAY_MIN;
        }
        // Windows that cover the whole day have no end: then tomorrow at this time is as good as any.
        let minutes = i64::from((end - here).min(DAY_MIN));
        (minutes > 0).then(|| now.wall.unix.div_euclid(60) * 60 + minutes * 60)
    }
}

/// `05:30` as a minute of the day; `24:00` is the end of it.
fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two = |text: &str| text.parse::<u32>().ok().filter(|_| text.len() == 2);
    let (hour, minute) = (two(hour)?, two(minute)?);
    (hour < 24 && minute < 60 || (hour, minute) == (24, 0)).then_some(hour * 60 + minute)
}

/// The month at the office, counted from year zero, so that a later one is a larger number.
pub fn month(now: Now, zone: Tz) -> Option<i32> {
    if now.wall.trust != Trust::Synced {
        return None;
    }
    let local = DateTime::from_timestamp(now.wall.unix, 0)?.with_timezone(&zone);
    Some(local.year() * 12 + i32::try_from(local.month0()).ok()?)
}

/// `2026-11` for a month as [`month`] counts it.
pub fn month_words(month: i32) -> String {
    format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::{BUILD_FLOOR, Mono, Wall};

    fn zone() -> Tz {
        "Asia/Phnom_Penh".parse().unwrap()
    }

    /// So many minutes after midnight at the office, on 23 November 2026.
    fn at(minute: u32) -> Now {
        let midnight = 1_795_366_800;
        Now {
            mono: Mono(1),
            wall: Wall::judge(midnight + i64::from(minute) * 60 + 17, 0, true),
        }
    }

    /// Minutes that are left of the quiet at that minute of the day.
    fn left(quiet: &QuietHours, minute: u32) -> i64 {
        let now = at(minute);
        let rounded = now.wall.unix - 17;
        quiet.until(now, zone()).map_or(0, |end| (end - rounded) / 60)
    }

    #[test]
    fn a_night_goes_over_midnight() {
        let quiet = QuietHours::parse(["22:00-05:00"]).unwrap();
        for (minute, minutes) in [
            (21 * 60 + 59, 0),
            (22 * 60, 420),
            (0, 300),
            (4 * 60 + 59, 1),
            (5 * 60, 0),
        ] {
            assert_eq!(left(&quiet, minute), minutes, "{minute}");
        }
        assert_eq!(quiet.printed(), "22:00-05:00");
    }

    #[test]
    fn windows_that_touch_are_one_and_a_whole_day_ends() {
        let quiet = QuietHours::parse(["12:00-13:00", "13:00-14:30"]).unwrap();
        assert_eq!(left(&quiet, 12 * 60), 150);
        let always = QuietHours::parse(["00:00-12:00", "12:00-24:00"]).unwrap();
        assert_eq!(left(&always, 6 * 60), i64::from(DAY_MIN));
    }

    #[test]
    fn a_clock_nobody_confirmed_has_no_quiet_hours_and_no_month() {
        let quiet = QuietHours::parse(["00:00-23:59"]).unwrap();
        let doubtful = Now {
            mono: Mono(1),
            wall: Wall::judge(BUILD_FLOOR + 5, 0, false),
        };
        assert_eq!(quiet.until(doubtful, zone()), None);
        assert_eq!(month(doubtful, zone()), None);
    }

    #[test]
    fn a_month_begins_at_midnight_of_the_office() {
        // 30 November 2026, 23:59:17 and a minute later.
        let last = at(7 * DAY_MIN + DAY_MIN - 1);
        assert_eq!(month_words(month(last, zone()).unwrap()), "2026-11");
        assert_eq!(month_words(month(at(8 * DAY_MIN), zone()).unwrap()), "2026-12");
    }

    #[test]
    fn hours_are_read_strictly() {
        for bad in [
            "22-05",
            "22:00",
            "25:00-05:00",
            "22:60-05:00",
            "5:00-6:00",
            "05:00-05:00",
        ] {
            assert!(QuietHours::parse([bad]).is_err(), "{bad}");
        }
    }
}
