//! Setting up the line to the desk from the configuration.

use super::{Desk, Telemetry, stuck};
use crate::config::{Config, Mqtt};
use crate::core::alert::Alerts;
use crate::core::news::{Counter, Event};
use crate::core::past::{self, Past};
use crate::core::status::{self, Connection, Info, Presence};
use crate::shell::clock::Clock;
use crate::shell::count::WireCount;
use crate::shell::desk::{Obedience, locked};
use crate::shell::figures;
use crate::shell::mqtt::{Account, Broker, Ear, MqttLink, MqttSettings, Publication};
use crate::shell::parts::{Parts, StartError};
use crate::shell::session::last_report;
use crate::shell::surface::Ask;
use crate::shell::tls::{ClientIdentity, TlsFiles, client_config};
use crate::store::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The line is tested this often. Shorter than the five minutes after which mobile networks forget an idle
/// connection, and at some 170 bytes a time under 2 MB a month.
const KEEP_ALIVE: Duration = Duration::from_secs(240);
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Telemetry {
    /// Starts the link. The session number is on disk before the birth goes out.
    ///
    /// `driver` is told what the desk wants.
    pub async fn start(
        config: &Config,
        parts: &Parts,
        driver: mpsc::Sender<Ask>,
    ) -> Result<Telemetry, StartError> {
        let Some(mqtt) = &config.mqtt else {
            return Ok(Telemetry(None));
        };
        let begun = parts.store.write_async(|tx| {
            let before: Option<Past> = tx.meta_get(past::DOCUMENT)?;
            let past = Past::begin(before.as_ref(), VERSION);
            tx.meta_put(past::DOCUMENT, &past);
            Ok::<_, StoreError>((tx.next_session(), before, past))
        });
        let (session, before, past) = begun.await?;
        let base = base(config, mqtt);
        let count = Arc::clone(&parts.mqtt_count);
        let mut settings = settings(config, mqtt, &base, session, &parts.clock, count)?;
        if !mqtt.command_keys.is_empty() {
            let (fleet, id) = (&config.gateway.fleet, &config.gateway.id);
            let obedience = Arc::new(Obedience::new(
                mqtt.command_keys.clone(),
                format!("{fleet}/{id}"),
                parts.store.clone(),
                parts.clock.clone(),
                driver,
            ));
            settings.ear = Some(Ear {
                topic: format!("{base}cmd"),
                heard: Box::new(move |payload| obedience.hear(payload)),
            });
        }
        let mut desk = Desk {
            link: MqttLink::spawn(settings),
            base,
            session,
            counter: Counter::new(session),
            alerts: Alerts::default(),
            past,
            limits: parts.limits,
            store: parts.store.clone(),
            stuck: stuck(&parts.store),
            syncs: [None; 2],
            said: [None; 2],
            troubles: [None; 2],
            awaited: Vec::new(),
            served: Vec::new(),
            quiet_until: None,
            locked: parts.store.read(locked)?,
            differing: parts.store.read(last_report)?.map_or(0, |last| last.for_people()),
        };
        desk.introduce(config, parts, before.as_ref());
        Ok(Telemetry(Some(desk)))
    }
}

impl Desk {
    /// `info`, and the events a start consists of.
    fn introduce(&mut self, config: &Config, parts: &Parts, before: Option<&Past>) {
        let now = parts.clock.now();
        let info = Info {
            version: VERSION,
            board: &figures::board(),
            time_zone: config.gateway.time_zone.name(),
            schedule: &config.schedule_words(),
            flows: &config.flows.words(),
            organizations: &config.oscar.organizations.join(" "),
            boot: parts.opened.boot.0,
        };
        self.put("info", &status::info(&info, now));
        let boot = Event::Boot {
            boot: parts.opened.boot.0,
            clean: before.is_none_or(|before| before.clean),
            crashes: self.past.crashes,
        };
        self.tell(boot, now);
        if let Some(before) = before.filter(|before| before.version != VERSION) {
            let from = &before.version;
            self.tell(Event::Update { from, to: VERSION }, now);
        }
    }
}

/// What can be found wrong with the `[mqtt]` section without connecting.
pub fn check(config: &Config) -> Result<(), StartError> {
    let Some(mqtt) = &config.mqtt else { return Ok(()) };
    let (base, clock) = (base(config, mqtt), Clock::new(0));
    settings(config, mqtt, &base, 0, &clock, Arc::default()).map(|_| ())
}

fn base(config: &Config, mqtt: &Mqtt) -> String {
    format!("{}/{}/{}/", mqtt.prefix, config.gateway.fleet, config.gateway.id)
}

/// How this gateway gets in at its broker; what is wrong with the section is told without connecting.
pub(crate) fn account(config: &Config, mqtt: &Mqtt) -> Result<Account, StartError> {
    let broker =
        Broker::parse(&mqtt.url).map_err(|error| StartError::Setting(format!("mqtt.url: {error}")))?;
    let client = mqtt.client_cert.clone().zip(mqtt.client_key.clone());
    let files = TlsFiles {
        ca_file: mqtt.ca_file.clone(),
        client: client.map(|(certificate_file, key_file)| ClientIdentity {
            certificate_file,
            key_file,
        }),
    };
    let tls = client_config(&files).map_err(|error| StartError::Setting(format!("mqtt: {error}")))?;
    Ok(Account {
        broker,
        client_id: format!("{}-{}", config.gateway.fleet, config.gateway.id),
        user_name: mqtt.user_name.clone(),
        password: mqtt.password.as_ref().map(|secret| secret.reveal().to_owned()),
        tls,
        keep_alive: KEEP_ALIVE,
        connect_timeout: CONNECT_WITHIN,
        interface: config.uplink.interface.clone(),
    })
}

fn settings(
    config: &Config,
    mqtt: &Mqtt,
    base: &str,
    session: u64,
    clock: &Clock,
    count: Arc<WireCount>,
) -> Result<MqttSettings, StartError> {
    // The longest channel is checked once, so that no later topic is too long.
    let topic = format!("{base}status");
    Publication::new(&format!("{base}alert-shape_primero"), b"").map_err(|_| {
        StartError::Setting("mqtt.prefix, gateway.fleet and gateway.id are too long together".into())
    })?;
    let clock = clock.clone();
    let status = move |state, link| {
        let now = clock.now();
        let promise = (state == Presence::Online)
            .then(|| status::next_by(now))
            .flatten();
        let payload = status::presence(state, Connection { session, link }, now, promise);
        Publication::new(&topic, &payload).expect("shorter than the longest topic, and bounded by type")
    };
    Ok(MqttSettings {
        account: account(config, mqtt)?,
        status: Box::new(status),
        ear: None,
        seed: figures::random(),
        count,
    })
}
