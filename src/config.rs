//! The configuration file (design §5): read raw, then resolved into small sections with every value in range.
//!
//! Unknown keys are refused with the nearest known one; secrets come only from files, and a file that others may read
//! is refused. [`Config::printed`] shows the resolved result without secrets.

mod raw;
mod values;

use crate::core::fields::FieldNames;
use chrono_tz::Tz;
use raw::RawConfig;
use std::fmt;
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
#[derive(Debug)]
pub struct Config {
    pub gateway: Gateway,
    pub primero: Primero,
    pub oscar: Oscar,
    pub flows: Flows,
    pub schedule: Schedule,
    pub mqtt: Option<Mqtt>,
    pub limits: Limits,
    /// What this version reads but does not act on yet.
    pub notices: Vec<String>,
}

#[derive(Debug)]
pub struct Gateway {
    pub id: String,
    pub fleet: String,
    pub time_zone: Tz,
    pub data_dir: PathBuf,
    pub seal_key_file: PathBuf,
}

#[derive(Debug)]
pub struct Primero {
    pub url: String,
    pub user_name: String,
    pub password: Secret,
    pub module_id: String,
    pub names: FieldNames,
    pub link: LinkSettings,
    /// How long after a lost answer the list of referrals is believed to show what arrived.
    pub read_back_after: Duration,
}

#[derive(Debug)]
pub struct Oscar {
    pub url: String,
    pub email: String,
    pub password: Secret,
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

#[derive(Debug)]
pub struct Flows {
    pub local_to_oscar: bool,
    pub local_to_primero: bool,
    pub decisions: bool,
    /// Where a first run starts to look, Unix seconds; `None` for now.
    pub start: Option<i64>,
}

#[derive(Debug)]
pub struct Schedule {
    pub every: Duration,
    pub on_event: bool,
    pub jitter: Duration,
}

#[derive(Debug)]
pub struct Mqtt {
    pub url: String,
    pub user_name: Option<String>,
    pub password: Option<Secret>,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub prefix: String,
}

#[derive(Debug)]
pub struct Limits {
    pub queue_events: u32,
    pub queue_bytes: u64,
    pub keep_delivered: Duration,
}

/// A secret read from a file. It never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
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
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("cannot read {}: {error}", path.display())))?;
        let home = path.parent().unwrap_or(Path::new("."));
        Config::parse(&text, home)
    }

    /// Checks and resolves a text.
    pub fn parse(text: &str, home: &Path) -> Result<Config, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| raw::explain(&error, text))?;
        resolve(raw, home)
    }

    /// The resolved result as lines of `key = value`, secrets hidden.
    pub fn printed(&self) -> String {
        let mut out = String::new();
        let mut line = |key: &str, value: &dyn fmt::Display| out.push_str(&format!("{key} = {value}\n"));
        line("gateway.id", &self.gateway.id);
        line("gateway.fleet", &self.gateway.fleet);
        line("gateway.office_time_zone", &self.gateway.time_zone);
        line("gateway.data_dir", &self.gateway.data_dir.display());
        line("gateway.seal_key_file", &self.gateway.seal_key_file.display());
        line("primero.url", &self.primero.url);
        line("primero.user_name", &self.primero.user_name);
        line("primero.password", &"(read, hidden)");
        line("primero.module_id", &self.primero.module_id);
        line(
            "primero.read_back_after",
            &values::shown(self.primero.read_back_after),
        );
        line("oscar.url", &self.oscar.url);
        line("oscar.email", &self.oscar.email);
        line("oscar.password", &"(read, hidden)");
        line("oscar.organizations", &self.oscar.organizations.join(", "));
        line("flows.local_to_oscar", &self.flows.local_to_oscar);
        line("flows.local_to_primero", &self.flows.local_to_primero);
        line("flows.decisions", &self.flows.decisions);
        line("schedule.every", &values::shown(self.schedule.every));
        line("schedule.on_event", &self.schedule.on_event);
        line("schedule.jitter", &values::shown(self.schedule.jitter));
        match &self.mqtt {
            Some(mqtt) => {
                line("mqtt.url", &mqtt.url);
                line("mqtt.prefix", &mqtt.prefix);
            }
            None => line("mqtt", &"off"),
        }
        line("limits.queue_events", &self.limits.queue_events);
        line("limits.queue_bytes", &self.limits.queue_bytes);
        line(
            "limits.keep_delivered",
            &values::shown(self.limits.keep_delivered),
        );
        out
    }
}

