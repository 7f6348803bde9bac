//! The configuration file (design §5): read raw, then resolved into small sections with every value in range.
//!
//! Unknown keys are refused with the nearest known one; secrets come only from files, and a file that others may read
//! is refused. [`Config::printed`] shows the resolved result without secrets.

mod belongings;
pub mod card;
mod own_tables;
mod printed;
mod raw;
mod section;
mod values;

use crate::core::cron::Cron;
use crate::core::fields::FieldNames;
use crate::core::flows::{Earlier, Flows, OscarConsent};
use crate::core::office_time::QuietHours;
use crate::core::schedule::Plan;
pub use belongings::Belongings;
use chrono_tz::Tz;
pub use own_tables::OwnTables;
use raw::RawConfig;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use values::{Range, duration, size};

/// Where the file is looked for when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/referral-gateway/gateway.toml";

/// What is wrong with the configuration: which key, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The resolved configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub gateway: Gateway,
    pub primero: Primero,
    pub oscar: Oscar,
    pub mapping: Option<OwnTables>,
    pub flows: Flows,
    pub schedule: Plan,
    pub uplink: Uplink,
    pub mqtt: Option<Mqtt>,
    pub lan: Option<Lan>,
    pub limits: Limits,
}

#[derive(Clone, Debug)]
pub struct Gateway {
    pub id: String,
    pub fleet: String,
    pub time_zone: Tz,
    pub data_dir: PathBuf,
    pub seal_key_file: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Primero {
    pub url: String,
    pub user_name: String,
    pub password: Secret,
    /// Where the password was read, to read it again once it was refused.
    pub password_file: PathBuf,
    pub module_id: String,
    pub names: FieldNames,
    pub link: LinkSettings,
    /// How long after a lost answer the list of referrals is believed to show what arrived.
    pub read_back_after: Duration,
}

#[derive(Clone, Debug)]
pub struct Oscar {
    pub url: String,
    pub email: String,
    pub password: Secret,
    /// Where the password was read, to read it again once it was refused.
    pub password_file: PathBuf,
    pub organizations: Vec<String>,
    pub link: LinkSettings,
}

/// How a peer is reached.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    pub ca_file: Option<PathBuf>,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
}

/// The way out.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// The only interface to use; `None` for any.
    pub interface: Option<String>,
    /// Bytes a month at the office, both ways, TLS included.
    pub monthly_budget: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Mqtt {
    pub url: String,
    pub user_name: Option<String>,
    pub password: Option<Secret>,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    /// Public keys of the desk; without one no command is listened to.
    pub command_keys: Vec<[u8; 32]>,
    pub prefix: String,
}

/// The office's own network (`shell/lan.rs`).
#[derive(Clone, Debug)]
pub struct Lan {
    pub listen: SocketAddr,
    /// More names and addresses the certificate is good for.
    pub names: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Limits {
    pub queue_events: u32,
    pub queue_bytes: u64,
    pub keep_delivered: Duration,
}

/// A secret read from a file. It never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Config {
    /// Reads, checks and resolves the file. Relative paths in it start at its own folder.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = text_of(path)?;
        let home = path.parent().unwrap_or(Path::new("."));
        Config::parse(&text, home)
    }

    /// Checks and resolves a text.
    pub fn parse(text: &str, home: &Path) -> Result<Config, ConfigError> {
        resolve(section::read(text)?, home)
    }
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError(format!("cannot be read: {error}")))
}

fn resolve(raw: RawConfig, home: &Path) -> Result<Config, ConfigError> {
    let gateway = gateway(raw.gateway, home)?;
    let zone = gateway.time_zone;
    let start = values::start(raw.flows.start.as_deref().unwrap_or("now"), zone)?;
    Ok(Config {
        gateway,
        primero: primero(raw.primero, home)?,
        oscar: oscar(raw.oscar, home)?,
        mapping: raw
            .mapping
            .file
            .map(|file| own_tables::read(&home.join(file)))
            .transpose()?,
        flows: flows(&raw.flows, start)?,
        schedule: schedule(
            &raw.schedule,
            raw.uplink.quiet_hours.as_deref().unwrap_or_default(),
            zone,
        )?,
        uplink: uplink(raw.uplink)?,
        mqtt: raw.mqtt.map(|mqtt| self::mqtt(mqtt, home)).transpose()?,
        lan: raw.lan.map(lan).transpose()?,
        limits: limits(&raw.limits)?,
    })
}

