//! Recorded against simulated: which values are the server's own making, and whether the rest is equal.

use std::collections::HashMap;

use serde_json::Value;
use simulators::wire::Reply;

/// Keys and headers whose text a server makes up.
const SERVER_MADE: [&str; 6] = [
    "access-token",
    "client",
    "global_id",
    "client_global_id",
    "slug",
    "etag",
];
/// Keys that hold the server's clock: only their type is compared.
const STAMPS: [&str; 2] = ["created_at", "updated_at"];
const HEADERS: [&str; 8] = [
    "access-token",
    "client",
    "token-type",
    "expiry",
    "uid",
    "content-type",
    "etag",
    "cache-control",
];

/// Recorded text to simulated text, one to one.
#[derive(Default)]
pub struct Pairs {
    simulated: HashMap<String, String>,
    recorded: HashMap<String, String>,
}

impl Pairs {
    /// Rewrites recorded values into simulated ones.
    pub fn apply(&self, text: &str) -> String {
        let known = self
            .simulated
            .iter()
            .filter(|(from, _)| text.contains(from.as_str()))
            .collect::<Vec<_>>();
        known.into_iter().fold(text.to_owned(), |text, (from, to)| {
            text.replace(from.as_str(), to)
        })
    }

    fn text(&mut self, key: &str, recorded: &str, simulated: &str) -> bool {
        if !SERVER_MADE.contains(&key) {
            return recorded == simulated;
        }
        let new = !self.simulated.contains_key(recorded) && !self.recorded.contains_key(simulated);
        if new && recorded != simulated && !recorded.is_empty() && !simulated.is_empty() {
            self.simulated.insert(recorded.to_owned(), simulated.to_owned());
            self.recorded.insert(simulated.to_owned(), recorded.to_owned());
            return true;
        }
        self.simulated.get(recorded).map_or(recorded, String::as_str) == simulated
    }

    pub fn value(&mut self, key: &str, recorded: &Value, simulated: &Value) -> Vec<String> {
        let differs = || vec![format!("{key}: recorded {recorded}, simulated {simulated}")];
        match (recorded, simulated) {
            (Value::Object(a), Value::Object(b)) => {
                if !a.keys().eq(b.keys()) {
                    let names =
                        |m: &serde_json::Map<String, Value>| m.keys().cloned().collect::<Vec<_>>().join(" ");
                    return vec![format!(
                        "{key}: recorded keys {}, simulated {}",
                        names(a),
                        names(b)
                    )];
                }
                a.iter()
                    .flat_map(|(name, value)| self.value(name, value, &b[name]))
                    .collect()
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                let (mut a, mut b) = (a.clone(), b.clone());
                if key == "services" {
                    // Without ORDER BY: storage order is nobody's promise (`oscar-measured.md`, fact 6).
                    let by = |v: &Value| (v["referral_id"].as_i64(), v["name"].to_string());
                    a.sort_by_key(by);
                    b.sort_by_key(by);
                }
                a.iter()
                    .zip(&b)
                    .flat_map(|(a, b)| self.value(key, a, b))
                    .collect()
            }
            (Value::String(a), Value::String(b)) if STAMPS.contains(&key) || self.text(key, a, b) => {
                Vec::new()
            }
            (a, b) if a == b => Vec::new(),
            _ => differs(),
        }
    }

    pub fn reply(&mut self, recorded: &Value, reply: &Reply) -> Vec<String> {
        let mut found = Vec::new();
        if recorded["status"] != reply.status {
            found.push(format!(
                "status: recorded {}, simulated {}",
                recorded["status"], reply.status
            ));
        }
        let headers = recorded["headers"].as_array().unwrap();
        for name in HEADERS {
            let was = headers
                .iter()
                .find(|pair| pair[0] == name)
                .map(|pair| pair[1].as_str().unwrap());
            let same = match (was, reply.header(name)) {
                (Some(a), Some(b)) if name == "expiry" => (seconds(a) - seconds(b)).abs() <= 5,
                (Some(a), Some(b)) => self.text(name, a, b),
                (a, b) => a == b,
            };
            if !same {
                found.push(format!(
                    "header {name}: recorded {was:?}, simulated {:?}",
                    reply.header(name)
                ));
            }
        }
        let text = String::from_utf8_lossy(&reply.body);
        match (
            recorded.get("body_json"),
            recorded["body_text"].as_str().unwrap_or_default(),
        ) {
            (Some(body), _) => {
                let simulated = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
                found.extend(self.value("body", body, &simulated));
            }
            // The recorder kept no more than the title of an HTML page.
            (None, page) if page.starts_with("(HTML error page") => {
                let title = page
                    .split_once("shortened) ")
                    .expect("the recorder's own words")
                    .1;
                if !text.contains(title) {
                    found.push(format!("page: recorded {title}, simulated {text}"));
                }
            }
            (None, plain) if plain != text => found.push(format!("text: recorded {plain}, simulated {text}")),
            _ => {}
        }
        found
    }
}

fn seconds(text: &str) -> i64 {
    text.parse().expect("expiry is Unix seconds")
}
