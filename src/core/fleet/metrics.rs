//! The fleet as metrics, in Prometheus' text format. Every family begins with `referral_gateway_` and is a gauge.

use super::{FIGURES, Fleet, Gateway, State};
use std::fmt::Write;

/// Takes one sample: labels beside fleet and gateway, and the value; without one there is no sample.
type Emit<'a> = dyn FnMut(&str, Option<i64>) + 'a;

/// Name, meaning, and the samples of one gateway at a moment.
type Family = (&'static str, &'static str, fn(&Gateway, i64, &mut Emit<'_>));

const PEERS: [&str; 2] = ["primero", "oscar"];

const FAMILIES: [Family; 9] = [
    (
        "state",
        "1 for the state the gateway is in",
        |gateway, now, emit| {
            for state in State::ALL {
                let is = i64::from(gateway.state(now) == state);
                emit(&format!("state=\"{}\"", state.word()), Some(is));
            }
        },
    ),
    (
        "next_by_timestamp_seconds",
        "When the gateway promised to be heard again",
        |gateway, _, emit| {
            emit("", gateway.promise());
        },
    ),
    (
        "heard_timestamp_seconds",
        "When the gateway was last heard, by its own clock",
        |gateway, _, emit| {
            emit("", gateway.heard);
        },
    ),
    (
        "peer_last_ok_timestamp_seconds",
        "Last session in which the peer did its part",
        |gateway, _, emit| {
            for (peer, name) in gateway.peers.iter().zip(PEERS) {
                emit(
                    &format!("peer=\"{name}\""),
                    peer.as_ref().and_then(|peer| peer.last_ok),
                );
            }
        },
    ),
    (
        "peer_last_attempt_timestamp_seconds",
        "Last session that asked the peer",
        |gateway, _, emit| {
            for (peer, name) in gateway.peers.iter().zip(PEERS) {
                emit(
                    &format!("peer=\"{name}\""),
                    peer.as_ref().and_then(|peer| peer.last_attempt),
                );
            }
        },
    ),
    (
        "peer_trouble",
        "1 while the peer is in the trouble named",
        |gateway, _, emit| {
            for (peer, name) in gateway.peers.iter().zip(PEERS) {
                if let Some(error) = peer.as_ref().and_then(|peer| peer.error.as_deref()) {
                    emit(&format!("peer=\"{name}\",trouble=\"{error}\""), Some(1));
                }
            }
        },
    ),
    ("alert", "1 while the alert is raised", |gateway, _, emit| {
        for (code, alert) in &gateway.alerts {
            emit(
                &format!("code=\"{code}\",level=\"{}\"", alert.level.word()),
                Some(1),
            );
        }
    }),
    ("boot_reason", "1 for why the box started", |gateway, _, emit| {
        if let Some(reason) = gateway.boot_reason() {
            emit(&format!("reason=\"{reason}\""), Some(1));
        }
    }),
    ("info", "What the gateway is", |gateway, _, emit| {
        let labels: Vec<String> = gateway
            .info
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        emit(&labels.join(","), (!labels.is_empty()).then_some(1));
    }),
];

/// The page. `broker_up` and `complete` say what the picture is worth.
pub fn metrics(fleet: &Fleet, now: i64, broker_up: bool, complete: bool) -> String {
    let mut out = String::new();
    let ignored = i64::try_from(fleet.ignored()).unwrap_or(i64::MAX);
    for (name, help, value) in [
        (
            "fleet_broker_up",
            "Whether the exporter is connected to the broker",
            i64::from(broker_up),
        ),
        (
            "fleet_complete",
            "Whether everything the broker keeps has been read",
            i64::from(complete),
        ),
        (
            "fleet_ignored_messages",
            "Messages that were not of the agreed form",
            ignored,
        ),
    ] {
        family(&mut out, name, help);
        let _ = writeln!(out, "referral_gateway_{name} {value}");
    }
    let rows: Vec<(String, &Gateway)> = fleet
        .gateways()
        .map(|(name, gateway)| {
            (
                format!("fleet=\"{}\",gateway=\"{}\"", name.fleet, name.id),
                gateway,
            )
        })
        .collect();
    for (name, help, of) in FAMILIES {
        each(&mut out, &rows, name, help, &mut |gateway, emit| {
            of(gateway, now, emit)
        });
    }
    for (at, (_, name, help)) in FIGURES.iter().enumerate() {
        each(&mut out, &rows, name, help, &mut |gateway, emit| {
            emit("", gateway.figure(at))
        });
    }
    out
}

fn family(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(
        out,
        "# HELP referral_gateway_{name} {help}\n# TYPE referral_gateway_{name} gauge"
    );
}

/// One family over all gateways.
fn each(
    out: &mut String,
    rows: &[(String, &Gateway)],
    name: &str,
    help: &str,
    of: &mut dyn FnMut(&Gateway, &mut Emit<'_>),
) {
    family(out, name, help);
    for (labels, gateway) in rows {
        of(gateway, &mut |more, value| {
            if let Some(value) = value {
                let comma = if more.is_empty() { "" } else { "," };
                let _ = writeln!(out, "referral_gateway_{name}{{{labels}{comma}{more}}} {value}");
            }
        });
    }
}
