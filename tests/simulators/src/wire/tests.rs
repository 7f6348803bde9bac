//! Each fault, seen from a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::client::Client;
use super::*;

/// A server that counts how often it acted and echoes method, query and body.
fn echo(options: Options) -> (Client, Server, Arc<AtomicU32>) {
    let ca = TestCa::new();
    let acted = Arc::new(AtomicU32::new(0));
    let count = acted.clone();
    let handler: Handler = Arc::new(move |request: &Request| {
        count.fetch_add(1, Relaxed);
        let body = String::from_utf8_lossy(&request.body);
        match request.path.as_str() {
            "/empty" => Reply::empty(204),
            "/gone" => Reply::empty(444),
            _ => Reply::text(200, &format!("{} {} {body}", request.method, request.query)),
        }
    });
    let server = Server::start_with("127.0.0.1:0", &ca.localhost(), options, handler);
    (Client::new(&ca), server, acted)
}

#[test]
fn keeps_alive_frames_and_counts() {
    let (client, server, _) = echo(Options::default());
    let mut connection = client.connect(server.address()).unwrap();
    let answer = connection.send("POST", "/a/17?x=1", &[], b"hello").unwrap();
    assert_eq!(
        (answer.status, answer.text().unwrap().as_str()),
        (200, "POST x=1 hello")
    );
    assert!(answer.header("date").unwrap().ends_with(" GMT"));
    let chunked = [("Transfer-Encoding", "chunked")];
    let answer = connection
        .send("POST", "/a/18", &chunked, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        .unwrap();
    assert_eq!(answer.text().unwrap(), "POST  abcde");
    let answer = connection.send("GET", "/empty", &[], b"").unwrap();
    assert_eq!((answer.status, answer.header("content-length")), (204, None));
    let answer = connection.send("HEAD", "/a/1", &[], b"").unwrap();
    assert_eq!(
        (answer.header("content-length"), answer.body.len()),
        (Some("6"), 0)
    );
    let answer = connection.send("GET", "/sim/hook", &[], b"").unwrap();
    assert_eq!(answer.status, 200);
    let counters = server.counters();
    assert_eq!((counters.connections, counters.handshakes_full), (1, 1));
    assert_eq!(counters.requests[&("POST".to_string(), "/a/:id".to_string())], 2);
    assert!(counters.bytes_in > 500 && counters.bytes_out > 500);
    assert_eq!(server.log().len(), 4);
    assert_eq!(server.log()[0].body, b"hello");
}

#[test]
fn second_connection_resumes() {
    let (client, server, _) = echo(Options::default());
    for _ in 0..2 {
        client.send(server.address(), "GET", "/", &[], b"").unwrap();
    }
    assert_eq!(server.counters().handshakes_resumed, 1);
}

#[test]
fn gzip_only_when_asked_and_allowed() {
    let (client, server, _) = echo(Options {
        gzip: true,
        ..Options::default()
    });
    let accept = [("Accept-Encoding", "deflate, gzip")];
    let answer = client.send(server.address(), "GET", "/?q", &accept, b"").unwrap();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.text().unwrap(), "GET q ");
    let answer = client.send(server.address(), "GET", "/?q", &[], b"").unwrap();
    assert_eq!(answer.header("content-encoding"), None);
    server.set_gzip(false);
    let answer = client.send(server.address(), "GET", "/?q", &accept, b"").unwrap();
    assert_eq!(answer.header("content-encoding"), None);
}

#[test]
fn drop_before_and_after_differ_in_effect_only() {
    for (fault, effects) in [(Fault::DropBefore, 0), (Fault::DropAfter, 1)] {
        let (client, server, acted) = echo(Options::default());
        server.faults().add(FaultRule::on("POST", "/a", fault).times(1));
        assert!(client.send(server.address(), "POST", "/a", &[], b"").is_err());
        assert_eq!(acted.load(Relaxed), effects);
        assert_eq!(
            client
                .send(server.address(), "POST", "/a", &[], b"")
                .unwrap()
                .status,
            200
        );
        assert_eq!(server.log()[0].status, if effects == 0 { 0 } else { 200 });
    }
}

#[test]
fn truncated_body_is_an_error_for_the_client() {
    let (client, server, acted) = echo(Options::default());
    server.faults().add(FaultRule::always(Fault::TruncateBody(3)));
    let error = client
        .send(server.address(), "GET", "/a?abc", &[], b"")
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(acted.load(Relaxed), 1);
}

#[test]
fn delays_and_trickle_take_their_time() {
    for fault in [
        Fault::DelayBefore(Duration::from_millis(60)),
        Fault::DelayAfter(Duration::from_millis(60)),
        Fault::Trickle(Duration::from_millis(12)),
    ] {
        let (client, server, _) = echo(Options::default());
        server.faults().add(FaultRule::always(fault));
        let start = Instant::now();
        let answer = client.send(server.address(), "GET", "/?x", &[], b"").unwrap();
        assert_eq!(answer.text().unwrap(), "GET x ");
        assert!(start.elapsed() >= Duration::from_millis(60));
    }
}

