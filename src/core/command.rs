//! Commands of the central desk, arriving on `cmd`: what may be asked, and when it is refused.
//!
//! ```text
//! {"v":1,"signed":"{\"id\":\"…\",\"gateway\":\"kh-pilot/kpt-03\",\"cmd\":\"sync\",\"expires\":1795…}","sig":"…"}
//! ```
//!
//! `sig` is the Ed25519 signature, in base64, over [`DOMAIN`] and then exactly the bytes of the text in `signed`, so that
//! nothing has to be brought into a canonical form, and a signature made for another purpose is worth nothing here.
//! The text names the gateway, so that it is good for no other, and a moment after which it is good for nothing.
//! Every id is obeyed once: ids are remembered on disk until they would have expired anyway. Whether they have is
//! judged only by a confirmed clock; without one nothing is obeyed but `unlock`: a locked gateway asks no peer, so after
//! a restart nobody may ever confirm its clock, and a lock that cannot be opened costs a day's drive.

use super::time::{Trust, Wall};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Comes before the signed text, under the signature.
pub const DOMAIN: &[u8] = b"referral-gateway/v1/cmd\n";
/// Longest life of a command, in seconds: what bounds the memory of ids in time.
pub const LIFE_MAX_S: i64 = 7 * 24 * 3600;
/// Most ids remembered at once; while as many are alive, further commands are refused.
pub const REMEMBERED_MAX: usize = 64;
/// Name of the memory among the store's documents.
pub const DOCUMENT: &str = "desk";

/// What the desk may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A session now, whatever the backoff says.
    Sync,
    /// Say everything retained again.
    Reannounce,
    /// Send parked events round again: the one with this number, or all of them.
    Requeue(Option<u64>),
    /// Take nothing in and speak to no peer until unlocked.
    Lock,
    Unlock,
}

impl Order {
    pub fn word(self) -> &'static str {
        match self {
            Order::Sync => "sync",
            Order::Reannounce => "reannounce",
            Order::Requeue(_) => "requeue",
            Order::Lock => "lock",
            Order::Unlock => "unlock",
        }
    }

    /// The order of this name; `seq` goes with `requeue` alone.
    pub fn named(word: &str, seq: Option<u64>) -> Option<Order> {
        Some(match (word, seq) {
            ("sync", None) => Order::Sync,
            ("reannounce", None) => Order::Reannounce,
            ("requeue", seq) => Order::Requeue(seq),
            ("lock", None) => Order::Lock,
            ("unlock", None) => Order::Unlock,
            _ => return None,
        })
    }
}

/// A command whose signature has been verified, or is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `<fleet>/<gateway>`
    pub gateway: String,
    pub order: Order,
    /// Unix seconds.
    pub expires: i64,
}

/// Why a command was not carried out: the closed list of `cmd-result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not signed by a key this gateway knows.
    Signature,
    /// Signed, but nothing this version understands.
    Unknown,
    /// Meant for another gateway.
    OtherGateway,
    /// Our clock is not confirmed, so nobody can say whether the command has expired.
    Clock,
    Expired,
    /// Lives longer than [`LIFE_MAX_S`].
    LivesTooLong,
    /// Obeyed before.
    Replay,
    /// [`REMEMBERED_MAX`] commands are alive.
    TooMany,
    /// The event is not parked, or only to be settled by a person at the box, or there is none with this number.
    NotParked,
    /// The store takes no writes.
    Store,
    /// The gateway is locked.
    Locked,
}

impl Refusal {
    pub fn word(self) -> &'static str {
        match self {
            Refusal::Signature => "signature",
            Refusal::Unknown => "unknown",
            Refusal::OtherGateway => "other_gateway",
            Refusal::Clock => "clock",
            Refusal::Expired => "expired",
            Refusal::LivesTooLong => "lives_too_long",
            Refusal::Replay => "replay",
            Refusal::TooMany => "too_many",
            Refusal::NotParked => "not_parked",
            Refusal::Store => "store",
            Refusal::Locked => "locked",
        }
    }
}

