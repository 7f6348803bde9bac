//! Bad days on the office's network: slow, silent, broken and too many connections. The others are served on.

use crate::client::{Answer, LanOffice, read, send};
use crate::office::{Office, referral, wait_until};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// What is left to read until the other side closes.
fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

fn still_serving(lan: &LanOffice, token: &str) {
    assert_eq!(lan.get(token, "/v1/status").0, 200);
}

#[test]
fn http_on_the_tls_port_is_shown_the_way_and_a_body_is_not_read() {
    let lan = LanOffice::start();
    let ask = |text: &str| {
        let mut tcp = TcpStream::connect(lan.address).unwrap();
        tcp.write_all(text.as_bytes()).unwrap();
        String::from_utf8(rest(&mut tcp)).unwrap()
    };
    let answer = ask("GET / HTTP/1.1\r\nhost: 192.168.7.1:8443\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 307 "), "{answer}");
    assert!(
        answer.contains("location: https://192.168.7.1:8443/\r\n"),
        "{answer}"
    );
    for bad in [
        "GET / HTTP/1.1\r\nhost: evil\"><script>\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "POST /v1/events HTTP/1.1\r\nhost: gateway\r\ncontent-length: 5\r\n\r\n",
    ] {
        let answer = ask(bad);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{answer}"
        );
        assert_eq!(serde_json::from_str::<Value>(body).unwrap()["error"], "plain");
    }
    let mut tcp = TcpStream::connect(lan.address).unwrap();
    tcp.write_all(b"\x16\x03\x01garbage that is no handshake at all")
        .unwrap();
    rest(&mut tcp);
    still_serving(&lan, &lan.station("front-desk"));
}

#[test]
fn slow_and_silent_clients_lose_their_line_and_nobody_else_does() {
    let lan = LanOffice::start();
    let desk = lan.station("front-desk");
    let good = referral("k-1", "Dara", "cif").to_string();
    std::thread::scope(|scope| {
        // Nothing at all, not even a handshake.
        scope.spawn(|| {
            let mut tcp = TcpStream::connect(lan.address).unwrap();
            tcp.set_read_timeout(Some(crate::office::PATIENCE)).unwrap();
            assert_eq!(tcp.read(&mut [0; 1]).unwrap(), 0, "the line is closed");
        });
        // A head, one byte a second.
        scope.spawn(|| {
            let mut line = lan.connect();
            line.write_all(b"GET / HTTP/1.1\r\nx: ").unwrap();
            let sent = (0..).take_while(|_| {
                std::thread::sleep(Duration::from_secs(1));
                line.write_all(b"x").and_then(|()| line.flush()).is_ok()
            });
            let sent = sent.take(60).count();
            assert!(sent < 60, "cut off after {sent} bytes");
        });
        // A body, one byte a second: told so, and nothing is stored.
        scope.spawn(|| {
            let mut line = lan.connect();
            let head = format!(
                "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {desk}\r\ncontent-length: {}\r\n\r\n",
                good.len()
            );
            line.write_all(head.as_bytes()).unwrap();
            line.sock.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut answer = Vec::new();
            for byte in good.bytes().take(60) {
                if line.write_all(&[byte]).and_then(|()| line.flush()).is_err() {
                    break;
                }
                let mut chunk = [0; 1024];
                if let Ok(read) = line.read(&mut chunk) {
                    answer.extend_from_slice(&chunk[..read]);
                    if read == 0 || !answer.is_empty() {
                        break;
                    }
                }
            }
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
        });
        // Connections left open after a handshake.
        let left: Vec<_> = (0..5)
            .map(|_| {
                let mut line = lan.connect();
                line.conn.complete_io(&mut line.sock).unwrap();
                line
            })
            .collect();
        for _ in 0..10 {
            still_serving(&lan, &desk);
            std::thread::sleep(Duration::from_millis(300));
        }
        drop(left);
    });
    still_serving(&lan, &desk);
    assert_eq!(lan.office.states().len(), 0);
    wait_until("the lines are struck out", || {
        lan.office.json(&["status"])["lan"]["connections"] == 0
    });
}