fn resolve(raw: RawConfig, home: &Path) -> Result<Config, ConfigError> {
    let mut notices = Vec::new();
    for (section, present) in [("uplink", raw.uplink.is_some()), ("lan", raw.lan.is_some())] {
        if present {
            notices.push(format!(
                "[{section}] is read, but this version does not act on it yet"
            ));
        }
    }
    let later = [
        (raw.flows.primero_to_oscar, "primero_to_oscar"),
        (raw.flows.oscar_to_primero, "oscar_to_primero"),
        (raw.flows.links, "links"),
    ];
    for (_, name) in later.iter().filter(|(on, _)| *on == Some(true)) {
        notices.push(format!(
            "flows.{name} is read, but this version does not carry that flow yet"
        ));
    }
    let g = raw.gateway;
    let time_zone = g.office_time_zone.parse::<Tz>().map_err(|_| {
        ConfigError(format!(
            "gateway.office_time_zone = \"{}\" is no time zone; write one like \"Asia/Phnom_Penh\"",
            g.office_time_zone
        ))
    })?;
    for (key, value) in [("gateway.id", &g.id), ("gateway.fleet", &g.fleet)] {
        values::topic_word(key, value)?;
    }
    let at = |path: PathBuf| if path.is_absolute() { path } else { home.join(path) };
    let data_dir = at(g.data_dir);
    let seal_key_file = g
        .seal_key_file
        .map(at)
        .unwrap_or_else(|| data_dir.join("seal.key"));
    let link = |section: &str, ca_file: Option<PathBuf>, connect: Option<String>, read: Option<String>| {
        Ok::<_, ConfigError>(LinkSettings {
            ca_file: ca_file.map(|path| if path.is_absolute() { path } else { home.join(path) }),
            connect_timeout: duration(
                section,
                "connect_timeout",
                connect.as_deref().unwrap_or("15s"),
                Range::LINK,
            )?,
            read_timeout: duration(
                section,
                "read_timeout",
                read.as_deref().unwrap_or("60s"),
                Range::LINK,
            )?,
        })
    };
    let p = raw.primero;
    let o = raw.oscar;
    if o.organizations.is_empty() {
        return Err(ConfigError(
            "oscar.organizations is empty: name at least one OSCaR organization".into(),
        ));
    }
    let secret = |key: &str, path: PathBuf| values::secret(key, &home.join(path)).map(Secret);
    let mqtt = match raw.mqtt {
        None => None,
        Some(m) => Some(Mqtt {
            url: m.url,
            user_name: m.user_name,
            password: m
                .password_file
                .map(|path| secret("mqtt.password_file", path))
                .transpose()?,
            ca_file: m.ca_file.map(|path| home.join(path)),
            client_cert: m.client_cert.map(|path| home.join(path)),
            client_key: m.client_key.map(|path| home.join(path)),
            prefix: m.prefix.unwrap_or_else(|| "referral-gateway/v1".to_owned()),
        }),
    };
    let s = raw.schedule;
    let l = raw.limits;
    let f = raw.flows;
    Ok(Config {
        gateway: Gateway {
            id: g.id,
            fleet: g.fleet,
            time_zone,
            data_dir,
            seal_key_file,
        },
        primero: Primero {
            url: p.url,
            user_name: p.user_name,
            password: secret("primero.password_file", p.password_file)?,
            module_id: p.module_id,
            names: p.fields,
            link: link("primero", p.ca_file, p.connect_timeout, p.read_timeout)?,
            read_back_after: duration(
                "primero",
                "read_back_after",
                p.read_back_after.as_deref().unwrap_or("60s"),
                Range {
                    least: Duration::ZERO,
                    most: Duration::from_secs(3600),
                },
            )?,
        },
        oscar: Oscar {
            url: o.url,
            email: o.email,
            password: secret("oscar.password_file", o.password_file)?,
            organizations: o.organizations,
            link: link("oscar", o.ca_file, o.connect_timeout, o.read_timeout)?,
        },
        flows: Flows {
            local_to_oscar: f.local_to_oscar.unwrap_or(true),
            local_to_primero: f.local_to_primero.unwrap_or(true),
            decisions: f.decisions.unwrap_or(true),
            start: values::start(f.start.as_deref().unwrap_or("now"), time_zone)?,
        },
        schedule: Schedule {
            every: duration(
                "schedule",
                "every",
                s.every.as_deref().unwrap_or("5m"),
                Range::SCHEDULE,
            )?,
            on_event: s.on_event.unwrap_or(true),
            jitter: duration(
                "schedule",
                "jitter",
                s.jitter.as_deref().unwrap_or("20s"),
                Range::JITTER,
            )?,
        },
        mqtt,
        limits: Limits {
            queue_events: values::whole(
                "limits.queue_events",
                l.queue_events.unwrap_or(20_000),
                10,
                1_000_000,
            )?,
            queue_bytes: size(
                "limits",
                "queue_bytes",
                l.queue_bytes.as_deref().unwrap_or("256 MB"),
            )?,
            keep_delivered: duration(
                "limits",
                "keep_delivered",
                l.keep_delivered.as_deref().unwrap_or("72h"),
                Range::KEEP,
            )?,
        },
        notices,
    })
}