/// A payload taken apart: the signed text and its signature in base64. Nothing in it is to be believed yet.
pub fn open(payload: &[u8]) -> Option<(String, String)> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(payload) else {
        return None;
    };
    match (fields.remove("signed"), fields.remove("sig")) {
        (Some(Value::String(signed)), Some(Value::String(sig))) => Some((signed, sig)),
        _ => None,
    }
}

impl Command {
    /// Reads a text whose signature is good.
    pub fn read(signed: &str) -> Result<Command, Refusal> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(signed.as_bytes()) else {
            return Err(Refusal::Unknown);
        };
        // A field this version does not know may narrow what is meant: better not to guess.
        let known = ["id", "gateway", "cmd", "seq", "expires"];
        if !fields.keys().all(|key| known.contains(&key.as_str())) {
            return Err(Refusal::Unknown);
        }
        let text = |key| fields.get(key).and_then(Value::as_str);
        let seq = match fields.get("seq") {
            None => None,
            Some(seq) => Some(seq.as_u64().ok_or(Refusal::Unknown)?),
        };
        let id = text("id").filter(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let order = text("cmd").and_then(|word| Order::named(word, seq));
        let expires = fields.get("expires").and_then(Value::as_i64);
        match (id, text("gateway"), order, expires) {
            (Some(id), Some(gateway), Some(order), Some(expires)) => Ok(Command {
                id: id.to_owned(),
                gateway: gateway.to_owned(),
                order,
                expires,
            }),
            _ => Err(Refusal::Unknown),
        }
    }

    /// The text to sign.
    pub fn text(&self) -> String {
        let mut fields = serde_json::Map::new();
        let mut put = |key: &str, value: Value| drop(fields.insert(key.to_owned(), value));
        put("id", self.id.as_str().into());
        put("gateway", self.gateway.as_str().into());
        put("cmd", self.order.word().into());
        put("expires", self.expires.into());
        if let Order::Requeue(Some(seq)) = self.order {
            put("seq", seq.into());
        }
        Value::Object(fields).to_string()
    }
}

/// What must outlive a restart: the ids obeyed, and whether the gateway is locked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Ids and when they expire.
    ids: Vec<(String, i64)>,
    /// The latest expiry ever forgotten: nothing that expires so early is obeyed again, should the clock go back.
    forgotten: i64,
    pub locked: bool,
}

impl Memory {
    /// Whether `gateway` may obey the command now; if so, it never will again.
    pub fn admit(&mut self, command: &Command, gateway: &str, now: Wall) -> Result<(), Refusal> {
        if command.gateway != gateway {
            return Err(Refusal::OtherGateway);
        }
        let confirmed = now.trust == Trust::Synced;
        let plausible = command.order == Order::Unlock && now.trust != Trust::Unset;
        if !confirmed && !plausible {
            return Err(Refusal::Clock);
        }
        if command.expires <= now.unix || command.expires <= self.forgotten {
            return Err(Refusal::Expired);
        }
        if command.expires > now.unix + LIFE_MAX_S {
            return Err(Refusal::LivesTooLong);
        }
        if self.ids.iter().any(|(id, _)| *id == command.id) {
            return Err(Refusal::Replay);
        }
        if confirmed {
            self.forget(now.unix);
        }
        if self.ids.len() >= REMEMBERED_MAX {
            return Err(Refusal::TooMany);
        }
        self.ids.push((command.id.clone(), command.expires));
        Ok(())
    }

    /// Forgets what has expired.
    fn forget(&mut self, now: i64) {
        let over = self
            .ids
            .iter()
            .map(|(_, expires)| *expires)
            .filter(|at| *at <= now);
        self.forgotten = over.max().unwrap_or(0).max(self.forgotten);
        self.ids.retain(|(_, expires)| *expires > now);
    }
}
