//! A box between two simulated peers: its disk can be cut off, its clock moves only when told, and the peers outlive
//! it.

use crate::disk::Disk;
use crate::line::Line;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Asia::Phnom_Penh;
use referral_gateway::core::exchange::Wire;
use referral_gateway::core::fields::{FieldNames, Site};
use referral_gateway::core::flows::Flows;
use referral_gateway::core::mapping::Mapping;
use referral_gateway::core::outbox;
use referral_gateway::core::outbox::Verdict;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::reconcile::Report;
use referral_gateway::core::record::{Head, Moment, State};
use referral_gateway::core::schedule::Orders;
use referral_gateway::core::time::{BootId, Mono, Now, Trust, Wall};
use referral_gateway::peers::primero::Primero;
use referral_gateway::shell::identity::Identity;
use referral_gateway::shell::office::{Accepted, Doorkeeper, Refusal};
use referral_gateway::shell::session::{
    Ground, OscarPass, OscarSettings, PrimeroPass, Session, SessionReport,
};
use referral_gateway::store::{DeviceKey, Limits, Store, StoreError};
use serde_json::Value;
use simulators::{oscar, primero};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub const USER: &str = "gateway-kpt-03";
pub const PASSWORD: &str = "Invented-Pass-1";
pub const EMAIL: &str = "gateway@example.org";
/// 23 November 2026, 02:00 UTC.
const T0: i64 = 1_795_399_200;
/// Time between two sessions.
pub const EVERY: Duration = Duration::from_secs(300);
/// When a referral that is missing after a lost answer counts as never arrived.
pub const READ_BACK_AFTER: Duration = Duration::from_secs(60);
const LIMITS: Limits = Limits {
    events: 1000,
    bytes: 64 << 20,
};

/// Milliseconds since [`T0`]; everybody on the stage reads this one clock.
#[derive(Clone, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    pub fn pass_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Relaxed);
    }

    pub fn pass(&self, time: Duration) {
        self.pass_ms(u64::try_from(time.as_millis()).expect("tests are shorter than an age"));
    }

    pub fn utc(&self) -> DateTime<Utc> {
        let ms = i64::try_from(self.0.load(Relaxed)).expect("tests are shorter than an age");
        DateTime::from_timestamp_millis(T0 * 1000 + ms).expect("a date of this century")
    }

    pub fn now(&self) -> Now {
        let wall = Wall {
            unix: self.utc().timestamp(),
            trust: Trust::Synced,
        };
        Now {
            mono: Mono(self.0.load(Relaxed)),
            wall,
        }
    }
}

/// What lives in the box's memory while it has power.
struct Powered {
    store: Store,
    door: Arc<Doorkeeper>,
    session: Session<Line<primero::Sim>, Line<oscar::Sim>>,
}

pub struct Stage {
    pub clock: Clock,
    pub disk: Disk,
    pub primero: Line<primero::Sim>,
    pub oscar: Line<oscar::Sim>,
    /// What the box carries, from its next start on.
    pub flows: Flows,
    /// Whom the box signs in as at Primero, and the OSCaR organizations it relays for.
    pub user: String,
    pub organizations: Vec<String>,
    /// How much may wait, from its next start on.
    pub limits: Limits,
    /// The secrets of the box; a lost box takes them along.
    pub device: u8,
    /// By how much the box's own wall clock is wrong, in seconds.
    skew: Arc<AtomicI64>,
    box_: Option<Powered>,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage::with(
            primero::Config::cambodia(USER, PASSWORD),
            oscar::Config::default_for(EMAIL, PASSWORD),
        )
    }
}

impl Stage {
    pub fn with(primero: primero::Config, oscar: oscar::Config) -> Stage {
        Stage::on(Disk::default(), primero, oscar)
    }

    /// The same on a disk that may fail while the box is first switched on.
    pub fn on(disk: Disk, primero: primero::Config, oscar: oscar::Config) -> Stage {
        let clock = Clock::default();
        let primero = Line::new(primero::Sim::new(primero), clock.clone(), disk.clone());
        let oscar = Line::new(oscar::Sim::new(oscar), clock.clone(), disk.clone());
        let mut stage = Stage {
            clock,
            disk,
            primero,
            oscar,
            flows: Flows::default(),
            user: USER.to_owned(),
            organizations: vec!["cif".to_owned(), "gpc".to_owned()],
            limits: LIMITS,
            device: 7,
            skew: Arc::default(),
            box_: None,
        };
        stage.tick();
        stage.box_ = stage.power_up().ok();
        stage
    }

