//! Each phase an exchange can fail in, and that a failure is told, not repaired.

use crate::server::{Caller, Server};
use crate::{Authority, TIMEOUTS, Validity, get, pair, pair_with, post};
use referral_gateway::core::exchange::{Failure, Phase, Wire};
use referral_gateway::shell::http::{BODY_MAX_BYTES, HttpsClient, Timeouts, WireCount};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

fn unsent(phase: Phase) -> Failure {
    Failure {
        phase,
        timed_out: false,
        status: None,
    }
}

fn cut_body(timed_out: bool) -> Failure {
    Failure {
        phase: Phase::Body,
        timed_out,
        status: Some(200),
    }
}

fn client_of(address: &str, timeouts: Timeouts) -> (HttpsClient, Arc<WireCount>) {
    let authority = Authority::new();
    let count = Arc::new(WireCount::default());
    let client = HttpsClient::new(address, authority.trusting(), timeouts, Arc::clone(&count)).unwrap();
    (client, count)
}

#[test]
fn an_unknown_host_fails_to_resolve() {
    let (mut client, count) = client_of("https://name.invalid", TIMEOUTS);
    let failure = client.exchange(&get("/")).unwrap_err();
    assert_eq!(failure.phase, Phase::Resolve);
    assert_eq!(count.requests.load(Relaxed), 0);
}

#[test]
fn a_refused_port_fails_to_connect() {
    // A port no test is ever given by the system.
    let port = 1;
    let (mut client, count) = client_of(&format!("https://localhost:{port}"), TIMEOUTS);
    assert_eq!(client.exchange(&post("/", "{}")), Err(unsent(Phase::Refused)));
    assert_eq!(count.requests.load(Relaxed), 0);
}

#[test]
fn a_server_of_another_authority_is_refused_by_its_certificate() {
    let stranger = Authority::new();
    let server = Server::start(&stranger.leaf("localhost", Validity::Now), |caller| {
        caller.request();
    });
    let (mut client, count) = client_of(&format!("https://localhost:{}", server.port), TIMEOUTS);
    assert_eq!(client.exchange(&post("/", "{}")), Err(unsent(Phase::Certificate)));
    assert_eq!((server.seen().len(), count.handshakes.load(Relaxed)), (0, 0));
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let server = Server::start(&authority.leaf("other.example", Validity::Now), |_| {});
    let address = format!("https://localhost:{}", server.port);
    let mut client = HttpsClient::new(&address, authority.trusting(), TIMEOUTS, Arc::default()).unwrap();
    assert_eq!(client.exchange(&get("/")), Err(unsent(Phase::OtherName)));
}

#[test]
fn a_certificate_outside_its_dates_is_told_apart() {
    for validity in [Validity::Over, Validity::Ahead] {
        let authority = Authority::new();
        let server = Server::start(&authority.leaf("localhost", validity), |_| {});
        let address = format!("https://localhost:{}", server.port);
        let mut client = HttpsClient::new(&address, authority.trusting(), TIMEOUTS, Arc::default()).unwrap();
        assert_eq!(client.exchange(&get("/")), Err(unsent(Phase::CertificateDates)));
    }
}

#[test]
fn a_server_without_tls_fails_in_tls() {
    let port = Server::raw(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n");
        let _ = stream.read(&mut [0; 1024]);
    });
    let (mut client, _) = client_of(&format!("https://localhost:{port}"), TIMEOUTS);
    assert_eq!(client.exchange(&get("/")), Err(unsent(Phase::Tls)));
}

#[test]
fn a_line_that_breaks_during_the_handshake_is_no_fault_of_tls() {
    let port = Server::raw(|_, _| {});
    let (mut client, _) = client_of(&format!("https://localhost:{port}"), TIMEOUTS);
    assert_eq!(client.exchange(&get("/")), Err(unsent(Phase::Connect)));
}

#[test]
fn a_server_silent_during_the_handshake_times_out_connecting() {
    let port =
        Server::raw(|_, mut stream| while stream.read(&mut [0; 1024]).is_ok_and(|amount| amount > 0) {});
    let timeouts = Timeouts {
        connect: Duration::from_millis(300),
        ..TIMEOUTS
    };
    let (mut client, _) = client_of(&format!("https://localhost:{port}"), timeouts);
    assert_eq!(
        client.exchange(&get("/")),
        Err(Failure {
            timed_out: true,
            ..unsent(Phase::Connect)
        })
    );
}

#[test]
fn an_answer_that_never_comes_is_in_doubt_and_not_asked_for_again() {
    for polite in [false, true] {
        let mut pair = pair(move |caller| {
            caller.request();
            if polite {
                caller.close();
            }
        });
        assert_eq!(
            pair.client.exchange(&post("/referrals", "{}")),
            Err(unsent(Phase::Sent))
        );
        assert_eq!(pair.server.seen().len(), 1);
        assert_eq!(
            (
                pair.count.requests.load(Relaxed),
                pair.count.handshakes.load(Relaxed)
            ),
            (1, 1)
        );
    }
}

