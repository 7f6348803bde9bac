//! An office and the rest of the world in network namespaces of their own, with a bad line between them.
//!
//! The kernel at hand may lack `netem`, so the line is made here: each end is a TUN device (by socat), and every packet
//! between them passes through this process, which delays, paces, drops and counts it. What runs at either end sees
//! real packets lost and real TCP recovering. Needs root, Debian's iproute2 and socat; everything is taken away again
//! when the [`Net`] is dropped.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The name of the line's device at both ends.
pub const DEVICE: &str = "up0";
/// Packets that wait at a slow line before more are dropped, as at a cheap modem.
const WAITING_MAX: usize = 100;
/// Addresses at the far end: Primero, OSCaR, and whoever else answers there.
pub const PRIMERO: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub const OSCAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);

/// How the line is. The default is a good one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quality {
    /// One way.
    pub delay: Duration,
    /// Of a hundred packets, so many vanish.
    pub loss_percent: u64,
    /// Bits a second each way; zero for no limit.
    pub rate: u64,
    /// Larger packets vanish without a word: a path with a smaller MTU whose messages are filtered.
    pub hole: Option<usize>,
    /// Nothing passes.
    pub dead: bool,
}

/// What passed, IP headers included, from the office and to it.
#[derive(Debug, Default)]
pub struct Passed {
    pub packets: [AtomicU64; 2],
    pub bytes: [AtomicU64; 2],
    /// TCP, by the address at the far end.
    hosts: Mutex<BTreeMap<Ipv4Addr, u64>>,
    /// Everything that is not TCP: name lookups.
    pub lookups: AtomicU64,
}

/// The protocol number of TCP in an IPv4 header.
const TCP: u8 = 6;

impl Passed {
    pub fn bytes(&self) -> u64 {
        self.bytes.iter().map(|bytes| bytes.load(Relaxed)).sum()
    }

    /// Both ways over TCP, to and from one address at the far end.
    pub fn bytes_with(&self, host: Ipv4Addr) -> u64 {
        self.hosts.lock().unwrap().get(&host).copied().unwrap_or(0)
    }

    fn count(&self, way: usize, packet: &[u8]) {
        self.packets[way].fetch_add(1, Relaxed);
        self.bytes[way].fetch_add(packet.len() as u64, Relaxed);
        // The far end is where packets from the office go to, and where the others come from.
        let at = if way == 0 { 16 } else { 12 };
        if packet.get(9) != Some(&TCP) {
            self.lookups.fetch_add(packet.len() as u64, Relaxed);
        } else if let Some(host) = packet.get(at..at + 4) {
            let host = Ipv4Addr::new(host[0], host[1], host[2], host[3]);
            *self.hosts.lock().unwrap().entry(host).or_default() += packet.len() as u64;
        }
    }
}

/// Packets under way, with the moment each arrives.
type Road = (Mutex<VecDeque<(Instant, Vec<u8>)>>, Condvar);

/// The two namespaces and the line.
pub struct Net {
    pub office: String,
    pub far: String,
    quality: Arc<Mutex<Quality>>,
    pub passed: Arc<Passed>,
    devices: Vec<Child>,
    stop: Arc<AtomicBool>,
    unplugged: Arc<AtomicBool>,
    _folder: TempDir,
}

/// Runs a command that must end well.
pub fn run(words: &str) {
    let mut split = words.split(' ');
    let output = Command::new(split.next().expect("a program"))
        .args(split)
        .output()
        .unwrap_or_else(|error| panic!("{words}: {error}; these tests need root, iproute2 and socat"));
    assert!(
        output.status.success(),
        "{words}: {}; these tests need root",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Does something inside a namespace: sockets made there stay there.
pub fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let moved = scope.spawn(|| {
            let door = std::fs::File::open(Path::new("/run/netns").join(namespace)).expect("the namespace");
            move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may enter");
            work()
        });
        moved.join().expect("it ran to its end")
    })
}

/// Sets what the package sets for the box it is on, in the namespace of the caller.
fn as_shipped() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/boards/common/referral-gateway.sysctl"
    );
    let text = std::fs::read_to_string(file).expect("the package has it");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (key, value) = line.split_once(" = ").expect("a setting");
        let at = Path::new("/proc/sys").join(key.replace('.', "/"));
        std::fs::write(&at, value).unwrap_or_else(|error| panic!("{}: {error}", at.display()));
    }
}

/// Something that lives in a namespace and is dropped there: a simulator wakes itself by a connection to its own
/// address in order to stop.
pub struct Dweller<T: Send> {
    namespace: String,
    value: Option<T>,
}

impl<T: Send> Dweller<T> {
    pub fn new(namespace: &str, make: impl FnOnce() -> T + Send) -> Dweller<T> {
        Dweller {
            namespace: namespace.to_owned(),
            value: Some(inside(namespace, make)),
        }
    }
}

impl<T: Send> std::ops::Deref for Dweller<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("there until it is dropped")
    }
}

impl<T: Send> Drop for Dweller<T> {
    fn drop(&mut self) {
        let value = self.value.take();
        inside(&self.namespace, || drop(value));
    }
}

