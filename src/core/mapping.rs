//! How the two systems name the same thing: services, agencies, provinces, decisions, risk, location.
//!
//! The tables are data in `mapping/*.json`, compiled in. Nothing is ever guessed: what has no counterpart is a
//! reason to park, not a default (mapping/rules.md; oscar.md §9.2 rows 8, 11, 14, 24, 28, 31).

use super::event::{Decision, Risk, Sex};
use serde::Deserialize;

/// The tables, parsed. About 12 KB of text; one instance per process.
#[derive(Debug)]
pub struct Mapping {
    services: Services,
    agencies: Vec<Agency>,
    provinces: Vec<Province>,
    statuses: Statuses,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Services {
    version: u32,
    not_specified: String,
    aliases: std::collections::BTreeMap<String, String>,
    services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    oscar: String,
    uuid: Option<String>,
    /// Pairs of Primero `service_type` and `service_subtype`.
    primero: Vec<(String, String)>,
}

/// An NGO: its OSCaR short name, its Primero agency and the user that receives its referrals.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agency {
    pub organization: String,
    pub agency: String,
    pub user: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgencyTable {
    version: u32,
    agencies: Vec<Agency>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProvinceTable {
    version: u32,
    provinces: Vec<Province>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Province {
    code: String,
    #[serde(rename = "name")]
    _name: String,
    /// Owner of cases created there; none where nobody has confirmed the user name.
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statuses {
    version: u32,
    decisions: Vec<StatusRow>,
    pending_option: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusRow {
    oscar: String,
    decision: Decision,
    option: String,
}

/// A service as OSCaR's catalogue has it; only the name counts on an upsert (oscar.md §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OscarService<'a> {
    pub name: &'a str,
    pub uuid: Option<&'a str>,
}

/// What an OSCaR name stands for in Primero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    One(&'a str),
    /// Subtypes of different types share the name.
    Several,
}

impl Mapping {
    /// The tables this binary was built with.
    pub fn built_in() -> Mapping {
        let agencies: AgencyTable = table(include_str!("../../mapping/agencies.json"));
        let provinces: ProvinceTable = table(include_str!("../../mapping/provinces.json"));
        let mapping = Mapping {
            services: table(include_str!("../../mapping/services.json")),
            agencies: agencies.agencies,
            provinces: provinces.provinces,
            statuses: table(include_str!("../../mapping/statuses.json")),
        };
        let versions = [
            mapping.services.version,
            agencies.version,
            provinces.version,
            mapping.statuses.version,
        ];
        assert_eq!(
            versions, [1; 4],
            "the mapping tables in mapping/ are of another version than this code"
        );
        mapping
    }

    /// Whether the office may name this Primero subtype.
    pub fn knows_subtype(&self, subtype: &str) -> bool {
        self.primero_type(subtype).is_some()
    }

    /// The Primero `service_type` a subtype belongs to.
    pub fn primero_type(&self, subtype: &str) -> Option<&str> {
        let pairs = self.services.services.iter().flat_map(|service| &service.primero);
        pairs
            .into_iter()
            .find(|(_, known)| known == subtype)
            .map(|(kind, _)| kind.as_str())
    }

    /// What OSCaR calls a Primero subtype. Two subtypes may share one name: the way back needs our own ledger.
    pub fn oscar_service(&self, subtype: &str) -> Option<OscarService<'_>> {
        let by_pair = |service: &&Service| service.primero.iter().any(|(_, known)| known == subtype);
        let alias = self.services.aliases.get(subtype);
        let found = self.services.services.iter().find(by_pair).or_else(|| {
            self.services
                .services
                .iter()
                .find(|service| Some(&service.oscar) == alias)
        })?;
        Some(OscarService {
            name: &found.oscar,
            uuid: found.uuid.as_deref(),
        })
    }

    /// The Primero subtype an OSCaR name stands for. Two subtypes of one type say the same, so the first counts; of two
    /// types nobody may pick (oscar.md §9.2 rows 18 and 25).
    pub fn subtype_of(&self, oscar_name: &str) -> Option<Meaning<'_>> {
        let service = self
            .services
            .services
            .iter()
            .find(|service| service.oscar == oscar_name)?;
        let (kind, subtype) = service.primero.first()?;
        let one = service.primero.iter().all(|(other, _)| other == kind);
        Some(if one {
            Meaning::One(subtype)
        } else {
            Meaning::Several
        })
    }

    /// The name OSCaR needs where Primero has a service without subtype.
    pub fn not_specified(&self) -> &str {
        &self.services.not_specified
    }

    /// The whitelist of NGOs: an organization not in it is never sent to.
    pub fn agency(&self, organization: &str) -> Option<&Agency> {
        self.agencies
            .iter()
            .find(|agency| agency.organization == organization)
    }

    /// The owner of a case created in this place, by the province digits of a padded code.
    pub fn province_user(&self, location_code: &str) -> Option<&str> {
        let code = match location_code.get(..2)? {
            // A province-only value padded twice (mapping/rules.md "Location codes").
            "00" => location_code.get(2..4)?,
            code => code,
        };
        self.provinces
            .iter()
            .find(|province| province.code == code)?
            .user
            .as_deref()
    }

    /// What an OSCaR referral status means as a decision; `Referred` and anything unknown mean none.
    pub fn decision(&self, oscar_status: &str) -> Option<Decision> {
        self.statuses
            .decisions
            .iter()
            .find(|row| row.oscar == oscar_status)
            .map(|row| row.decision)
    }

    /// The option of Primero's service status field that stands for a decision.
    pub fn service_option(&self, decision: Decision) -> &str {
        let row = self
            .statuses
            .decisions
            .iter()
            .find(|row| row.decision == decision);
        &row.expect("the status table has a row for each decision").option
    }

    /// The option that stands for "no decision yet".
    pub fn pending_option(&self) -> &str {
        &self.statuses.pending_option
    }
}

fn table<T: for<'de> Deserialize<'de>>(text: &str) -> T {
    serde_json::from_str(text).expect("the mapping tables compiled in are valid: a unit test reads them")
}

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

/// Primero's word for a risk, read back.
pub fn primero_word_risk(word: &str) -> Option<Risk> {
    let all = [Risk::High, Risk::Medium, Risk::Low, Risk::NoAction];
    all.into_iter().find(|risk| primero_risk(*risk) == word)
}

/// Sex as both sides spell it.
pub fn sex_word(sex: Sex) -> &'static str {
    match sex {
        Sex::Female => "female",
        Sex::Male => "male",
        Sex::Other => "other",
    }
}

