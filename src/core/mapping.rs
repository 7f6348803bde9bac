//! How the two systems name the same thing: services, agencies, provinces, decisions.
//!
//! The tables are data in `mapping/*.json`, compiled in; a site's own file may be laid over them. Nothing is ever
//! guessed: what has no counterpart is a reason to park, not a default (mapping/rules.md; oscar.md §9.2 rows 8, 11, 14,
//! 24, 28, 31).

mod tables;
mod values;

pub use tables::{Agency, MappingError, Responses, VERSION};
pub use values::*;

use super::event::Decision;
use serde::Deserialize;
use tables::{
    AgencyTable, Override, Province, ProvinceTable, Service, ServiceTable, StatusTable, Table, Versioned,
    overlay,
};

/// The tables, parsed. About 12 KB of text; one instance per process.
#[derive(Debug)]
pub struct Mapping {
    services: ServiceTable,
    agencies: Vec<Agency>,
    provinces: Vec<Province>,
    statuses: StatusTable,
    about: Option<String>,
}

/// A service as OSCaR's catalogue has it; only the name counts on an upsert (oscar.md §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OscarService<'a> {
    pub name: &'a str,
    pub uuid: Option<&'a str>,
}

/// A service as Primero stores it: `service_type` and `service_subtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimeroService<'a> {
    pub kind: &'a str,
    pub subtype: &'a str,
}

