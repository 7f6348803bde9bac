//! An office at the near end of a bad line, both peers at the far end, the real binary between them.

use crate::names::Names;
use crate::net::{Dweller, Net, OSCAR, PRIMERO};
use crate::office::{
    OSCAR_PASSWORD, PATIENCE, PRIMERO_PASSWORD, oscar_config, planted, private, referral, wait_until,
};
use serde_json::Value;
use simulators::wire::{Options, TestCa};
use simulators::{oscar, primero};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub struct Site {
    pub names: Names,
    pub primero: Dweller<primero::Primero>,
    pub oscar: Dweller<oscar::Oscar>,
    /// Dropped after what lives in it.
    pub net: Net,
    pub folder: TempDir,
    /// Whoever answers at the far end has a certificate of it.
    pub ca: TestCa,
    /// What the service finds in its environment.
    pub environment: Vec<(&'static str, String)>,
    service: Option<Child>,
}

impl Site {
    /// `more` is added to the configuration; the schedule is `[schedule]`'s content.
    pub fn new(schedule: &str, more: &str) -> Site {
        let net = Net::new();
        let names = Names::start(&net.far);
        let ca = TestCa::new();
        let options = Options {
            gzip: true,
            ..Options::default()
        };
        let primero = Dweller::new(&net.far, || {
            let config = primero::Config::cambodia("gateway-test", PRIMERO_PASSWORD);
            let identity = ca.issue(&["primero.test"]);
            primero::Primero::start_with(&identity, &format!("{PRIMERO}:443"), config, options)
        });
        let oscar = Dweller::new(&net.far, || {
            let identity = ca.issue(&["oscar.test"]);
            oscar::Oscar::start_with(&identity, &format!("{OSCAR}:443"), oscar_config())
        });
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("ca.pem"), ca.pem()).unwrap();
        private(&at("primero.password"), PRIMERO_PASSWORD);
        private(&at("oscar.password"), OSCAR_PASSWORD);
        private(&at("gateway.toml"), &configuration(schedule, more));
        let resolver = std::path::Path::new("/etc/netns").join(&net.office);
        std::fs::create_dir_all(&resolver).unwrap();
        let words = format!("nameserver {PRIMERO}\noptions timeout:1 attempts:2\n");
        std::fs::write(resolver.join("resolv.conf"), words).unwrap();
        Site {
            net,
            names,
            primero,
            oscar,
            folder,
            ca,
            environment: Vec::new(),
            service: None,
        }
    }

    /// Runs the binary at the office.
    pub fn command(&self, words: &[&str], input: &str) -> Output {
        use std::io::Write;
        let mut child = self
            .binary(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        planted::clean(&words.join(" "), &output.stdout);
        planted::clean(&words.join(" "), &output.stderr);
        output
    }

    fn binary(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args([
                "netns",
                "exec",
                &self.net.office,
                env!("CARGO_BIN_EXE_referral-gateway"),
                "--config",
            ])
            .arg(self.folder.path().join("gateway.toml"))
            .args(words);
        command
    }

    pub fn start(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("service.log"))
            .unwrap();
        let child = self
            .binary(&["run"])
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.service = Some(child);
        let socket = self.folder.path().join("data/control.sock");
        wait_until("the service listens", || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
    }

    pub fn stop(&mut self) {
        let Some(mut child) = self.service.take() else {
            return;
        };
        // `ip netns exec` becomes the service itself.
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let _ = child.wait();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("service.log")).unwrap_or_default()
    }

    pub fn sessions(&self) -> usize {
        self.log().matches("session: ").count()
    }

    pub fn json(&self, words: &[&str]) -> Value {
        let output = self.command(&[words, &["--json"]].concat(), "");
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    pub fn uplink(&self) -> Value {
        self.json(&["status"])["uplink"].clone()
    }

    pub fn line(&self) -> String {
        self.uplink()["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Takes in so many events of different children.
    pub fn enqueue(&self, name: &str, events: usize) {
        let lines: Vec<String> = (0..events)
            .map(|number| {
                let mut event = referral(&format!("{name}-{number}"), &format!("{name} {number}"), "cif");
                event["child"]["local_given_name"] = format!("{name} {number}").into();
                event.to_string()
            })
            .collect();
        let output = self.command(&["enqueue", "-"], &lines.join("\n"));
        assert!(output.status.success(), "{output:?}");
    }

    pub fn pending(&self) -> u64 {
        let queue = &self.json(&["status"])["queue"];
        queue["pending"].as_u64().unwrap_or(u64::MAX) + queue["in_doubt"].as_u64().unwrap_or(0)
    }

    /// However slow the line is, something must move all the time.
    pub fn wait_for_an_empty_queue(&self) {
        let (mut before, mut since) = (u64::MAX, Instant::now());
        loop {
            let (left, passed) = (self.pending(), self.net.passed.bytes());
            if left == 0 {
                return;
            }
            if passed != before {
                (before, since) = (passed, Instant::now());
            }
            let listed = self.command(&["events", "list"], "");
            assert!(
                since.elapsed() < PATIENCE,
                "nothing moves, {left} left:\n{}{}{}",
                self.log(),
                String::from_utf8_lossy(&listed.stdout),
                self.json(&["status"])
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Everything is at both sides, once.
    pub fn all_arrived_once(&self, events: usize) {
        let listed = || String::from_utf8(self.command(&["events", "list"], "").stdout).unwrap();
        assert_eq!(
            self.json(&["status"])["queue"]["delivered"],
            events,
            "{}\n{}",
            listed(),
            self.log()
        );
        let counts = [
            self.primero.cases().len(),
            self.primero.referrals().len(),
            self.oscar.with(|sim| sim.referrals().len()),
        ];
        assert_eq!(counts, [events; 3]);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
        // A test that has failed already has its reason.
        if !std::thread::panicking() {
            planted::clean("the service's log", self.log().as_bytes());
            planted::clean_folder(&self.folder.path().join("data"));
        }
    }
}

fn configuration(schedule: &str, more: &str) -> String {
    format!(
        r#"
[gateway]
id = "kpt-03"
fleet = "kh-pilot"
office_time_zone = "Asia/Phnom_Penh"
data_dir = "data"

[primero]
url = "https://primero.test"
user_name = "gateway-test"
password_file = "primero.password"
module_id = "primeromodule-cp"
ca_file = "ca.pem"
connect_timeout = "5s"
read_timeout = "20s"
read_back_after = "0s"

[oscar]
url = "https://oscar.test"
email = "gateway@example.org"
password_file = "oscar.password"
organizations = ["cif", "gpc"]
ca_file = "ca.pem"
connect_timeout = "5s"
read_timeout = "20s"

[schedule]
{schedule}
{more}"#
    )
}
