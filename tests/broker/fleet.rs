//! `referral-gateway fleet`, the real program, beside a real Mosquitto: everything it shows comes from there.

use crate::mosquitto::{Door, Mosquitto, program};
use crate::planted::{FAMILY_NAME, KHMER_NAME, clean};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PREFIX: &str = "referral-gateway/v1";

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Says something as a gateway would; retained.
pub fn says(broker: &Mosquitto, topic: &str, payload: &str) {
    let mut command = Command::new(program("mosquitto_pub"));
    command.arg("--cafile").arg(broker.authority.ca_file());
    command.args(["-h", "localhost", "-p", &broker.port.to_string(), "-q", "1", "-r"]);
    command.args(["-t", &format!("{PREFIX}/{topic}")]);
    // A file, because a line of words cannot be as long as some of these.
    let file = broker.authority.folder.write("payload", payload);
    if payload.is_empty() {
        command.arg("-n");
    } else {
        command.arg("-f").arg(file);
    }
    assert!(command.status().unwrap().success());
}

pub fn online(session: u64, link: u64, next_by: i64) -> String {
    json!({"v": 1, "ts": now(), "state": "online", "session": session, "link": link, "next_by": next_by})
        .to_string()
}

fn lost(session: u64, link: u64) -> String {
    json!({"v": 1, "ts": now(), "state": "lost", "session": session, "link": link, "next_by": null})
        .to_string()
}

/// `fleet` on this broker, with more words.
fn fleet(broker: &Mosquitto, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_referral-gateway"));
    command.args(["fleet", "--broker", &format!("mqtts://localhost:{}", broker.port)]);
    command.arg("--ca-file").arg(broker.authority.ca_file());
    command.args(words);
    command
}

