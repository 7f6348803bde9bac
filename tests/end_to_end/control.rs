//! The control socket spoken to directly, as a program of the office would.

use crate::office::{Office, referral};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// One request; the status and the body as JSON.
fn ask(socket: &Path, method: &str, target: &str, body: &[u8]) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    // A body too large is answered before it has been taken.
    let _ = stream.write_all(body);
    read(stream)
}

fn read(mut stream: UnixStream) -> (u16, Value) {
    let mut text = Vec::new();
    // Bytes nobody took make the end of a connection a reset.
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    let status = text.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[test]
fn an_event_is_acknowledged_once_and_for_all() {
    let mut office = Office::new();
    office.start();
    let socket = office.data("control.sock");
    let post = |body: &Value| ask(&socket, "POST", "/v1/events", body.to_string().as_bytes());
    let (status, answer) = post(&referral("k-1", "Dara", "cif"));
    assert_eq!(
        (status, &answer),
        (201, &json!({"event_key": "k-1", "seq": 1, "state": "pending"}))
    );
    assert_eq!(post(&referral("k-1", "Dara", "cif")), (200, answer));
    let (status, error) = post(&referral("k-1", "Bopha", "cif"));
    assert_eq!((status, &error["error"]), (409, &json!("key_taken")));
    let mut event = referral("", "Vanna", "cif");
    event.as_object_mut().unwrap().remove("event_key");
    let (first, second) = (post(&event), post(&event));
    assert_eq!((first.0, second.0), (201, 201), "without a key two are two");
    assert_ne!(first.1["event_key"], second.1["event_key"]);
    let (status, error) = post(&json!({"kind": "referral"}));
    assert_eq!((status, &error["error"]), (422, &json!("validation")));
    assert!(
        error["fields"].as_array().is_some_and(|fields| fields.len() > 3),
        "{error}"
    );

    let (status, event) = ask(&socket, "GET", "/v1/events/k-1", b"");
    assert_eq!(
        (status, &event["state"], &event["history"][0]["what"]),
        (200, &json!("pending"), &json!("accepted"))
    );
    assert!(!event.to_string().contains("Dara"), "{event}");
    assert_eq!(ask(&socket, "GET", "/v1/status", b"").0, 200);
}

#[test]
fn what_is_no_event_is_refused() {
    let mut office = Office::new();
    office.start();
    let socket = office.data("control.sock");
    let good = referral("k-1", "Dara", "cif").to_string();
    let twice = good.replacen("{", "{\"kind\":\"referral\",", 1);
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let truncated = &good.as_bytes()[..good.len() / 2];
    for (name, body) in [
        ("truncated", truncated),
        ("doubled key", twice.as_bytes()),
        ("deep", deep.as_bytes()),
        ("not UTF-8", b"{\"kind\":\"\xff\xfe\"}"),
        ("nothing", b""),
    ] {
        let (status, error) = ask(&socket, "POST", "/v1/events", body);
        assert_eq!(
            (status, &error["error"]),
            (400, &json!("not_json")),
            "{name}: {error}"
        );
    }
    let large = format!("{{\"reason\":\"{}\"}}", "x".repeat(300_000));
    assert_eq!(ask(&socket, "POST", "/v1/events", large.as_bytes()).0, 413);
    for (method, target, status) in [
        ("GET", "/v1/events/nobody", 404),
        ("GET", "/v1/nowhere", 404),
        ("GET", "/", 404),
        ("GET", "/v1/events", 405),
        ("DELETE", "/v1/events/k-1", 405),
        ("POST", "/v1/status", 405),
        ("GET", "/v1/sync", 405),
        ("POST", "/v1/orders", 400),
    ] {
        let (found, error) = ask(&socket, method, target, b"");
        assert_eq!(found, status, "{method} {target}: {error}");
        assert!(error["reason"].is_string(), "{method} {target}: {error}");
    }
    // A body that ends early is no event, even where what came is one.
    let mut stream = UnixStream::connect(&socket).unwrap();
    write!(
        stream,
        "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{good}",
        good.len() + 9
    )
    .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    read(stream);
    let garbage = UnixStream::connect(&socket).and_then(|mut stream| {
        stream.write_all(b"\x16\x03\x01 hello\r\n\r\n")?;
        Ok(read(stream).0)
    });
    assert!(matches!(garbage, Ok(0 | 400)), "{garbage:?}");
    assert_eq!(office.states().len(), 0);
}

#[test]
fn many_senders_at_once_are_all_stored_once_and_share_commits() {
    let mut office = Office::with("[limits]\nqueue_events = 320");
    office.primero.server().set_down(true);
    office.oscar.server().set_down(true);
    office.start();
    let socket = office.data("control.sock");
    let commits = || office.json(&["status"])["figures"]["commits"].as_u64().unwrap();
    let before = commits();
    std::thread::scope(|scope| {
        for sender in 0..16 {
            let socket = &socket;
            scope.spawn(move || {
                for number in 0..20 {
                    let event = referral(
                        &format!("s{sender}-{number}"),
                        &format!("Child {sender} {number}"),
                        "cif",
                    );
                    let (status, answer) = ask(socket, "POST", "/v1/events", event.to_string().as_bytes());
                    assert_eq!(status, 201, "{answer}");
                }
            });
        }
    });
    let list = office.json(&["events", "list"]);
    let mut seqs: Vec<u64> = list["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=320).collect::<Vec<u64>>());
    let used = commits() - before;
    assert!(used < 320, "{used} commits for 320 events");
    println!("{used} commits for 320 events of 16 senders");

    // The queue is full. The command line shows all of it, the service never more than a page at once.
    let (status, _) = ask(
        &socket,
        "POST",
        "/v1/events",
        referral("more", "Child", "cif").to_string().as_bytes(),
    );
    assert_eq!(status, 503);
    let page = |after: Value| {
        let order = json!({"order": "list", "state": "pending", "after": after});
        let (status, page) = ask(&socket, "POST", "/v1/orders", order.to_string().as_bytes());
        assert_eq!(status, 200, "{page}");
        let numbers = page["events"].as_array().unwrap().iter();
        let numbers: Vec<u64> = numbers.map(|event| event["seq"].as_u64().unwrap()).collect();
        (numbers, page["next"].clone())
    };
    assert_eq!(page(Value::Null), ((1..=250).collect(), json!(250)));
    assert_eq!(page(json!(250)), ((251..=320).collect(), Value::Null));
    let shown = office.run(&["events", "list", "--state", "pending"]);
    assert_eq!(shown.out.lines().count(), 321, "{}", shown.out);
    assert!(shown.out.ends_with("320 events\n"), "{}", shown.out);
}