/// What an OSCaR service name means in Primero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    One(PrimeroService<'a>),
    /// Several subtypes go by this name: only our own ledger or a person can tell which is meant.
    Ambiguous(Vec<&'a str>),
    /// No counterpart: [`Mapping::unknown_service`], with the name said in words.
    Unknown,
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
            about: None,
        };
        let versions = [
            mapping.services.version,
            agencies.version,
            provinces.version,
            mapping.statuses.version,
        ];
        assert_eq!(
            versions, [VERSION; 4],
            "the mapping tables in mapping/ are of another version than this code"
        );
        mapping
    }

    /// The built-in tables with a site's own rows laid over them: JSON, its rows those of `mapping/*.json`.
    pub fn overridden(text: &str) -> Result<Mapping, MappingError> {
        let unreadable = |error: serde_json::Error| MappingError(error.to_string());
        let Versioned { version } = serde_json::from_slice(text.as_bytes()).map_err(unreadable)?;
        if version != VERSION {
            return Err(MappingError(format!(
                "version {version}, and this program reads version {VERSION}: ask the centre for the file that goes \
                 with this program"
            )));
        }
        let own: Override = serde_json::from_slice(text.as_bytes()).map_err(unreadable)?;
        if own.about.trim().is_empty() {
            return Err(MappingError(
                "\"about\" is empty: say who made the file and when".to_owned(),
            ));
        }
        let mut mapping = Mapping::built_in();
        mapping.lay_over(own)?;
        mapping.check()?;
        Ok(mapping)
    }

    fn lay_over(&mut self, own: Override) -> Result<(), MappingError> {
        let alone = |table: Table| own.replace.contains(&table);
        overlay(&mut self.agencies, own.agencies, alone(Table::Agencies), |row| {
            &row.organization
        })?;
        overlay(
            &mut self.provinces,
            own.provinces,
            alone(Table::Provinces),
            |row| &row.code,
        )?;
        let services = &mut self.services;
        if alone(Table::Services) {
            services.canonical.clear();
        }
        overlay(
            &mut services.services,
            own.services,
            alone(Table::Services),
            |row| &row.oscar,
        )?;
        overlay(&mut services.canonical, own.canonical, false, |row| &row.0)?;
        services.unknown = own.unknown.unwrap_or(std::mem::take(&mut services.unknown));
        if let Some(options) = own.options {
            self.statuses.options = options;
        }
        if let Some(responses) = own.responses {
            self.statuses.responses = responses;
        }
        self.about = Some(own.about);
        Ok(())
    }

    fn check(&self) -> Result<(), MappingError> {
        tables::check(&self.services, &self.agencies, &self.provinces, &self.statuses)
    }

    /// What a site's own file says of itself; nothing for the built-in tables.
    pub fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Whether the office may name this Primero subtype.
    pub fn knows_subtype(&self, subtype: &str) -> bool {
        self.primero_type(subtype).is_some()
    }

    /// Every service that can be written into Primero.
    pub fn primero_services(&self) -> impl Iterator<Item = PrimeroService<'_>> {
        let pairs = self.services.services.iter().flat_map(|service| &service.primero);
        pairs.map(|(kind, subtype)| PrimeroService { kind, subtype })
    }

    /// The Primero `service_type` a subtype belongs to.
    pub fn primero_type(&self, subtype: &str) -> Option<&str> {
        self.primero_services()
            .find(|known| known.subtype == subtype)
            .map(|known| known.kind)
    }

    /// What OSCaR calls a Primero subtype; the empty one stands for a service without any. Two subtypes may share one
    /// name: the way back needs our own ledger.
    pub fn oscar_service(&self, subtype: &str) -> Option<OscarService<'_>> {
        let by_pair = |service: &&Service| match subtype {
            "" => service.oscar == self.services.not_specified,
            _ => service.primero.iter().any(|(_, known)| known == subtype),
        };
        let found = self.services.services.iter().find(by_pair)?;
        Some(OscarService {
            name: &found.oscar,
            uuid: found.uuid.as_deref(),
        })
    }

    /// The name OSCaR needs where Primero has a service without subtype, or one that has no name there.
    pub fn not_specified(&self) -> &str {
        &self.services.not_specified
    }

    /// The way back from OSCaR's name, exact to the letter: "Family Support" is a category and "Family support" a
    /// service (mapping/services.json).
    pub fn primero_service(&self, oscar_name: &str) -> Meaning<'_> {
        let row = self.services.services.iter().find(|row| row.oscar == oscar_name);
        let canonical = self
            .services
            .canonical
            .iter()
            .find(|(name, _)| name == oscar_name);
        match (row.map(|row| row.primero.as_slice()), canonical) {
            (None | Some([]), _) => Meaning::Unknown,
            (Some([(kind, subtype)]), _) => Meaning::One(PrimeroService { kind, subtype }),
            (Some(_), Some((_, subtype))) => self.subtype(subtype).map_or(Meaning::Unknown, Meaning::One),
            (Some(pairs), None) => {
                Meaning::Ambiguous(pairs.iter().map(|(_, subtype)| subtype.as_str()).collect())
            }
        }
    }

    /// What stands in Primero for a service of OSCaR's that has no counterpart there.
    pub fn unknown_service(&self) -> PrimeroService<'_> {
        let known = self.subtype(&self.services.unknown);
        known.expect("the check of the tables has found it")
    }

    fn subtype(&self, subtype: &str) -> Option<PrimeroService<'_>> {
        self.primero_services().find(|known| known.subtype == subtype)
    }

    /// The whitelist of NGOs: an organization not in it is never sent to.
    pub fn agency(&self, organization: &str) -> Option<&Agency> {
        self.agencies.iter().find(|row| row.organization == organization)
    }

    /// The NGO behind a Primero agency id, exact: never cut out of the id (mapping/agencies.json).
    pub fn agency_by_id(&self, agency: &str) -> Option<&Agency> {
        self.agencies.iter().find(|row| row.agency == agency)
    }

    /// The NGO whose referrals this Primero user receives.
    pub fn agency_by_user(&self, user: &str) -> Option<&Agency> {
        self.agencies.iter().find(|row| row.user == user)
    }

    /// The owner of a case created in this place, by the province digits of a padded code.
    pub fn province_user(&self, location_code: &str) -> Option<&str> {
        let code = match location_code.get(..2)? {
            // A province-only value padded twice (mapping/rules.md "Location codes").
            "00" => location_code.get(2..4)?,
            code => code,
        };
        let province = self.provinces.iter().find(|province| province.code == code)?;
        province.user.as_deref()
    }

    /// What an OSCaR referral status means as a decision; `Referred` and anything unknown mean none.
    pub fn decision(&self, oscar_status: &str) -> Option<Decision> {
        let rows = &self.statuses.decisions;
        rows.iter()
            .find(|row| row.oscar == oscar_status)
            .map(|row| row.decision)
    }

    /// The option of Primero's service status field that stands for a decision.
    pub fn service_option(&self, decision: Decision) -> &str {
        match decision {
            Decision::Accepted => &self.statuses.options.accepted,
            Decision::Rejected => &self.statuses.options.rejected,
        }
    }

    /// The way back; the pending option and anything unknown mean no decision.
    pub fn option_decision(&self, option: &str) -> Option<Decision> {
        let decisions = [Decision::Accepted, Decision::Rejected];
        decisions
            .into_iter()
            .find(|decision| self.service_option(*decision) == option)
    }

    /// The option that stands for "no decision yet".
    pub fn pending_option(&self) -> &str {
        &self.statuses.options.pending
    }

    /// The response types of the services that concern OSCaR.
    pub fn responses(&self) -> &Responses {
        &self.statuses.responses
    }
}

/// What the status of a Primero referral means as a decision: a finished one was accepted, a revoked one was taken back
/// by whoever made it (primero.md §3.3).
pub fn referral_decision(status: &str) -> Option<Decision> {
    match status {
        "accepted" | "done" => Some(Decision::Accepted),
        "rejected" => Some(Decision::Rejected),
        _ => None,
    }
}

fn table<T: for<'de> Deserialize<'de>>(text: &str) -> T {
    serde_json::from_slice(text.as_bytes())
        .expect("the mapping tables compiled in are valid: a unit test reads them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_compiled_in_do_not_contradict_themselves() {
        let mapping = Mapping::built_in();
        assert_eq!(mapping.check(), Ok(()));
        assert_eq!(mapping.about(), None);
    }
}
