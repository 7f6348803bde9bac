//! The configurations of `boards/desk/`: Prometheus and its rules for real, the others by the names they use.

use crate::fleet::{Exporter, now, online, says};
use crate::mosquitto::{Door, Mosquitto};
use crate::pki::Folder;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("boards/desk")
        .join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(shipped(name)).unwrap()
}

fn promtool(words: &[&str]) {
    let output = Command::new("promtool")
        .args(words)
        .current_dir(shipped("prometheus"))
        .output()
        .expect("promtool is not installed: apt-get install prometheus");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {words:?}: {said}");
}

#[test]
fn prometheus_takes_the_configuration_and_the_rules_do_what_they_say() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "referral-gateway.test.yml"]);
}

/// A running Prometheus.
struct Prometheus {
    process: Child,
    port: u16,
    _folder: Folder,
}

impl Prometheus {
    /// With the shipped configuration, scraping this exporter, and faster, so that nobody waits for a minute.
    fn start(exporter: &Exporter) -> Prometheus {
        let folder = Folder::new();
        let text = read("prometheus/prometheus.yml")
            .replace("127.0.0.1:9186", &exporter.address)
            .replace("60s", "1s");
        assert!(text.contains(&exporter.address) && text.contains("1s"));
        folder.write(
            "referral-gateway.rules.yml",
            &read("prometheus/referral-gateway.rules.yml"),
        );
        let config = folder.write("prometheus.yml", &text);
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.0.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is not installed: apt-get install prometheus");
        Prometheus {
            process,
            port,
            _folder: folder,
        }
    }

    /// The labels and the value of every sample an expression gives now.
    fn ask(&self, expression: &str) -> Vec<(Value, String)> {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return Vec::new();
        };
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let request = format!("GET /api/v1/query?query={encoded} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let found: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let samples = found["data"]["result"].as_array().cloned().unwrap_or_default();
        let sample = |sample: Value| {
            (
                sample["metric"].clone(),
                sample["value"][1].as_str().unwrap_or("").to_owned(),
            )
        };
        samples.into_iter().map(sample).collect()
    }

    fn finds(&self, what: &str, expression: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some((labels, _)) = self.ask(expression).into_iter().next() {
                return labels;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain until {what}: {expression}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn prometheus_scrapes_the_exporter_and_alarms() {
    let broker = Mosquitto::running(Door::Open);
    says(&broker, "kh/kpt-03/status", &online(4, 1, now() + 900));
    says(
        &broker,
        "kh/kpt-03/health",
        &json!({"v": 1, "ts": now(), "queue": 7}).to_string(),
    );
    says(&broker, "kh/kpt-04/status", &online(4, 1, now() - 60));
    says(
        &broker,
        "kh/kpt-04/alert-queue_full",
        &json!({"v": 1, "level": "critical"}).to_string(),
    );
    let exporter = Exporter::start(&broker);
    let prometheus = Prometheus::start(&exporter);
    prometheus.finds(
        "the queue is scraped",
        "referral_gateway_queue_events{gateway=\"kpt-03\"} == 7",
    );
    let labels = prometheus.finds(
        "the alert fires",
        "ALERTS{alertname=\"GatewayAlert\",alertstate=\"firing\"}",
    );
    let told = (
        &labels["fleet"],
        &labels["gateway"],
        &labels["code"],
        &labels["severity"],
    );
    assert_eq!(
        told,
        (
            &json!("kh"),
            &json!("kpt-04"),
            &json!("queue_full"),
            &json!("critical")
        )
    );
    // Silence is given two minutes, in case the exporter itself has only just come up.
    let labels = prometheus.finds(
        "silence is noticed",
        "ALERTS{alertname=\"GatewaySilent\",alertstate=\"pending\"}",
    );
    assert_eq!(labels["gateway"], "kpt-04");
    // An alert that is cleared at the broker ends here.
    says(&broker, "kh/kpt-04/alert-queue_full", "");
    prometheus.finds("the alert ends", "absent(ALERTS{alertname=\"GatewayAlert\"})");
}

/// Words in a text that begin like this.
fn words(text: &str, begin: &str) -> BTreeSet<String> {
    let part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    text.split(|char| !part(char))
        .filter(|word| word.starts_with(begin))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_metric_the_rules_and_the_board_ask_for_is_there() {
    let broker = Mosquitto::running(Door::Open);
    says(&broker, "kh/kpt-03/status", &online(4, 1, now() + 900));
    let mut exporter = Exporter::start(&broker);
    exporter.shows("referral_gateway_fleet_complete 1");
    let page = exporter.page();
    let families: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect();
    for name in [
        "prometheus/referral-gateway.rules.yml",
        "grafana/referral-gateways.json",
    ] {
        let asked = words(&read(name), "referral_gateway_");
        assert!(asked.len() > 5, "{name} asks for something");
        let missing: Vec<_> = asked.difference(&families).collect();
        assert!(missing.is_empty(), "{name} asks for {missing:?}");
    }
    let board: Value = serde_json::from_str(&read("grafana/referral-gateways.json")).unwrap();
    assert!(
        board["panels"]
            .as_array()
            .unwrap()
            .iter()
            .all(|panel| panel["targets"][0]["expr"].is_string())
    );
}

#[test]
fn every_key_zabbix_asks_for_is_in_the_answer() {
    let broker = Mosquitto::running(Door::Open);
    says(&broker, "kh/kpt-03/status", &online(4, 1, now() + 900));
    let all: Value = serde_json::from_slice(&crate::fleet::run(&broker, &["--json"]).stdout).unwrap();
    let gateway = &all["gateways"][0];
    let template = read("zabbix/referral-gateway.yaml");
    let mut asked = 0;
    for line in template.lines().filter(|line| line.contains("'$.gateways[?(")) {
        let key = line
            .split(")].")
            .nth(1)
            .and_then(|rest| rest.split('.').next())
            .unwrap();
        assert!(gateway.get(key).is_some(), "{key} is not in {gateway}");
        asked += 1;
    }
    assert!(asked >= 5, "the template was not read");
    for key in ["fleet", "gateway"] {
        assert!(template.contains(&format!("path: '$.{key}'")) && gateway[key].is_string());
    }
}
