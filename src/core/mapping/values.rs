//! Values that both systems spell differently: risk, sex, places, dates, names (mapping/rules.md).
//!
//! Every reader gives `None` for what it cannot read. Nothing is repaired by guess: the caller parks, or leaves the
//! other side's value as it is.

use crate::core::event::{Risk, Sex};
use chrono::NaiveDate;

/// A risk as OSCaR spells it (`referral.rb`, mapping/rules.md).
pub fn oscar_risk(risk: Risk) -> &'static str {
    match risk {
        Risk::High => "high",
        Risk::Medium => "medium",
        Risk::Low => "low",
        Risk::NoAction => "no action",
    }
}

/// A risk as Primero spells it.
pub fn primero_risk(risk: Risk) -> &'static str {
    match risk {
        Risk::NoAction => "no_action",
        Risk::High | Risk::Medium | Risk::Low => oscar_risk(risk),
    }
}

/// The risk a word of either system stands for. Blank is none: Primero's is then left alone, and a push waits for a
/// person, since OSCaR has no word for "unknown" (oscar.md §9.2 rows 14 and 26).
pub fn risk_of(word: &str) -> Option<Risk> {
    Some(match word {
        "high" => Risk::High,
        "medium" => Risk::Medium,
        "low" => Risk::Low,
        "no_action" | "no action" => Risk::NoAction,
        _ => return None,
    })
}

/// What to write where `current` stands and `seen` was read elsewhere: only a higher risk replaces one, and a missing
/// one replaces nothing (oscar.md §9.2 row 26).
pub fn raised_risk(current: Option<Risk>, seen: Option<Risk>) -> Option<Risk> {
    let rank = |risk: Risk| match risk {
        Risk::NoAction => 1,
        Risk::Low => 2,
        Risk::Medium => 3,
        Risk::High => 4,
    };
    seen.filter(|seen| current.is_none_or(|current| rank(*seen) > rank(current)))
}

/// Sex as both sides spell it.
pub fn sex_word(sex: Sex) -> &'static str {
    match sex {
        Sex::Female => "female",
        Sex::Male => "male",
        Sex::Other => "other",
    }
}

/// The sex a word of either system stands for; Primero has three of OSCaR's six. The raw word stays with the sighting,
/// so that a later push gives OSCaR its own word back. Anything else, a capital included, is illegal in both.
pub fn sex_of(word: &str) -> Option<Sex> {
    Some(match word {
        "female" => Sex::Female,
        "male" => Sex::Male,
        "other" | "lgbt" | "unknown" | "prefer_not_to_say" => Sex::Other,
        _ => return None,
    })
}

/// A location code of either system in OSCaR's padded form of 2, 4, 6 or 8 digits, or nothing if it cannot be one;
/// blank is nothing too. A code that begins `00` is a province that was padded twice: the rest of it means nothing.
pub fn padded_location(code: &str) -> Option<String> {
    let digits = !code.is_empty() && code.len() <= 8 && code.bytes().all(|byte| byte.is_ascii_digit());
    let padded = match code.len() % 2 {
        _ if !digits => return None,
        1 => format!("0{code}"),
        _ => code.to_owned(),
    };
    match padded.strip_prefix("00") {
        None => Some(padded),
        Some(rest) => rest
            .get(..2)
            .filter(|province| *province != "00")
            .map(str::to_owned),
    }
}

/// A padded location code as Primero stores it: without the one zero that padding added.
pub fn primero_location(padded: &str) -> &str {
    padded.strip_prefix('0').unwrap_or(padded)
}

/// A day as either system writes it, `YYYY-MM-DD` or the older `YYYY/MM/DD`. A year of five digits, a time of day, an
/// impossible day: a person has to look (mapping/rules.md "Dates").
pub fn day_of(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != bytes[7] || !matches!(bytes[4], b'-' | b'/') {
        return None;
    }
    let number = |from: usize, to: usize| {
        let part = text.get(from..to)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
        part.parse::<u32>().ok()
    };
    let year = i32::try_from(number(0, 4)?).ok()?;
    NaiveDate::from_ymd_opt(year, number(5, 7)?, number(8, 10)?)
}

/// A name as Primero gets it: "local (Latin)" where both scripts are known and differ, otherwise whichever there is.
pub fn paired_name(local: &str, latin: &str) -> Option<String> {
    match (local, latin) {
        ("", "") => None,
        ("", one) | (one, "") => Some(one.to_owned()),
        (local, latin) if local == latin => Some(local.to_owned()),
        (local, latin) => Some(format!("{local} ({latin})")),
    }
}

/// The way back: local and Latin script of a name in Primero. Only a pair of two different scripts is taken apart;
/// anything else is one name in the script it is written in.
pub fn name_scripts(name: &str) -> (&str, &str) {
    let name = name.trim();
    let pair = name.strip_suffix(')').and_then(|open| open.split_once(" ("));
    if let Some((local, latin)) = pair
        && !local.is_ascii()
        && latin.is_ascii()
        && !latin.is_empty()
    {
        return (local, latin);
    }
    if name.is_ascii() { ("", name) } else { (name, "") }
}
