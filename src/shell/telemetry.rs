//! What goes to the central desk: the payloads of `core::status` on the topics of design §6. Without an `[mqtt]`
//! section nothing is sent and nothing else changes.

use super::clock::Clock;
use super::mqtt::{Broker, MqttLink, MqttSettings, MqttState, Publication};
use super::parts::{Parts, StartError};
use super::session::SessionReport;
use super::tls::{ClientIdentity, TlsFiles, client_config};
use super::{count::WireCount, figures};
use crate::config::{Config, Mqtt};
use crate::core::record::Peer;
use crate::core::status::{self, Figures, Picture, Presence, Sync};
use crate::core::time::Now;
use crate::store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// The line is tested this often; with TLS a ping costs about 100 bytes.
const KEEP_ALIVE: Duration = Duration::from_secs(120);
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// How long a stop waits for the broker.
const FAREWELL_WITHIN: Duration = Duration::from_secs(3);

/// The desk's end of the gateway.
pub struct Telemetry {
    link: Option<MqttLink>,
    /// `<prefix>/<fleet>/<gateway>/`
    base: String,
    session: u64,
}

impl Telemetry {
    /// Starts the link. The session number is on disk before the birth goes out.
    pub async fn start(config: &Config, parts: &Parts) -> Result<Telemetry, StartError> {
        let Some(mqtt) = &config.mqtt else {
            return Ok(Telemetry {
                link: None,
                base: String::new(),
                session: 0,
            });
        };
        let session = parts
            .store
            .write_async(|tx| Ok::<u64, StoreError>(tx.next_session()))
            .await?;
        let base = base(config, mqtt);
        let now = parts.clock.now();
        let settings = settings(config, mqtt, &base, session, now)?;
        Ok(Telemetry {
            link: Some(MqttLink::spawn(settings)),
            base,
            session,
        })
    }

    /// The word for `status`.
    pub fn word(&self) -> &'static str {
        self.link.as_ref().map_or(MqttState::Off, MqttLink::state).word()
    }

    /// `status` and `health`, as they are now.
    pub fn beat(&self, picture: &Picture, figures: &Figures) {
        self.put(
            "status",
            &status::presence(Presence::Online, self.session, picture.now),
        );
        self.put("health", &status::health(picture, figures));
    }

    /// `sync-primero` and `sync-oscar`, after a session.
    pub fn session(&self, report: &SessionReport, ms: u64, bytes: [u64; 2], picture: &Picture) {
        for (peer, bytes) in Peer::BOTH.into_iter().zip(bytes) {
            let pass = report.of(peer);
            if !pass.reached && pass.trouble.is_none() {
                continue;
            }
            let sync = Sync {
                last_attempt: picture.now.wall.known(),
                pulled: pass.pulled,
                pushed: pass.pushed,
                confirmed: pass.confirmed,
                parked: pass.parked,
                in_doubt: pass.in_doubt,
                ms,
                bytes,
            };
            let channel = match peer {
                Peer::Primero => "sync-primero",
                Peer::Oscar => "sync-oscar",
            };
            self.put(
                channel,
                &status::sync(picture.schedule.peer(peer), &sync, picture),
            );
        }
    }

    fn put(&self, channel: &str, payload: &[u8]) {
        if let Some(link) = &self.link {
            let done = link.put(&format!("{}{channel}", self.base), payload, true);
            debug_assert!(done.is_ok(), "few topics, bounded payloads");
        }
    }

    /// A clean stop leaves `offline` with the broker, if it can be reached in time.
    pub async fn stop(self, now: Now) {
        let Some(link) = self.link else { return };
        let topic = format!("{}status", self.base);
        let payload = status::presence(Presence::Offline, self.session, now);
        if let Ok(farewell) = Publication::new(&topic, &payload) {
            link.stop(farewell, FAREWELL_WITHIN).await;
        }
    }
}

/// What can be found wrong with the `[mqtt]` section without connecting.
pub fn check(config: &Config) -> Result<(), StartError> {
    let Some(mqtt) = &config.mqtt else { return Ok(()) };
    let now = Clock::new(0).now();
    settings(config, mqtt, &base(config, mqtt), 0, now).map(|_| ())
}

fn base(config: &Config, mqtt: &Mqtt) -> String {
    format!("{}/{}/{}/", mqtt.prefix, config.gateway.fleet, config.gateway.id)
}

fn settings(
    config: &Config,
    mqtt: &Mqtt,
    base: &str,
    session: u64,
    now: Now,
) -> Result<MqttSettings, StartError> {
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
    let topic = format!("{base}status");
    let say = |state| {
        let payload = status::presence(state, session, now);
        Publication::new(&topic, &payload).map_err(|_| {
            StartError::Setting("mqtt.prefix, gateway.fleet and gateway.id are too long together".into())
        })
    };
    Ok(MqttSettings {
        broker,
        client_id: format!("{}-{}", config.gateway.fleet, config.gateway.id),
        user_name: mqtt.user_name.clone(),
        password: mqtt.password.as_ref().map(|secret| secret.reveal().to_owned()),
        tls,
        birth: say(Presence::Online)?,
        will: say(Presence::Lost)?,
        keep_alive: KEEP_ALIVE,
        connect_timeout: CONNECT_WITHIN,
        seed: figures::random(),
        count: Arc::<WireCount>::default(),
    })
}
