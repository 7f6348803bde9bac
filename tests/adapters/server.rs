//! A loopback HTTPS server that does exactly what a test's script says, connection by connection.

use crate::pki::Leaf;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One accepted connection after its TLS handshake.
pub struct Caller {
    stream: StreamOwned<ServerConnection, TcpStream>,
    /// Counts connections from 0.
    pub number: usize,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Caller {
    /// The next request, head and body as text; `None` when the client has gone.
    pub fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            if self.stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            bytes.push(byte[0]);
        }
        let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).ok()?;
        let text = head + &String::from_utf8(body).unwrap();
        self.seen.lock().unwrap().push(text.clone());
        Some(text)
    }

    /// Some of what the client says, for other protocols; empty when it has gone.
    pub fn hear(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 2048];
        let amount = self.stream.read(&mut bytes).unwrap_or(0);
        bytes.truncate(amount);
        bytes
    }

    /// Errors are the client's business: it may have hung up on purpose.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream
            .write_all(bytes.as_ref())
            .and_then(|()| self.stream.flush())
            .is_ok()
    }

    pub fn answer(&mut self, status: &str, headers: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.say([head.as_bytes(), body].concat());
    }

    /// Ends TLS as the book says; without it, dropping the caller is a cut.
    pub fn close(&mut self) {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
    }

    /// Ends the connection without a word of TLS.
    pub fn cut(&mut self) {
        let _ = self.stream.sock.shutdown(std::net::Shutdown::Write);
    }

    /// Waits until the client closes.
    pub fn wait_for_end(&mut self) {
        let _ = self.stream.read(&mut [0]);
    }
}

pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(leaf: &Leaf, script: impl Fn(&mut Caller) + Send + Sync + 'static) -> Server {
        Server::speaking(&[&rustls::version::TLS13], leaf, script)
    }

    pub fn speaking(
        versions: &[&'static rustls::SupportedProtocolVersion],
        leaf: &Leaf,
        script: impl Fn(&mut Caller) + Send + Sync + 'static,
    ) -> Server {
        let chain = vec![CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&seen);
        let script = Arc::new(script);
        let port = Server::raw(move |number, stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            while stream.conn.is_handshaking() {
                if stream.conn.complete_io(&mut stream.sock).is_err() {
                    return;
                }
            }
            script(&mut Caller {
                stream,
                number,
                seen: Arc::clone(&heard),
            });
        });
        Server { port, seen }
    }

    /// Without TLS: for what stands in the way of a peer.
    pub fn raw(talk: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let talk = Arc::new(talk);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let talk = Arc::clone(&talk);
                let stream = stream.unwrap();
                std::thread::spawn(move || talk(number, stream));
            }
        });
        port
    }

    /// Every request that arrived whole, lower-cased heads.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}
