//! One office: the real binary on a data folder of its own, both peers simulated behind real TLS with a private CA.

#[path = "../support/planted.rs"]
#[allow(
    dead_code,
    reason = "shared with the brokers of the tests, which use less of it"
)]
pub mod planted;

use serde_json::{Value, json};
use simulators::wire::{Identity, Options, TestCa};
use simulators::{oscar, primero};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const PRIMERO_PASSWORD: &str = "primero-password-1";
pub const OSCAR_PASSWORD: &str = "oscar-password-1";
/// Longest anything in these tests is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Office {
    pub folder: TempDir,
    pub primero: primero::Primero,
    pub oscar: oscar::Oscar,
    pub config: PathBuf,
    /// What the service finds in its environment.
    pub environment: Vec<(&'static str, String)>,
    service: Option<Child>,
}

/// What an office may have otherwise than usual.
#[derive(Default)]
pub struct Wishes {
    /// Replaces the schedule that never fires by itself.
    pub schedule: Option<&'static str>,
    /// More configuration.
    pub more: String,
    pub oscar: Option<oscar::Config>,
    /// Primero's certificate.
    pub primero: Option<fn(&TestCa) -> Identity>,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Each line of standard output as JSON.
    pub fn lines(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {self:?}"));
        self.out.lines().map(read).collect()
    }
}

/// OSCaR as these offices find it.
pub fn oscar_config() -> oscar::Config {
    oscar::Config::default_for("gateway@example.org", OSCAR_PASSWORD)
}

/// The program under test: this build's, or, for another architecture, what GATEWAY_BINARY names (tests/boards/foreign).
pub fn gateway() -> PathBuf {
    std::env::var_os("GATEWAY_BINARY").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_referral-gateway")),
        PathBuf::from,
    )
}