/// A location code in OSCaR's padded form, or nothing if it cannot be one.
pub fn padded_location(code: &str) -> Option<String> {
    let digits = !code.is_empty() && code.len() <= 8 && code.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| {
        if code.len() % 2 == 1 {
            format!("0{code}")
        } else {
            code.to_owned()
        }
    })
}

/// A padded location code as Primero stores it: without the one zero that padding added.
pub fn primero_location(padded: &str) -> &str {
    padded.strip_prefix('0').unwrap_or(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subtype_has_a_type_and_an_oscar_name() {
        let mapping = Mapping::built_in();
        let pairs: Vec<_> = mapping
            .services
            .services
            .iter()
            .flat_map(|s| &s.primero)
            .collect();
        assert_eq!(pairs.len(), 51);
        for (kind, subtype) in pairs {
            assert_eq!(mapping.primero_type(subtype), Some(kind.as_str()));
            assert!(mapping.oscar_service(subtype).is_some());
        }
        assert!(mapping.oscar_service("made_up").is_none());
        assert!(
            mapping
                .services
                .services
                .iter()
                .any(|s| s.oscar == mapping.not_specified())
        );
    }

    #[test]
    fn two_subtypes_may_share_one_oscar_name() {
        let mapping = Mapping::built_in();
        let disability = mapping
            .oscar_service("disability_support_therapeutic_training")
            .unwrap();
        let mental = mapping
            .oscar_service("mental_health_support_therapeutic_training")
            .unwrap();
        assert_eq!(disability.name, mental.name);
    }

    #[test]
    fn rejection_is_exited_and_referred_is_no_decision() {
        let mapping = Mapping::built_in();
        assert_eq!(mapping.decision("Exited"), Some(Decision::Rejected));
        assert_eq!(mapping.decision("Active"), Some(Decision::Accepted));
        assert_eq!(mapping.decision("Referred"), None);
        assert_eq!(mapping.decision("exited"), None);
        assert_eq!(mapping.service_option(Decision::Rejected), "rejected_936484");
    }

    #[test]
    fn an_unconfirmed_province_has_no_owner() {
        let mapping = Mapping::built_in();
        assert_eq!(mapping.province_user("02040302"), Some("mgrbtb"));
        assert_eq!(mapping.province_user("0004"), Some("mgrkch"));
        assert_eq!(mapping.province_user("19"), None);
        assert_eq!(mapping.province_user("99"), None);
        assert_eq!(mapping.province_user("1"), None);
    }

    #[test]
    fn padding_adds_and_removes_exactly_one_zero() {
        assert_eq!(padded_location("2040302").as_deref(), Some("02040302"));
        assert_eq!(padded_location("10060805").as_deref(), Some("10060805"));
        for bad in ["", "12a4", "123456789", "១២"] {
            assert_eq!(padded_location(bad), None);
        }
        assert_eq!(primero_location("02040302"), "2040302");
        assert_eq!(primero_location("10060805"), "10060805");
    }
}