pub fn run(broker: &Mosquitto, words: &[&str]) -> Output {
    let output = fleet(broker, words).output().unwrap();
    clean("what fleet prints", &output.stdout);
    clean("what fleet complains of", &output.stderr);
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn shown(broker: &Mosquitto) -> Vec<Value> {
    let output = run(broker, &["--once", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    all["gateways"].as_array().unwrap().clone()
}

#[test]
fn the_fleet_is_shown_from_what_the_broker_keeps_alone() {
    let broker = Mosquitto::running(Door::Open);
    assert!(shown(&broker).is_empty(), "nobody is invented");
    says(&broker, "kh/kpt-03/status", &online(4, 1, now() + 900));
    says(
        &broker,
        "kh/kpt-03/health",
        &json!({"v": 1, "ts": now(), "queue": 5, "parked": 2}).to_string(),
    );
    says(
        &broker,
        "kh/kpt-03/alert-parked",
        &json!({"v": 1, "level": "warning"}).to_string(),
    );
    says(&broker, "kh/kpt-04/status", &online(1, 1, now() - 1));
    says(&broker, "vn/hue-01/status", &online(1, 1, now() + 900));
    let all = shown(&broker);
    let states: Vec<String> = all
        .iter()
        .map(|g| format!("{}/{} {}", g["fleet"], g["gateway"], g["state"]))
        .collect();
    let wanted = ["kh/kpt-03 online", "kh/kpt-04 silent", "vn/hue-01 online"];
    assert_eq!(states.join(",").replace('"', ""), wanted.join(","));
    assert_eq!((&all[0]["queue"], &all[0]["parked"]), (&json!(5), &json!(2)));
    assert_eq!(all[0]["alerts"]["parked"]["level"], "warning");
    let table = text(&run(&broker, &["--fleet", "kh"]));
    assert!(
        table.contains("kh/kpt-03") && table.contains("silent") && !table.contains("hue-01"),
        "{table}"
    );
    says(&broker, "kh/kpt-04/status", "");
    assert_eq!(shown(&broker).len(), 2, "taken out of service");
}

#[test]
fn a_will_that_comes_late_does_not_hide_a_gateway_that_is_back() {
    let broker = Mosquitto::running(Door::Open);
    says(&broker, "kh/kpt-03/status", &online(417, 2, now() + 900));
    says(
        &broker,
        "kh/kpt-03/health",
        &json!({"v": 1, "session": 417, "link": 2, "next_by": now() + 900}).to_string(),
    );
    let mut exporter = Exporter::start(&broker);
    exporter.shows("referral_gateway_state{fleet=\"kh\",gateway=\"kpt-03\",state=\"online\"} 1");
    // The broker of the first connection, cut off itself, says its will now.
    says(&broker, "kh/kpt-03/status", &lost(417, 1));
    says(
        &broker,
        "kh/kpt-03/alert-parked",
        &json!({"v": 1, "level": "warning"}).to_string(),
    );
    exporter
        .shows("referral_gateway_alert{fleet=\"kh\",gateway=\"kpt-03\",code=\"parked\",level=\"warning\"} 1");
    exporter.shows("referral_gateway_state{fleet=\"kh\",gateway=\"kpt-03\",state=\"online\"} 1");
    assert_eq!(
        shown(&broker)[0]["state"],
        "online",
        "for a desk that comes only now, too"
    );
    says(&broker, "kh/kpt-03/status", &lost(417, 2));
    assert_eq!(shown(&broker)[0]["state"], "lost");
    assert_eq!(
        run(&broker, &["--check"]).status.code(),
        Some(1),
        "the alert; the will by itself alarms nobody"
    );
}

#[test]
fn a_check_ends_with_the_code_of_the_worst() {
    let mut broker = Mosquitto::running(Door::Open);
    let check = |broker: &Mosquitto, words: &[&str]| {
        let output = run(broker, &[&["--check", "--wait", "5"], words].concat());
        (output.status.code().unwrap(), text(&output))
    };
    let (code, words) = check(&broker, &[]);
    assert!(code == 3 && words.starts_with("UNKNOWN"), "{words}");
    says(&broker, "kh/kpt-03/status", &online(4, 1, now() + 900));
    let (code, words) = check(&broker, &[]);
    assert!(code == 0 && words.starts_with("OK - 1 gateways"), "{words}");
    assert_eq!(check(&broker, &["kpt-09"]).0, 3);
    says(
        &broker,
        "kh/kpt-03/alert-in_doubt",
        &json!({"v": 1, "level": "warning"}).to_string(),
    );
    assert_eq!(check(&broker, &[]).0, 1);
    says(&broker, "kh/kpt-04/status", &online(4, 1, now() - 10));
    let (code, words) = check(&broker, &[]);
    assert!(
        code == 2 && words.contains("kh/kpt-04: silent (critical)"),
        "{words}"
    );
    assert_eq!(check(&broker, &["kpt-03"]).0, 1);
    broker.kill();
    let (code, words) = check(&broker, &[]);
    assert!(
        code == 3 && words.contains("UNKNOWN") && words.contains("unreachable"),
        "{words}"
    );
}

#[test]
fn hostile_messages_do_not_get_far() {
    let broker = Mosquitto::running(Door::Open);
    let large = format!(r#"{{"v":1,"state":"online","x":"{}"}}"#, "x".repeat(100_000));
    says(&broker, "kh/big/status", &large);
    says(
        &broker,
        "kh/escape/info",
        &json!({"v": 1, "board": "\u{1b}[2J\u{7}"}).to_string(),
    );
    says(&broker, "kh/DROP TABLE/status", &online(1, 1, now()));
    says(&broker, "kh/kpt-03/status", &online(1, 1, now() + 900));
    let output = run(&broker, &["--json"]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = all["gateways"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|g| g["gateway"].as_str())
        .collect();
    assert_eq!((names, &all["ignored"]), (vec!["escape", "kpt-03"], &json!(2)));
    let table = text(&run(&broker, &[]));
    assert!(
        table.chars().all(|char| char == '\n' || !char.is_control()),
        "{table:?}"
    );
    // What no packet of ours could hold ends the connection, is named, and is not kept.
    says(&broker, "kh/huge/status", &"x".repeat(400_000));
    let output = run(&broker, &["--check", "--wait", "3"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

/// A running `fleet --listen`.
pub struct Exporter {
    process: Child,
    pub address: String,
    log: PathBuf,
}

impl Exporter {
    pub fn start(broker: &Mosquitto) -> Exporter {
        let log = broker.authority.folder.write("exporter.log", "");
        let mut process = fleet(broker, &["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        let address = address.strip_suffix("/metrics").unwrap().to_owned();
        Exporter {
            process,
            address,
            log,
        }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        clean("what the exporter answers", answer.as_bytes());
        answer
    }

    pub fn page(&self) -> String {
        self.ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    }

    pub fn shows(&mut self, line: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.page().lines().any(|shown| shown == line) {
            assert!(Instant::now() < deadline, "{line} is not in\n{}", self.page());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if !std::thread::panicking() {
            clean("the exporter's log", &std::fs::read(&self.log).unwrap());
        }
    }
}

/// The collector of planted names is no ornament: it hears what is said, and reads what is shown of it.
#[test]
fn a_name_said_to_the_desk_fails_the_test_in_which_it_was_said() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let fails = |leak: &dyn Fn(Mosquitto)| {
        let broker = Mosquitto::running(Door::Open);
        let caught = catch_unwind(AssertUnwindSafe(|| leak(broker)));
        let said = caught.expect_err("a leak went unnoticed");
        let said = said.downcast_ref::<String>().unwrap();
        assert!(said.starts_with("LEAK: "), "{said}");
    };
    fails(&|broker| says(&broker, "kh/kpt-03/status", KHMER_NAME));
    fails(&|broker| says(&broker, &format!("kh/kpt-03/{FAMILY_NAME}"), "x"));
    let info = json!({"v": 1, "board": FAMILY_NAME}).to_string();
    fails(&|broker| {
        says(&broker, "kh/kpt-03/info", &info);
        run(&broker, &["--once", "--json"]);
    });
    fails(&|broker| {
        says(&broker, "kh/kpt-03/info", &info);
        Exporter::start(&broker).shows("referral_gateway_fleet_complete 1");
    });
}

#[test]
fn the_exporter_follows_the_fleet_through_the_loss_of_the_broker() {
    let mut broker = Mosquitto::running(Door::Open);
    says(&broker, "kh/kpt-03/status", &online(4, 1, now() + 900));
    let mut exporter = Exporter::start(&broker);
    exporter.shows("referral_gateway_fleet_complete 1");
    exporter.shows("referral_gateway_state{fleet=\"kh\",gateway=\"kpt-03\",state=\"online\"} 1");
    let head = exporter.page();
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n"),
        "{head}"
    );
    assert!(exporter.ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(
        exporter
            .ask(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(8000)))
            .is_empty(),
        "no head is that long"
    );
    broker.kill();
    exporter.shows("referral_gateway_fleet_broker_up 0");
    // A broker without its store knows nobody; a gateway that was seen is not forgotten for that.
    broker.start();
    exporter.shows("referral_gateway_fleet_broker_up 1");
    exporter.shows("referral_gateway_state{fleet=\"kh\",gateway=\"kpt-03\",state=\"online\"} 1");
    says(&broker, "kh/kpt-04/status", &online(4, 1, now() - 5));
    exporter.shows("referral_gateway_state{fleet=\"kh\",gateway=\"kpt-04\",state=\"silent\"} 1");
}

#[test]
fn a_desk_that_is_refused_says_so() {
    let broker = Mosquitto::running(Door::Password);
    let output = run(&broker, &["--once", "--wait", "3"]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("refused"), "{words}");
    let file: PathBuf = broker.authority.folder.write("password", "right\n");
    let only_ours = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, only_ours).unwrap();
    let file = file.display().to_string();
    let output = run(
        &broker,
        &["--once", "--user-name", "gateway", "--password-file", &file],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
