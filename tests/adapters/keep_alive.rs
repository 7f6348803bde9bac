//! One connection for many requests, and never a request lost on a connection the server had already closed.

use crate::pki::{Authority, Validity};
use crate::server::{Caller, Server};
use crate::{TIMEOUTS, get, pair, pair_of, post};
use referral_gateway::core::exchange::{Failure, Phase, Wire};
use referral_gateway::shell::http::IDLE_MAX;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn two_requests_cost_one_handshake() {
    let mut pair = pair(|caller| {
        while caller.request().is_some() {
            caller.answer("200 OK", "", "{}");
        }
    });
    pair.client.exchange(&get("/a")).unwrap();
    let (sent, received) = (
        pair.count.sent_bytes.load(Relaxed),
        pair.count.received_bytes.load(Relaxed),
    );
    pair.client.exchange(&post("/b", "{}")).unwrap();
    assert_eq!(
        (
            pair.count.requests.load(Relaxed),
            pair.count.handshakes.load(Relaxed)
        ),
        (2, 1)
    );
    let more = (
        pair.count.sent_bytes.load(Relaxed) - sent,
        pair.count.received_bytes.load(Relaxed) - received,
    );
    assert!(
        (50..1000).contains(&more.0) && (20..1000).contains(&more.1),
        "{more:?}"
    );
}

#[test]
fn a_connection_the_server_closes_politely_with_its_answer_is_not_used_again() {
    let mut pair = pair(|caller| {
        caller.request();
        caller.answer("200 OK", "Connection: close\r\n", "");
    });
    pair.client.exchange(&get("/")).unwrap();
    pair.client.exchange(&post("/", "{}")).unwrap();
    assert_eq!(
        (pair.server.seen().len(), pair.count.handshakes.load(Relaxed)),
        (2, 2)
    );
    assert_eq!(
        pair.count.resumed.load(Relaxed),
        1,
        "the second handshake resumes the session of the first"
    );
}

#[test]
fn who_hangs_up_is_not_heard_again_on_that_connection() {
    let (ended, ends) = mpsc::channel();
    let ended = Mutex::new(ended);
    let mut pair = pair(move |caller| {
        while caller.request().is_some() {
            caller.answer("200 OK", "", "{}");
        }
        ended.lock().unwrap().send(caller.number).unwrap();
    });
    pair.client.exchange(&get("/a")).unwrap();
    pair.client.hang_up();
    assert_eq!(ends.recv().unwrap(), 0, "the server learns of it at once");
    pair.client.exchange(&post("/b", "{}")).unwrap();
    assert_eq!(
        (
            pair.server.seen().len(),
            pair.count.handshakes.load(Relaxed),
            pair.count.resumed.load(Relaxed)
        ),
        (2, 2, 1)
    );
}

/// Waits until the server has sent something and the client's kernel has it. Sent is not arrived, even on loopback,
/// and nothing on the client's side can be asked without the probe under test: hence a pause, as in the field,
/// where a closed connection has been closed for a while.
fn arrived(sent: &mpsc::Receiver<()>) {
    sent.recv().unwrap();
    std::thread::sleep(Duration::from_millis(100));
}

/// The first connection answers once and closes; the test learns when the end is on the wire.
fn closes_after_one(closing: mpsc::Sender<()>, polite: bool) -> impl Fn(&mut Caller) + Send + Sync {
    let closing = Mutex::new(closing);
    move |caller| {
        caller.request();
        caller.answer("200 OK", "", "{}");
        if caller.number == 0 {
            if polite {
                caller.close();
            } else {
                caller.cut();
            }
            closing.lock().unwrap().send(()).unwrap();
            // The socket stays open on this side: only what was sent can tell the client.
            caller.wait_for_end();
        }
    }
}

#[test]
fn a_pooled_connection_closed_meanwhile_is_noticed_before_it_is_used() {
    for polite in [true, false] {
        let (closing, closed) = mpsc::channel();
        let mut pair = pair(closes_after_one(closing, polite));
        pair.client.exchange(&get("/first")).unwrap();
        arrived(&closed);
        let answer = pair.client.exchange(&post("/second", "{}")).unwrap();
        assert_eq!(answer.head.status, 200, "polite: {polite}");
        assert_eq!(
            (pair.server.seen().len(), pair.count.handshakes.load(Relaxed)),
            (2, 2)
        );
    }
}

#[test]
fn a_pooled_connection_that_dies_under_a_request_leaves_it_in_doubt() {
    let mut pair = pair(|caller| {
        caller.request();
        caller.answer("200 OK", "", "{}");
        // Takes the second request and dies with it, as a restarting server does.
        caller.request();
    });
    pair.client.exchange(&get("/first")).unwrap();
    let failure = pair.client.exchange(&post("/referrals", "{}"));
    assert_eq!(
        failure,
        Err(Failure {
            phase: Phase::Sent,
            timed_out: false,
            status: None
        })
    );
    let seen = pair.server.seen();
    assert_eq!(
        seen.iter()
            .filter(|request| request.starts_with("post /referrals"))
            .count(),
        1
    );
    assert_eq!(pair.count.handshakes.load(Relaxed), 1);
}

#[test]
fn an_unasked_answer_on_an_idle_connection_is_not_taken_for_the_next_one() {
    let (saying, said) = mpsc::channel();
    let saying = Mutex::new(saying);
    let mut pair = pair(move |caller| {
        caller.request();
        caller.answer("200 OK", "", "first");
        if caller.number == 0 {
            caller.answer("200 OK", "", "of another request");
            saying.lock().unwrap().send(()).unwrap();
        }
        caller.wait_for_end();
    });
    pair.client.exchange(&get("/")).unwrap();
    arrived(&said);
    assert_eq!(pair.client.exchange(&get("/")).unwrap().body, b"first");
    assert_eq!(pair.count.handshakes.load(Relaxed), 2);
}

#[test]
fn a_connection_that_lay_idle_too_long_is_replaced() {
    let mut pair = pair(|caller| {
        while caller.request().is_some() {
            caller.answer("200 OK", "", "{}");
        }
    });
    pair.client.exchange(&get("/")).unwrap();
    // The wait is the subject: servers close idle connections at a moment we cannot see coming.
    std::thread::sleep(IDLE_MAX);
    pair.client.exchange(&get("/")).unwrap();
    assert_eq!(
        (
            pair.count.handshakes.load(Relaxed),
            pair.count.resumed.load(Relaxed)
        ),
        (2, 1)
    );
}

#[test]
fn an_old_server_is_kept_and_resumed_as_well() {
    let authority = Authority::new();
    let leaf = authority.leaf("localhost", Validity::Now);
    let server = Server::speaking(&[&rustls::version::TLS12], &leaf, |caller| {
        caller.request();
        caller.answer("200 OK", "", "{}");
        caller.request();
        caller.answer("200 OK", "Connection: close\r\n", "{}");
    });
    let mut pair = pair_of(authority, server, TIMEOUTS);
    for _ in 0..4 {
        pair.client.exchange(&get("/")).unwrap();
    }
    let (handshakes, resumed) = (
        pair.count.handshakes.load(Relaxed),
        pair.count.resumed.load(Relaxed),
    );
    assert_eq!((pair.server.seen().len(), handshakes, resumed), (4, 2, 1));
}
