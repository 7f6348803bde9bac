//! A line that is there and carries nothing: between gateway and broker stands a relay that can fall silent.

use crate::mosquitto::{Door, Mosquitto};
use crate::{HEALTH, STATUS, account, becomes, block_on, said, settings_of};
use referral_gateway::core::status::Presence;
use referral_gateway::shell::mqtt::{Account, Broker, MqttLink, MqttSettings, MqttState};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Passes bytes both ways, until told that connections so far carry nothing more. They stay open on both sides, as a
/// line does whose middle has gone.
struct Relay {
    port: u16,
    /// Connections with a lower number are silent.
    silent_below: Arc<AtomicU32>,
    made: Arc<AtomicU32>,
}

impl Relay {
    fn to(port: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            port: listener.local_addr().unwrap().port(),
            silent_below: Arc::default(),
            made: Arc::default(),
        };
        let (silent_below, made) = (Arc::clone(&relay.silent_below), Arc::clone(&relay.made));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let number = made.fetch_add(1, Ordering::SeqCst);
                let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
                for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
                {
                    let silent_below = Arc::clone(&silent_below);
                    std::thread::spawn(move || {
                        let mut bytes = [0; 4096];
                        while let Ok(read @ 1..) = from.read(&mut bytes) {
                            let carries = number >= silent_below.load(Ordering::SeqCst);
                            if carries && to.write_all(&bytes[..read]).is_err() {
                                return;
                            }
                        }
                        // The end of a silent line is not told either.
                        if number >= silent_below.load(Ordering::SeqCst) {
                            let _ = to.shutdown(std::net::Shutdown::Both);
                        } else {
                            std::thread::sleep(Duration::from_secs(60));
                        }
                    });
                }
            }
        });
        relay
    }

    /// What is connected now carries nothing from now on.
    fn fall_silent(&self) {
        let made = self.made.load(Ordering::SeqCst);
        self.silent_below.store(made, Ordering::SeqCst);
    }
}

#[test]
fn a_half_open_line_is_left_and_its_late_will_does_not_hide_the_new_birth() {
    block_on(async {
        let broker = Mosquitto::running(Door::Open);
        let relay = Relay::to(broker.port);
        let settings = MqttSettings {
            status: Box::new(|state, link| match state {
                Presence::Online => said(STATUS, &format!("online {link}")),
                _ => said(STATUS, &format!("lost {link}")),
            }),
            ..settings_of(Account {
                broker: Broker::parse(&format!("mqtts://localhost:{}", relay.port)).unwrap(),
                ..account(&broker)
            })
        };
        let link = MqttLink::spawn(settings);
        broker.holds(STATUS, "online 1").await;
        relay.fall_silent();
        link.put(HEALTH, b"said into the void").unwrap();
        becomes(&link, &[MqttState::Lost]).await;
        becomes(&link, &[MqttState::Online]).await;
        broker
            .holds(STATUS, &format!("online {}", link.connection()))
            .await;
        broker.holds(HEALTH, "said into the void").await;
        assert!(link.connection() > 1);
        // The broker noticed the old connection by now: one and a half of its seconds have passed many times over.
        tokio::time::sleep(Duration::from_secs(4)).await;
        broker
            .holds(STATUS, &format!("online {}", link.connection()))
            .await;
    });
}
