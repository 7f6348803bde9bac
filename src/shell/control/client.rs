//! One request to a running service, over its control socket. The HTTP is ureq's, as everywhere; only the socket is ours.

use serde_json::Value;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use ureq::http;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

/// Longest answer: lists come in pages of some 100 KB, a report of a full queue takes a few megabytes.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// One request to a running service; `Ok(None)` if none runs here. Waits as long as the answer takes: a session may
/// run for minutes.
pub fn ask(path: &Path, method: &str, target: &str, body: Vec<u8>) -> io::Result<Option<(u16, Value)>> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .build();
    let agent = ureq::Agent::with_parts(config, Opened(Mutex::new(Some(stream))), Nameless);
    let request = http::Request::builder()
        .method(method)
        .uri(format!("http://gateway{target}"))
        .header("content-type", "application/json")
        .body(())
        .map_err(io::Error::other)?;
    let response = if matches!(method, "GET" | "DELETE") {
        agent.run(request)
    } else {
        agent.run(request.map(|()| body.as_slice()))
    };
    let mut response = response.map_err(ureq::Error::into_io)?;
    let status = response.status().as_u16();
    let mut answer = Vec::new();
    let reader = response.body_mut().as_reader();
    reader.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let value = serde_json::from_slice(&answer).map_err(io::Error::other)?;
    Ok(Some((status, value)))
}

/// The socket has a path and no name.
#[derive(Debug)]
struct Nameless;

impl Resolver for Nameless {
    fn resolve(
        &self,
        _: &http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// Hands the open connection over, once.
#[derive(Debug)]
struct Opened(Mutex<Option<UnixStream>>);

impl Connector for Opened {
    type Out = Line;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Line>, ureq::Error> {
        let taken = self.0.lock().expect("nobody panics holding it").take();
        let stream = taken.ok_or(ureq::Error::ConnectionFailed)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Line { stream, buffers }))
    }
}

/// The connection as ureq's transport.
struct Line {
    stream: UnixStream,
    buffers: LazyBuffers,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl Transport for Line {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// One request each: never used again.
    fn is_open(&mut self) -> bool {
        false
    }
}
