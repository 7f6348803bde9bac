//! A client that tries what its account may do: whether what it says on its own topic is brought back, and whether what
//! it must not say or hear is kept from it.
//!
//! MQTT 3.1.1 has no word for "you may not say that": the broker acknowledges and drops. So a forbidden thing is said
//! where only its sender may listen (`boards/desk/mosquitto/acl`), and is known to have been dropped when something
//! said after it comes back first. Nothing is retained, the session is clean and has no will: nothing is left behind.

use super::connection::{client, judge, options};
use super::{Account, MqttState, Publication};
use rumqttc::{
    ConnectionError, Event, EventLoop, Outgoing, Packet, Publish, PublishOptions, QoS, SubscribeFilter,
    SubscribeReasonCode,
};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// Largest packet taken from the broker: it lets out what it must not, and that may be anything.
const PACKET_MAX_BYTES: usize = 256 * 1024;

/// Topics to try the account at.
pub struct Rights {
    /// Ours to write and to read.
    pub own: Publication,
    /// Not ours to write, though we might read it. Its payload differs from that of `own`.
    pub forbidden: Publication,
    /// A filter of topics that are not ours to read, and on which others leave something.
    pub others: String,
    /// The one topic of those that is about ourselves.
    pub ourselves: String,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Online to the end, or how the line ended.
    pub state: MqttState,
    /// The broker let us in.
    pub entered: bool,
    /// What was said on our own topic came back.
    pub brought_back: bool,
    /// What was said behind the forbidden came back: nothing of the forbidden is still to come.
    pub complete: bool,
    /// The forbidden came back.
    pub said_elsewhere: bool,
    /// Something was heard that is about somebody else.
    pub heard_others: bool,
    /// What is kept about ourselves was heard.
    pub heard_ourselves: bool,
}

impl Probed {
    /// Takes note of what was not said by us on our own topic.
    fn hear(&mut self, said: &Publish, rights: &Rights) {
        let on = |topic: &str| *said.topic == *topic.as_bytes();
        let ourselves = on(&rights.ourselves);
        self.said_elsewhere |= ours(said, &rights.forbidden);
        self.heard_ourselves |= ourselves;
        self.heard_others |= !ourselves && !on(&rights.forbidden.topic) && !on(&rights.own.topic);
    }
}

/// One connection. Each step may take `patience` beyond the account's time to connect.
pub async fn probe(account: &Account, rights: &Rights, patience: Duration) -> Probed {
    let mut probed = Probed {
        state: MqttState::Connecting,
        entered: false,
        brought_back: false,
        complete: false,
        said_elsewhere: false,
        heard_others: false,
        heard_ourselves: false,
    };
    let (client, mut events) = client(options(account, PACKET_MAX_BYTES), account, Arc::default());
    // Its channel has room for three: a subscription, or the two things said one after the other.
    let say = |what: &Publication| {
        let options = PublishOptions::at_least_once();
        let _ = client.try_publish(what.topic.as_str(), what.payload.as_slice(), options);
    };
    let mut until = Instant::now() + account.connect_timeout + patience;
    while !probed.complete {
        let news = match next(&mut events, until).await {
            Ok(Ok(news)) => news,
            Ok(Err(error)) => {
                probed.state = judge(&error, probed.entered);
                return probed;
            }
            Err(_) if probed.entered => return probed,
            Err(_) => {
                probed.state = MqttState::Unreachable;
                return probed;
            }
        };
        match news {
            Event::Incoming(Packet::ConnAck(_)) => {
                (probed.entered, probed.state) = (true, MqttState::Online);
                let filters = [&*rights.own.topic, &*rights.forbidden.topic, &rights.others];
                let _ = client.try_subscribe_many(
                    filters.map(|filter| SubscribeFilter::new(filter.to_owned(), QoS::AtLeastOnce)),
                );
            }
            Event::Incoming(Packet::SubAck(answer))
                if answer.return_codes.first() == Some(&SubscribeReasonCode::Failure) =>
            {
                return probed;
            }
            Event::Incoming(Packet::SubAck(_)) => say(&rights.own),
            Event::Incoming(Packet::Publish(said)) if ours(&said, &rights.own) => {
                probed.complete = probed.brought_back;
                if !probed.brought_back {
                    probed.brought_back = true;
                    say(&rights.forbidden);
                    say(&rights.own);
                }
            }
            Event::Incoming(Packet::Publish(said)) => {
                probed.hear(&said, rights);
                continue;
            }
            _ => continue,
        }
        until = Instant::now() + patience;
    }
    // Flushed by the next poll, so that the broker sees an end and not a break.
    let _ = client.try_disconnect();
    loop {
        match next(&mut events, until).await {
            Ok(Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_)) | Err(_) => return probed,
            Ok(Ok(_)) => {}
        }
    }
}

/// The next event. Behind a pointer, because the event loop is 15 KB of code that would stand here a second time.
async fn next(events: &mut EventLoop, until: Instant) -> Result<Result<Event, ConnectionError>, Elapsed> {
    let polling = pin!(events.poll());
    let polling: Pin<&mut (dyn Future<Output = Result<Event, ConnectionError>> + Send)> = polling;
    timeout_at(until, polling).await
}

fn ours(said: &Publish, what: &Publication) -> bool {
    *said.topic == *what.topic.as_bytes() && *said.payload == *what.payload.as_slice() && !said.retain
}