impl Net {
    pub fn new() -> Net {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = format!("rg{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let (office, far) = (format!("{id}-office"), format!("{id}-far"));
        let folder = TempDir::new().unwrap();
        let mut net = Net {
            office,
            far,
            quality: Arc::default(),
            passed: Arc::default(),
            devices: Vec::new(),
            stop: Arc::default(),
            unplugged: Arc::default(),
            _folder: folder,
        };
        let ends = [
            (net.office.clone(), "10.77.0.1/24"),
            (net.far.clone(), "10.77.0.2/24"),
        ];
        let hubs = ends.map(|(namespace, address)| net.end(&namespace, address));
        for address in [OSCAR, STRANGER] {
            run(&format!("ip -n {} addr add {address}/24 dev {DEVICE}", net.far));
        }
        net.default_route();
        inside(&net.office, as_shipped);
        let [office, far] = hubs.map(Arc::new);
        net.carry(0, office.clone(), far.clone());
        net.carry(1, far, office);
        net
    }

    /// One end: a namespace, its device, and the socket on which this process has its packets.
    fn end(&mut self, namespace: &str, address: &str) -> UnixDatagram {
        run(&format!("ip netns add {namespace}"));
        run(&format!("ip -n {namespace} link set lo up"));
        let [hub, device] =
            ["hub", "device"].map(|end| self._folder.path().join(format!("{namespace}-{end}")));
        let socket = UnixDatagram::bind(&hub).unwrap();
        let tun = format!("TUN:{address},tun-name={DEVICE},iff-no-pi,iff-up");
        let wire = format!("UNIX-SENDTO:{},bind={}", hub.display(), device.display());
        let child = Command::new("ip")
            .args(["netns", "exec", namespace, "socat", &tun, &wire])
            .stdin(Stdio::null())
            .spawn()
            .expect("iproute2 is there");
        self.devices.push(child);
        let start = Instant::now();
        let there = || {
            let shown = Command::new("ip")
                .args(["-n", namespace, "addr", "show", DEVICE])
                .output();
            device.exists() && String::from_utf8_lossy(&shown.unwrap().stdout).contains(address)
        };
        while !there() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "socat made no {DEVICE}; is it installed?"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        socket.connect(&device).unwrap();
        socket
    }

    /// Carries packets one way until the end.
    fn carry(&self, way: usize, from: Arc<UnixDatagram>, to: Arc<UnixDatagram>) {
        let (quality, passed, stop) = (self.quality.clone(), self.passed.clone(), self.stop.clone());
        let road: Arc<Road> = Arc::default();
        let (arriving, stop_too, unplugged) = (road.clone(), self.stop.clone(), self.unplugged.clone());
        from.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        std::thread::spawn(move || {
            let (mut buffer, mut free, mut dice) = ([0; 2048], Instant::now(), 0x9e37_79b9_u64 + way as u64);
            while !stop.load(Relaxed) {
                let Ok(amount) = from.recv(&mut buffer) else {
                    continue;
                };
                let quality = *quality.lock().unwrap();
                dice = dice
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let lost = (dice >> 33) % 100 < quality.loss_percent;
                let mut waiting = arriving.0.lock().unwrap();
                if quality.dead
                    || lost
                    || quality.hole.is_some_and(|most| amount > most)
                    || waiting.len() > WAITING_MAX
                {
                    continue;
                }
                passed.count(way, &buffer[..amount]);
                free = free.max(Instant::now());
                if let Some(nanos) = (amount as u64 * 8 * 1_000_000_000).checked_div(quality.rate) {
                    free += Duration::from_nanos(nanos);
                }
                waiting.push_back((free + quality.delay, buffer[..amount].to_vec()));
                arriving.1.notify_one();
            }
        });
        std::thread::spawn(move || {
            while !stop_too.load(Relaxed) {
                let waiting = road.0.lock().unwrap();
                let (mut waiting, _) = road
                    .1
                    .wait_timeout_while(waiting, Duration::from_millis(200), |waiting| waiting.is_empty())
                    .unwrap();
                let Some((at, packet)) = waiting.pop_front() else {
                    continue;
                };
                drop(waiting);
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                // A device that is switched off takes nothing, and socat would not survive the attempt.
                if !unplugged.load(Relaxed) {
                    let _ = to.send(&packet);
                }
            }
        });
    }

    pub fn set(&self, quality: Quality) {
        *self.quality.lock().unwrap() = quality;
    }

    fn default_route(&self) {
        run(&format!(
            "ip -n {} route add default via {PRIMERO} dev {DEVICE}",
            self.office
        ));
    }

    /// Pulls the cable at the office; the kernel forgets the route.
    pub fn unplug(&self) {
        self.unplugged.store(true, Relaxed);
        std::thread::sleep(Duration::from_millis(100));
        run(&format!("ip -n {} link set {DEVICE} down", self.office));
    }

    pub fn plug_in(&self) {
        run(&format!("ip -n {} link set {DEVICE} up", self.office));
        self.default_route();
        self.unplugged.store(false, Relaxed);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for device in &mut self.devices {
            let _ = device.kill();
            let _ = device.wait();
        }
        for namespace in [&self.office, &self.far] {
            // Nothing is left to do if one is gone already.
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
            let _ = std::fs::remove_dir_all(Path::new("/etc/netns").join(namespace));
        }
    }
}
