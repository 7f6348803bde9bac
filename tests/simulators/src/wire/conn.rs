//! One connection: TLS, request framing, faults, answer framing.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use flate2::{Compression, write::GzEncoder};
use rustls::{HandshakeKind, ServerConnection, StreamOwned};

use super::server::Shared;
use super::{Fault, Reply, Request};

/// Heads beyond this are refused; Rails' own server stops at about the same size.
const HEAD_LIMIT: usize = 112 * 1024;

/// nginx's way to say "close without an answer" (primero.md 7.4).
const CLOSE_WITHOUT_ANSWER: u16 = 444;

/// A socket that counts what passes.
struct Counted<'a> {
    socket: TcpStream,
    shared: &'a Shared,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.socket.read(buf)?;
        self.shared.bytes_in.fetch_add(n as u64, Relaxed);
        Ok(n)
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.socket.write(buf)?;
        self.shared.bytes_out.fetch_add(n as u64, Relaxed);
        Ok(n)
    }

    /// Several records in one packet, as the servers' own TLS does.
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let n = self.socket.write_vectored(bufs)?;
        self.shared.bytes_out.fetch_add(n as u64, Relaxed);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

type Tls<'a> = StreamOwned<ServerConnection, Counted<'a>>;

/// What framing made of the bytes that came in.
enum Incoming {
    Request(Request),
    /// Not a request this server serves: answer and close.
    Refused(Reply),
}

/// Serve one connection until either side is done with it.
pub(super) fn serve(socket: TcpStream, config: Arc<rustls::ServerConfig>, shared: &Shared) {
    // The far side may vanish at any point; what matters was logged by then.
    let _ = try_serve(&socket, config, shared);
    let _ = socket.shutdown(Shutdown::Both);
}

fn try_serve(socket: &TcpStream, config: Arc<rustls::ServerConfig>, shared: &Shared) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(
        connection,
        Counted {
            socket: socket.try_clone()?,
            shared,
        },
    );
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    match tls.conn.handshake_kind() {
        Some(HandshakeKind::Resumed) => shared.handshakes_resumed.fetch_add(1, Relaxed),
        _ => shared.handshakes_full.fetch_add(1, Relaxed),
    };
    let mut buffer = Vec::new();
    while let Some(incoming) = read_request(&mut tls, &mut buffer, shared.body_limit)? {
        // Read, but not acted on: dropping the server closes the connection at any moment from here on.
        if shared.gate.is_stopping() {
            break;
        }
        let keep = match incoming {
            Incoming::Request(request) => handle(&mut tls, &request, shared)?,
            Incoming::Refused(reply) => {
                write_reply(&mut tls, None, &reply, shared, Pace::AtOnce)?;
                false
            }
        };
        if !keep {
            break;
        }
    }
    tls.conn.send_close_notify();
    tls.flush()
}

/// How the body leaves.
enum Pace {
    AtOnce,
    Cut(usize),
    Trickle(Duration),
}

/// Act on one request; `false` closes the connection.
fn handle(tls: &mut Tls<'_>, request: &Request, shared: &Shared) -> io::Result<bool> {
    // Hooks must work while faults rage.
    let hook = request.path.starts_with("/sim/");
    let fault = if hook {
        None
    } else {
        shared.faults.strike(&request.method, &request.path)
    };
    let faulted = fault.is_some();
    let mut pace = Pace::AtOnce;
    let act = || {
        let reply = (shared.handler)(request);
        shared.record(request, reply.status, faulted);
        reply
    };
    let reply = match fault {
        None => act(),
        Some(Fault::DropBefore) => {
            shared.record(request, 0, true);
            return abandon(tls);
        }
        Some(Fault::DropAfter) => {
            act();
            return abandon(tls);
        }
        Some(Fault::TruncateBody(bytes)) => {
            pace = Pace::Cut(bytes);
            act()
        }
        Some(Fault::Trickle(interval)) => {
            pace = Pace::Trickle(interval);
            act()
        }
        Some(Fault::DelayBefore(time)) => {
            if shared.gate.pause(time).is_break() {
                return abandon(tls);
            }
            act()
        }
        Some(Fault::DelayAfter(time)) => {
            let reply = act();
            if shared.gate.pause(time).is_break() {
                return abandon(tls);
            }
            reply
        }
        Some(Fault::Answer(reply)) => {
            shared.record(request, reply.status, true);
            reply
        }
        Some(Fault::AnswerAfter(reply)) => {
            act();
            reply
        }
    };
    if reply.status == CLOSE_WITHOUT_ANSWER {
        return abandon(tls);
    }
    let cut = matches!(pace, Pace::Cut(_));
    write_reply(tls, Some(request), &reply, shared, pace)?;
    if cut {
        return abandon(tls);
    }
    Ok(!closes(request))
}

/// Close without another byte, the TLS goodbye included, so that the client cannot take it for an end.
fn abandon(tls: &mut Tls<'_>) -> io::Result<bool> {
    tls.sock.socket.shutdown(Shutdown::Both)?;
    Err(io::ErrorKind::ConnectionAborted.into())
}