/// Writes a file only its owner may read.
pub fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl Office {
    /// An office whose schedule never fires by itself: sessions are asked for.
    pub fn new() -> Office {
        Office::with("")
    }

    /// The same with more configuration.
    pub fn with(more: &str) -> Office {
        Office::wished(Wishes {
            more: more.to_owned(),
            ..Wishes::default()
        })
    }

    pub fn wished(wishes: Wishes) -> Office {
        let ca = TestCa::new();
        let identity = wishes.primero.map_or_else(|| ca.localhost(), |make| make(&ca));
        let options = Options {
            gzip: true,
            ..Options::default()
        };
        let config = primero::Config::cambodia("gateway-test", PRIMERO_PASSWORD);
        let primero = primero::Primero::start_with(&identity, "127.0.0.1:0", config, options);
        let oscar = oscar::Oscar::start(&ca, "127.0.0.1:0", wishes.oscar.unwrap_or_else(oscar_config));
        let schedule = wishes.schedule.unwrap_or("every = \"24h\"\non_event = false");
        let more = wishes.more;
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("ca.pem"), ca.pem()).unwrap();
        private(&at("primero.password"), PRIMERO_PASSWORD);
        private(&at("oscar.password"), OSCAR_PASSWORD);
        let config = at("gateway.toml");
        let text = format!(
            r#"
[gateway]
id = "kpt-03"
fleet = "kh-pilot"
office_time_zone = "Asia/Phnom_Penh"
data_dir = "data"

[primero]
url = "{}"
user_name = "gateway-test"
password_file = "primero.password"
module_id = "primeromodule-cp"
ca_file = "ca.pem"
connect_timeout = "3s"
read_timeout = "3s"
read_back_after = "0s"

[oscar]
url = "{}"
email = "gateway@example.org"
password_file = "oscar.password"
organizations = ["cif", "gpc"]
ca_file = "ca.pem"
connect_timeout = "3s"
read_timeout = "3s"

[schedule]
{schedule}
jitter = "0s"
{more}"#,
            primero.url(),
            oscar.url()
        );
        private(&config, &text);
        Office {
            folder,
            primero,
            oscar,
            config,
            environment: Vec::new(),
            service: None,
        }
    }

    /// Runs the binary once.
    pub fn command(&self, words: &[&str]) -> Output {
        self.feed(words, "")
    }

    /// The same with something on standard input.
    pub fn feed(&self, words: &[&str], input: &str) -> Output {
        use std::io::Write;
        let mut child = Command::new(gateway())
            .arg("--config")
            .arg(&self.config)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that wants no input may be gone by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        // These two are asked for the content.
        if !words.contains(&"--reveal") && !words.contains(&"rejected") {
            planted::clean(&words.join(" "), &output.stdout);
            planted::clean(&words.join(" "), &output.stderr);
        }
        // What a command was told to write: the support bundle, the installation sheet.
        for pair in words
            .windows(2)
            .filter(|pair| ["--output", "--sheet"].contains(&pair[0]))
        {
            planted::clean(pair[1], pair[1].as_bytes());
            planted::clean(pair[1], &std::fs::read(pair[1]).unwrap_or_default());
        }
        output
    }

    /// Runs the binary once and reads what it said.
    pub fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, "")
    }

    pub fn run_with(&self, words: &[&str], input: &str) -> Ran {
        let output = self.feed(words, input);
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that must end well and gives its JSON.
    pub fn json(&self, words: &[&str]) -> Value {
        let ran = self.run(&[words, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
        ran.lines().remove(0)
    }

    /// Enqueues one event and returns the exit code and the answer.
    pub fn enqueue(&self, event: &Value) -> (i32, Value) {
        let output = self.feed(&["enqueue", "-", "--json"], &event.to_string());
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().next().unwrap_or_default();
        (
            output.status.code().unwrap(),
            serde_json::from_str(line).unwrap_or(Value::Null),
        )
    }

    pub fn sync(&self) -> i32 {
        self.command(&["sync"]).status.code().unwrap()
    }

    /// One event's line in the listing.
    pub fn event(&self, key: &str) -> Value {
        self.json(&["events", "show", key])
    }

    /// Starts the service and waits until it answers.
    pub fn start(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("service.log"))
            .unwrap();
        let child = Command::new(gateway())
            .args(["run", "--config"])
            .arg(&self.config)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.service = Some(child);
        let socket = self.folder.path().join("data/control.sock");
        wait_until("the service listens", || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
    }

    /// A service looks around as soon as it starts; afterwards sessions come only as the schedule says.
    pub fn first_session_over(&self) {
        wait_until("the first session is over", || self.log().contains("session: "));
    }

    /// Stops the service the way systemd does; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.service.take().expect("running");
        Command::new("kill").arg(child.id().to_string()).status().unwrap();
        child.wait().unwrap().code()
    }

    /// The service's process.
    pub fn pid(&self) -> u32 {
        self.service.as_ref().expect("running").id()
    }

    /// Waits until the service has ended by itself; the signal it died of, if it did.
    pub fn ended(&mut self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        let mut child = self.service.take().expect("running");
        let mut status = None;
        wait_until("the service has ended", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.signal())
    }

    /// Ends the service without a word.
    pub fn kill(&mut self) {
        let mut child = self.service.take().expect("running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    /// States of all events by key.
    pub fn states(&self) -> BTreeMap<String, String> {
        let list = self.json(&["events", "list"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let events = list["events"].as_array().unwrap();
        events
            .iter()
            .map(|event| (text(&event["event_key"]), text(&event["state"])))
            .collect()
    }

    pub fn state(&self, key: &str) -> String {
        self.states().remove(key).unwrap_or_default()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("service.log")).unwrap_or_default()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(mut child) = self.service.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // A test that has failed already has its reason.
        if !std::thread::panicking() {
            planted::clean("the service's log", self.log().as_bytes());
            planted::clean_folder(&self.folder.path().join("data"));
        }
    }
}

/// Waits for something that must come.
pub fn wait_until(what: &str, mut come: impl FnMut() -> bool) {
    let start = Instant::now();
    while !come() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// A referral to an NGO, of a child that exists nowhere else.
pub fn referral(key: &str, given_name: &str, organization: &str) -> Value {
    json!({
        "event_key": key, "kind": "referral", "to": "oscar", "organization": organization,
        "child": { "given_name": given_name, "family_name": planted::FAMILY_NAME,
            "local_given_name": planted::KHMER_NAME, "local_family_name": planted::KHMER_NAME,
            "sex": "female", "date_of_birth": planted::BORN,
            "location_code": "10060805" },
        "services": [{ "subtype": "family_based_care_kinship" }],
        "reason": planted::REASON, "risk_level": "high", "referred_on": "2026-11-20",
        "consent": { "services": true, "disclosure_other_organizations": true },
        "case_worker": { "name": planted::WORKER, "phone": planted::PHONE, "email": planted::EMAIL }
    })
}
