//! `fleet --listen`: the picture as a page for Prometheus. Plain HTTP, meant for the loopback or a network of the
//! desk's own; there are no names of children in it, but it tells where boxes are in trouble.

use super::{Desk, journal};
use crate::core::fleet::metrics::metrics;
use crate::shell::clock;
use crate::shell::mqtt::MqttState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// As much of a request's head as is read; a scraper's takes some 300 bytes.
const HEAD_BYTES_MAX: usize = 4096;
/// How long a whole exchange may take.
const WITHIN: Duration = Duration::from_secs(20);
/// Scrapes answered at once: each holds a page of some 4 KB per gateway.
const SCRAPES_MAX: usize = 4;

/// Serves until the process ends. An error is the address's.
pub async fn serve(desk: &Desk, address: SocketAddr) -> Result<u8, String> {
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    if let Ok(address) = listener.local_addr() {
        // Whoever asked for port 0 reads here which one it became.
        println!("listening on http://{address}/metrics");
    }
    tokio::spawn(tell(desk.clone()));
    let places = Arc::new(Semaphore::new(SCRAPES_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return Err("the exporter has ended".to_owned());
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: others will finish.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let desk = desk.clone();
        tokio::spawn(async move {
            // Too slow, or gone: its own affair.
            let _ = tokio::time::timeout(WITHIN, answer(stream, &desk)).await;
            drop(place);
        });
    }
}

/// Tells the journal how the line to the broker turns.
async fn tell(desk: Desk) {
    let mut last = MqttState::Connecting;
    loop {
        desk.0.turned.notified().await;
        let state = desk.picture().state;
        if state != last {
            journal(state);
            last = state;
        }
    }
}

async fn answer(mut stream: TcpStream, desk: &Desk) {
    let mut head = Vec::with_capacity(512);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(read) if read > 0 && head.len() <= HEAD_BYTES_MAX => {}
            _ => return,
        }
    }
    let (status, body) = if head.starts_with(b"GET /metrics ") {
        let picture = desk.picture();
        let online = picture.state == MqttState::Online;
        let page = metrics(&picture.fleet, clock::wall(0).unix, online, picture.complete);
        ("200 OK", page)
    } else {
        ("404 Not Found", "only /metrics is here\n".to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    if stream.write_all(head.as_bytes()).await.is_ok() && stream.write_all(body.as_bytes()).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}
