//! The real binary as a running service, watched through its log, its control socket and the kernel.

use crate::office::Office;
use crate::process::Process;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Service {
    child: Child,
    socket: PathBuf,
    lines: Receiver<String>,
    /// From its start to the line that says it serves.
    pub ready_after: Duration,
}

impl Service {
    /// Starts the service and waits until it says that it is ready.
    pub fn start(office: &Office) -> Service {
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_referral-gateway"))
            .args(["run", "--config"])
            .arg(&office.config)
            // As the unit has it.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                // Nobody listens any more once the service is being stopped.
                let _ = sender.send(line);
            }
        });
        let mut service = Service {
            child,
            socket: office.folder.path().join("data/control.sock"),
            lines,
            ready_after: Duration::ZERO,
        };
        service.wait_for_line("ready");
        service.ready_after = started.elapsed();
        service
    }

    /// Waits for a line of the log that begins so.
    pub fn wait_for_line(&self, beginning: &str) {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.starts_with(beginning) => return,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line \"{beginning}\" in the log:\n{}", seen.join("\n")),
            }
        }
    }

    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Takes in one event, which must be new and right.
    pub fn enqueue(&self, event: &Value) {
        Line::to(&self.socket).enqueue(event);
    }

    /// Runs a session and waits for its end; the status of the answer.
    pub fn sync(&self) -> u16 {
        Line::to(&self.socket).ask("POST", "/v1/sync", "").0
    }

    /// Stops it as systemd does.
    pub fn stop(mut self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(
            told.is_ok_and(|status| status.success()),
            "the service still runs"
        );
        self.child.wait().expect("a child of ours");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection to the control socket: the few lines of HTTP that a sender of events needs.
pub struct Line(BufReader<UnixStream>);

impl Line {
    pub fn to(socket: &Path) -> Line {
        let stream = UnixStream::connect(socket).expect("the control socket is there");
        stream
            .set_read_timeout(Some(PATIENCE * 3))
            .expect("a socket takes a timeout");
        Line(BufReader::new(stream))
    }

    pub fn enqueue(&mut self, event: &Value) {
        let (status, answer) = self.ask("POST", "/v1/events", &event.to_string());
        assert_eq!(status, 201, "{answer}");
    }

    /// One request and its answer.
    pub fn ask(&mut self, method: &str, target: &str, body: &str) -> (u16, String) {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = head + body;
        self.0
            .get_mut()
            .write_all(request.as_bytes())
            .expect("the service reads");
        let first = self.head_line();
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let mut length = 0;
        loop {
            let line = self.head_line();
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).expect("the whole answer");
        (
            status.expect("a status"),
            String::from_utf8(answer).expect("UTF-8"),
        )
    }

    fn head_line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the service answers");
        line.trim_end().to_owned()
    }
}