fn flows(raw: &raw::RawFlows, start: Option<i64>) -> Result<Flows, ConfigError> {
    let on = |flow: Option<bool>| flow.unwrap_or(true);
    let consents = [OscarConsent::Park, OscarConsent::Agreement];
    let oscar_consent = values::one_of(
        "flows.oscar_consent",
        raw.oscar_consent.as_deref(),
        &consents,
        OscarConsent::word,
    )?;
    let earlier = values::one_of(
        "flows.earlier",
        raw.earlier.as_deref(),
        &[Earlier::Doubt, Earlier::Send],
        Earlier::word,
    )?;
    let shared_cases = raw.shared_cases.unwrap_or(false);
    if shared_cases && oscar_consent != OscarConsent::Agreement {
        return Err(ConfigError(
            "flows.shared_cases = true needs flows.oscar_consent = \"agreement\": OSCaR states no family's consent for \
             children it only shares"
                .to_owned(),
        ));
    }
    Ok(Flows {
        local_to_oscar: on(raw.local_to_oscar),
        local_to_primero: on(raw.local_to_primero),
        primero_to_oscar: on(raw.primero_to_oscar),
        oscar_to_primero: on(raw.oscar_to_primero),
        decisions: on(raw.decisions),
        links: on(raw.links),
        shared_cases,
        oscar_consent,
        earlier,
        start,
    })
}

fn gateway(raw: raw::RawGateway, home: &Path) -> Result<Gateway, ConfigError> {
    let zone = &raw.office_time_zone;
    let time_zone = zone.parse::<Tz>().map_err(|_| {
        let example = "write one like \"Asia/Phnom_Penh\"";
        ConfigError(format!(
            "gateway.office_time_zone = \"{zone}\" is no time zone this program has; {example}"
        ))
    })?;
    for (key, value) in [("gateway.id", &raw.id), ("gateway.fleet", &raw.fleet)] {
        values::topic_word(key, value)?;
    }
    let (data_dir, seal_key_file) = belongings::folders(raw.data_dir, raw.seal_key_file, home);
    Ok(Gateway {
        id: raw.id,
        fleet: raw.fleet,
        time_zone,
        data_dir,
        seal_key_file,
    })
}

fn primero(raw: raw::RawPrimero, home: &Path) -> Result<Primero, ConfigError> {
    let read_back = raw.read_back_after.as_deref().unwrap_or("60s");
    Ok(Primero {
        url: raw.url,
        user_name: raw.user_name,
        password: secret("primero.password_file", &raw.password_file, home)?,
        password_file: home.join(&raw.password_file),
        module_id: raw.module_id,
        names: raw.fields,
        link: link(
            "primero",
            raw.ca_file,
            raw.connect_timeout,
            raw.read_timeout,
            home,
        )?,
        read_back_after: duration("primero", "read_back_after", read_back, Range::READ_BACK)?,
    })
}

fn oscar(raw: raw::RawOscar, home: &Path) -> Result<Oscar, ConfigError> {
    if raw.organizations.is_empty() {
        return Err(ConfigError(
            "oscar.organizations is empty: name at least one OSCaR organization".into(),
        ));
    }
    Ok(Oscar {
        url: raw.url,
        email: raw.email,
        password: secret("oscar.password_file", &raw.password_file, home)?,
        password_file: home.join(&raw.password_file),
        organizations: raw.organizations,
        link: link("oscar", raw.ca_file, raw.connect_timeout, raw.read_timeout, home)?,
    })
}

