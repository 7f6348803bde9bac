//! `docs/openapi.json` against the running service: every path, method and status in it is brought about, every
//! answer has the shape it promises, and nothing is answered that it does not list.

use crate::client::{Answer, LanOffice, read, send};
use crate::office::Office;
use crate::schema::misfits;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;

/// A path of the file, its method, and a status.
type Case = (String, String, u16);

struct Book {
    document: Value,
    seen: BTreeSet<Case>,
}

impl Book {
    fn open() -> Book {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        Book {
            document: serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap(),
            seen: BTreeSet::new(),
        }
    }

    /// Every operation: its path, its method, and a target that fits the path.
    fn operations(&self) -> Vec<(String, String, String)> {
        let mut out = Vec::new();
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for method in methods
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| *key != "parameters")
            {
                out.push((
                    path.clone(),
                    method.clone(),
                    path.replace("{key}", "desk-2026-000117"),
                ));
            }
        }
        assert_eq!(out.len(), 5);
        out
    }

    fn listed(&self) -> BTreeSet<Case> {
        let mut out = BTreeSet::new();
        for (path, method, _) in self.operations() {
            let responses = self.document["paths"][&path][&method]["responses"]
                .as_object()
                .unwrap();
            out.extend(
                responses
                    .keys()
                    .map(|status| (path.clone(), method.clone(), status.parse().unwrap())),
            );
        }
        out
    }

    /// Takes an answer into the book.
    fn note(&mut self, path: &str, method: &str, answer: &Answer) {
        let responses = &self.document["paths"][path][method]["responses"];
        let promised = &responses[answer.status.to_string()];
        assert!(
            promised.is_object(),
            "{method} {path} answers {}, which is not listed",
            answer.status
        );
        assert_eq!(answer.headers["content-type"], "application/json");
        let schema = &promised["content"]["application/json"]["schema"];
        let misfits = misfits(&self.document, schema, &answer.json());
        assert!(
            misfits.is_empty(),
            "{method} {path} {}: {misfits:?}",
            answer.status
        );
        self.seen
            .insert((path.to_owned(), method.to_owned(), answer.status));
    }

    fn example(&self, name: &str) -> Value {
        let body =
            &self.document["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"];
        body["examples"][name]["value"].clone()
    }

    fn event_misfits(&self, event: &Value) -> Vec<String> {
        misfits(
            &self.document,
            &json!({"$ref": "#/components/schemas/Event"}),
            event,
        )
    }
}

/// One request, noted.
fn ask(
    book: &mut Book,
    lan: &LanOffice,
    token: &str,
    (path, method, target): (&str, &str, &str),
    body: &[u8],
) -> u16 {
    let answer = lan.ask(Some(token), &method.to_uppercase(), target, body);
    book.note(path, method, &answer);
    answer.status
}

fn post(book: &mut Book, lan: &LanOffice, token: &str, body: &[u8]) -> u16 {
    ask(book, lan, token, ("/v1/events", "post", "/v1/events"), body)
}

/// What can go right, and what can be wrong with an event.
fn events(book: &mut Book, lan: &LanOffice) {
    let desk = &lan.station("desk");
    for name in ["referral", "decision", "withdraw"] {
        let event = book.example(name);
        assert_eq!(book.event_misfits(&event), Vec::<String>::new(), "{name}");
        let body = event.to_string();
        assert_eq!(post(book, lan, desk, body.as_bytes()), 201, "{name}");
        assert_eq!(post(book, lan, desk, body.as_bytes()), 200, "{name}");
    }
    let mut other = book.example("referral");
    other["reason"] = json!("another");
    assert_eq!(post(book, lan, desk, other.to_string().as_bytes()), 409);
    assert_eq!(post(book, lan, desk, b"{"), 400);
    assert_eq!(post(book, lan, desk, &[b' '; 300_000]), 413);
    for wrong in [
        json!({}),
        json!({"kind": "referral"}),
        json!({"kind": "decision", "status": "odd"}),
    ] {
        assert!(!book.event_misfits(&wrong).is_empty(), "{wrong}");
        assert_eq!(post(book, lan, desk, wrong.to_string().as_bytes()), 422);
    }
    lan.office.sync();
    for (path, method, target) in book
        .operations()
        .into_iter()
        .filter(|(_, method, _)| method == "get")
    {
        assert_eq!(ask(book, lan, desk, (&path, &method, &target), b""), 200);
    }
    let nobody = ("/v1/events/{key}", "get", "/v1/events/nobody");
    assert_eq!(ask(book, lan, desk, nobody, b""), 404);
}

