//! The file as written: sections and keys of design §5, unknown ones refused.

use super::ConfigError;
use crate::core::fields::FieldNames;
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    pub gateway: RawGateway,
    pub primero: RawPrimero,
    pub oscar: RawOscar,
    #[serde(default)]
    pub mapping: RawMapping,
    #[serde(default)]
    pub flows: RawFlows,
    #[serde(default)]
    pub schedule: RawSchedule,
    #[serde(default)]
    pub uplink: RawUplink,
    pub mqtt: Option<RawMqtt>,
    pub lan: Option<RawLan>,
    #[serde(default)]
    pub limits: RawLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawGateway {
    pub id: String,
    pub fleet: String,
    pub office_time_zone: String,
    pub data_dir: PathBuf,
    pub seal_key_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPrimero {
    pub url: String,
    pub user_name: String,
    pub password_file: PathBuf,
    pub module_id: String,
    pub ca_file: Option<PathBuf>,
    pub connect_timeout: Option<String>,
    pub read_timeout: Option<String>,
    pub read_back_after: Option<String>,
    #[serde(default)]
    pub fields: FieldNames,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawOscar {
    pub url: String,
    pub email: String,
    pub password_file: PathBuf,
    pub organizations: Vec<String>,
    pub ca_file: Option<PathBuf>,
    pub connect_timeout: Option<String>,
    pub read_timeout: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMapping {
    pub file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
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

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSchedule {
    pub every: Option<String>,
    pub cron: Option<String>,
    pub on_event: Option<bool>,
    pub jitter: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUplink {
    pub interface: Option<String>,
    pub monthly_budget: Option<String>,
    #[serde(default)]
    pub quiet_hours: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMqtt {
    pub url: String,
    pub user_name: Option<String>,
    pub password_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    #[serde(default)]
    pub command_keys: Vec<String>,
    pub prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLan {
    pub listen: Option<String>,
    pub names: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    pub queue_events: Option<i64>,
    pub queue_bytes: Option<String>,
    pub keep_delivered: Option<String>,
}

/// A parse error in words, with its line, and for a misspelt key the nearest known one.
pub fn explain(error: &toml::de::Error, text: &str) -> ConfigError {
    let line = error
        .span()
        .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    let message = error.message();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((wrong, known)) if message.starts_with("unknown field") => {
            let nearest = known.iter().min_by_key(|known| distance(wrong, known));
            let hint = nearest
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default();
            ConfigError(format!("{place}there is no setting `{wrong}` here{hint}"))
        }
        _ => ConfigError(format!("{place}{message}")),
    }
}

/// Edits between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