#[test]
fn answers_in_place_of_the_truth() {
    let (client, server, acted) = echo(Options::default());
    let portal = Reply::html(200, "<html>log in</html>");
    server
        .faults()
        .add(FaultRule::always(Fault::Answer(portal.clone())).skip(1).times(1));
    server
        .faults()
        .add(FaultRule::always(Fault::AnswerAfter(Reply::html(502, "bad gateway"))).skip(1));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(
            client
                .send(server.address(), "GET", "/", &[], b"")
                .unwrap()
                .status,
        );
    }
    // The second rule counted the first request too, and not the second, which the first rule took.
    assert_eq!((statuses, acted.load(Relaxed)), (vec![200, 200, 502], 2));
    server.faults().clear();
    assert_eq!(
        client
            .send(server.address(), "GET", "/", &[], b"")
            .unwrap()
            .status,
        200
    );
}

#[test]
fn link_down_cuts_open_connections_and_refuses_new_ones() {
    let (client, server, _) = echo(Options::default());
    let mut connection = client.connect(server.address()).unwrap();
    connection.send("GET", "/", &[], b"").unwrap();
    server.set_down(true);
    assert!(connection.send("GET", "/", &[], b"").is_err());
    assert!(client.send(server.address(), "GET", "/", &[], b"").is_err());
    server.set_down(false);
    assert_eq!(
        client
            .send(server.address(), "GET", "/", &[], b"")
            .unwrap()
            .status,
        200
    );
}

#[test]
fn status_444_closes_without_an_answer() {
    let (client, server, _) = echo(Options::default());
    assert!(client.send(server.address(), "GET", "/gone", &[], b"").is_err());
}

#[test]
fn bad_certificates_are_refused() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let handler: Handler = Arc::new(|_| Reply::empty(204));
    for identity in [
        ca.issue_expired(&["localhost"]),
        other.localhost(),
        ca.issue(&["example.org"]),
    ] {
        let server = Server::start_with("127.0.0.1:0", &identity, Options::default(), handler.clone());
        assert!(Client::new(&ca).connect(server.address()).is_err());
    }
    let options = Options {
        p384_only: true,
        ..Options::default()
    };
    let server = Server::start_with("127.0.0.1:0", &ca.localhost(), options, handler);
    assert!(
        Client::new(&ca)
            .send(server.address(), "GET", "/", &[], b"")
            .is_ok()
    );
}

#[test]
fn certificates_and_keys_reach_files_and_keys_stay_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("simulators-pem-{}", std::process::id()));
    let ca = TestCa::new();
    let ca_file = ca.write_pem(&folder).unwrap();
    std::fs::write(
        folder.join("broker.key"),
        "old, longer and open to everybody".repeat(20),
    )
    .unwrap();
    let identity = ca.localhost();
    let (cert, key) = identity.write_pem(&folder, "broker").unwrap();
    let read = |file| std::fs::read_to_string(file).unwrap();
    assert_eq!(read(&ca_file), ca.pem());
    assert_eq!(
        (read(&cert), read(&key)),
        (identity.cert_pem.clone(), identity.key_pem.clone())
    );
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn oversized_bodies_are_413() {
    let (client, server, acted) = echo(Options {
        body_limit: 10,
        ..Options::default()
    });
    let answer = client
        .send(server.address(), "POST", "/", &[], &[b'x'; 11])
        .unwrap();
    assert_eq!((answer.status, acted.load(Relaxed)), (413, 0));
}

#[test]
fn drop_is_prompt_and_what_was_delayed_never_happens() {
    let minute = Duration::from_secs(60);
    for (fault, effects) in [
        (Fault::DelayBefore(minute), 0),
        (Fault::DelayAfter(minute), 1),
        (Fault::Trickle(minute), 1),
    ] {
        let (client, server, acted) = echo(Options::default());
        server.faults().add(FaultRule::always(fault));
        let (faults, address) = (server.faults(), server.address());
        let waiting = std::thread::spawn(move || client.send(address, "GET", "/", &[], b"").is_err());
        // The rule was asked, so the request is whole; where the fault lets it act first, it has.
        while faults.struck() == 0 || acted.load(Relaxed) < effects {
            std::thread::yield_now();
        }
        let start = Instant::now();
        drop(server);
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(waiting.join().unwrap());
        assert_eq!(acted.load(Relaxed), effects);
    }
}

#[test]
fn request_helpers_read_queries_and_basic() {
    let request = Request::new("GET", "/a?x=1%2B2+3&y&z=%zz").with_header("Authorization", "Basic dTpwOnE=");
    let pairs = request.query_pairs();
    assert_eq!(pairs[0], ("x".to_string(), "1+2 3".to_string()));
    assert_eq!(pairs[2].1, "%zz");
    assert_eq!(request.basic_auth(), Some(("u".to_string(), "p:q".to_string())));
}
