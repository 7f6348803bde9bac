//! The stations of the office: whoever may speak to the LAN listener, each with a token of its own.
//!
//! A station is a place (`front-desk`, `phone-3`), not a person: its name goes into lists. Its number is the opaque id
//! events remember it by. A name that was revoked may be added again and gets a new token; number and events stay its
//! own, for a lost telephone must not lose the office its referrals. Nothing is ever taken off the roster, so a number
//! never comes to mean another station; at [`STATIONS_MAX`] names no new one is taken.

use serde::{Deserialize, Serialize};

/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 32;
/// Most names on the roster, revoked ones included: more than twice the largest office.
pub const STATIONS_MAX: usize = 512;

/// Number of a station on its gateway; what an event remembers of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StationId(pub u16);

/// Whether a sender may see an event that came from there, and speak of it: a station of its own alone, whoever has rights
/// on the box of any.
pub fn may_see(sender: Option<StationId>, from: Option<StationId>) -> bool {
    sender.is_none() || from == sender
}

/// SHA-256 of a token. Tokens are made by the gateway and too long to guess, so they need no slower hash.
pub type TokenHash = [u8; 32];

/// One line of the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Station {
    pub id: StationId,
    pub name: String,
    #[serde(with = "super::hex")]
    pub token: TokenHash,
    /// Unix seconds at which the present token was made, where the clock was plausible.
    pub added: Option<i64>,
    /// The token is refused from now on.
    #[serde(default)]
    pub revoked: bool,
}

/// Why the roster was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not a name.
    Name,
    /// The name is in use.
    InUse,
    /// No room for another name.
    Full,
    /// No such station.
    Unknown,
}

impl Refused {
    /// A code for programs.
    pub fn code(self) -> &'static str {
        match self {
            Refused::Name => "station_name",
            Refused::InUse => "station_in_use",
            Refused::Full => "stations_full",
            Refused::Unknown => "not_found",
        }
    }

    /// What to do, for whoever typed the command.
    pub fn advice(self) -> &'static str {
        match self {
            Refused::Name => {
                "a station's name is 1 to 32 small letters, digits and hyphens; name the place, not a person"
            }
            Refused::InUse => "a station of this name exists; revoke it first if its token is lost",
            Refused::Full => "there is no room for another name; add a revoked one again",
            Refused::Unknown => "there is no station of this name; `station list` shows them",
        }
    }
}

/// All stations there have ever been, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roster(Vec<Station>);

impl Roster {
    /// In order of their numbers.
    pub fn stations(&self) -> &[Station] {
        &self.0
    }

    /// Puts a station on the roster, or gives one that was revoked its new token.
    pub fn add(&mut self, name: &str, token: TokenHash, unix: Option<i64>) -> Result<StationId, Refused> {
        if !is_name(name) {
            return Err(Refused::Name);
        }
        let before = self.0.iter_mut().find(|station| station.name == name);
        if let Some(station) = before {
            if !station.revoked {
                return Err(Refused::InUse);
            }
            station.token = token;
            station.added = unix;
            station.revoked = false;
            return Ok(station.id);
        }
        if self.0.len() >= STATIONS_MAX {
            return Err(Refused::Full);
        }
        let id = StationId(u16::try_from(self.0.len() + 1).expect("STATIONS_MAX fits"));
        self.0.push(Station {
            id,
            name: name.to_owned(),
            token,
            added: unix,
            revoked: false,
        });
        Ok(id)
    }

    /// Refuses a station's token from now on. To revoke twice is to revoke once.
    pub fn revoke(&mut self, name: &str) -> Result<StationId, Refused> {
        let station = self.0.iter_mut().find(|station| station.name == name);
        let station = station.ok_or(Refused::Unknown)?;
        station.revoked = true;
        Ok(station.id)
    }

    /// Whose token this is. Found by its hash, so that the time a look takes tells nothing about a token.
    pub fn by_token(&self, token: &TokenHash) -> Option<&Station> {
        self.0.iter().find(|station| station.token == *token)
    }
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revoked_station_comes_back_with_a_new_token_and_its_own_number() {
        let mut roster = Roster::default();
        let desk = roster.add("desk", [1; 32], Some(5)).unwrap();
        let phone = roster.add("phone-2", [2; 32], None).unwrap();
        assert_ne!(desk, phone);
        assert_eq!(roster.add("desk", [3; 32], None), Err(Refused::InUse));
        assert_eq!(roster.revoke("desk"), Ok(desk));
        assert_eq!(roster.revoke("desk"), Ok(desk));
        assert!(roster.by_token(&[1; 32]).unwrap().revoked);
        assert_eq!(roster.add("desk", [4; 32], None), Ok(desk));
        assert!(roster.by_token(&[1; 32]).is_none());
        assert!(!roster.by_token(&[4; 32]).unwrap().revoked);
        assert_eq!(roster.revoke("nobody"), Err(Refused::Unknown));
    }

    #[test]
    fn names_and_their_number_are_bounded() {
        let mut roster = Roster::default();
        for bad in ["", "Desk", "front desk", "a/b", "ដារ៉ា", &"x".repeat(33)] {
            assert_eq!(roster.add(bad, [0; 32], None), Err(Refused::Name), "{bad}");
        }
        for n in 0..STATIONS_MAX {
            roster.add(&format!("s-{n}"), [0; 32], None).unwrap();
        }
        assert_eq!(roster.add("one-more", [0; 32], None), Err(Refused::Full));
        roster.revoke("s-7").unwrap();
        assert_eq!(roster.add("s-7", [9; 32], None), Ok(StationId(8)));
    }
}