fn closes(request: &Request) -> bool {
    request
        .header("connection")
        .is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

/// Read one request, or `None` when the client closed between two.
fn read_request(tls: &mut Tls<'_>, buffer: &mut Vec<u8>, body_limit: usize) -> io::Result<Option<Incoming>> {
    let refuse = |status, text| Ok(Some(Incoming::Refused(Reply::text(status, text))));
    let (mut request, head_len) = loop {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Request::new(&mut headers);
        match head.parse(buffer) {
            Ok(httparse::Status::Complete(length)) => break (request_of(&head), length),
            Ok(httparse::Status::Partial) if buffer.len() > HEAD_LIMIT => {
                return refuse(431, "head too large");
            }
            Ok(httparse::Status::Partial) => {}
            Err(_) => return refuse(400, "not HTTP"),
        }
        if fill(tls, buffer)? == 0 {
            return Ok(None);
        }
    };
    buffer.drain(..head_len);
    if request
        .header("expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    {
        tls.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        tls.flush()?;
    }
    let chunked = request
        .header("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    if chunked {
        match read_chunked(tls, buffer, body_limit)? {
            Some(body) => request.body = body,
            None => return refuse(413, "body too large"),
        }
        return Ok(Some(Incoming::Request(request)));
    }
    let length = match request.header("content-length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(length)) if length <= body_limit => length,
        Some(Ok(_)) => {
            return Ok(Some(Incoming::Refused(Reply::html(
                413,
                "<h1>413 Request Entity Too Large</h1>",
            ))));
        }
        Some(Err(_)) => return refuse(400, "bad length"),
    };
    need(tls, buffer, length)?;
    request.body = buffer.drain(..length).collect();
    Ok(Some(Incoming::Request(request)))
}

fn request_of(head: &httparse::Request<'_, '_>) -> Request {
    let mut request = Request::new(head.method.unwrap_or_default(), head.path.unwrap_or_default());
    request.headers = head
        .headers
        .iter()
        .map(|h| {
            (
                h.name.to_ascii_lowercase(),
                String::from_utf8_lossy(h.value).into_owned(),
            )
        })
        .collect();
    request
}

/// A chunked body, or `None` if it grows beyond the limit.
fn read_chunked(tls: &mut Tls<'_>, buffer: &mut Vec<u8>, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let (start, size) = loop {
            match httparse::parse_chunk_size(buffer).map_err(|_| io::ErrorKind::InvalidData)? {
                httparse::Status::Complete((start, size)) => break (start, size),
                httparse::Status::Partial => more(tls, buffer)?,
            }
        };
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::InvalidData)?;
        if size > limit - body.len() {
            return Ok(None);
        }
        buffer.drain(..start);
        if size == 0 {
            return skip_trailers(tls, buffer).map(|()| Some(body));
        }
        need(tls, buffer, size + 2)?;
        body.extend(buffer.drain(..size));
        buffer.drain(..2);
    }
}

fn skip_trailers(tls: &mut Tls<'_>, buffer: &mut Vec<u8>) -> io::Result<()> {
    loop {
        match buffer.windows(2).position(|pair| pair == b"\r\n") {
            Some(0) => {
                buffer.drain(..2);
                return Ok(());
            }
            Some(end) => {
                buffer.drain(..end + 2);
            }
            None => more(tls, buffer)?,
        }
    }
}

fn need(tls: &mut Tls<'_>, buffer: &mut Vec<u8>, length: usize) -> io::Result<()> {
    while buffer.len() < length {
        more(tls, buffer)?;
    }
    Ok(())
}

fn more(tls: &mut Tls<'_>, buffer: &mut Vec<u8>) -> io::Result<()> {
    if fill(tls, buffer)? == 0 {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(())
    }
}

fn fill(tls: &mut Tls<'_>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 16 * 1024];
    let n = tls.read(&mut piece)?;
    buffer.extend_from_slice(&piece[..n]);
    Ok(n)
}

/// Frame and send an answer; `request` is `None` where there was no readable one.
fn write_reply(
    tls: &mut Tls<'_>,
    request: Option<&Request>,
    reply: &Reply,
    shared: &Shared,
    pace: Pace,
) -> io::Result<()> {
    let bodiless = matches!(reply.status, 204 | 304);
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reply.reason());
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if reply.header("date").is_none() {
        head.push_str(&format!(
            "Date: {}\r\n",
            http_date(shared.date_skew.load(Relaxed))
        ));
    }
    let wants_gzip = request
        .and_then(|r| r.header("accept-encoding"))
        .is_some_and(|value| value.split(',').any(|coding| coding.trim().starts_with("gzip")));
    let mut packed = None;
    if wants_gzip && shared.gzip.load(Relaxed) && !bodiless && !reply.body.is_empty() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&reply.body)?;
        packed = Some(encoder.finish()?);
        head.push_str("Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n");
    }
    let mut body = packed.as_deref().unwrap_or(&reply.body);
    if !bodiless {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    if request.is_none_or(closes) {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    if bodiless || request.is_some_and(|r| r.method == "HEAD") {
        body = &[];
    }
    let mut bytes = head.into_bytes();
    match pace {
        Pace::AtOnce => bytes.extend_from_slice(body),
        Pace::Cut(count) => bytes.extend_from_slice(&body[..count.min(body.len())]),
        Pace::Trickle(interval) => {
            tls.write_all(&bytes)?;
            tls.flush()?;
            for byte in body {
                if shared.gate.pause(interval).is_break() {
                    return abandon(tls).map(|_| ());
                }
                tls.write_all(&[*byte])?;
                tls.flush()?;
            }
            return Ok(());
        }
    }
    tls.write_all(&bytes)?;
    tls.flush()
}

fn http_date(skew: i64) -> String {
    let now = DateTime::<Utc>::from(SystemTime::now()) + chrono::TimeDelta::seconds(skew);
    now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
