//! The gateway put together from its configuration, for the service and for commands that work without it.

use super::clock::{self, Clock};
use super::count::WireCount;
use super::figures::Place;
use super::http::{HttpsClient, Timeouts};
use super::identity::Identity;
use super::office::Doorkeeper;
use super::session::shadowed::{Shades, Shadowed};
use super::session::{Ground, OscarPass, OscarSettings, PrimeroPass, Session};
use super::standing::Tables;
use super::tls::{TlsFiles, client_config};
use super::uplink::{Uplink, check_interface};
use crate::config::{Config, LinkSettings};
use crate::core::fields::Site;
use crate::core::meter::Meter;
use crate::core::outbox;
use crate::core::status::Way;
use crate::peers::primero::Primero;
use crate::store::{DeviceKey, Limits, Opened, Store, StoreError};
use std::fmt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Name of the store in the data folder.
pub const STORE_FILE: &str = "gateway.redb";
/// Name of the control socket in the data folder.
pub const SOCKET_FILE: &str = "control.sock";
/// Longest whole exchange that is not a pull.
const EXCHANGE_MAX: Duration = Duration::from_secs(180);
/// Longest pull: OSCaR takes 30 ms a child (oscar-measured.md, "Timings").
const PULL_MAX: Duration = Duration::from_secs(1800);

