//! A station's program: HTTP over TLS with nothing between the test and the wire, and an office whose gateway listens.

use crate::office::{Office, planted};
use referral_gateway::shell::tls::{TlsFiles, client_config};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Longest silence a test takes for one.
const PATIENCE: Duration = Duration::from_secs(40);

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// An office with the listener on, on a port of its own.
pub struct LanOffice {
    pub office: Office,
    pub address: SocketAddr,
}

impl LanOffice {
    pub fn start() -> LanOffice {
        LanOffice::with("")
    }

    pub fn with(more: &str) -> LanOffice {
        let office = Office::with(&format!("[lan]\nlisten = \"127.0.0.1:0\"\n{more}"));
        LanOffice::of(office)
    }

    /// Starts the service of an office and waits for its listener.
    pub fn of(mut office: Office) -> LanOffice {
        office.start();
        let mut address = None;
        crate::office::wait_until("the listener listens", || {
            let lan = office.json(&["status"])["lan"].clone();
            address = lan["listen"]
                .as_str()
                .filter(|_| lan["state"] == "on")
                .map(str::to_owned);
            address.is_some()
        });
        let address = address.unwrap().parse().unwrap();
        // What is handed in from here on waits until somebody asks for a session.
        office.first_session_over();
        LanOffice { office, address }
    }

    /// A station's token.
    pub fn station(&self, name: &str) -> String {
        self.office.json(&["station", "add", name])["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What a program that was given the certificate trusts: it and nothing else.
    pub fn trust(&self) -> Arc<ClientConfig> {
        client_config(&TlsFiles {
            ca_file: Some(self.office.data("lan.crt")),
            client: None,
        })
        .unwrap()
    }

    /// A connection from one of the other addresses of this machine: all of 127.0.0.0/8 is here.
    pub fn tcp_from(&self, address: [u8; 4]) -> TcpStream {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let tcp = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from((address, 0))).unwrap();
            socket.connect(self.address).await.unwrap()
        });
        let tcp = tcp.into_std().unwrap();
        tcp.set_nonblocking(false).unwrap();
        tcp
    }

    pub fn connect(&self) -> Stream {
        self.wrap(TcpStream::connect(self.address).unwrap())
    }

    /// TLS over a connection made by the test.
    pub fn wrap(&self, tcp: TcpStream) -> Stream {
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(self.trust(), name).unwrap(), tcp)
    }

    /// One request on a connection of its own.
    pub fn ask(&self, token: Option<&str>, method: &str, target: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        send(&mut stream, token, method, target, body);
        read(&mut stream).expect("an answer")
    }

    pub fn get(&self, token: &str, target: &str) -> (u16, Value) {
        let answer = self.ask(Some(token), "GET", target, b"");
        (answer.status, answer.json())
    }

    pub fn post(&self, token: &str, event: &Value) -> (u16, Value) {
        let answer = self.ask(Some(token), "POST", "/v1/events", event.to_string().as_bytes());
        (answer.status, answer.json())
    }
}

/// Writes a request; the other side may have closed already.
pub fn send(stream: &mut impl Write, token: Option<&str>, method: &str, target: &str, body: &[u8]) {
    let token = token
        .map(|token| format!("authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: gateway\r\n{token}content-length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let _ = stream.flush();
}

/// Reads one answer; nothing if the connection ends before it does.
pub fn read(stream: &mut impl Read) -> Option<Answer> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(answer) = parse(&bytes) {
            planted::clean("an answer", &bytes);
            return Some(answer);
        }
        match stream.read(&mut chunk) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    Some(Answer {
        status,
        headers,
        body,
    })
}
