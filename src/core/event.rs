//! The referral event as the office gives it, after validation: what is true of it and what of it is private.
//!
//! Everything about a person is wrapped in [`Private`], whose `Debug` shows nothing, so that no log line, panic
//! or test failure can print a child's name by accident. The forms of design §3 are checked in [`super::intake`].

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A value about a person. It serializes (into the sealed part of the store, and to the peers) but never prints.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Private<T>(pub T);

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<private>")
    }
}

/// Which system the office wants the child referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A government worker refers to an NGO: Primero case, Primero referral, then the OSCaR push.
    Oscar,
    /// An NGO refers to the government: a Primero case with a service from OSCaR.
    Primero,
}

/// Sex as both peers spell it (mapping/rules.md "Gender").
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    Female,
    Male,
    Other,
}

/// Risk as the office and Primero spell it; OSCaR writes the last one with a space (mapping/rules.md "Risk").
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    High,
    Medium,
    Low,
    NoAction,
}

/// The child a referral is about. Every field is private.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    pub given_name: Private<String>,
    pub family_name: Private<String>,
    pub local_given_name: Private<String>,
    pub local_family_name: Private<String>,
    pub sex: Private<Sex>,
    pub date_of_birth: Private<Option<NaiveDate>>,
    /// Padded OSCaR form: 2, 4, 6 or 8 digits; `None` when the office does not know.
    pub location_code: Private<Option<String>>,
    /// Primero `case_id` (UUID) or the seven-character short id a worker reads on the screen.
    pub primero_case_id: Option<String>,
    /// OSCaR `global_id`, a ULID.
    pub oscar_global_id: Option<String>,
    /// As it was typed: see [`Child::ministry_number`].
    pub mosvy_number: Private<Option<String>>,
}

/// Fewest digits of a ministry number, not all the same: `9808827` and `mosvy1234` are on record.
const MOSVY_DIGITS_MIN: usize = 4;

impl Child {
    /// The ministry's number, if what stands there can be one: workers type "N/A", "0" or "none" too, and such a word
    /// would make one child of two.
    pub fn ministry_number(&self) -> Option<&str> {
        let number = self.mosvy_number.0.as_deref()?;
        let digit = |c: &char| c.is_ascii_digit() || ('\u{17e0}'..='\u{17e9}').contains(c);
        let mut digits = number.chars().filter(digit);
        let first = digits.next()?;
        let rest = digits.clone().count();
        (rest + 1 >= MOSVY_DIGITS_MIN && digits.any(|c| c != first)).then_some(number)
    }

    /// Its names in lower case: given and family, Latin and then Khmer.
    pub fn folded_names(&self) -> [String; 4] {
        [
            &self.given_name,
            &self.family_name,
            &self.local_given_name,
            &self.local_family_name,
        ]
        .map(|name| name.0.trim().to_lowercase())
    }
}

/// What the family agreed to, as the office recorded it. The gateway never makes this up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    pub services: bool,
    pub disclosure_other_organizations: bool,
}

/// Who makes the referral and can be called back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseWorker {
    pub name: Private<String>,
    pub phone: Private<String>,
    pub email: Private<Option<String>>,
}

/// A referral event, valid as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referral {
    pub to: Destination,
    /// OSCaR organization short name: the NGO referred to, or the NGO that refers.
    pub organization: String,
    pub child: Child,
    /// Primero service subtypes, at least one, no repeats.
    pub services: Vec<String>,
    pub reason: Private<String>,
    pub risk_level: Private<Option<Risk>>,
    /// Office-local date on which the worker referred the child.
    pub referred_on: NaiveDate,
    pub consent: Consent,
    pub case_worker: CaseWorker,
    /// Where the referring NGO's office is, in OSCaR's padded form: says the province where the child's place is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office_code: Option<String>,
}

/// Values of a child in Primero's own words, by field name.
pub type Values = Vec<(String, Private<String>)>;

/// A child as an NGO has it on record: shared without a referral, or changed since it was brought to Primero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRecord {
    pub organization: String,
    pub child: Child,
    pub risk_level: Private<Option<Risk>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office_code: Option<String>,
    /// What the NGO had on record when Primero was last brought up to date; nothing for a child new to Primero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Values>,
}

/// A decision on a referral.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Accepted,
    Rejected,
}

impl Decision {
    /// The word used in listings and on the API.
    pub fn word(self) -> &'static str {
        match self {
            Decision::Accepted => "accepted",
            Decision::Rejected => "rejected",
        }
    }
}

/// The private part of an event: sealed at rest, opened only to be sent or by `events show --reveal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Payload {
    Referral(Box<Referral>),
    Child(Box<ChildRecord>),
    /// The office records a decision on a referral it knows by event key.
    Decision {
        target: String,
        decision: Decision,
        note: Private<Option<String>>,
    },
    /// The office takes a referral back.
    Withdraw {
        target: String,
        note: Private<Option<String>>,
    },
}

/// What an event is, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Referral,
    Decision,
    Withdraw,
    /// A child's own record, from an NGO to Primero.
    Child,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Referral => "referral",
            Kind::Decision => "decision",
            Kind::Withdraw => "withdraw",
            Kind::Child => "child",
        }
    }
}

impl Payload {
    pub fn kind(&self) -> Kind {
        match self {
            Payload::Referral(_) => Kind::Referral,
            Payload::Decision { .. } => Kind::Decision,
            Payload::Withdraw { .. } => Kind::Withdraw,
            Payload::Child(_) => Kind::Child,
        }
    }

    /// The event key of the referral this event speaks about, for decisions and withdrawals.
    pub fn target(&self) -> Option<&str> {
        match self {
            Payload::Referral(_) | Payload::Child(_) => None,
            Payload::Decision { target, .. } | Payload::Withdraw { target, .. } => Some(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_one_is_a_ministry_number() {
        let mut child = Child {
            given_name: Private(String::new()),
            family_name: Private(String::new()),
            local_given_name: Private(String::new()),
            local_family_name: Private(String::new()),
            sex: Private(Sex::Female),
            date_of_birth: Private(None),
            location_code: Private(None),
            primero_case_id: None,
            oscar_global_id: None,
            mosvy_number: Private(None),
        };
        assert_eq!(child.ministry_number(), None);
        for (text, number) in [
            ("9808827", true),
            ("mosvy1234", true),
            ("KP-12/003", true),
            ("\u{17e1}\u{17e2}\u{17e3}\u{17e4}", true),
            ("N/A", false),
            ("none", false),
            ("0", false),
            ("0000000", false),
            ("123", false),
            ("\u{1782}\u{17d2}\u{1798}\u{17b6}\u{1793}", false),
        ] {
            child.mosvy_number.0 = Some(text.to_owned());
            assert_eq!(child.ministry_number(), number.then_some(text));
        }
    }
}
