//! A simulated fleet on one broker: a thousand gateways, each with its certificate and its own connection over TLS, on
//! a real Mosquitto as we ship it, and `fleet --listen` beside it. `cargo bench --bench fleet`; a number behind `--`
//! makes the fleet larger or smaller. Memory and processor time are told; that everybody is seen is judged.

#[path = "../../tests/support/mosquitto.rs"]
#[expect(dead_code, reason = "the tests of the MQTT link use more of it")]
mod mosquitto;
#[path = "../../tests/support/pki.rs"]
#[expect(dead_code, reason = "the tests of the MQTT link use more of it")]
mod pki;
#[path = "../../tests/support/planted.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod planted;
#[path = "../budget/process.rs"]
#[expect(dead_code, reason = "the budgets use more of it")]
mod process;
#[path = "../budget/table.rs"]
#[expect(dead_code, reason = "the budgets use more of it")]
mod table;

use mosquitto::Mosquitto;
use pki::Validity;
use process::Process;
use referral_gateway::core::flat::Flat;
use referral_gateway::core::status::{Connection, Presence, presence};
use referral_gateway::core::time::{Mono, Now, Wall};
use referral_gateway::shell::count::WireCount;
use referral_gateway::shell::mqtt::{Account, Broker, MqttLink, MqttSettings, MqttState, Publication};
use referral_gateway::shell::tls::{ClientIdentity, TlsFiles, client_config};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use table::{Table, grouped};

const FLEET: &str = "referral-gateway/v1/kh-pilot";
/// Longest anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    // `cargo test --benches` and the like ask for a trial: nothing here is a test.
    if std::env::args().any(|word| word == "--test") {
        return ExitCode::SUCCESS;
    }
    let size = std::env::args()
        .find_map(|word| word.parse().ok())
        .unwrap_or(1000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut table = Table::default();
    runtime.block_on(measure(size, &mut table));
    if table.print() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn unix() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("before the end of time")
}

fn now() -> Now {
    let wall = Wall::judge(unix(), 0, true);
    Now { mono: Mono(1), wall }
}

async fn measure(size: usize, table: &mut Table) {
    let mut broker = Mosquitto::as_shipped(|authority| authority.revoking(&[]));
    broker.heard = false;
    broker.start();
    let desk = Desk::start(&broker);
    let prepared: Vec<MqttSettings> = (0..size).map(|number| gateway(&broker, number)).collect();
    let mosquitto = Process(broker.id());
    let (fleet, before) = (Process(desk.process.id()), (mosquitto.busy(), Instant::now()));

    let links: Vec<MqttLink> = prepared.into_iter().map(MqttLink::spawn).collect();
    links
        .iter()
        .enumerate()
        .for_each(|(number, link)| say(link, number, 0));
    wait(|| desk.sees("state=\"online\"} 1") == size && desk.sees_queue(0) == size).await;
    let whole = |what: &str| format!("{what}, {size} gateways");
    table.tell(
        &whole("all connect at once, until the desk sees all"),
        ms(before.1.elapsed()),
        "",
    );
    table.tell(
        &whole("processor time of the broker for that"),
        ms(mosquitto.busy() - before.0),
        "",
    );

    let (mut rounds, idle) = (Vec::new(), (mosquitto.busy(), fleet.busy()));
    for round in 1..=3 {
        let began = Instant::now();
        links
            .iter()
            .enumerate()
            .for_each(|(number, link)| say(link, number, round));
        wait(|| desk.sees_queue(round) == size).await;
        rounds.push(began.elapsed());
    }
    let share = |busy: Duration| format!("{:.2} %", busy.as_secs_f64() / 3.0 / 900.0 * 100.0);
    table.tell(
        &whole("a quarter-hourly report of everybody at once"),
        ms(rounds[2]),
        "",
    );
    table.tell(
        &whole("broker, processor use at one report in 15 minutes"),
        share(mosquitto.busy() - idle.0),
        "",
    );
    table.tell(
        &whole("`fleet --listen`, the same"),
        share(fleet.busy() - idle.1),
        "",
    );
    table.tell(&whole("broker, resident memory"), bytes(mosquitto.resident()), "");
    table.tell(
        &whole("`fleet --listen`, resident memory"),
        bytes(fleet.resident()),
        "",
    );

    let began = (Instant::now(), fleet.busy());
    let page = desk.page();
    let cost = format!("{} in {}", bytes(page.len() as u64), ms(began.0.elapsed()));
    table.tell(&whole("one scrape"), cost, "");
    let began = Instant::now();
    let check = fleet_command(&broker)
        .arg("--check")
        .output()
        .expect("the program runs");
    let seen = String::from_utf8_lossy(&check.stdout).starts_with(&format!("OK - {size} gateways"));
    table.tell(
        &whole("`fleet --check`, everything read anew"),
        ms(began.elapsed()),
        "",
    );
    table.hold(
        "gateways the check does not see or does not like",
        u64::from(!seen),
        0,
        "",
    );

    broker.kill();
    wait(|| links.iter().all(|link| link.state() != MqttState::Online)).await;
    broker.start();
    let mosquitto = Process(broker.id());
    let began = Instant::now();
    wait(|| links.iter().all(|link| link.state() == MqttState::Online)).await;
    table.tell(
        &whole("broker killed and back: until all are with it"),
        ms(began.elapsed()),
        "",
    );
    table.tell(
        &whole("processor time of the broker for that"),
        ms(mosquitto.busy()),
        "",
    );
}

