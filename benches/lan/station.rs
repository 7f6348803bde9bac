//! One station: a connection kept open, an event every few seconds, and the same event again if the line breaks.

use crate::office::{Office, referral};
use crate::{EVENTS_EACH_SECOND, STATIONS};
use referral_gateway::shell::tls::{TlsFiles, client_config};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Line = StreamOwned<ClientConnection, TcpStream>;

/// Longest silence before a line counts as broken.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Station {
    number: usize,
    token: String,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    line: Option<Line>,
}

impl Station {
    pub fn connect(number: usize, token: &str, address: SocketAddr, office: &Office) -> Station {
        let tls = client_config(&TlsFiles {
            ca_file: Some(office.data("lan.crt")),
            client: None,
        });
        let mut station = Station {
            number,
            token: token.to_owned(),
            address,
            tls: tls.expect("the listener's certificate"),
            line: None,
        };
        station.line = station.dial();
        assert!(station.line.is_some(), "station {number} gets in");
        station
    }

    fn dial(&self) -> Option<Line> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        let last = u8::try_from(self.number + 1).expect("at most 200 stations");
        let tcp = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from(([127, 0, 8, last], 0)))?;
            socket.connect(self.address).await
        });
        let tcp = tcp.ok()?.into_std().ok()?;
        tcp.set_nonblocking(false).ok()?;
        tcp.set_nodelay(true).ok()?;
        tcp.set_read_timeout(Some(PATIENCE)).ok()?;
        let name = ServerName::try_from("localhost").ok()?;
        let mut line = StreamOwned::new(ClientConnection::new(Arc::clone(&self.tls), name).ok()?, tcp);
        line.conn.complete_io(&mut line.sock).ok()?;
        Some(line)
    }

    /// Sends its share of the events, each when it is due; how long each took.
    pub fn work(mut self, start: Instant, seconds: u64) -> Vec<Duration> {
        let every = Duration::from_millis(1000 / EVENTS_EACH_SECOND);
        let mut times = Vec::new();
        for round in 0.. {
            let turn = u32::try_from(round * STATIONS + self.number).expect("a number of events");
            let due = start + every * turn;
            if due >= start + Duration::from_secs(seconds) {
                return times;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let key = format!("station-{}-{round}", self.number);
            let event = referral(&key, &format!("Child {} {round}", self.number), "cif").to_string();
            while !self.accepted(&event) {
                assert!(due.elapsed() < PATIENCE * 4, "{key} is not accepted");
                self.line = self.dial();
            }
            times.push(due.elapsed());
        }
        times
    }

    /// Whether the gateway says that it has the event; a line that breaks says nothing.
    fn accepted(&mut self, event: &str) -> bool {
        let Some(line) = &mut self.line else {
            return false;
        };
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            self.token,
            event.len()
        );
        if line
            .write_all((head + event).as_bytes())
            .and_then(|()| line.flush())
            .is_err()
        {
            return false;
        }
        let mut answer = Vec::new();
        let mut chunk = [0; 2048];
        while !answer.ends_with(b"}\n") {
            match line.read(&mut chunk) {
                Ok(read) if read > 0 => answer.extend_from_slice(&chunk[..read]),
                _ => return false,
            }
        }
        let text = String::from_utf8_lossy(&answer);
        let good = text.starts_with("HTTP/1.1 201 ") || text.starts_with("HTTP/1.1 200 ");
        assert!(good, "{text}");
        true
    }
}
