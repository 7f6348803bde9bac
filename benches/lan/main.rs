//! The whole office at work on the LAN listener: 200 stations, each on a TLS connection and an address of its own,
//! send 50 events a second to the real release binary while both peers are away and MQTT is on. Then the binary is
//! killed, and every event it had accepted must be in the store.
//!
//! `cargo bench --bench lan` runs for a minute, `cargo bench --bench lan -- --long` for the ten minutes of issue 4.
//! Times are told and never judged; what is lost and what is over its budget fails the run.

#[path = "../budget/process.rs"]
#[expect(dead_code, reason = "the budget bench uses more of it")]
mod process;
#[path = "../budget/service.rs"]
#[expect(dead_code, reason = "the budget bench uses more of it")]
mod service;
mod station;
#[path = "../budget/table.rs"]
#[expect(dead_code, reason = "the budget bench uses more of it")]
mod table;

#[path = "../../tests/end_to_end/office.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod office;

use office::Office;
use process::Process;
use referral_gateway::core::outbox;
use referral_gateway::store::{DeviceKey, Store};
use serde_json::Value;
use service::{Line, Service};
use simulators::broker::Broker;
use simulators::wire::TestCa;
use station::Station;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use table::{Table, grouped};

const STATIONS: usize = 200;
const EVENTS_EACH_SECOND: u64 = 50;
const RESIDENT_BYTES_MAX: u64 = 16_000_000;

fn main() -> ExitCode {
    // `cargo test --benches` and the like ask for a trial: nothing here is a test.
    if std::env::args().any(|word| word == "--test") {
        return ExitCode::SUCCESS;
    }
    let long = std::env::args().any(|word| word == "--long");
    let seconds = if long { 600 } else { 60 };
    let (office, _broker) = office();
    let service = Service::start(&office);
    let tokens = tokens(&service);
    let address = address(&service);
    let process = service.process();
    let idle = process.resident();
    let done = AtomicBool::new(false);
    let start = Instant::now() + Duration::from_secs(3);
    let busy = process.busy();
    let (times, connected, highest) = std::thread::scope(|scope| {
        let highest = scope.spawn(|| watch(process, &done));
        let stations: Vec<_> = (0..STATIONS)
            .map(|number| Station::connect(number, &tokens[number], address, &office))
            .collect();
        let connected = process.resident();
        let stations: Vec<_> = stations
            .into_iter()
            .map(|station| scope.spawn(move || station.work(start, seconds)))
            .collect();
        let times: Vec<_> = stations
            .into_iter()
            .flat_map(|station| station.join().expect("a station's thread"))
            .collect();
        done.store(true, Relaxed);
        (times, connected, highest.join().expect("the watching thread"))
    });
    let busy = process.busy() - busy;
    let last = process.resident();
    let anonymous = process.anonymous();
    // Without a word: nothing it still had in mind may matter.
    drop(service);
    let mut table = Table::default();
    let what = format!("{STATIONS} stations, {EVENTS_EACH_SECOND} events a second, {seconds} s");
    let asked = STATIONS as u64 * (seconds * EVENTS_EACH_SECOND).div_ceil(STATIONS as u64);
    table.tell(
        &format!("{what}: events accepted"),
        grouped(times.len() as u64),
        &grouped(asked),
    );
    let lost = times.len() as u64 - kept(&office);
    table.hold("of these missing after a kill -9", lost, 0, "");
    acknowledgements(&mut table, times);
    table.tell(
        "resident memory before the stations came",
        grouped(idle) + " B",
        "",
    );
    table.tell(
        "with all of them connected, nothing sent",
        grouped(connected) + " B",
        "",
    );
    table.hold(
        "the most during the work",
        highest.max(last),
        RESIDENT_BYTES_MAX,
        " B",
    );
    table.tell(
        "of it the program's own, at the end",
        grouped(anonymous) + " B",
        "",
    );
    let share = busy.as_secs_f64() / seconds as f64 * 100.0;
    table.tell("processor time, of one core", format!("{share:.1} %"), "");
    if table.print() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// From the moment an event was due to the moment its station knew that it is on disk.
fn acknowledgements(table: &mut Table, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| {
        format!(
            "{:.1} ms",
            times[(times.len() - 1) * share / 1000].as_secs_f64() * 1000.0
        )
    };
    let measured = format!("{}, {}, {}", at(500), at(990), at(1000));
    table.tell("acknowledgement: median, p99, longest", measured, "");
}

/// An office with the listener and the desk's broker on; its peers are away, and no session runs.
fn office() -> (Office, Broker) {
    let office = Office::with("[limits]\nqueue_events = 50000\n[lan]\nlisten = \"127.0.0.1:0\"\n");
    office.primero.server().set_down(true);
    office.oscar.server().set_down(true);
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

fn json(service: &Service, method: &str, target: &str, body: &str) -> Value {
    let (status, answer) = Line::to(service.socket()).ask(method, target, body);
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).expect("JSON")
}

fn tokens(service: &Service) -> Vec<String> {
    let token = |number| {
        let order = format!("{{\"order\":\"add\",\"name\":\"station-{number}\"}}");
        let added = json(service, "POST", "/v1/stations", &order);
        added["token"].as_str().expect("a token").to_owned()
    };
    (0..STATIONS).map(token).collect()
}

fn address(service: &Service) -> std::net::SocketAddr {
    let status = json(service, "GET", "/v1/status", "");
    status["lan"]["listen"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("the listener listens")
}

/// The most that is resident until the work is done.
fn watch(process: Process, done: &AtomicBool) -> u64 {
    let mut highest = 0;
    while !done.load(Relaxed) {
        highest = highest.max(process.resident());
        std::thread::sleep(Duration::from_millis(100));
    }
    highest
}

/// Events in the store whose keys the stations used.
fn kept(office: &Office) -> u64 {
    let key = DeviceKey::load_or_make(&office.data("seal.key")).expect("the device key");
    let opened = Store::open(&office.data("gateway.redb"), key, None, &outbox::recover);
    let (store, _) = opened.expect("the store opens after a kill");
    let mut kept = 0;
    let seqs: Vec<_> = store.queue(|queue| queue.iter().map(|entry| entry.seq).collect());
    for seq in seqs {
        let head = store
            .read(|view| view.head(seq))
            .expect("a row that opens")
            .expect("a row");
        assert!(head.station.is_some(), "it says which station sent it");
        kept += u64::from(head.key.starts_with("station-"));
    }
    kept
}
