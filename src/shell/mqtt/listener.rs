//! A client that listens: the central desk's end. It sees what the broker keeps, and may say one thing.

use super::connection::{client, judge, options};
use super::{Account, MqttState, Publication};
use rumqttc::{Event, Packet, PublishOptions, QoS, SubscribeReasonCode};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Largest packet taken from the broker. What a gateway says takes 1.2 KB; a larger one comes from somebody else, and
/// is read away without being kept. Beyond this the connection ends: bound it at the broker (`max_packet_size`).
const PACKET_MAX_BYTES: usize = 256 * 1024;

/// What a listener hears.
pub enum Heard<'a> {
    /// The broker let us in.
    Connected,
    /// It does not let us read this filter.
    Denied,
    /// Everything it had kept when we asked has been said: its answer to a second subscription comes behind all that
    /// on the same stream. (Mosquitto's order. Where a broker does otherwise, some of it comes later.)
    Complete,
    Said {
        topic: &'a [u8],
        payload: &'a [u8],
        retained: bool,
    },
}

/// One connection, from the attempt to its end: why it ended, and how long the broker had us. Ends early when `heard`
/// breaks; then the state is [`MqttState::Off`].
///
/// Subscribes with QoS 0, which no broker bounds by a queue: with QoS 1 Mosquitto drops what it has kept beyond a
/// thousand messages. `say` goes out once the subscription stands.
pub async fn listen(
    account: &Account,
    filter: &str,
    mut say: Option<Publication>,
    heard: &mut (dyn FnMut(Heard) -> ControlFlow<()> + Send),
) -> (MqttState, Duration) {
    let (client, mut events) = client(options(account, PACKET_MAX_BYTES), account, Arc::default());
    let mut online: Option<Instant> = None;
    let mut subscribed = 0;
    loop {
        let news = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                online = Some(Instant::now());
                let _ = client.try_subscribe(filter, QoS::AtMostOnce);
                heard(Heard::Connected)
            }
            Ok(Event::Incoming(Packet::SubAck(answer))) => {
                subscribed += 1;
                if subscribed == 1 && answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    heard(Heard::Denied)
                } else if subscribed == 1 {
                    // Only its answer matters.
                    let _ = client.try_subscribe("nothing/is/ever/said/here", QoS::AtMostOnce);
                    if let Some(say) = say.take() {
                        let options = PublishOptions::at_least_once();
                        let _ = client.try_publish(say.topic.as_str(), say.payload.as_slice(), options);
                    }
                    ControlFlow::Continue(())
                } else {
                    heard(Heard::Complete)
                }
            }
            Ok(Event::Incoming(Packet::Publish(said))) => heard(Heard::Said {
                topic: &said.topic,
                payload: &said.payload,
                retained: said.retain,
            }),
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => {
                let held = online.map_or(Duration::ZERO, |since| since.elapsed());
                return (judge(&error, online.is_some()), held);
            }
        };
        if news.is_break() {
            return (MqttState::Off, Duration::ZERO);
        }
    }
}
