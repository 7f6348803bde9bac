//! The real binary, real TLS with a private CA, a real store on disk, both peers simulated: what a person at the
//! office sees.

mod bad_disk;
mod bad_peers;
mod budget;
mod check_config;
mod cli;
mod clock;
mod commands;
mod control;
mod desk_channels;
mod drop_folder;
mod enqueue;
mod examples;
mod faults;
mod frugal;
mod journey;
#[path = "../support/mosquitto.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the MQTT link, which use more of it"
)]
mod mosquitto;
mod office;
mod outages;
#[path = "../support/pki.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the adapters, which use more of it"
)]
mod pki;
mod privacy;
mod quiet;
mod reconcile;
mod reset;
mod self_test;
mod self_test_broker;
mod service;
mod shadow;
mod stick;
mod support;
mod swap;
mod systemd;
mod telemetry;
mod watchdog;

use office::planted;
