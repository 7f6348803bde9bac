//! What counts as an answer, what of it is handed on, and what goes out with a request.

use crate::{get, pair, post};
use referral_gateway::core::exchange::{Failure, Method, Phase, Request, Wire};
use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;

#[test]
fn every_status_is_an_answer() {
    let mut pair = pair(|caller| {
        while let Some(request) = caller.request() {
            let status = request.split([' ', '/']).nth(2).unwrap().to_owned();
            caller.answer(
                &format!("{status} Whatever"),
                "Content-Type: application/json\r\n",
                "{}",
            );
        }
    });
    for status in [200, 201, 400, 401, 404, 409, 413, 422, 429, 500, 502, 503] {
        let answer = pair.client.exchange(&get(&format!("/{status}"))).unwrap();
        assert_eq!(
            (answer.head.status, answer.body.as_slice()),
            (status, b"{}".as_slice())
        );
        assert!(answer.head.json);
    }
    assert_eq!(pair.count.handshakes.load(Relaxed), 1);
}

#[test]
fn a_redirect_is_returned_and_not_followed() {
    let mut pair = pair(|caller| {
        while caller.request().is_some() {
            caller.answer("307 Temporary Redirect", "Location: /elsewhere\r\n", "<html>");
            caller.answer("302 Found", "Location: https://portal.example/\r\n", "");
        }
    });
    let answer = pair.client.exchange(&post("/cases", "{}")).unwrap();
    assert_eq!(
        (answer.head.status, answer.body.as_slice()),
        (307, b"<html>".as_slice())
    );
    assert_eq!(pair.server.seen().len(), 1);
}

#[test]
fn a_redirect_without_body_is_returned_too() {
    let mut pair = pair(|caller| {
        caller.request();
        caller.answer("302 Found", "Location: http://portal.example/\r\n", "");
        caller.request();
    });
    assert_eq!(pair.client.exchange(&get("/")).unwrap().head.status, 302);
    assert_eq!(pair.server.seen().len(), 1);
}

#[test]
fn a_redirect_to_nowhere_is_an_answer_like_any_other() {
    let mut pair = pair(|caller| {
        caller.request();
        caller.answer("302 Found", "", "");
    });
    assert_eq!(pair.client.exchange(&post("/", "{}")).unwrap().head.status, 302);
}

#[test]
fn words_before_the_answer_are_not_the_answer() {
    for first in ["100 Continue", "103 Early Hints"] {
        let mut pair = pair(move |caller| {
            caller.request();
            caller.say(format!("HTTP/1.1 {first}\r\n\r\n"));
            caller.answer("201 Created", "", "{}");
        });
        let answer = pair.client.exchange(&post("/", "{}")).unwrap();
        assert_eq!(
            (answer.head.status, answer.body.as_slice()),
            (201, b"{}".as_slice()),
            "{first}"
        );
    }
}

#[test]
fn answers_without_body_keep_the_connection() {
    let mut pair = pair(|caller| {
        while let Some(request) = caller.request() {
            let status = if request.starts_with("get /204") {
                "204 No Content"
            } else {
                "304 Not Modified"
            };
            caller.say(format!(
                "HTTP/1.1 {status}\r\nETag: \"5a\"\r\n{}\r\n",
                "Content-Encoding: gzip\r\n"
            ));
        }
    });
    for target in ["/204", "/304", "/204"] {
        let answer = pair.client.exchange(&get(target)).unwrap();
        assert_eq!(answer.head.status.to_string(), target[1..]);
        assert_eq!(
            (answer.head.etag.as_deref(), answer.body.len()),
            (Some("\"5a\""), 0)
        );
    }
    assert_eq!(pair.count.handshakes.load(Relaxed), 1);
}

#[test]
fn the_head_is_read() {
    let mut pair = pair(|caller| {
        caller.request();
        let headers = "Date: Sun, 22 Nov 2026 03:04:05 GMT\r\nRetry-After: 7\r\naccess-token: t\r\nclient: c\r\n\
                       uid: gateway@example.org\r\nexpiry: 1796000000\r\nSet-Cookie: a=b\r\n";
        caller.answer("429 Too Many Requests", headers, "");
        caller.request();
        caller.answer("200 OK", "", "");
    });
    let head = pair.client.exchange(&get("/")).unwrap().head;
    assert_eq!(
        (head.date, head.retry_after_s, head.json),
        (Some(1_795_316_645), Some(7), false)
    );
    assert_eq!(head.session.unwrap().uid, "gateway@example.org");
    pair.client.exchange(&get("/again")).unwrap();
    assert!(!pair.server.seen()[1].contains("cookie"));
}

