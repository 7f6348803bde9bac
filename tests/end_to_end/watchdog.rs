//! What systemd is told, over a real datagram socket; `systemd.rs` shows what a real systemd makes of it.

use crate::office::{Office, PATIENCE, referral};
use referral_gateway::config::Config;
use referral_gateway::core::time::Mono;
use referral_gateway::shell::parts::{self, Parts};
use referral_gateway::shell::watchdog::Watchdog;
use referral_gateway::store::StoreError;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn listening(office: &Office) -> Manager {
        let path = office.folder.path().join("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        Manager { socket, path }
    }

    /// The next message, if one comes in time.
    fn hears(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 512];
        let amount = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..amount].to_vec()).unwrap())
    }

    /// Everything up to and including a message that begins so.
    fn until(&self, beginning: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            heard.push(
                self.hears(PATIENCE)
                    .unwrap_or_else(|| panic!("no {beginning} after {heard:?}")),
            );
            if heard.last().unwrap().starts_with(beginning) {
                return heard;
            }
        }
    }

    /// Whether anything was said just now, without waiting.
    fn petted(&self) -> bool {
        self.hears(Duration::from_millis(1)).as_deref() == Some("WATCHDOG=1")
    }
}

#[test]
fn systemd_hears_when_it_is_ready_how_it_stands_and_that_it_lives() {
    let mut office = Office::new();
    let manager = Manager::listening(&office);
    office.environment = vec![
        ("NOTIFY_SOCKET", manager.path.display().to_string()),
        ("WATCHDOG_USEC", "300000".to_owned()),
    ];
    office.start();
    assert_eq!(manager.until("READY=1").len(), 1, "nothing before it is ready");
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
    // Somebody goes on listening meanwhile: the service waits for a manager whose ears are full.
    let heard = std::thread::scope(|scope| {
        scope.spawn(|| {
            office.enqueue(&referral("k-1", "Dara", "cif"));
            office.oscar.server().set_down(true);
            office.sync();
        });
        manager.until("STATUS=1 pending, 0 in doubt, 0 parked; primero up, oscar route, mqtt off")
    });
    assert!(!format!("{heard:?}").contains("k-1"), "{heard:?}");
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| office.stop());
        manager.until("STOPPING=1");
        assert_eq!(stopping.join().unwrap(), Some(0));
    });
}

/// An office's parts without its loop, and a watchdog whose clock the test turns.
fn watched() -> (Office, Manager, Parts, Watchdog) {
    let office = Office::new();
    let manager = Manager::listening(&office);
    let parts = parts::open(&Config::load(&office.config).unwrap()).unwrap();
    let socket = Some(manager.path.clone().into());
    let watchdog = Watchdog::reporting_to(socket, Some(SECOND), SESSION, Mono(0));
    (office, manager, parts, watchdog)
}

const SECOND: Duration = Duration::from_secs(1);
const SESSION: Duration = Duration::from_secs(100);

fn at(s: u64) -> Mono {
    Mono(s * 1000)
}

#[test]
fn a_session_that_does_not_get_on_is_not_petted() {
    let (_office, manager, parts, mut watchdog) = watched();
    let mut petted = |running: bool, purging: bool, s: u64| {
        watchdog.look(&parts, running, purging, at(s));
        // The store answers by itself; the next look must find that it has.
        parts.store.write(|_| Ok::<(), StoreError>(())).unwrap();
        manager.petted()
    };
    assert!(petted(false, false, 10_000), "nothing to do for hours");
    assert!(petted(true, false, 10_001) && petted(true, false, 10_100));
    assert!(!petted(true, false, 10_101), "busy, and not a byte in 100 s");
    assert!(!petted(true, false, 10_200));
    parts.primero_count.sent_bytes.fetch_add(1, Relaxed);
    assert!(petted(true, false, 10_201), "a byte went out");
    parts.oscar_count.received_bytes.fetch_add(1, Relaxed);
    assert!(petted(true, false, 10_301), "a byte came in");
    // What others write to the store is no sign of the session.
    parts
        .store
        .write(|tx| {
            tx.raise_floor(1_800_000_000);
            Ok::<(), StoreError>(())
        })
        .unwrap();
    assert!(!petted(true, false, 10_402));
    assert!(petted(false, false, 10_403), "it ended");
    assert!(
        petted(false, true, 10_404) && !petted(false, true, 10_505),
        "a purge that hangs"
    );
}

#[test]
fn a_store_that_does_not_answer_is_not_petted() {
    let (_office, manager, parts, mut watchdog) = watched();
    watchdog.look(&parts, false, false, at(1));
    assert!(manager.petted());
    parts.store.write(|_| Ok::<(), StoreError>(())).unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let stuck = parts.store.clone();
    let (began, hangs) = std::sync::mpsc::channel::<()>();
    let hanging = std::thread::spawn(move || {
        stuck.write(move |_| {
            began.send(()).unwrap();
            held.recv().unwrap();
            Ok::<(), StoreError>(())
        })
    });
    hangs.recv().unwrap();
    watchdog.look(&parts, false, false, at(2));
    assert!(manager.petted(), "it has been asked, and has its time");
    watchdog.look(&parts, false, false, at(122));
    assert!(manager.petted());
    watchdog.look(&parts, false, false, at(123));
    assert!(!manager.petted(), "two minutes for one commit");
    release.send(()).unwrap();
    hanging.join().unwrap().unwrap();
    parts.store.write(|_| Ok::<(), StoreError>(())).unwrap();
    watchdog.look(&parts, false, false, at(124));
    assert!(manager.petted(), "it was only slow");
}