    /// Another box beside this one, between the same peers and under the same clock, with lines of its own.
    pub fn beside(&self, user: &str, organizations: &[&str], device: u8) -> Stage {
        let disk = Disk::default();
        let mut stage = Stage {
            clock: self.clock.clone(),
            primero: self.primero.another(disk.clone()),
            oscar: self.oscar.another(disk.clone()),
            disk,
            flows: self.flows,
            user: user.to_owned(),
            organizations: organizations.iter().map(|name| (*name).to_owned()).collect(),
            limits: self.limits,
            device,
            skew: Arc::default(),
            box_: None,
        };
        stage.box_ = Some(stage.power_up().expect("a store on a new disk"));
        stage
    }

    /// The box is switched off and on with a new, empty disk: its store is lost.
    pub fn lose_the_store(&mut self) {
        self.box_ = None;
        self.boot_from(Vec::new());
    }

    /// The program stops and starts again with other flows switched on.
    pub fn carry(&mut self, flows: Flows) {
        self.flows = flows;
        self.restart();
    }

    fn tick(&self) {
        let now = self.clock.utc();
        self.primero.peer(|sim| sim.set_now(now));
        self.oscar.peer(|sim| sim.set_now(now));
    }

    /// Lets time go by for everybody.
    pub fn wait(&self, time: Duration) {
        self.clock.pass(time);
        self.tick();
    }

    fn power_up(&self) -> Result<Powered, StoreError> {
        let unix = self.clock.now().wall.unix;
        let key = DeviceKey::from_bytes([self.device; 32]);
        let (store, opened) = Store::open_on(self.disk.clone(), key, Some(unix), &outbox::recover)?;
        let ground = self.ground(&store, opened.boot);
        let session = self.session_on(ground.clone(), self.primero.clone(), self.oscar.clone());
        let door = Doorkeeper::new(
            store.clone(),
            ground.site,
            ground.identity,
            ground.limits,
            self.organizations.clone(),
            Phnom_Penh,
            true,
            true,
        );
        let door = Arc::new(door);
        Ok(Powered { store, door, session })
    }

    /// What a session of this box stands on.
    pub fn ground(&self, store: &Store, boot: BootId) -> Ground {
        let (clock, skew) = (self.clock.clone(), Arc::clone(&self.skew));
        let now = move || {
            let mut now = clock.now();
            now.wall.unix += skew.load(Relaxed);
            now
        };
        Ground {
            store: store.clone(),
            site: Arc::new(Site {
                mapping: Mapping::built_in(),
                names: FieldNames::default(),
                module_id: primero::MODULE.to_owned(),
            }),
            boot,
            clock: Arc::new(now),
            stop: Arc::new(AtomicBool::new(false)),
            thrift: Arc::new(AtomicBool::new(false)),
            in_hand: Arc::default(),
            read_back_after: READ_BACK_AFTER,
            flows: self.flows,
            identity: Arc::new(Identity::new(&[self.device + 2; 32])),
            limits: self.limits,
            zone: Phnom_Penh,
            organizations: self.organizations.clone().into(),
        }
    }

    /// A session over lines of the caller's.
    pub fn session_on<P: Wire, O: Wire>(&self, ground: Ground, primero: P, oscar: O) -> Session<P, O> {
        let settings = OscarSettings {
            email: EMAIL.to_owned(),
            password: PASSWORD.to_owned(),
        };
        let codec = Primero::new(&self.user, PASSWORD);
        Session {
            primero: PrimeroPass::new(ground.clone(), codec, primero),
            oscar: OscarPass::new(ground, settings, oscar),
        }
    }

    /// Sets the box's own clock wrong.
    pub fn skew(&self, by: TimeDelta) {
        self.skew.store(by.num_seconds(), Relaxed);
    }

    fn powered(&mut self) -> &mut Powered {
        self.box_.as_mut().expect("the box is on")
    }

    pub fn store(&self) -> &Store {
        &self.box_.as_ref().expect("the box is on").store
    }

    /// The program stops and starts again; the disk is fine.
    pub fn restart(&mut self) {
        self.box_ = None;
        self.boot_from(self.disk.contents());
    }