fn ms(time: Duration) -> String {
    format!(
        "{} ms",
        grouped(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    )
}

fn bytes(number: u64) -> String {
    format!("{} B", grouped(number))
}

async fn wait(mut come: impl FnMut() -> bool) {
    let began = Instant::now();
    while !come() {
        assert!(began.elapsed() < PATIENCE, "waited in vain");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A gateway with a certificate of its own.
fn gateway(broker: &Mosquitto, number: usize) -> MqttSettings {
    let id = format!("g{number}");
    let leaf = broker.authority.leaf(&id, Validity::Now);
    let folder = &broker.authority.folder;
    let files = TlsFiles {
        ca_file: Some(broker.authority.ca_file()),
        client: Some(ClientIdentity {
            certificate_file: folder.write("client.pem", &leaf.certificate_pem),
            key_file: folder.write("client.key", &leaf.key_pem),
        }),
    };
    let topic = format!("{FLEET}/{id}/status");
    MqttSettings {
        account: Account {
            broker: Broker::parse(&format!("mqtts://localhost:{}", broker.port)).expect("an address"),
            client_id: id,
            user_name: None,
            password: None,
            tls: client_config(&files).expect("a pair"),
            keep_alive: Duration::from_secs(240),
            connect_timeout: Duration::from_secs(30),
            interface: None,
        },
        status: Box::new(move |state, link| {
            let promise = (state == Presence::Online).then(|| unix() + 1200);
            let payload = presence(state, Connection { session: 1, link }, now(), promise);
            Publication::new(&topic, &payload).expect("short")
        }),
        ear: None,
        seed: number as u64,
        count: Arc::new(WireCount::default()),
    }
}

/// What a gateway reports every quarter of an hour, of the usual size.
fn say(link: &MqttLink, number: usize, round: u64) {
    let base = format!("{FLEET}/g{number}");
    let of = Connection {
        session: 1,
        link: link.connection(),
    };
    let put = |channel: &str, payload: &[u8]| link.put(&format!("{base}/{channel}"), payload).expect("short");
    if of.link > 0 {
        put(
            "status",
            &presence(Presence::Online, of, now(), Some(unix() + 1200)),
        );
    }
    for peer in ["sync-primero", "sync-oscar"] {
        let sync = Flat::new(Some(unix()))
            .count("last_attempt", 1_800_000_000 + round)
            .count("last_ok", 1_800_000_000 + round)
            .count("last_round_trip", 1_800_000_000 + round)
            .count("pulled", 12)
            .count("pushed", 3)
            .count("confirmed", 1)
            .count("parked", 0)
            .count("in_doubt", 0)
            .word("error", None)
            .count("ms", 3210)
            .count("bytes", 4711)
            .done();
        put(peer, &sync);
    }
    let mut health = Flat::new(Some(unix()));
    health
        .count("next_by", unix().unsigned_abs() + 1200)
        .count("session", 1)
        .count("link", of.link.into());
    for key in [
        "uptime_s",
        "mem_kb",
        "temp_c",
        "flash_bytes",
        "store_bytes",
        "commits",
        "wire_bytes",
        "month_bytes",
    ] {
        health.count(key, 123_456);
    }
    health
        .count("bytes", 1234)
        .count("oldest_s", 60)
        .count("parked", 0)
        .count("in_doubt", 0)
        .count("delivered", 9);
    // Last, because the desk is asked for it: what came before it has come.
    put("health", &health.count("queue", round).done());
}

fn fleet_command(broker: &Mosquitto) -> Command {
    let password = broker.authority.folder.write("desk.password", "right\n");
    let only_ours = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&password, only_ours).expect("a file of ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_referral-gateway"));
    command.args([
        "fleet",
        "--broker",
        &format!("mqtts://localhost:{}", broker.second_port),
    ]);
    command.arg("--ca-file").arg(broker.authority.ca_file());
    command
        .args(["--user-name", "desk", "--password-file"])
        .arg(password);
    command
}

/// `fleet --listen`.
struct Desk {
    process: Child,
    address: String,
}

impl Desk {
    fn start(broker: &Mosquitto) -> Desk {
        let mut process = fleet_command(broker)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let mut line = String::new();
        let out = process.stdout.take().expect("piped");
        BufReader::new(out)
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line
            .trim()
            .trim_start_matches("listening on http://")
            .trim_end_matches("/metrics");
        let address = address.to_owned();
        Desk { process, address }
    }

    fn page(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\n\r\n")
            .expect("it hears");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("it answers");
        page
    }

    /// Lines that end like this.
    fn sees(&self, end: &str) -> usize {
        self.page().lines().filter(|line| line.ends_with(end)).count()
    }

    fn sees_queue(&self, round: u64) -> usize {
        let end = format!("}} {round}");
        let queue = |line: &&str| line.starts_with("referral_gateway_queue_events{") && line.ends_with(&end);
        self.page().lines().filter(queue).count()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
