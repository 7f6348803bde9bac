//! A broker that welcomes, answers pings and acknowledges nothing: Mosquitto cannot be made to do that.

use crate::Authority;
use crate::pki::Validity;
use crate::server::Server;
use referral_gateway::shell::count::WireCount;
use referral_gateway::shell::mqtt::{Account, Broker, MqttLink, MqttSettings, MqttState, Publication};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CONNECT: u8 = 0x10;
const PING: u8 = 0xc0;

#[test]
fn a_broker_that_acknowledges_nothing_is_left() {
    let authority = Authority::new();
    let welcomes = Arc::new(AtomicUsize::new(0));
    let welcomed = Arc::clone(&welcomes);
    let server = Server::start(&authority.leaf("localhost", Validity::Now), move |caller| {
        loop {
            match caller.hear().first() {
                Some(&CONNECT) => {
                    welcomed.fetch_add(1, Ordering::Relaxed);
                    caller.say([0x20, 2, 0, 0]);
                }
                Some(&PING) => drop(caller.say([0xd0, 0])),
                Some(_) => {}
                None => return,
            }
        }
    });
    let said = |payload: &str| Publication::new("status", payload.as_bytes()).unwrap();
    let settings = MqttSettings {
        account: Account {
            broker: Broker::parse(&format!("mqtts://localhost:{}", server.port)).unwrap(),
            client_id: "kpt-03".to_owned(),
            user_name: None,
            password: None,
            tls: authority.trusting(),
            keep_alive: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(5),
            interface: None,
        },
        status: Box::new(move |state, _| said(state.word())),
        ear: None,
        seed: 1,
        count: Arc::new(WireCount::default()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let link = MqttLink::spawn(settings);
        let deadline = Instant::now() + Duration::from_secs(15);
        let mut lost = false;
        while !(lost && welcomes.load(Ordering::Relaxed) >= 2) {
            lost |= link.state() == MqttState::Lost;
            assert!(Instant::now() < deadline, "{link:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!link.stop(said("offline"), Duration::from_millis(200)).await);
    });
}