    /// The power goes, now or where the disk was told; the seed decides about what no sync had covered.
    pub fn cut(&mut self, seed: u64) {
        self.disk.cut();
        self.box_ = None;
        self.boot_from(self.disk.after_cut(seed));
    }

    fn boot_from(&mut self, image: Vec<u8>) {
        self.wait(Duration::from_secs(1));
        self.disk = Disk::holding(image);
        self.primero.plug_into(self.disk.clone());
        self.oscar.plug_into(self.disk.clone());
        self.box_ = Some(self.power_up().expect("the store opens after any cut"));
    }

    /// Hands an event in; whether it was accepted.
    pub fn offer(&mut self, event: &Value) -> Result<Accepted, Refusal> {
        let now = self.clock.now();
        match &self.box_ {
            Some(on) => on.door.accept(event, now),
            None => Err(Refusal::QueueFull),
        }
    }

    /// Where events are handed in, for whoever does it in the middle of a session.
    pub fn door(&self) -> Arc<Doorkeeper> {
        Arc::clone(&self.box_.as_ref().expect("the box is on").door)
    }

    /// Hands an event in that must be accepted; its key.
    pub fn accept(&mut self, event: &Value) -> String {
        let accepted = self.offer(event).expect("the event is valid and the store works");
        accepted.event_key
    }

    /// A session if there is power, whatever comes of it.
    pub fn run_if_on(&mut self) -> Option<SessionReport> {
        self.box_.as_ref()?;
        self.run_as(true, false).ok()
    }

    /// One session some minutes later, without looking back for acceptances.
    pub fn run(&mut self) -> SessionReport {
        self.run_as(false, false).expect("the store works")
    }

    /// The same, looking back.
    pub fn run_reaching_back(&mut self) -> SessionReport {
        self.run_as(true, false).expect("the store works")
    }

    /// A session with no time in between.
    pub fn run_at_once(&mut self) -> SessionReport {
        self.session_with(false, false).expect("the store works")
    }

    pub fn run_as(&mut self, reach_back: bool, by_hand: bool) -> Result<SessionReport, StoreError> {
        self.wait(EVERY);
        self.session_with(reach_back, by_hand)
    }

    fn session_with(&mut self, reach_back: bool, by_hand: bool) -> Result<SessionReport, StoreError> {
        let orders = Orders {
            urgent_only: false,
            primero: true,
            oscar: true,
            reach_back,
            by_hand,
        };
        self.ordered(orders)
    }

    fn ordered(&mut self, orders: Orders) -> Result<SessionReport, StoreError> {
        let report = self.powered().session.run(orders);
        self.tick();
        report
    }

    /// A session as the schedule orders it, at once.
    pub fn run_ordered(&mut self, orders: Orders) -> SessionReport {
        self.ordered(orders).expect("the store works")
    }

    /// A look at the open referrals some minutes later.
    pub fn reconcile(&mut self) -> Report {
        self.wait(EVERY);
        let report = self.powered().session.reconcile().expect("the store works");
        let report = report.expect("nothing cuts it short");
        self.tick();
        report
    }

    /// Sessions until nothing has been done for a while.
    pub fn settle(&mut self) {
        for _ in 0..5 {
            self.run_reaching_back();
        }
    }

    pub fn head(&self, key: &str) -> Head {
        self.find(key).expect("the event is stored")
    }

    pub fn find(&self, key: &str) -> Option<Head> {
        let head = self.store().read(|view| view.head_by_key(key));
        head.expect("the store reads")
    }

    pub fn state(&self, key: &str) -> (State, Option<Reason>) {
        let head = self.head(key);
        (head.state, head.reason)
    }

    /// A person at the box changes an event.
    pub fn change(&mut self, key: &str, change: impl FnOnce(&mut Head, Moment) + Send + 'static) {
        let (mut head, unix) = (self.head(key), self.clock.now().wall.known());
        let write = move |tx: &mut referral_gateway::store::Tx<'_>| {
            change(
                &mut head,
                Moment {
                    boot: tx.boot(),
                    unix,
                },
            );
            tx.update(&head)
        };
        self.store().write(write).expect("the store works");
    }

    pub fn resolve(&mut self, key: &str, verdict: Verdict) {
        self.change(key, move |head, at| {
            outbox::resolve(head, at, verdict, "somebody").expect("the state allows it");
        });
    }
}
