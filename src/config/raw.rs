//! The file as written: sections and keys of design §5, unknown ones refused.

use super::section::{Fault, Section, Setting, Written, settings};
use crate::core::fields::FieldNames;
use std::path::PathBuf;

settings! {
    pub struct RawConfig {
        pub gateway: RawGateway,
        pub primero: RawPrimero,
        pub oscar: RawOscar,
        pub mapping: RawMapping,
        pub flows: RawFlows,
        pub schedule: RawSchedule,
        pub uplink: RawUplink,
        pub mqtt: Option<RawMqtt>,
        pub lan: Option<RawLan>,
        pub limits: RawLimits,
    }

    pub struct RawGateway {
        pub id: String,
        pub fleet: String,
        pub office_time_zone: String,
        pub data_dir: PathBuf,
        pub seal_key_file: Option<PathBuf>,
    }

    pub struct RawPrimero {
        pub url: String,
        pub user_name: String,
        pub password_file: PathBuf,
        pub module_id: String,
        pub ca_file: Option<PathBuf>,
        pub connect_timeout: Option<String>,
        pub read_timeout: Option<String>,
        pub read_back_after: Option<String>,
        pub fields: FieldNames,
    }

    pub struct RawOscar {
        pub url: String,
        pub email: String,
        pub password_file: PathBuf,
        pub organizations: Vec<String>,
        pub ca_file: Option<PathBuf>,
        pub connect_timeout: Option<String>,
        pub read_timeout: Option<String>,
    }

    pub struct RawMapping {
        pub file: Option<PathBuf>,
    }

    pub struct RawFlows {
        pub local_to_oscar: Option<bool>,
        pub local_to_primero: Option<bool>,
        pub primero_to_oscar: Option<bool>,
        pub oscar_to_primero: Option<bool>,
        pub decisions: Option<bool>,
        pub links: Option<bool>,
        pub shared_cases: Option<bool>,
        pub oscar_consent: Option<String>,
        pub earlier: Option<String>,
        pub start: Option<String>,
    }

    pub struct RawSchedule {
        pub every: Option<String>,
        pub cron: Option<String>,
        pub on_event: Option<bool>,
        pub jitter: Option<String>,
    }

    pub struct RawUplink {
        pub interface: Option<String>,
        pub monthly_budget: Option<String>,
        pub quiet_hours: Option<Vec<String>>,
    }

    pub struct RawMqtt {
        pub url: String,
        pub user_name: Option<String>,
        pub password_file: Option<PathBuf>,
        pub ca_file: Option<PathBuf>,
        pub client_cert: Option<PathBuf>,
        pub client_key: Option<PathBuf>,
        pub command_keys: Option<Vec<String>>,
        pub prefix: Option<String>,
    }

    pub struct RawLan {
        pub listen: Option<String>,
        pub names: Option<Vec<String>>,
    }

    pub struct RawLimits {
        pub queue_events: Option<i64>,
        pub queue_bytes: Option<String>,
        pub keep_delivered: Option<String>,
    }
}

impl Setting for FieldNames {
    fn left_out() -> Option<FieldNames> {
        Some(FieldNames::default())
    }

    fn read(written: &Written) -> Result<FieldNames, Fault> {
        let mut names = FieldNames::default();
        let names_by_key = names.by_key();
        let section = Section::of(written, &names_by_key.each_ref().map(|(key, _)| *key))?;
        for (key, name) in names_by_key {
            if let Some(given) = section.get(key)? {
                *name = given;
            }
        }
        Ok(names)
    }
}
