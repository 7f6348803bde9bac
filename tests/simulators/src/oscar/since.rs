//! Dates as Ruby reads them: `since_date`, `end_date` and birth dates (`oscar.md` 2.3, `pull#8..48`).

use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// A lenient reading of a time: its wall clock and the offset it was given or assumed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub wall: NaiveDateTime,
    pub offset: FixedOffset,
}

impl Reading {
    /// The exact instant half A compares with.
    pub fn instant(&self) -> DateTime<Utc> {
        DateTime::from_naive_utc_and_offset(self.wall - self.offset, Utc)
    }
}

/// Reads text as the server's time parser does; `None` is the exception behind a 500.
pub(super) fn read(text: &str, zone: FixedOffset, today: NaiveDate) -> Option<Reading> {
    let time = find_time(text);
    let head = time.as_ref().map_or(text, |t| &text[..t.start]);
    let date = match find_date(head) {
        Found::Date(date) => date,
        Found::Nothing if time.is_some() => today,
        Found::Nothing | Found::Impossible => return None,
    };
    let clock = time.as_ref().map_or(NaiveTime::MIN, |t| t.clock);
    let offset = time
        .as_ref()
        .and_then(|t| find_offset(&text[t.end..]))
        .unwrap_or(zone);
    Some(Reading {
        wall: date.and_time(clock),
        offset,
    })
}

enum Found {
    Date(NaiveDate),
    Nothing,
    Impossible,
}

/// Digit groups of a text, each with the byte that follows it.
fn groups(text: &str) -> Vec<(&str, u8)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let tail = &rest[start..];
        let len = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        found.push((&tail[..len], tail.as_bytes().get(len).copied().unwrap_or(0)));
        rest = &tail[len..];
    }
    found
}

fn find_date(text: &str) -> Found {
    let numbers = groups(text);
    let parts = match numbers.as_slice() {
        [(y, b'-' | b'/'), (m, b'-' | b'/'), (d, _), ..] if y.len() == 4 => (*y, *m, *d),
        [(d, b'-' | b'/'), (m, b'-' | b'/'), (y, _), ..] if y.len() == 4 => (*y, *m, *d),
        [(y, b'-'), (m, _)] if y.len() == 4 => (*y, *m, "1"),
        _ => return find_words(text, &numbers),
    };
    match (parts.0.parse(), parts.1.parse(), parts.2.parse()) {
        (Ok(year), Ok(month), Ok(day)) => rolled(year, month, day),
        _ => Found::Impossible,
    }
}

/// `May 1 2024`.
fn find_words(text: &str, numbers: &[(&str, u8)]) -> Found {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let words = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|w| w.len() >= 3);
    let month = words.filter_map(|w| {
        let word = w.to_ascii_lowercase();
        MONTHS.iter().position(|m| *m == word || m[..3] == word)
    });
    let Some(month) = month.map(|at| at as u32 + 1).next() else {
        return Found::Nothing;
    };
    let year = numbers
        .iter()
        .find(|(n, _)| n.len() == 4)
        .and_then(|(n, _)| n.parse().ok());
    let day = numbers
        .iter()
        .find(|(n, _)| n.len() <= 2)
        .and_then(|(n, _)| n.parse().ok());
    year.map_or(Found::Impossible, |year| rolled(year, month, day.unwrap_or(1)))
}

/// A day past the month's end, up to 31, rolls into the next month (`pull#27`).
fn rolled(year: i32, month: u32, day: u32) -> Found {
    if day == 0 || day > 31 {
        return Found::Impossible;
    }
    NaiveDate::from_ymd_opt(year, month, 1)
        .and_then(|first| first.checked_add_days(Days::new(u64::from(day - 1))))
        .map_or(Found::Impossible, Found::Date)
}

struct FoundTime {
    start: usize,
    end: usize,
    clock: NaiveTime,
}

/// The first `hh:mm[:ss[.fraction]]`.
fn find_time(text: &str) -> Option<FoundTime> {
    let bytes = text.as_bytes();
    let two = |at: usize| -> Option<u32> { text.get(at..at + 2)?.parse().ok() };
    let colon =
        (2..bytes.len()).find(|&at| bytes[at] == b':' && two(at - 2).is_some() && two(at + 1).is_some())?;
    let (hour, minute) = (two(colon - 2)?, two(colon + 1)?);
    let mut end = colon + 3;
    let mut second = 0;
    let mut nanos = 0;
    if bytes.get(end) == Some(&b':') && two(end + 1).is_some() {
        second = two(end + 1)?;
        end += 3;
        if bytes.get(end) == Some(&b'.') {
            let digits: String = text[end + 1..].chars().take_while(char::is_ascii_digit).collect();
            end += 1 + digits.len();
            nanos = format!("{digits:0<9}").get(..9)?.parse().ok()?;
        }
    }
    Some(FoundTime {
        start: colon - 2,
        end,
        clock: NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?,
    })
}

/// `Z`, `UTC` or `+07:00` right behind the time. An unencoded plus arrived as a blank and is no offset
/// (`pull#14`).
fn find_offset(tail: &str) -> Option<FixedOffset> {
    if tail.starts_with('Z') || tail.trim_start().starts_with("UTC") {
        return FixedOffset::east_opt(0);
    }
    let sign = match tail.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours: i32 = tail.get(1..3)?.parse().ok()?;
    let minutes: i32 = tail
        .get(3..)
        .map(|t| t.trim_start_matches(':'))
        .and_then(|t| t.get(..2)?.parse().ok())
        .unwrap_or(0);
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60))
}

/// A birth date as the column stores it; `None` (no error) when it cannot be read (`known-child#61..67`).
pub(super) fn birth_date(text: &str) -> Option<String> {
    let day = text.trim().split(['T', ' ']).next()?;
    let numbers = groups(day);
    let [(first, _), (month, _), (last, _)] = numbers.as_slice() else {
        return None;
    };
    let (year, day) = if first.len() >= 4 {
        (*first, *last)
    } else {
        (*last, *first)
    };
    if year.len() < 4 {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
    Some(format!("{year}-{}", date.format("%m-%d")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses_what_the_recorded_server_did() {
        let zone = FixedOffset::east_opt(0).unwrap();
        let today = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
        let wall = |text: &str| read(text, zone, today).map(|r| r.wall.to_string());
        let table = [
            ("2024-05-01T20:30:00.5Z", Some("2024-05-01 20:30:00.500")),
            ("\"2024-05-01T00:00:00Z\"", Some("2024-05-01 00:00:00")),
            ("2024-05-02T03:00:00 07:00", Some("2024-05-02 03:00:00")),
            ("May 1 2024", Some("2024-05-01 00:00:00")),
            ("13/05/2024", Some("2024-05-13 00:00:00")),
            ("2024-02-30", Some("2024-03-01 00:00:00")),
            ("20:30", Some("2026-11-22 20:30:00")),
            ("2024-05-01T00:00:00Z' OR 1=1 --", Some("2024-05-01 00:00:00")),
            ("05/13/2024", None),
            ("2024-13-01", None),
            ("1714593600", None),
            ("garbage", None),
            ("undefined", None),
            ("NaN", None),
        ];
        for (text, expected) in table {
            assert_eq!(wall(text).as_deref(), expected, "{text}");
        }
        let late = read("2024-05-02T03:00:00+07:00", zone, today).unwrap();
        assert_eq!(late.instant().to_rfc3339(), "2024-05-01T20:00:00+00:00");
    }
}