#[test]
fn half_a_head_is_in_doubt() {
    let mut pair = pair(|caller| {
        caller.request();
        caller.say("HTTP/1.1 201 Crea");
        caller.close();
    });
    assert_eq!(pair.client.exchange(&post("/", "{}")), Err(unsent(Phase::Sent)));
}

#[test]
fn an_answer_that_is_not_http_is_in_doubt() {
    let mut pair = pair(|caller| {
        caller.request();
        caller.say("220 mail.example ESMTP\r\n\r\n");
        caller.close();
    });
    assert_eq!(pair.client.exchange(&post("/", "{}")), Err(unsent(Phase::Sent)));
}

#[test]
fn a_head_without_end_is_in_doubt() {
    let mut pair = pair(|caller| {
        caller.request();
        caller.say("HTTP/1.1 200 OK\r\n");
        while caller.say("X-More: and more\r\n") {}
    });
    assert_eq!(pair.client.exchange(&post("/", "{}")), Err(unsent(Phase::Sent)));
    assert!(pair.count.received_bytes.load(Relaxed) < 256 * 1024);
}

#[test]
fn a_body_cut_short_is_never_taken_for_whole() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let starts = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1,2".to_owned(),
        format!("{chunked}5\r\n[1,2]\r\n"),
        format!("{chunked}5\r\n[1"),
        format!("{chunked}zz\r\n[1,2]\r\n0\r\n\r\n"),
    ];
    for polite in [false, true] {
        for start in starts.clone() {
            let text = start.clone();
            let mut pair = pair(move |caller| {
                caller.request();
                caller.say(&text);
                if polite {
                    caller.close();
                }
            });
            assert_eq!(
                pair.client.exchange(&get("/")),
                Err(cut_body(false)),
                "{start:?} {polite}"
            );
        }
    }
}

#[test]
fn a_body_without_length_ends_only_with_a_close_alert() {
    let script = |polite: bool| {
        move |caller: &mut Caller| {
            caller.request();
            caller.say("HTTP/1.1 200 OK\r\n\r\n[1,2]");
            if polite {
                caller.close();
            }
        }
    };
    assert_eq!(
        pair(script(true)).client.exchange(&get("/")).unwrap().body,
        b"[1,2]"
    );
    assert_eq!(
        pair(script(false)).client.exchange(&get("/")),
        Err(cut_body(false))
    );
}

#[test]
fn a_silent_server_times_out_after_the_read_timeout() {
    let timeouts = Timeouts {
        read: Duration::from_millis(300),
        ..TIMEOUTS
    };
    let mut pair = pair_with(timeouts, |caller| {
        caller.request();
        caller.wait_for_end();
    });
    let began = Instant::now();
    let failure = pair.client.exchange(&post("/", "{}"));
    assert_eq!(
        failure,
        Err(Failure {
            timed_out: true,
            ..unsent(Phase::Sent)
        })
    );
    assert!(began.elapsed() < TIMEOUTS.read);
}

fn trickle(caller: &mut Caller, text: &str) {
    for byte in text.bytes().cycle() {
        if !caller.say([byte]) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_trickle_ends_with_the_overall_time_in_head_and_body() {
    let timeouts = Timeouts {
        exchange: Duration::from_millis(600),
        ..TIMEOUTS
    };
    let mut slow_head = pair_with(timeouts, |caller| {
        caller.request();
        caller.say("HTTP/1.1 200 OK\r\nX-Slow: ");
        trickle(caller, "x");
    });
    let failure = slow_head.client.exchange(&post("/", "{}"));
    assert_eq!(
        failure,
        Err(Failure {
            timed_out: true,
            ..unsent(Phase::Sent)
        })
    );

    let mut slow_body = pair_with(timeouts, |caller| {
        caller.request();
        caller.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        trickle(caller, " ");
    });
    let began = Instant::now();
    assert_eq!(slow_body.client.exchange(&get("/")), Err(cut_body(true)));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_stream_has_its_own_overall_time() {
    let timeouts = Timeouts {
        stream: Duration::from_millis(600),
        ..TIMEOUTS
    };
    let mut pair = pair_with(timeouts, |caller| {
        caller.request();
        caller.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        trickle(caller, " ");
    });
    let failure = pair.client.stream(&get("/"), &mut |_, body| {
        let _ = std::io::copy(body, &mut std::io::sink());
    });
    assert_eq!(failure, Err(cut_body(true)));
}

#[test]
fn a_body_over_the_cap_is_refused_even_when_it_was_small_on_the_wire() {
    let size = usize::try_from(BODY_MAX_BYTES).unwrap();
    let packed = |size: usize| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b' '; size]).unwrap();
        encoder.finish().unwrap()
    };
    let answers = [packed(size), packed(size + 1)];
    let mut pair = pair(move |caller| {
        while let Some(request) = caller.request() {
            let over = request.starts_with("get /over");
            caller.answer(
                "200 OK",
                "Content-Encoding: gzip\r\n",
                &answers[usize::from(over)],
            );
        }
    });
    assert_eq!(pair.client.exchange(&get("/fits")).unwrap().body.len(), size);
    assert_eq!(pair.client.exchange(&get("/over")), Err(cut_body(false)));
    assert!(pair.count.received_bytes.load(Relaxed) < 64 * 1024);
}