#[test]
fn gzip_is_asked_for_and_unpacked() {
    let text = r#"{"data":[]}"#.repeat(500);
    let plain = text.clone();
    let mut pair = pair(move |caller| {
        while caller.request().is_some() {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(plain.as_bytes()).unwrap();
            caller.answer("200 OK", "Content-Encoding: gzip\r\n", encoder.finish().unwrap());
        }
    });
    assert_eq!(pair.client.exchange(&get("/")).unwrap().body, text.as_bytes());
    assert_eq!(pair.client.exchange(&get("/")).unwrap().body, text.as_bytes());
    assert!(pair.server.seen()[0].contains("accept-encoding: gzip\r\n"));
    assert_eq!(
        pair.count.handshakes.load(Relaxed),
        1,
        "the end of a gzip body is read, so the connection is kept"
    );
}

#[test]
fn a_request_carries_what_was_given_and_little_else() {
    let mut pair = pair(|caller| {
        while caller.request().is_some() {
            caller.answer("200 OK", "", "");
        }
    });
    let headers = vec![("Authorization", "Basic Z2F0ZXdhet==".to_owned())];
    let request = Request {
        headers,
        ..post("/api/v2/cases?fields=short", r#"{"a":1}"#)
    };
    pair.client.exchange(&request).unwrap();
    let patch = Request {
        method: Method::Patch,
        body: None,
        ..post("/empty", "")
    };
    pair.client.exchange(&patch).unwrap();
    let seen = pair.server.seen();
    assert!(seen[0].starts_with("post /api/v2/cases?fields=short http/1.1\r\n"));
    let agent = concat!("user-agent: referral-gateway/", env!("CARGO_PKG_VERSION"), "\r\n");
    let lines = [
        "authorization: basic z2f0zxdhet==\r\n",
        agent,
        "content-type: application/json\r\n",
    ];
    for line in lines {
        assert!(seen[0].contains(line), "{line}");
    }
    assert!(seen[0].ends_with("\r\n\r\n{\"a\":1}"));
    assert!(seen[1].contains("content-length: 0\r\n"));
}

#[test]
fn a_stream_is_read_as_it_arrives() {
    const CHUNK: &str = "[0123456789abcdef]";
    let mut pair = pair(|caller| {
        caller.request();
        caller.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..200_000 / CHUNK.len() {
            caller.say(format!("{:x}\r\n{CHUNK}\r\n", CHUNK.len()));
        }
        caller.say("0\r\n\r\n");
        caller.request();
        caller.answer("200 OK", "", "");
    });
    let mut total = 0;
    let head = pair.client.stream(&get("/"), &mut |_, body| {
        let mut buffer = [0; 4096];
        while let Ok(amount @ 1..) = body.read(&mut buffer) {
            total += amount;
        }
    });
    assert_eq!(
        (head.unwrap().status, total),
        (200, 200_000 / CHUNK.len() * CHUNK.len())
    );
    pair.client.exchange(&get("/")).unwrap();
    assert_eq!(pair.count.handshakes.load(Relaxed), 1);
}

#[test]
fn a_stream_reader_that_stops_at_the_last_bracket_keeps_the_connection() {
    let mut pair = pair(|caller| {
        caller.request();
        caller.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n");
        caller.request();
        caller.answer("200 OK", "", "");
    });
    pair.client
        .stream(&get("/"), &mut |_, body| body.read_exact(&mut [0; 2]).unwrap())
        .unwrap();
    pair.client.exchange(&get("/")).unwrap();
    assert_eq!(pair.count.handshakes.load(Relaxed), 1);
}

#[test]
fn a_stream_that_breaks_after_the_last_bracket_is_not_whole() {
    let mut pair = pair(|caller| {
        caller.request();
        caller.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n");
    });
    let failure = pair
        .client
        .stream(&get("/"), &mut |_, body| body.read_exact(&mut [0; 2]).unwrap());
    assert_eq!(
        failure,
        Err(Failure {
            phase: Phase::Body,
            timed_out: false,
            status: Some(200)
        })
    );
}
