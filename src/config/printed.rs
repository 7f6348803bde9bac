//! The resolved configuration for people and programs, secrets hidden.

use super::values::shown;
use super::{Config, LinkSettings, Mqtt};
use serde_json::{Map, Value};
use std::path::Path;

const HIDDEN: &str = "(read, hidden)";

impl Config {
    /// The schedule in words, for the desk.
    pub fn schedule_words(&self) -> String {
        let cron = self.schedule.cron.as_ref().map(|cron| cron.text().to_owned());
        cron.unwrap_or_else(|| format!("every {}", shown(self.schedule.every)))
    }

    /// The resolved result as lines of `key = value`.
    pub fn printed(&self) -> String {
        let lines = self.values();
        lines
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect()
    }

    /// The same as one JSON object, keys as in the file.
    pub fn json(&self) -> Value {
        let values = self.values().into_iter();
        Value::Object(
            values
                .map(|(key, value)| (key, Value::String(value)))
                .collect::<Map<_, _>>(),
        )
    }

    fn values(&self) -> Vec<(String, String)> {
        let mut out = Lines::default();
        let (gateway, primero, oscar) = (&self.gateway, &self.primero, &self.oscar);
        out.put("gateway.id", &gateway.id);
        out.put("gateway.fleet", &gateway.fleet);
        out.put("gateway.office_time_zone", gateway.time_zone.name());
        out.put("gateway.data_dir", &path(&gateway.data_dir));
        out.put("gateway.seal_key_file", &path(&gateway.seal_key_file));
        out.put("primero.url", &primero.url);
        out.put("primero.user_name", &primero.user_name);
        out.put("primero.password_file", HIDDEN);
        out.put("primero.module_id", &primero.module_id);
        out.link("primero", &primero.link);
        out.put("primero.read_back_after", &shown(primero.read_back_after));
        if let Ok(Value::Object(names)) = serde_json::to_value(&primero.names) {
            for (name, field) in &names {
                out.put(
                    &format!("primero.fields.{name}"),
                    field.as_str().unwrap_or_default(),
                );
            }
        }
        out.put("oscar.url", &oscar.url);
        out.put("oscar.email", &oscar.email);
        out.put("oscar.password_file", HIDDEN);
        out.put("oscar.organizations", &oscar.organizations.join(", "));
        out.link("oscar", &oscar.link);
        self.rest(&mut out);
        out.0
    }

    fn rest(&self, out: &mut Lines) {
        match &self.mapping {
            Some(file) => {
                out.put("mapping.file", &path(&file.path));
                out.put("mapping.about", self.tables().about().unwrap_or_default());
            }
            None => out.put("mapping", "built in"),
        }
        let flows = &self.flows;
        out.put("flows.local_to_oscar", &flows.local_to_oscar.to_string());
        out.put("flows.local_to_primero", &flows.local_to_primero.to_string());
        out.put("flows.primero_to_oscar", &flows.primero_to_oscar.to_string());
        out.put("flows.oscar_to_primero", &flows.oscar_to_primero.to_string());
        out.put("flows.decisions", &flows.decisions.to_string());
        out.put("flows.links", &flows.links.to_string());
        out.put("flows.shared_cases", &flows.shared_cases.to_string());
        out.put("flows.oscar_consent", flows.oscar_consent.word());
        out.put("flows.earlier", flows.earlier.word());
        let zone = gateway_day(flows.start, self.gateway.time_zone);
        out.put("flows.start", zone.as_deref().unwrap_or("now"));
        out.put("schedule.every", &shown(self.schedule.every));
        let cron = self.schedule.cron.as_ref();
        out.put("schedule.cron", cron.map_or("(none)", |cron| cron.text()));
        out.put("schedule.on_event", &self.schedule.on_event.to_string());
        out.put("schedule.jitter", &shown(self.schedule.jitter));
        let uplink = &self.uplink;
        out.put("uplink.interface", uplink.interface.as_deref().unwrap_or("any"));
        let budget = uplink.monthly_budget.map(|bytes| format!("{bytes} B"));
        out.put("uplink.monthly_budget", budget.as_deref().unwrap_or("(none)"));
        out.put("uplink.quiet_hours", &self.schedule.quiet.printed());
        match &self.mqtt {
            Some(mqtt) => out.mqtt(mqtt),
            None => out.put("mqtt", "off"),
        }
        match &self.lan {
            Some(lan) => {
                out.put("lan.listen", &lan.listen.to_string());
                out.put("lan.names", &lan.names.join(", "));
            }
            None => out.put("lan", "off"),
        }
        out.put("limits.queue_events", &self.limits.queue_events.to_string());
        out.put("limits.queue_bytes", &format!("{} B", self.limits.queue_bytes));
        out.put("limits.keep_delivered", &shown(self.limits.keep_delivered));
    }
}

fn gateway_day(start: Option<i64>, zone: chrono_tz::Tz) -> Option<String> {
    let moment = chrono::DateTime::from_timestamp(start?, 0)?;
    Some(moment.with_timezone(&zone).date_naive().to_string())
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[derive(Default)]
struct Lines(Vec<(String, String)>);

impl Lines {
    fn put(&mut self, key: &str, value: &str) {
        self.0.push((key.to_owned(), value.to_owned()));
    }

    fn file(&mut self, key: &str, file: Option<&std::path::PathBuf>) {
        if let Some(file) = file {
            self.put(key, &path(file));
        }
    }

    fn link(&mut self, section: &str, link: &LinkSettings) {
        let ca = link.ca_file.as_ref().map(|file| path(file));
        self.put(
            &format!("{section}.ca_file"),
            ca.as_deref().unwrap_or("(the public authorities)"),
        );
        self.put(
            &format!("{section}.connect_timeout"),
            &shown(link.connect_timeout),
        );
        self.put(&format!("{section}.read_timeout"), &shown(link.read_timeout));
    }

    fn mqtt(&mut self, mqtt: &Mqtt) {
        self.put("mqtt.url", &mqtt.url);
        if let Some(name) = &mqtt.user_name {
            self.put("mqtt.user_name", name);
        }
        if mqtt.password.is_some() {
            self.put("mqtt.password_file", HIDDEN);
        }
        self.file("mqtt.ca_file", mqtt.ca_file.as_ref());
        self.file("mqtt.client_cert", mqtt.client_cert.as_ref());
        self.file("mqtt.client_key", mqtt.client_key.as_ref());
        self.put("mqtt.command_keys", &mqtt.command_keys.len().to_string());
        self.put("mqtt.prefix", &mqtt.prefix);
    }
}
