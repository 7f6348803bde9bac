//! One office and what it can reach: the real gateway as a process of its own, and in this process the far away side:
//! Primero, OSCaR and the broker, each behind TLS with a certificate of a private authority.

use crate::{AS_GATEWAY, AS_SERVICE};
use serde_json::{Value, json};
use simulators::broker::Broker;
use simulators::oscar::{self, Oscar};
use simulators::primero::{self, Primero};
use simulators::wire::TestCa;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest anything in the story is waited for.
const PATIENCE: Duration = Duration::from_secs(45);
const PRIMERO_PASSWORD: &str = "demo-password-primero";
const OSCAR_PASSWORD: &str = "demo-password-oscar";

/// What went wrong with the demo itself.
pub type Trouble = Box<dyn std::error::Error>;

/// The running service, shared with whoever must end it in a hurry.
pub type Service = Arc<Mutex<Option<Child>>>;

/// Ends the service without a word, if it still runs.
pub fn end(service: &Service) {
    let mut held = service.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(mut child) = held.take() {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

pub struct Office {
    home: PathBuf,
    pub primero: Primero,
    pub oscar: Oscar,
    pub broker: Broker,
    service: Service,
    /// Everything the gateway has printed to anybody.
    printed: RefCell<String>,
}

impl Office {
    /// Starts the far away side, out of reach for now, and writes the gateway's configuration.
    pub fn new(home: &Path, service: Service) -> Result<Office, Trouble> {
        let ca = TestCa::new();
        let any = "127.0.0.1:0";
        let primero_config = primero::Config::cambodia("gateway-kpt-03", PRIMERO_PASSWORD);
        let oscar_config = oscar::Config::default_for("gateway-kpt-03@example.org", OSCAR_PASSWORD);
        let office = Office {
            home: home.to_owned(),
            primero: Primero::start(&ca, any, primero_config),
            oscar: Oscar::start(&ca, any, oscar_config),
            broker: Broker::start(&ca, any),
            service,
            printed: RefCell::default(),
        };
        office.link(false);
        fs::write(home.join("ca.pem"), ca.pem())?;
        office.private("primero.password", PRIMERO_PASSWORD)?;
        office.private("oscar.password", OSCAR_PASSWORD)?;
        office.private("gateway.toml", &office.configuration())?;
        Ok(office)
    }

    fn configuration(&self) -> String {
        format!(
            r#"[gateway]
id = "kpt-03"
fleet = "kh-pilot"
office_time_zone = "Asia/Phnom_Penh"
data_dir = "data"
seal_key_file = "seal.key"

[primero]
url = "{}"
user_name = "gateway-kpt-03"
password_file = "primero.password"
module_id = "primeromodule-cp"
ca_file = "ca.pem"
read_back_after = "0s"

[oscar]
url = "{}"
email = "gateway-kpt-03@example.org"
password_file = "oscar.password"
organizations = ["cif", "gpc"]
ca_file = "ca.pem"

[schedule]
every = "5s"
jitter = "0s"

[mqtt]
url = "{}"
ca_file = "ca.pem"
"#,
            self.primero.url(),
            self.oscar.url(),
            self.broker.url()
        )
    }

    /// Writes a file only its owner may read.
    pub fn private(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.home.join(name);
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&path)?.write_all(text.as_bytes())?;
        Ok(path)
    }

    /// The line to all three, up or down.
    pub fn link(&self, up: bool) {
        self.primero.server().set_down(!up);
        self.oscar.server().set_down(!up);
        self.broker.set_down(!up);
    }

    fn gateway(&self, role: &str, words: &[&str]) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(role)
            .arg("--config")
            .arg(self.home.join("gateway.toml"))
            .args(words)
            .current_dir(&self.home)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Starts the service and waits until it answers.
    pub fn start(&self) -> Result<(), Trouble> {
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let child = self
            .gateway(AS_SERVICE, &["run"])?
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        *self.service.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let socket = self.socket();
        wait("the gateway listens", || {
            Ok(UnixStream::connect(&socket).ok().map(drop))
        })
    }

    /// Asks the service to stop the way systemd does; whether it ended well.
    pub fn stop(&self) -> Result<bool, Trouble> {
        let mut held = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = held.take().ok_or("the gateway does not run")?;
        // Kept open until the end has come: `wait` alone would close it at once.
        let input = child.stdin.take();
        // The shell's own `kill`: std cannot send this signal, and a small system may have no `kill` program.
        Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", child.id())])
            .status()?;
        let ended = child.wait()?;
        drop(input);
        Ok(ended.success())
    }

    /// Runs one command of the gateway.
    pub fn command(&self, words: &[&str]) -> Result<Output, Trouble> {
        let output = self.gateway(AS_GATEWAY, words)?.output()?;
        self.keep(&String::from_utf8_lossy(&output.stdout));
        self.keep(&String::from_utf8_lossy(&output.stderr));
        Ok(output)
    }

    /// What a command that must end well prints.
    pub fn text(&self, words: &[&str]) -> Result<String, Trouble> {
        let output = self.command(words)?;
        let text = String::from_utf8(output.stdout)?;
        if output.status.success() {
            return Ok(text);
        }
        let why = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{}` failed: {text}{why}", words.join(" ")).into())
    }

    pub fn json(&self, words: &[&str]) -> Result<Value, Trouble> {
        let text = self.text(&[words, &["--json"]].concat())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// All events as `events list` knows them.
    pub fn events(&self) -> Result<Vec<Value>, Trouble> {
        let mut listed = self.json(&["events", "list"])?;
        match listed["events"].take() {
            Value::Array(events) => Ok(events),
            _ => Err("`events list --json` gives a list".into()),
        }
    }

    /// Hands one event to the control socket, as the office's own software does.
    pub fn post(&self, event: &Value) -> Result<(u16, Value), Trouble> {
        let body = event.to_string().into_bytes();
        let answer = referral_gateway::shell::control::ask(&self.socket(), "POST", "/v1/events", body)?;
        let (status, body) = answer.ok_or("the gateway does not run")?;
        self.keep(&body.to_string());
        Ok((status, body))
    }

    /// Puts a file into the drop folder the way the README says: under a name that is not looked at, then renamed.
    pub fn drop_file(&self, name: &str, events: &[Value]) -> io::Result<PathBuf> {
        let place = self.data_dir().join("intake").join(name);
        let unfinished = place.with_extension("part");
        fs::write(&unfinished, json!(events).to_string())?;
        fs::rename(unfinished, &place)?;
        Ok(place)
    }

    fn keep(&self, text: &str) {
        self.printed.borrow_mut().push_str(text);
    }

    pub fn printed(&self) -> String {
        self.printed.borrow().clone()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    fn socket(&self) -> PathBuf {
        self.data_dir().join(referral_gateway::shell::parts::SOCKET_FILE)
    }

    fn log_file(&self) -> PathBuf {
        self.home.join("gateway.log")
    }

    /// What the service wrote for the journal.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

/// Waits for something that must come.
pub fn wait<T>(what: &str, mut come: impl FnMut() -> Result<Option<T>, Trouble>) -> Result<T, Trouble> {
    let start = Instant::now();
    loop {
        if let Some(found) = come()? {
            return Ok(found);
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("waited in vain: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
