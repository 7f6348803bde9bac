//! The roster of stations: kept sealed in the store, held in memory by the service, changed by `station add` and
//! `station revoke` and by nothing else. A change counts from the moment it is on disk, on open connections too.
//!
//! A token is 25 letters and digits without look-alikes (122 random bits), shown once and stored as a hash.

use super::identity::{TAG_LETTERS, sha256};
use super::office::Answer;
use crate::core::station::{Refused, Roster, Station, StationId, TokenHash};
use crate::core::status::stamp;
use crate::store::{Store, StoreError, Tx};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, RwLock};

/// The roster's name among the store's documents.
const DOCUMENT: &str = "stations";
/// Letters of a token, and how many stand together.
const TOKEN_LETTERS: usize = 25;
const GROUP: usize = 5;

const NO_PANIC: &str = "nobody panics with the roster in hand";

/// What somebody with rights on this box wants of the roster. Travels as JSON over the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum StationOrder {
    Add { name: String },
    Revoke { name: String },
    List,
}

/// The roster as committed, shared by every connection.
#[derive(Clone)]
pub struct Stations(Arc<RwLock<Roster>>);

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Station(StationId),
    /// The token was good once.
    Revoked,
    Nobody,
}

impl Stations {
    /// Reads the roster.
    pub fn open(store: &Store) -> Result<Stations, StoreError> {
        let roster = store.read(|view| view.meta_get::<Roster>(DOCUMENT))?;
        Ok(Stations(Arc::new(RwLock::new(roster.unwrap_or_default()))))
    }

    /// Whose token this is, however it was typed.
    pub fn holder(&self, token: &str) -> Holder {
        let roster = self.0.read().expect(NO_PANIC);
        match hash(token).and_then(|hash| roster.by_token(&hash)) {
            Some(station) if station.revoked => Holder::Revoked,
            Some(station) => Holder::Station(station.id),
            None => Holder::Nobody,
        }
    }

    /// How many may speak.
    pub fn count(&self) -> usize {
        let roster = self.0.read().expect(NO_PANIC);
        roster
            .stations()
            .iter()
            .filter(|station| !station.revoked)
            .count()
    }

    /// Carries the order out. `unix` is the wall clock where it is plausible.
    pub fn carry_out(&self, store: &Store, order: StationOrder, unix: Option<i64>) -> Answer {
        match order {
            StationOrder::List => {
                let roster = self.0.read().expect(NO_PANIC);
                let lines: Vec<Value> = roster.stations().iter().map(line).collect();
                Answer::ok(json!({ "stations": lines }))
            }
            StationOrder::Add { name } => {
                let Some(token) = fresh_token() else {
                    return Answer::refusal(503, "random", "the system gives no random numbers; try again");
                };
                let hash = hash(&token).expect("made of its own letters");
                let added = name.clone();
                let mut answer = self.change(store, move |roster| roster.add(&name, hash, unix), added);
                if answer.status == 200 {
                    answer.body["token"] = json!(token);
                }
                answer
            }
            StationOrder::Revoke { name } => {
                let revoked = name.clone();
                self.change(store, move |roster| roster.revoke(&name), revoked)
            }
        }
    }

    /// The roster in memory follows the one on disk, never the other way round.
    fn change(
        &self,
        store: &Store,
        act: impl FnOnce(&mut Roster) -> Result<StationId, Refused> + Send + 'static,
        name: String,
    ) -> Answer {
        let done = store.write(move |tx: &mut Tx<'_>| {
            let mut roster: Roster = tx.meta_get(DOCUMENT)?.unwrap_or_default();
            let id = act(&mut roster).map_err(No::Refused)?;
            tx.meta_put(DOCUMENT, &roster);
            Ok((id, roster))
        });
        match done {
            Ok((id, roster)) => {
                *self.0.write().expect(NO_PANIC) = roster;
                Answer::ok(json!({ "station": name, "id": id }))
            }
            Err(No::Refused(Refused::Unknown)) => {
                Answer::refusal(404, Refused::Unknown.code(), Refused::Unknown.advice())
            }
            Err(No::Refused(why)) => Answer::refusal(422, why.code(), why.advice()),
            Err(No::Store(error)) => Answer::refusal(503, "store", &error.to_string()),
        }
    }
}

/// Why the roster was not changed.
enum No {
    Refused(Refused),
    Store(StoreError),
}

impl From<StoreError> for No {
    fn from(error: StoreError) -> No {
        No::Store(error)
    }
}

fn line(station: &Station) -> Value {
    json!({ "station": station.name, "id": station.id, "revoked": station.revoked,
        "added_at": station.added.and_then(stamp) })
}

/// The hash a token is known by. Spaces and hyphens do not count, nor capitals, and letters no token has are read as
/// the digits they look like: it is typed from a sheet of paper into a telephone.
fn hash(token: &str) -> Option<TokenHash> {
    let mut letters = Vec::with_capacity(TOKEN_LETTERS);
    for byte in token.bytes().filter(|byte| !b" -".contains(byte)) {
        let letter = match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            letter => letter,
        };
        if letters.len() == TOKEN_LETTERS || !TAG_LETTERS.contains(&letter) {
            return None;
        }
        letters.push(letter);
    }
    (letters.len() == TOKEN_LETTERS).then(|| sha256(&letters))
}

fn fresh_token() -> Option<String> {
    let random = SystemRandom::new();
    let mut token = String::with_capacity(TOKEN_LETTERS + TOKEN_LETTERS / GROUP);
    let mut letters = 0;
    while letters < TOKEN_LETTERS {
        let mut byte = [0];
        random.fill(&mut byte).ok()?;
        // Beyond the last whole round the first letters would come up more often.
        if byte[0] >= 240 {
            continue;
        }
        if letters > 0 && letters % GROUP == 0 {
            token.push('-');
        }
        token.push(char::from(TAG_LETTERS[usize::from(byte[0] % 30)]));
        letters += 1;
    }
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_however_it_is_typed() {
        let token = fresh_token().unwrap();
        assert_eq!(token.len(), 29, "{token}");
        assert_ne!(token, fresh_token().unwrap());
        let known = hash(&token).unwrap();
        assert_eq!(hash(&token.to_lowercase().replace('-', " ")), Some(known));
        assert_eq!(
            hash("7F3K2-7F3K2-7F3K2-7F3K2-7F3K0"),
            hash("7f3k27f3k27f3k27f3k27f3kO")
        );
        assert_eq!(
            hash("11111-7F3K2-7F3K2-7F3K2-7F3K0"),
            hash("IlLi1-7F3K2-7F3K2-7F3K2-7F3K0")
        );
        for bad in [
            "",
            "7F3K2",
            &token[1..],
            &format!("{token}7"),
            &token.replace('-', "/"),
        ] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }
}