#[test]
fn a_body_that_breaks_off_is_no_event() {
    let lan = LanOffice::start();
    let desk = lan.station("front-desk");
    let good = referral("k-1", "Dara", "cif").to_string();
    for close_first in [true, false] {
        let mut line = lan.connect();
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {desk}\r\ncontent-length: {}\r\n\r\n{good}",
            good.len() + 9
        );
        line.write_all(head.as_bytes()).unwrap();
        if close_first {
            line.conn.send_close_notify();
        }
        let _ = line.flush();
        line.sock.shutdown(std::net::Shutdown::Write).unwrap();
        rest(&mut line);
    }
    // The whole event, and nobody there for the answer: it is either there or it is not, and sending again is safe.
    let mut line = lan.connect();
    send(&mut line, Some(&desk), "POST", "/v1/events", good.as_bytes());
    drop(line);
    let (status, answer) = lan.post(&desk, &referral("k-1", "Dara", "cif"));
    assert!(matches!(status, 200 | 201), "{answer}");
    assert_eq!(lan.office.states().len(), 1);
}

fn status_over(lan: &LanOffice, token: &str, tcp: TcpStream) -> Option<(Answer, crate::client::Stream)> {
    let mut line = lan.wrap(tcp);
    send(&mut line, Some(token), "GET", "/v1/events", b"");
    Some((read(&mut line)?, line))
}

#[test]
fn too_many_connections_are_told_so_and_those_at_work_go_on() {
    let lan = LanOffice::start();
    let mut tokens = Vec::new();
    let mut lines = Vec::new();
    let mut told = Vec::new();
    // 33 from each of eight addresses: 32 are served, and the last address hits the whole office's bound as well.
    for last in 1..=8_u8 {
        tokens.push(lan.station(&format!("s-{last}")));
        for n in 0..33 {
            let Some((answer, line)) =
                status_over(&lan, tokens.last().unwrap(), lan.tcp_from([127, 0, 0, last]))
            else {
                continue;
            };
            match answer.status {
                200 => lines.push(line),
                _ => {
                    assert_eq!((answer.status, n), (429, 32), "{answer:?}");
                    assert_eq!(answer.headers["connection"], "close");
                    told.push(answer.status);
                }
            }
        }
    }
    assert_eq!((lines.len(), told.len()), (256, 8));
    let (answer, _) = status_over(&lan, &tokens[0], lan.tcp_from([127, 0, 0, 9])).unwrap();
    assert_eq!((answer.status, &answer.json()["error"]), (503, &json!("busy")));
    let mut first = lines.swap_remove(0);
    send(&mut first, Some(&tokens[0]), "GET", "/v1/events", b"");
    assert_eq!(
        read(&mut first).unwrap().status,
        200,
        "a line that is open stays open"
    );
    drop(first);
    drop(lines);
    wait_until("there is room again", || {
        status_over(&lan, &tokens[0], lan.tcp_from([127, 0, 0, 9]))
            .is_some_and(|(answer, _)| answer.status == 200)
    });
}

#[test]
fn an_address_that_is_taken_does_not_keep_the_gateway_from_working() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut office = Office::with(&format!("[lan]\nlisten = \"{address}\"\n"));
    office.start();
    assert_eq!(office.enqueue(&referral("k-1", "Dara", "cif")).0, 0);
    let mut advice = String::new();
    wait_until("the status says so", || {
        let lan = office.json(&["status"])["lan"].clone();
        advice = lan["advice"].as_str().unwrap_or_default().to_owned();
        lan["state"] == "waiting" && advice.contains("cannot listen on")
    });
    assert!(office.run(&["status"]).out.contains(&advice));
    drop(taken);
    wait_until("it listens after all", || {
        office.json(&["status"])["lan"]["state"] == "on"
    });
    assert_eq!(office.stop(), Some(0));
}
