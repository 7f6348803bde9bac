//! One connection to the broker, from the attempt to its end.

use super::counted::Counted;
use super::slots::UNDER_WAY_MAX;
use super::{Account, MqttSettings, MqttState, Shared};
use crate::core::status::Presence;
use crate::shell::count::WireCount;
use crate::shell::tls::Refusal;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing,
    Packet, PublishOptions, QoS, TlsConfiguration, TlsError, Transport,
};
use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// Requests rumqttc queues for us: the subscription, the publications under way and the disconnect.
const REQUESTS_MAX: usize = UNDER_WAY_MAX + 2;
/// Topic, payload and headers of our largest message, rounded up; nothing larger is meant for us either.
const PACKET_MAX_BYTES: usize = 2048;

pub enum Ended {
    /// As asked for.
    Stopped,
    /// Otherwise: why, and how long the broker had us.
    Failed { state: MqttState, held: Duration },
}

/// Connects, publishes until the connection ends or the end is asked for.
pub async fn run(shared: &Shared, settings: &MqttSettings) -> Ended {
    let number = shared.table().connections + 1;
    let (client, mut events) = open(settings, number);
    let mut online: Option<Instant> = None;
    // When what is under way must have been acknowledged.
    let mut overdue = Instant::now();
    loop {
        let outcome = {
            let mut polling = pin!(events.poll());
            loop {
                tokio::select! {
                    outcome = &mut polling => break outcome,
                    () = shared.changed.notified(), if online.is_some() => {
                        if offer(shared, &client) {
                            overdue = Instant::now() + settings.account.keep_alive * 2;
                        }
                    }
                    // A broker that answers pings and acknowledges nothing is not one to stay with.
                    () = tokio::time::sleep_until(overdue), if online.is_some() && waiting(shared) => {
                        return failed(MqttState::Lost, online);
                    }
                }
            }
        };
        match outcome {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                online = Some(Instant::now());
                settings.count.handshakes.fetch_add(1, Relaxed);
                let mut table = shared.table();
                table.state = MqttState::Online;
                table.connections = number;
                table.slots.birth((settings.status)(Presence::Online, number));
                drop(table);
                if let Some(ear) = &settings.ear {
                    // A new channel has room for the first request.
                    let _ = client.try_subscribe(ear.topic.as_str(), QoS::AtLeastOnce);
                }
            }
            Ok(Event::Incoming(Packet::Publish(said))) => {
                // What a broker kept is as old as it likes to be: only what is said now is listened to.
                if let Some(ear) = settings.ear.as_ref().filter(|_| !said.retain) {
                    (ear.heard)(&said.payload);
                }
                continue;
            }
            Ok(Event::Incoming(Packet::PubAck(_))) => shared.table().slots.acknowledged(),
            // rumqttc reports it once it is flushed.
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ended::Stopped,
            Ok(_) => continue,
            Err(error) => {
                return if shared.table().slots.closed() {
                    Ended::Stopped
                } else {
                    failed(judge(&error, online.is_some()), online)
                };
            }
        }
        if offer(shared, &client) {
            overdue = Instant::now() + settings.account.keep_alive * 2;
        }
    }
}

fn failed(state: MqttState, online: Option<Instant>) -> Ended {
    Ended::Failed {
        state,
        held: online.map_or(Duration::ZERO, |since| since.elapsed()),
    }
}

fn waiting(shared: &Shared) -> bool {
    shared.table().slots.waiting()
}

/// Hands what is to be said now, or the disconnect after the last word, to rumqttc, which sends it in one packet as far
/// as it fits; true if anything is to be said.
fn offer(shared: &Shared, client: &AsyncClient) -> bool {
    let slots = &mut shared.table().slots;
    if slots.closed() {
        // A full channel can only hold an earlier disconnect.
        let _ = client.try_disconnect();
        return false;
    }
    let mut said = false;
    while let Some(next) = slots.next() {
        let options = PublishOptions::at_least_once().retain(next.retained);
        let sent = client.try_publish(next.topic, next.payload, options);
        // If it is refused all the same, the overdue check ends this connection.
        debug_assert!(sent.is_ok(), "what may be under way fits the channel");
        said = true;
    }
    said
}

fn open(settings: &MqttSettings, number: u32) -> (AsyncClient, EventLoop) {
    let mut options = options(&settings.account, PACKET_MAX_BYTES);
    let will = (settings.status)(Presence::Lost, number);
    options.set_last_will(LastWill::new(
        will.topic.as_str(),
        will.payload.as_slice(),
        QoS::AtLeastOnce,
        true,
    ));
    client(options, &settings.account, Arc::clone(&settings.count))
}

/// What every client of ours asks for.
pub(super) fn options(account: &Account, packet_max_bytes: usize) -> MqttOptions {
    let broker = (account.broker.host.as_str(), account.broker.port);
    let mut options = MqttOptions::new(&account.client_id, broker);
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(
        &account.tls,
    ))));
    let keep_alive = u16::try_from(account.keep_alive.as_secs()).unwrap_or(u16::MAX);
    options.set_keep_alive(keep_alive.max(1));
    options.set_max_packet_size(packet_max_bytes, packet_max_bytes);
    options.set_inflight(u16::try_from(UNDER_WAY_MAX).unwrap_or(1));
    options.set_max_request_batch(REQUESTS_MAX);
    if let Some(user) = &account.user_name {
        match &account.password {
            Some(password) => options.set_credentials(user, password.clone()),
            None => options.set_username(user),
        };
    }
    options
}

/// A client that has not connected yet; its bytes are counted.
pub(super) fn client(
    mut options: MqttOptions,
    account: &Account,
    count: Arc<WireCount>,
) -> (AsyncClient, EventLoop) {
    options.set_socket_connector(move |address, network| {
        let count = Arc::clone(&count);
        async move {
            let stream = rumqttc::default_socket_connect(address, network).await?;
            Ok(Counted { stream, count })
        }
    });
    let (client, mut events) = AsyncClient::builder(options).capacity(REQUESTS_MAX).build();
    if let Some(interface) = &account.interface {
        events.network_options.set_bind_device(interface);
    }
    events
        .network_options
        .set_connection_timeout(account.connect_timeout.as_secs().max(1));
    (client, events)
}

/// What an error of a connection means, `online` being whether the broker had let us in.
pub(super) fn judge(error: &ConnectionError, online: bool) -> MqttState {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => MqttState::Refused,
        ConnectionError::Tls(TlsError::Io(inner)) => state_of(Refusal::of(inner)),
        ConnectionError::Tls(TlsError::TLS(inner)) => state_of(Refusal::of_rustls(inner)),
        ConnectionError::Tls(_) => MqttState::Tls,
        // TLS 1.3 has the broker judge our certificate after we think the handshake is over.
        other if refused_by_alert(other) => MqttState::Refused,
        _ if online => MqttState::Lost,
        ConnectionError::Io(_) | ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            MqttState::Unreachable
        }
        // rumqttc has many other errors and may gain more.
        _ => MqttState::Rejected,
    }
}

fn state_of(refusal: Refusal) -> MqttState {
    match refusal {
        Refusal::Dates => MqttState::CertificateDates,
        Refusal::Certificate | Refusal::OtherName => MqttState::Certificate,
        Refusal::Line => MqttState::Unreachable,
        Refusal::Other => MqttState::Tls,
    }
}

/// Looks for a TLS alert of the broker anywhere below the error.
fn refused_by_alert(error: &ConnectionError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if matches!(
            inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()),
            Some(rustls::Error::AlertReceived(_))
        ) {
            return true;
        }
        next = error.source();
    }
    false
}
