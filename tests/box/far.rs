//! What lies on the other side of the box's uplink, on this machine: Primero, OSCaR, a real Mosquitto, and an office's
//! computer. QEMU's user network shows this machine's 127.0.0.1 to the box as 10.0.2.2.

use crate::host::{host, wait_until};
use crate::machine::Machine;
use crate::mosquitto::{Door, Mosquitto};
use crate::planted;
use referral_gateway::shell::tls::{TlsFiles, client_config};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};
use simulators::wire::{Options, TestCa};
use simulators::{oscar, primero};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const HOST: &str = "10.0.2.2";
pub const PASSPHRASE: &str = "correct horse battery staple twice";
const BASE: &str = "referral-gateway/v1/kh-pilot/kpt-09/";
/// Longest silence of the box on a connection, as slow as it is.
const SILENCE: Duration = Duration::from_secs(120);

/// Both peers and the broker.
pub struct Far {
    pub primero: primero::Primero,
    pub oscar: oscar::Oscar,
    pub broker: Mosquitto,
    ca: TestCa,
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

impl Far {
    pub fn up() -> Far {
        let ca = TestCa::new();
        let identity = ca.issue(&["localhost", HOST]);
        let config = primero::Config::cambodia("gateway", "primero-password-1");
        let primero = primero::Primero::start_with(&identity, "127.0.0.1:0", config, Options::default());
        let config = oscar::Config::default_for("gateway@example.org", "oscar-password-1");
        let oscar = oscar::Oscar::start_with(&identity, "127.0.0.1:0", config);
        let broker = Mosquitto::running_for(HOST, Door::Password);
        let heard = listen(&broker);
        Far {
            primero,
            oscar,
            broker,
            ca,
            heard,
        }
    }

    /// The provisioning file of a box that belongs here, with the line ends and the mark of Windows.
    pub fn gateway_txt(&self) -> String {
        let broker_ca = std::fs::read_to_string(self.broker.authority.ca_file()).unwrap();
        let url = |url: String| url.replace("localhost", HOST);
        let text = format!(
            r#"[gateway]
id = "kpt-09"
fleet = "kh-pilot"
office_time_zone = "Asia/Phnom_Penh"

[primero]
url = "{}"
user_name = "gateway"
password = "primero-password-1"
module_id = "primeromodule-cp"
ca = """
{ca}"""

[oscar]
url = "{}"
email = "gateway@example.org"
password = "oscar-password-1"
organizations = ["cif", "gpc"]
ca = """
{ca}"""

[mqtt]
url = "mqtts://{HOST}:{}"
user_name = "gateway"
password = "right"
ca = """
{broker_ca}"""

[schedule]
every = "1m"

[lan]
listen = "0.0.0.0:8443"

[box]
swap_passphrase = "{PASSPHRASE}"
"#,
            url(self.primero.url()),
            url(self.oscar.url()),
            self.broker.port,
            ca = self.ca.pem()
        );
        format!("\u{feff}{}", text.replace('\n', "\r\n"))
    }

    /// Whether both peers answer.
    pub fn peers(&self, up: bool) {
        self.primero.server().set_down(!up);
        self.oscar.server().set_down(!up);
    }

    /// The last thing the desk was told on a channel.
    pub fn told(&self, channel: &str) -> Value {
        let heard = self.heard.lock().unwrap();
        let last = heard
            .iter()
            .rev()
            .find(|(topic, _)| topic.strip_prefix(BASE) == Some(channel));
        last.and_then(|(_, payload)| serde_json::from_str(payload).ok())
            .unwrap_or(Value::Null)
    }

    /// Waits until the desk sees this state, told in this or a later session.
    pub fn desk_sees(&self, state: &str) {
        wait_until(&format!("the desk sees {state}"), || {
            self.told("status")["state"] == state
        });
    }
}

/// `mosquitto_sub`, from now until the broker ends.
fn listen(broker: &Mosquitto) -> Arc<Mutex<Vec<(String, String)>>> {
    use std::io::BufRead;
    // Its certificate is for the name the box knows it by.
    let mut process = broker
        .witness("#")
        .args(["--insecure", "-u", "gateway", "-P", "right", "-F", "%t %p"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = io::BufReader::new(process.stdout.take().unwrap()).lines();
    let heard: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let collected = Arc::clone(&heard);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            planted::clean("a message to the desk", line.as_bytes());
            let (topic, payload) = line.split_once(' ').unwrap_or((&line, ""));
            collected
                .lock()
                .unwrap()
                .push((topic.to_owned(), payload.to_owned()));
        }
        let _ = process.kill();
        let _ = process.wait();
    });
    heard
}

