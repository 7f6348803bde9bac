//! A pull of fifty megabytes: the real pass, the real client over TLS, the real store in a file, and how much memory it
//! took. Measured in a process of its own, since the peak of a process is what the system tells.

use crate::server::Caller;
use crate::{TIMEOUTS, pair_with};
use chrono_tz::Asia::Phnom_Penh;
use referral_gateway::core::fields::{FieldNames, Site};
use referral_gateway::core::flows::Flows;
use referral_gateway::core::mapping::Mapping;
use referral_gateway::core::schedule::Orders;
use referral_gateway::core::time::{Mono, Now, Trust, Wall};
use referral_gateway::shell::http::Timeouts;
use referral_gateway::shell::identity::Identity;
use referral_gateway::shell::session::{Footing, Ground, OscarPass, OscarSettings, Turn};
use referral_gateway::store::{DeviceKey, Limits, Store};
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What the answer holds, in bytes of JSON.
const BODY_BYTES: usize = 50 << 20;
/// By how much the process may grow over it, in KiB: the reader's and the line's buffers, the store's pages, and the
/// server of this test, which lives in the same process.
const GROWTH_MAX_KB: u64 = 4 << 10;
const CHILD: &str = "REFERRAL_GATEWAY_TEST_PULL";

#[test]
fn a_pull_of_fifty_megabytes_needs_no_fifty_megabytes() {
    in_its_own_process(
        "large::a_pull_of_fifty_megabytes_needs_no_fifty_megabytes",
        "plain",
    );
}

#[test]
fn nor_does_a_compressed_one() {
    in_its_own_process("large::nor_does_a_compressed_one", "gzip");
}

fn in_its_own_process(name: &str, kind: &str) {
    if std::env::var(CHILD).is_ok_and(|wanted| wanted == kind) {
        return measure(kind == "gzip");
    }
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, kind)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let line = said
        .lines()
        .find(|line| line.contains("grew by"))
        .expect("the measurement");
    println!("{line}");
}

/// A body in chunks, so that neither side knows how long it will be.
struct Chunked<'a>(&'a mut Caller);

impl Write for Chunked<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let head = format!("{:x}\r\n", bytes.len());
        let sent = bytes.is_empty() || self.0.say([head.as_bytes(), bytes, b"\r\n"].concat());
        sent.then_some(bytes.len())
            .ok_or(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Children until there are so many bytes, each of them shared by some NGO; one in fifty is ours.
fn children(bytes: usize, out: &mut dyn Write) -> std::io::Result<()> {
    let (mut sent, mut n) = (0, 0);
    out.write_all(b"{\"data\":[")?;
    while sent < bytes {
        let mut chunk = String::with_capacity(64 << 10);
        while chunk.len() < 60 << 10 {
            let comma = if n == 0 { "" } else { "," };
            let tenant = if n % 50 == 0 { "cif" } else { "tpo" };
            chunk.push_str(&format!(
                "{comma}{{\"global_id\":\"01EC45C3SZ6V0Q5H3K{n:08}\",\"slug\":\"abcd-{n}\",\"given_name\":\"Nobody\",\
                 \"family_name\":\"Number {n}\",\"gender\":\"female\",\"date_of_birth\":\"2015-05-05\",\
                 \"organization_name\":\"{tenant}\",\"external_id\":\"\",\"status\":\"Active\",\"is_referred\":true,\
                 \"organization_id\":1,\"reason_for_referral\":\"{}\",\"level_of_risk\":\"low\",\"services\":[]}}",
                "a long story ".repeat(40)
            ));
            n += 1;
        }
        out.write_all(chunk.as_bytes())?;
        sent += chunk.len();
    }
    out.write_all(b"]}")
}

fn answer(caller: &mut Caller, bytes: usize, gzip: bool) {
    let encoding = if gzip { "Content-Encoding: gzip\r\n" } else { "" };
    caller.say(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 02:00:00 GMT\r\n\
         Transfer-Encoding: chunked\r\n{encoding}\r\n"
    ));
    let mut body = Chunked(caller);
    let written = if gzip {
        let mut encoder = flate2::write::GzEncoder::new(&mut body, flate2::Compression::fast());
        children(bytes, &mut encoder).and_then(|()| encoder.finish().map(drop))
    } else {
        children(bytes, &mut body)
    };
    if written.is_ok() {
        caller.say("0\r\n\r\n");
    }
}

