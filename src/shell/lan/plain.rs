//! HTTP on the TLS port: what a telephone sends when somebody types the address without `https://`. A look at the
//! page is shown the way; nothing else is answered, and no body is read.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// First byte of every TLS connection (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;
/// As much of a head as is looked at.
const LOOK_BYTES: usize = 2048;

/// Whether the first byte is a letter: the beginning of a method.
pub async fn is_http(stream: &TcpStream) -> bool {
    let mut first = [HANDSHAKE];
    matches!(stream.peek(&mut first).await, Ok(1)) && first[0].is_ascii_uppercase()
}

/// Sends a `GET` to the same address over TLS, and everything else away.
pub async fn redirect(mut stream: TcpStream) {
    let mut head = Vec::with_capacity(LOOK_BYTES);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < LOOK_BYTES {
        match stream.read_buf(&mut head).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
    }
    let answer = match host(&head) {
        Some(host) if head.starts_with(b"GET ") => {
            format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: https://{host}/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        }
        _ => "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 68\r\n\r\n\
              {\"error\":\"plain\",\"reason\":\"write https:// in front of the address\"}\n"
            .to_owned(),
    };
    // Whoever does not wait for it does not need it.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// The host asked for, if it is made of nothing but what hosts are made of.
fn host(head: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n").skip(1);
    let (_, host) = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then_some((name, value.trim()))
    })?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
    (!host.is_empty() && host.bytes().all(plain)).then_some(host)
}