/// A computer of the office: it trusts the box's certificate, whose fingerprint it was told, and has a station's token.
#[derive(Clone)]
pub struct Station {
    port: u16,
    certificate: PathBuf,
    pub token: String,
}

/// What the box answered, or nothing if the line broke first.
pub type Answer = io::Result<(u16, Value)>;

impl Station {
    /// The stations that a stick with `gateway-stations.txt` made, from what the box wrote onto it.
    pub fn made_by_stick(machine: &mut Machine, folder: &Path, names: &[&str]) -> Vec<Station> {
        let text = format!("{PASSPHRASE}\r\n{}\r\n", names.join("\r\n"));
        let stick = machine.stick(&[("gateway-stations.txt", &text)]);
        let result = stick.result();
        let fingerprint = result
            .lines()
            .find_map(|line| line.strip_prefix("certificate SHA-256 "));
        let fingerprint = fingerprint
            .unwrap_or_else(|| panic!("no fingerprint: {result}"))
            .trim();
        let certificate = folder.join("lan.crt");
        let shown = shown_certificate(machine.lan_port);
        std::fs::write(&certificate, &shown).unwrap();
        let found = host(
            "openssl",
            &[
                "x509",
                "-noout",
                "-fingerprint",
                "-sha256",
                "-in",
                certificate.to_str().unwrap(),
            ],
        );
        let plain = |text: &str| text.replace([':', ' '], "").to_lowercase();
        assert!(
            plain(&found).contains(&plain(fingerprint)),
            "the box shows {found}, the stick says {fingerprint}"
        );
        let tokens = result.lines().filter(|line| line.starts_with("    "));
        let stations: Vec<Station> = tokens
            .map(|token| Station {
                port: machine.lan_port,
                certificate: certificate.clone(),
                token: token.trim().to_owned(),
            })
            .collect();
        assert_eq!(stations.len(), names.len(), "{result}");
        stations
    }

    /// The same computer, in front of another box.
    pub fn at(&self, machine: &Machine) -> Station {
        Station {
            port: machine.lan_port,
            ..self.clone()
        }
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        let trust = client_config(&TlsFiles {
            ca_file: Some(self.certificate.clone()),
            client: None,
        });
        let tcp = TcpStream::connect(("127.0.0.1", self.port))?;
        tcp.set_read_timeout(Some(SILENCE))?;
        let name = ServerName::try_from("kpt-09.local").unwrap();
        let session = ClientConnection::new(trust.unwrap(), name).map_err(io::Error::other)?;
        let mut line = StreamOwned::new(session, tcp);
        write!(
            line,
            "{method} {target} HTTP/1.1\r\nhost: kpt-09.local\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        )?;
        line.flush()?;
        read_answer(&mut line)
    }

    pub fn send(&self, event: &Value) -> Answer {
        self.ask("POST", "/v1/events", &event.to_string())
    }

    /// An event's state, as the office sees it.
    pub fn state(&self, key: &str) -> String {
        match self.ask("GET", &format!("/v1/events/{key}"), "") {
            Ok((200, event)) => event["state"].as_str().unwrap_or_default().to_owned(),
            other => format!("{other:?}"),
        }
    }
}

fn read_answer(line: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if let Some(body) = bytes.get(end + 4..end + 4 + length) {
                planted::clean("an answer", &bytes);
                let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
                let status = status.ok_or(io::ErrorKind::InvalidData)?;
                return Ok((status, serde_json::from_slice(body).unwrap_or(Value::Null)));
            }
        }
        match line.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

/// The certificate a stranger is shown, as a browser would show it.
fn shown_certificate(port: u16) -> String {
    let command = format!(
        "openssl s_client -connect 127.0.0.1:{port} -showcerts </dev/null 2>/dev/null | openssl x509"
    );
    host("sh", &["-c", &command])
}

/// A referral to an NGO, of a child that exists nowhere else: no other number has its birthday.
pub fn referral(key: &str, number: usize) -> Value {
    let born = format!(
        "{}-{:02}-{:02}",
        2009 + number / 336,
        number / 28 % 12 + 1,
        number % 28 + 1
    );
    json!({
        "event_key": key, "kind": "referral", "to": "oscar", "organization": "cif",
        "child": { "given_name": "Xanthippe", "family_name": planted::FAMILY_NAME,
            "local_given_name": planted::KHMER_NAME, "local_family_name": planted::KHMER_NAME,
            "sex": "female", "date_of_birth": born,
            "location_code": "10060805" },
        "services": [{ "subtype": "family_based_care_kinship" }],
        "reason": planted::REASON, "risk_level": "high", "referred_on": "2026-11-20",
        "consent": { "services": true, "disclosure_other_organizations": true },
        "case_worker": { "name": planted::WORKER, "phone": planted::PHONE, "email": planted::EMAIL }
    })
}