/// Kilobytes of this process, from the line of `/proc/self/status` that begins so.
fn kilobytes(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status
        .lines()
        .find(|l| l.starts_with(line))
        .expect("a Linux kernel");
    found.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn measure(gzip: bool) {
    let patient = Timeouts {
        stream: Duration::from_secs(600),
        exchange: Duration::from_secs(600),
        read: Duration::from_secs(120),
        ..TIMEOUTS
    };
    let session = "access-token: a\r\nclient: c\r\nuid: gateway@example.org\r\nexpiry: 4000000000\r\n\
                   Content-Type: application/json\r\nDate: Mon, 23 Nov 2026 02:00:00 GMT\r\n";
    let pulls = std::sync::atomic::AtomicUsize::new(0);
    let pair = pair_with(patient, move |caller| {
        while let Some(request) = caller.request() {
            if request.starts_with("post /api/v1/admin_auth/sign_in") {
                caller.answer("200 OK", session, "{}");
                continue;
            }
            // The first is small and warms everything up.
            let first = pulls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            answer(caller, if first { 200 << 10 } else { BODY_BYTES }, gzip);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut pass = OscarPass::new(ground(folder.path()), settings(), pair.client);
    let orders = Orders {
        primero: false,
        oscar: true,
        reach_back: false,
        by_hand: false,
        urgent_only: false,
    };
    let mut footing = |_: &_, _: bool| Some(Footing::Unknown);
    pass.run(Turn::First, orders, false, &mut footing).unwrap();
    // "5" sets the peak back to what is resident now (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = kilobytes("VmRSS:");
    let report = pass.run(Turn::First, orders, false, &mut footing).unwrap();
    let grew = kilobytes("VmHWM:").saturating_sub(before);
    let read = pair
        .count
        .received_bytes
        .load(std::sync::atomic::Ordering::Relaxed);
    println!(
        "{} children, {} MB on the wire: grew by {grew} KB",
        report.pulled,
        read >> 20
    );
    assert_eq!(report.trouble, None);
    assert!(report.pulled > 50_000, "{} children", report.pulled);
    assert!(grew <= GROWTH_MAX_KB, "grew by {grew} KB");
}

fn settings() -> OscarSettings {
    OscarSettings {
        email: "gateway@example.org".to_owned(),
        password: "Invented-Pass-1".to_owned(),
    }
}

fn ground(folder: &std::path::Path) -> Ground {
    let key = DeviceKey::from_bytes([7; 32]);
    let (store, opened) = Store::open(&folder.join("gateway.redb"), key, Some(1_795_399_200), &|_, _| {
        false
    })
    .unwrap();
    let wall = Wall {
        unix: 1_795_399_200,
        trust: Trust::Synced,
    };
    Ground {
        store,
        site: Arc::new(Site {
            mapping: Mapping::built_in(),
            names: FieldNames::default(),
            module_id: "module".to_owned(),
        }),
        boot: opened.boot,
        clock: Arc::new(move || Now { mono: Mono(0), wall }),
        stop: Arc::new(AtomicBool::new(false)),
        thrift: Arc::new(AtomicBool::new(false)),
        in_hand: Arc::default(),
        read_back_after: Duration::from_secs(60),
        flows: Flows::default(),
        identity: Arc::new(Identity::new(&[9; 32])),
        limits: Limits {
            events: 1000,
            bytes: 64 << 20,
        },
        zone: Phnom_Penh,
        organizations: vec!["cif".to_owned()].into(),
    }
}