/// What any request can meet before it is looked at.
fn strangers(book: &mut Book, lan: &LanOffice) {
    let revoked = lan.station("lost");
    lan.office.run(&["station", "revoke", "lost"]);
    let eager = lan.station("eager");
    for (path, method, target) in book.operations() {
        let operation = (path.as_str(), method.as_str(), target.as_str());
        assert_eq!(ask(book, lan, "7F3K2", operation, b""), 401);
        assert_eq!(ask(book, lan, &revoked, operation, b""), 403);
        let mut line = lan.connect();
        for _ in 0..300 {
            send(&mut line, Some(&eager), &method.to_uppercase(), &target, b"");
            let answer = read(&mut line).unwrap();
            if answer.status == 429 {
                assert!(answer.headers.contains_key("retry-after"));
                book.note(&path, &method, &answer);
                break;
            }
        }
    }
}

/// A body that never ends, until it is told to.
fn slow(lan: &LanOffice, token: &str) -> Answer {
    let mut line = lan.connect();
    let head = "POST /v1/events HTTP/1.1\r\nhost: gateway\r\ncontent-length: 9\r\n";
    line.write_all(format!("{head}authorization: Bearer {token}\r\n\r\n{{").as_bytes())
        .unwrap();
    read(&mut line).expect("told before the line is closed")
}

/// The office's connections all taken.
fn crowd(book: &mut Book, lan: &LanOffice, token: &str) {
    let mut lines = Vec::new();
    for last in 1..=8 {
        for _ in 0..32 {
            let mut line = lan.wrap(lan.tcp_from([127, 0, 7, last]));
            line.conn.complete_io(&mut line.sock).unwrap();
            lines.push(line);
        }
    }
    for (path, method, target) in book.operations() {
        let mut line = lan.wrap(lan.tcp_from([127, 0, 7, 100]));
        send(&mut line, Some(token), &method.to_uppercase(), &target, b"");
        let answer = read(&mut line).unwrap();
        assert_eq!(answer.status, 503);
        book.note(&path, &method, &answer);
    }
}

#[test]
fn the_service_does_what_the_file_says_and_nothing_else() {
    let lan = LanOffice::of(Office::with(
        "[limits]\nqueue_events = 10\n[lan]\nlisten = \"127.0.0.1:0\"\n",
    ));
    let mut book = Book::open();
    let patient = lan.station("patient");
    std::thread::scope(|scope| {
        let late = scope.spawn(|| slow(&lan, &patient));
        events(&mut book, &lan);
        strangers(&mut book, &lan);
        book.note("/v1/events", "post", &late.join().unwrap());
    });
    let desk = lan.station("filler");
    lan.office.primero.server().set_down(true);
    let mut event = book.example("referral");
    let full = (0..20).any(|n| {
        event["event_key"] = json!(format!("filler-{n}"));
        event["child"]["given_name"] = json!(format!("Child {n}"));
        post(&mut book, &lan, &desk, event.to_string().as_bytes()) == 503
    });
    assert!(full, "the queue takes no more than its limit");
    crowd(&mut book, &lan, &desk);
    let (listed, seen) = (book.listed(), &book.seen);
    assert_eq!(&listed, seen, "not brought about: {:?}", listed.difference(seen));
    assert!(listed.len() > 25);
}
