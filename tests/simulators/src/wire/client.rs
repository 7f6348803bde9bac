//! A tiny blocking HTTPS client for the simulators' own tests: it shows exactly what the wire carried.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::TestCa;

/// Trusts one authority; shares its TLS session cache between connections.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
}

/// One kept-alive connection.
pub struct Connection {
    tls: StreamOwned<ClientConnection, TcpStream>,
}

/// An answer as it came off the wire, gzip left packed.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names lower-cased.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    /// A client which trusts this authority only.
    pub fn new(ca: &TestCa) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(ca.der()).expect("the CA certificate is well formed");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has suites for both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Client {
            config: Arc::new(config),
        }
    }

    /// Connect as to `localhost`.
    pub fn connect(&self, address: SocketAddr) -> io::Result<Connection> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let connection = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        let mut tls = StreamOwned::new(connection, socket);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(Connection { tls })
    }

    /// One request on a connection of its own.
    pub fn send(
        &self,
        address: SocketAddr,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.connect(address)?.send(method, target, headers, body)
    }
}

impl Connection {
    /// The TLS stream itself, for protocols other than HTTP.
    pub fn into_tls(self) -> StreamOwned<ClientConnection, TcpStream> {
        self.tls
    }

    /// One request and its answer; the connection stays usable after `Ok`.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"))
        {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.tls.write_all(head.as_bytes())?;
        self.tls.write_all(body)?;
        self.tls.flush()?;
        self.read_answer(method)
    }

    fn read_answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut buffer = Vec::new();
        let (mut answer, length) = loop {
            let mut headers = [httparse::EMPTY_HEADER; 100];
            let mut head = httparse::Response::new(&mut headers);
            let parsed = head.parse(&buffer).map_err(io::Error::other)?;
            if let httparse::Status::Complete(length) = parsed {
                let headers = head
                    .headers
                    .iter()
                    .map(|h| {
                        (
                            h.name.to_ascii_lowercase(),
                            String::from_utf8_lossy(h.value).into_owned(),
                        )
                    })
                    .collect();
                break (
                    Answer {
                        status: head.code.unwrap_or(0),
                        headers,
                        body: Vec::new(),
                    },
                    length,
                );
            }
            self.fill(&mut buffer)?;
        };
        buffer.drain(..length);
        let length = match answer.header("content-length") {
            Some(text) if method != "HEAD" => text.parse::<usize>().map_err(io::Error::other)?,
            _ => 0,
        };
        while buffer.len() < length {
            self.fill(&mut buffer)?;
        }
        answer.body = buffer;
        Ok(answer)
    }

    fn fill(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let mut piece = [0; 4096];
        match self.tls.read(&mut piece)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                buffer.extend_from_slice(&piece[..n]);
                Ok(())
            }
        }
    }
}

impl Answer {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The body as text, unpacked if it is gzip.
    pub fn text(&self) -> io::Result<String> {
        let mut text = String::new();
        if self.header("content-encoding") == Some("gzip") {
            flate2::read::GzDecoder::new(self.body.as_slice()).read_to_string(&mut text)?;
        } else {
            self.body.as_slice().read_to_string(&mut text)?;
        }
        Ok(text)
    }
}