fn link(
    section: &str,
    ca_file: Option<PathBuf>,
    connect: Option<String>,
    read: Option<String>,
    home: &Path,
) -> Result<LinkSettings, ConfigError> {
    let within = |key, text: Option<String>, usual: &str| {
        duration(section, key, text.as_deref().unwrap_or(usual), Range::LINK)
    };
    Ok(LinkSettings {
        ca_file: ca_file.map(|path| home.join(path)),
        connect_timeout: within("connect_timeout", connect, "15s")?,
        read_timeout: within("read_timeout", read, "60s")?,
    })
}

fn mqtt(raw: raw::RawMqtt, home: &Path) -> Result<Mqtt, ConfigError> {
    let password = raw
        .password_file
        .map(|path| secret("mqtt.password_file", &path, home));
    let client_key = raw
        .client_key
        .map(|path| values::private("mqtt.client_key", home.join(path)));
    Ok(Mqtt {
        url: raw.url,
        user_name: raw.user_name,
        password: password.transpose()?,
        ca_file: raw.ca_file.map(|path| home.join(path)),
        client_cert: raw.client_cert.map(|path| home.join(path)),
        client_key: client_key.transpose()?,
        command_keys: values::command_keys(&raw.command_keys.unwrap_or_default())?,
        prefix: raw.prefix.unwrap_or_else(|| "referral-gateway/v1".to_owned()),
    })
}

fn lan(raw: raw::RawLan) -> Result<Lan, ConfigError> {
    let listen = raw.listen.as_deref().unwrap_or("0.0.0.0:8443");
    Ok(Lan {
        listen: values::address("lan.listen", listen)?,
        names: values::host_names("lan.names", raw.names.unwrap_or_default())?,
    })
}

fn schedule(raw: &raw::RawSchedule, quiet: &[String], zone: Tz) -> Result<Plan, ConfigError> {
    let every = raw.every.as_deref().unwrap_or("5m");
    let jitter = raw.jitter.as_deref().unwrap_or("20s");
    let wrong = |key: &str, text: &str, why: String| ConfigError(format!("{key} = \"{text}\": {why}"));
    let cron = raw
        .cron
        .as_deref()
        .map(|text| Cron::parse(text).map_err(|why| wrong("schedule.cron", text, why)));
    let quiet = QuietHours::parse(quiet.iter().map(String::as_str))
        .map_err(|why| ConfigError(format!("uplink.quiet_hours: {why}")))?;
    Ok(Plan {
        every: duration("schedule", "every", every, Range::SCHEDULE)?,
        jitter: duration("schedule", "jitter", jitter, Range::JITTER)?,
        on_event: raw.on_event.unwrap_or(true),
        cron: cron.transpose()?,
        quiet,
        zone,
    })
}

fn uplink(raw: raw::RawUplink) -> Result<Uplink, ConfigError> {
    let interface = raw.interface.filter(|name| name != "any");
    if let Some(name) = &interface {
        values::interface("uplink.interface", name)?;
    }
    let budget = raw
        .monthly_budget
        .map(|text| size("uplink", "monthly_budget", &text));
    Ok(Uplink {
        interface,
        monthly_budget: budget.transpose()?,
    })
}

fn limits(raw: &raw::RawLimits) -> Result<Limits, ConfigError> {
    let keep = raw.keep_delivered.as_deref().unwrap_or("72h");
    Ok(Limits {
        queue_events: values::whole(
            "limits.queue_events",
            raw.queue_events.unwrap_or(20_000),
            10,
            1_000_000,
        )?,
        queue_bytes: size(
            "limits",
            "queue_bytes",
            raw.queue_bytes.as_deref().unwrap_or("256 MB"),
        )?,
        keep_delivered: duration("limits", "keep_delivered", keep, Range::KEEP)?,
    })
}

/// The first line of a secret's file that stands in no configuration but on a command line, under the same rules.
pub fn secret_file(key: &str, path: &Path) -> Result<String, ConfigError> {
    values::secret(key, path.to_owned())
}

fn secret(key: &str, path: &Path, home: &Path) -> Result<Secret, ConfigError> {
    values::secret(key, home.join(path)).map(Secret)
}
