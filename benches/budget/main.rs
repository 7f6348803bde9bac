//! The budgets of issue 2, measured on the real release binary over TLS against both simulated peers and the
//! embedded broker: `cargo bench --bench budget`. Counts and sizes over their budget fail the run; times are told
//! and never judged, for they depend on the machine.

mod process;
mod product;
mod queue;
mod service;
mod sessions;
mod storage;
mod table;

#[path = "../../tests/end_to_end/office.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod office;

use office::Office;
use service::Service;
use simulators::broker::Broker;
use simulators::wire::TestCa;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use table::Table;

fn main() -> ExitCode {
    // `cargo test --benches` and the like ask for a trial: nothing here is a test.
    if std::env::args().any(|word| word == "--test") {
        return ExitCode::SUCCESS;
    }
    let started = Instant::now();
    let mut table = Table::default();
    product::measure(&mut table);
    let (office, broker) = office();
    let service = Service::start(&office);
    sessions::measure(&mut table, &office, &broker, &service);
    storage::measure(&mut table, &office, &service);
    service.stop();
    queue::measure(&mut table);
    eprintln!("measured in {} s\n", started.elapsed().as_secs());
    if table.print() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// An office with the desk's broker. Sessions run at the start and when asked for.
fn office() -> (Office, Broker) {
    let office = Office::new();
    let ca = TestCa::new();
    let broker = Broker::start(&ca, "127.0.0.1:0");
    std::fs::write(office.folder.path().join("desk.pem"), ca.pem()).expect("the office's folder is writable");
    let mut text = std::fs::read_to_string(&office.config).expect("the office wrote it");
    write!(
        text,
        "\n[mqtt]\nurl = \"{}\"\nca_file = \"desk.pem\"\n",
        broker.url()
    )
    .expect("a string takes text");
    std::fs::write(&office.config, text).expect("the office's folder is writable");
    (office, broker)
}

/// Waits until the gateway is with the broker.
fn wait_for_birth(broker: &Broker) {
    let online = |message: &simulators::broker::Message| {
        String::from_utf8_lossy(&message.payload).contains("\"state\":\"online\"")
    };
    let birth = broker.wait_for("/status", online, Duration::from_secs(20));
    assert!(birth.is_some(), "the gateway does not come online");
}
