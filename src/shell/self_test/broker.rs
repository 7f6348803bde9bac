//! The broker: whether it lets the gateway in, brings back what is said below the gateway's own id, and nothing said
//! elsewhere.
//!
//! Goes in beside the running gateway under a client id of its own, so that the gateway's connection stays; says
//! nothing that is retained, and nothing on a channel somebody acts on.

use super::ms;
use crate::config::{Config, Mqtt};
use crate::core::finding::Finding;
use crate::core::flat::Flat;
use crate::core::outcome::Trouble;
use crate::shell::clock::Clock;
use crate::shell::figures::random;
use crate::shell::mqtt::{MqttState, Probed, Publication, Rights, probe};
use crate::shell::telemetry;
use std::time::Duration;

/// A broker brings a message back within this, even over a satellite.
const PATIENCE: Duration = Duration::from_secs(10);
/// In place of a gateway's id: what nobody may write.
const NOBODY: &str = "self-test";

pub fn look(config: &Config, clock: &Clock, put: &mut dyn FnMut(Finding)) {
    let Some(mqtt) = &config.mqtt else {
        return put(Finding::ok(
            "mqtt",
            "not configured: nothing is reported to the centre",
        ));
    };
    // What is wrong with the configuration has been said by now.
    let Ok(mut account) = telemetry::account(config, mqtt) else {
        return;
    };
    account.client_id.push_str("-self-test");
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Some(rights), Ok(runtime)) = (rights(config, mqtt), built) else {
        return;
    };
    let begun = ms(clock);
    let probed = runtime.block_on(probe(&account, &rights, PATIENCE));
    put(round_trip(&probed, &rights.own.topic, ms(clock) - begun));
    if probed.brought_back {
        put(kept_apart(&probed));
    }
}

fn rights(config: &Config, mqtt: &Mqtt) -> Option<Rights> {
    let (fleet, id) = (&config.gateway.fleet, &config.gateway.id);
    let fleet = format!("{}/{fleet}", mqtt.prefix);
    let said = |number: u64| Flat::new(None).count("nonce", number >> 1).done();
    let own = random();
    Some(Rights {
        own: Publication::new(&format!("{fleet}/{id}/self-test"), &said(own)).ok()?,
        forbidden: Publication::new(&format!("{fleet}/{NOBODY}/{id}"), &said(!own)).ok()?,
        others: format!("{fleet}/+/status"),
        ourselves: format!("{fleet}/{id}/status"),
    })
}

fn round_trip(probed: &Probed, topic: &str, took_ms: u64) -> Finding {
    let about = "mqtt";
    if !probed.entered {
        return closed(about, probed.state);
    }
    if !probed.brought_back {
        let told = format!("lets the gateway in, but does not bring back what it says on {topic}");
        let advice =
            "compare the broker's ACL with boards/desk/mosquitto/acl: it keeps too much from this gateway";
        return Finding::fail(about, told, advice);
    }
    Finding::ok(
        about,
        format!("brings back what the gateway says on {topic} ({took_ms} ms)"),
    )
}

/// Why the broker did not let us in, and which named trouble that is like.
fn closed(about: &'static str, state: MqttState) -> Finding {
    let (told, advice, trouble) = match state {
        MqttState::Certificate => (
            "the broker's certificate is not trusted",
            "check mqtt.ca_file and the name in mqtt.url, or whether something intercepts the line",
            Trouble::Tls,
        ),
        MqttState::CertificateDates => (
            "the broker's certificate does not fit the box's clock",
            Trouble::Clock.advice(),
            Trouble::Clock,
        ),
        MqttState::Tls => (
            "what answers does not speak TLS as a broker does",
            "check host and port in mqtt.url",
            Trouble::Tls,
        ),
        MqttState::Refused => (
            "the broker refuses the gateway's certificate, user name or password",
            "correct the files named in [mqtt], or ask the desk whether this gateway is known there and not revoked",
            Trouble::Auth,
        ),
        MqttState::Rejected | MqttState::Lost => (
            "the broker answers, but does not want us",
            "tell the desk if it stays",
            Trouble::Server,
        ),
        MqttState::Off
        | MqttState::Connecting
        | MqttState::Online
        | MqttState::Unreachable
        | MqttState::Sleeping => (
            "the broker cannot be reached",
            "check host and port in mqtt.url, and whether the network lets that port out",
            Trouble::Route,
        ),
    };
    let mut finding = Finding::fail(about, told, advice);
    finding.trouble = Some(trouble);
    finding
}

/// Whether the broker keeps the gateways apart. A broker that hangs up on the forbidden keeps them apart, too.
fn kept_apart(probed: &Probed) -> Finding {
    let about = "mqtt acl";
    let advice =
        "give the broker the ACL of boards/desk/mosquitto/acl: any gateway's password opens too much";
    if probed.said_elsewhere {
        return Finding::fail(about, "the gateway may write where it must not", advice);
    }
    if probed.heard_others {
        return Finding::fail(about, "the gateway may read what others say", advice);
    }
    if !probed.complete && probed.state == MqttState::Online {
        return Finding::warn(
            about,
            "the broker fell silent before it could be told",
            "run this again",
        );
    }
    if probed.heard_ourselves {
        let told = "the gateway may read more than its commands; nothing of others was seen";
        return Finding::warn(about, told, advice);
    }
    Finding::ok(
        about,
        "drops what the gateway must not say; nothing of others is heard",
    )
}
