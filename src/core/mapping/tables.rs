//! The tables as data: what `mapping/*.json` and a site's own file may say, and what would make them contradict
//! themselves.

use crate::core::event::Decision;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;

/// The version of the tables and of an override file that this program reads.
pub const VERSION: u32 = 1;

/// Why tables cannot be used: which row, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError(pub String);

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MappingError {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTable {
    pub version: u32,
    /// What OSCaR must be told where Primero has a service without subtype.
    pub not_specified: String,
    /// Names whose subtypes all mean the same: the one to write.
    pub canonical: Vec<(String, String)>,
    /// The subtype that stands for a name without counterpart.
    pub unknown: String,
    pub services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub oscar: String,
    pub uuid: Option<String>,
    /// Pairs of Primero `service_type` and `service_subtype`.
    pub primero: Vec<(String, String)>,
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
pub struct AgencyTable {
    pub version: u32,
    pub agencies: Vec<Agency>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvinceTable {
    pub version: u32,
    pub provinces: Vec<Province>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Province {
    pub code: String,
    #[serde(rename = "name")]
    pub _name: String,
    /// Owner of cases created there; none where nobody has confirmed the user name.
    pub user: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusTable {
    pub version: u32,
    pub decisions: Vec<StatusRow>,
    pub options: Options,
    pub responses: Responses,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRow {
    pub oscar: String,
    pub decision: Decision,
}

/// Options of Primero's service status field.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub pending: String,
    pub accepted: String,
    pub rejected: String,
}

/// Primero's `service_response_type` of the services that concern OSCaR (mapping/statuses.json).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Responses {
    /// A Primero worker refers to an NGO.
    pub to_oscar: String,
    /// An NGO refers to the government.
    pub from_oscar: String,
    /// An NGO provides the service already.
    pub provided: String,
}

/// The part of an override that is read first: a file of another version may look different altogether.
#[derive(Deserialize)]
pub struct Versioned {
    pub version: u32,
}

/// A site's own rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    #[serde(rename = "version")]
    pub _version: u32,
    /// Who says so, since when: shown by `check-config`.
    pub about: String,
    /// Tables that stand alone instead of being laid over the built-in ones.
    #[serde(default)]
    pub replace: BTreeSet<Table>,
    #[serde(default)]
    pub agencies: Vec<Agency>,
    #[serde(default)]
    pub provinces: Vec<Province>,
    #[serde(default)]
    pub services: Vec<Service>,
    #[serde(default)]
    pub canonical: Vec<(String, String)>,
    pub unknown: Option<String>,
    pub options: Option<Options>,
    pub responses: Option<Responses>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    Agencies,
    Provinces,
    Services,
}

/// Lays rows over others: a row takes the place of the one with the same key.
pub fn overlay<T>(
    base: &mut Vec<T>,
    rows: Vec<T>,
    replace: bool,
    key: fn(&T) -> &str,
) -> Result<(), MappingError> {
    unique("the same row twice", rows.iter().map(key))?;
    if replace {
        base.clear();
    }
    for row in rows {
        match base.iter().position(|known| key(known) == key(&row)) {
            Some(at) => base[at] = row,
            None => base.push(row),
        }
    }
    Ok(())
}

/// Nobody may be named twice: of two rows one would silently win (oscar.md §9.2 rows 24 and 25).
pub fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), MappingError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(MappingError(format!("{what}: \"{name}\"")));
        }
    }
    Ok(())
}

/// Every table by itself and against the others.
pub fn check(
    services: &ServiceTable,
    agencies: &[Agency],
    provinces: &[Province],
    statuses: &StatusTable,
) -> Result<(), MappingError> {
    check_agencies(agencies)?;
    check_provinces(provinces)?;
    check_services(services)?;
    let options = &statuses.options;
    let words = [&options.pending, &options.accepted, &options.rejected];
    unique(
        "two statuses share one option",
        words.into_iter().map(String::as_str),
    )?;
    let responses = &statuses.responses;
    let words = [&responses.to_oscar, &responses.from_oscar, &responses.provided];
    unique(
        "two response types are the same",
        words.into_iter().map(String::as_str),
    )
}

fn check_agencies(agencies: &[Agency]) -> Result<(), MappingError> {
    for Agency {
        organization,
        agency,
        user,
    } in agencies
    {
        // The short name doubles as a schema name at OSCaR (mapping/agencies.json).
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if organization.is_empty() || !organization.bytes().all(plain) {
            let why = "small letters, digits and hyphens only";
            return Err(MappingError(format!("organization \"{organization}\": {why}")));
        }
        for (what, name) in [("agency", agency), ("user", user)] {
            if name.trim().is_empty() || name.contains(char::is_whitespace) {
                return Err(MappingError(format!(
                    "organization \"{organization}\" has no {what}"
                )));
            }
        }
    }
    unique(
        "an organization twice",
        agencies.iter().map(|row| row.organization.as_str()),
    )?;
    unique(
        "two organizations share an agency",
        agencies.iter().map(|row| row.agency.as_str()),
    )?;
    // A referral to that user could mean either NGO: telling the wrong one of a child is a disclosure.
    unique(
        "two organizations share a user",
        agencies.iter().map(|row| row.user.as_str()),
    )
}

fn check_provinces(provinces: &[Province]) -> Result<(), MappingError> {
    for Province { code, user, .. } in provinces {
        if code.len() != 2 || code == "00" || !code.bytes().all(|b| b.is_ascii_digit()) {
            return Err(MappingError(format!(
                "province \"{code}\": the code is two digits"
            )));
        }
        if user.as_deref().is_some_and(|user| user.trim().is_empty()) {
            return Err(MappingError(format!(
                "province \"{code}\": write a user, or null for nobody"
            )));
        }
    }
    unique("a province twice", provinces.iter().map(|row| row.code.as_str()))
}

fn check_services(table: &ServiceTable) -> Result<(), MappingError> {
    let rows = &table.services;
    unique(
        "an OSCaR service twice",
        rows.iter().map(|row| row.oscar.as_str()),
    )?;
    let pairs = || rows.iter().flat_map(|row| &row.primero);
    unique(
        "a Primero subtype under two OSCaR services",
        pairs().map(|(_, subtype)| subtype.as_str()),
    )?;
    if let Some((_, subtype)) = pairs().find(|(kind, subtype)| kind.is_empty() || subtype.is_empty()) {
        return Err(MappingError(format!(
            "a service needs both type and subtype: \"{subtype}\""
        )));
    }
    if !rows.iter().any(|row| row.oscar == table.not_specified) {
        return Err(MappingError(format!(
            "no service is called \"{}\"",
            table.not_specified
        )));
    }
    if !pairs().any(|(_, subtype)| *subtype == table.unknown) {
        return Err(MappingError(format!(
            "no service has the subtype \"{}\"",
            table.unknown
        )));
    }
    unique(
        "a name has two canonical subtypes",
        table.canonical.iter().map(|(name, _)| name.as_str()),
    )?;
    for (name, subtype) in &table.canonical {
        let row = rows.iter().find(|row| row.oscar == *name);
        if !row.is_some_and(|row| row.primero.iter().any(|(_, known)| known == subtype)) {
            return Err(MappingError(format!(
                "\"{subtype}\" is not a subtype of the service \"{name}\""
            )));
        }
    }
    Ok(())
}