/// Why the gateway cannot start.
#[derive(Debug)]
pub enum StartError {
    Store(StoreError),
    /// What failed and what to do, in words.
    Setting(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Store(error) => error.fmt(f),
            StartError::Setting(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for StartError {}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> StartError {
        StartError::Store(error)
    }
}

/// Everything but the peers' connections.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    pub opened: Opened,
    pub clock: Clock,
    pub site: Arc<Site>,
    pub tables: Tables,
    pub doorkeeper: Arc<Doorkeeper>,
    pub identity: Arc<Identity>,
    pub limits: Limits,
    /// Seals what the drop folder rejects.
    pub reject_key: [u8; 32],
    pub stop: Arc<AtomicBool>,
    /// Set while a session may carry nothing but what is urgent.
    pub thrift: Arc<AtomicBool>,
    pub uplink: Uplink,
    pub place: Place,
    pub primero_count: Arc<WireCount>,
    pub oscar_count: Arc<WireCount>,
    pub mqtt_count: Arc<WireCount>,
}

impl Parts {
    /// The way out, as `status` shows it.
    pub fn way<'a>(&'a self, month: &'a Meter) -> Way<'a> {
        Way {
            month,
            route: Some(self.uplink.route()),
            interface: self.uplink.interface(),
            clock_wrong_by_s: self.clock.wrong_by_s(),
        }
    }
}

/// Where the control socket is.
pub fn socket_path(config: &Config) -> PathBuf {
    config.gateway.data_dir.join(SOCKET_FILE)
}

/// Who may do what with the data folder: its group may go through it to the socket and the drop folder, and list nothing.
pub const DATA_MODE: u32 = 0o710;

/// Opens the store and everything that stands on it. The data folder is made.
pub fn open(config: &Config) -> Result<Parts, StartError> {
    super::swap::locked(&config.gateway.data_dir)?;
    open_even_locked(config)
}

/// The same for a box that has handed over, to look at it or to hand over again.
pub fn open_even_locked(config: &Config) -> Result<Parts, StartError> {
    ours(&config.gateway.data_dir)?;
    open_as_anybody(config)
}

/// The store that is there, locked or not, for whoever only looks or takes everything away. Root may: no file is made.
pub fn open_existing(config: &Config) -> Result<Parts, StartError> {
    let store = config.gateway.data_dir.join(STORE_FILE);
    for (what, path) in [("store", &store), ("device key", &config.gateway.seal_key_file)] {
        if !path.exists() {
            let words = format!("the {what} {} is not there", path.display());
            return Err(StartError::Setting(words));
        }
    }
    open_as_anybody(config)
}

fn open_as_anybody(config: &Config) -> Result<Parts, StartError> {
    let data_dir = &config.gateway.data_dir;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(DATA_MODE)
        .create(data_dir);
    made.map_err(|error| StartError::Setting(format!("cannot make {}: {error}", data_dir.display())))?;
    let site = Arc::new(site(config)?);
    super::shadow::clear(config);
    let key = DeviceKey::load_or_make(&config.gateway.seal_key_file).map_err(StoreError::from)?;
    let identity = Arc::new(Identity::new(&key.derive("identity")));
    let reject_key = key.derive("rejected intake");
    let (store, opened) = Store::open(
        &data_dir.join(STORE_FILE),
        key,
        clock::wall(0).known(),
        &outbox::recover,
    )?;
    let limits = Limits {
        events: config.limits.queue_events,
        bytes: config.limits.queue_bytes,
    };
    let doorkeeper = Arc::new(Doorkeeper::new(
        store.clone(),
        Arc::clone(&site),
        Arc::clone(&identity),
        limits,
        config.oscar.organizations.clone(),
        config.gateway.time_zone,
        config.flows.local_to_oscar,
        config.flows.local_to_primero,
    ));
    let clock = Clock::new(opened.stored_floor);
    let stop = Arc::new(AtomicBool::new(false));
    let (primero_count, oscar_count) = (Arc::default(), Arc::default());
    Ok(Parts {
        store,
        opened,
        clock,
        site,
        tables: Tables::of(config),
        doorkeeper,
        identity,
        limits,
        reject_key,
        stop,
        thrift: Arc::default(),
        uplink: Uplink::new(config),
        place: Place::of(config),
        primero_count,
        oscar_count,
        mqtt_count: Arc::default(),
    })
}

/// A file that root makes in the service's folder is one the service cannot open: better to stop here than on the next
/// start, when nobody is there.
fn ours(data_dir: &Path) -> Result<(), StartError> {
    let user = |path: &Path| std::fs::metadata(path).map(|meta| meta.uid()).ok();
    match (user(Path::new("/proc/self")), user(data_dir)) {
        (Some(0), Some(owner)) if owner != 0 => Err(StartError::Setting(format!(
            "{} belongs to the service's user, and root would leave files there that it cannot open; run this as that user: \
             sudo -u '#{owner}' referral-gateway ...",
            data_dir.display()
        ))),
        _ => Ok(()),
    }
}

/// What can be found wrong without opening anything: mapping, addresses, certificates, the interface. Some of it may
/// yet come right by itself and is only said.
pub fn check(config: &Config) -> Result<Vec<String>, StartError> {
    site(config)?;
    wires(config, &Arc::default(), &Arc::default())?;
    super::telemetry::check(config)?;
    let missing = check_interface(config.uplink.interface.as_deref()).map_err(StartError::Setting)?;
    Ok(missing.into_iter().collect())
}

pub(super) fn site(config: &Config) -> Result<Site, StartError> {
    let site = Site {
        mapping: config.tables(),
        names: config.primero.names.clone(),
        module_id: config.primero.module_id.clone(),
    };
    for organization in &config.oscar.organizations {
        if site.mapping.agency(organization).is_none() {
            let words = format!("oscar.organizations: \"{organization}\" is not in the agency mapping");
            return Err(StartError::Setting(words));
        }
    }
    Ok(site)
}

/// A session's line to a peer.
pub type PeerLine = Shadowed<HttpsClient>;

/// Builds the two passes. Nothing is connected yet.
pub fn session(config: &Config, parts: &Parts) -> Result<Session<PeerLine, PeerLine>, StartError> {
    session_behind(config, parts, None)
}

/// The same with a shade before each peer: nothing that is written reaches it.
pub fn session_behind(
    config: &Config,
    parts: &Parts,
    shades: Option<&Shades>,
) -> Result<Session<PeerLine, PeerLine>, StartError> {
    let clock = parts.clock.clone();
    let ground = Ground {
        store: parts.store.clone(),
        site: Arc::clone(&parts.site),
        boot: parts.opened.boot,
        in_hand: shades.map_or_else(Arc::default, |shades| Arc::clone(&shades.in_hand)),
        clock: Arc::new(move || clock.now()),
        stop: Arc::clone(&parts.stop),
        thrift: Arc::clone(&parts.thrift),
        read_back_after: config.primero.read_back_after,
        flows: config.flows,
        identity: Arc::clone(&parts.identity),
        limits: parts.limits,
        zone: config.gateway.time_zone,
        organizations: config.oscar.organizations.clone().into(),
    };
    let (primero_wire, oscar_wire) = wires(config, &parts.primero_count, &parts.oscar_count)?;
    let (codec, settings) = accounts(config);
    let primero_line = Shadowed::new(primero_wire, shades.map(|shades| shades.primero.clone()));
    let oscar_line = Shadowed::new(oscar_wire, shades.map(|shades| shades.oscar.clone()));
    Ok(Session {
        primero: PrimeroPass::new(ground.clone(), codec, primero_line),
        oscar: OscarPass::new(ground, settings, oscar_line),
    })
}

/// As whom the gateway speaks to both systems.
pub fn accounts(config: &Config) -> (Primero, OscarSettings) {
    let (p, o) = (&config.primero, &config.oscar);
    let settings = OscarSettings {
        email: o.email.clone(),
        password: o.password.reveal().to_owned(),
    };
    (Primero::new(&p.user_name, p.password.reveal()), settings)
}

pub(super) fn wires(
    config: &Config,
    primero_count: &Arc<WireCount>,
    oscar_count: &Arc<WireCount>,
) -> Result<(HttpsClient, HttpsClient), StartError> {
    let (p, o) = (&config.primero, &config.oscar);
    Ok((
        wire(config, "primero", &p.url, &p.link, primero_count)?,
        wire(config, "oscar", &o.url, &o.link, oscar_count)?,
    ))
}

fn wire(
    config: &Config,
    section: &str,
    url: &str,
    link: &LinkSettings,
    count: &Arc<WireCount>,
) -> Result<HttpsClient, StartError> {
    let files = TlsFiles {
        ca_file: link.ca_file.clone(),
        client: None,
    };
    let tls =
        client_config(&files).map_err(|error| StartError::Setting(format!("{section}.ca_file: {error}")))?;
    let timeouts = Timeouts {
        connect: link.connect_timeout,
        read: link.read_timeout,
        exchange: EXCHANGE_MAX.max(link.read_timeout),
        stream: PULL_MAX,
    };
    let interface = config.uplink.interface.clone();
    HttpsClient::by(interface, url, tls, timeouts, Arc::clone(count))
        .map_err(|error| StartError::Setting(format!("{section}.url: {error}")))
}

impl StartError {
    /// Whether the same may work in a moment: the service is just starting, or a command has the store.
    pub fn passing(&self) -> bool {
        matches!(self, StartError::Store(error) if error.passing() || matches!(error, StoreError::InUse { .. }))
    }
}

/// Bytes both ways at one peer since the start.
pub fn wire_bytes(count: &WireCount) -> u64 {
    count.sent_bytes.load(Relaxed) + count.received_bytes.load(Relaxed)
}
