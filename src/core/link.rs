//! The link table: which ids on either side are one child (design §2, "identity pairs").

use super::event::Private;
use super::record::CaseRef;
use serde::{Deserialize, Serialize};

/// An id by which an outside system or the office knows a child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChildId {
    /// Primero `case_id`, what OSCaR calls `external_id`.
    CaseId(String),
    /// The last seven characters of Primero's identifier.
    ShortId(String),
    /// OSCaR `global_id`, what Primero calls `oscar_number`.
    GlobalId(String),
    /// The ministry's number.
    Mosvy(String),
    /// A Primero referral: with [`ChildId::OscarReferral`] the ledger of what has been taken in already. It outlives
    /// the event; about 60 bytes each, never given up.
    Transition(String),
    /// An OSCaR referral: numbers repeat from one organization to the next (oscar.md §1.4).
    OscarReferral(String, i64),
    /// The digest of a child's identity as typed at the office, for children nobody has numbered yet.
    Fingerprint([u8; 32]),
}

/// What OSCaR says of a child, as far as a later push must repeat it: an upsert overwrites the NGO's own record
/// with whatever it carries (oscar.md §3.5), so it has to carry what the NGO has.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Known {
    pub given_name: Private<String>,
    pub family_name: Private<String>,
    pub gender: Private<String>,
    pub date_of_birth: Private<String>,
    pub location_code: Private<String>,
    pub mosvy_number: Private<String>,
}

/// A child seen in a pull at one organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub organization: String,
    pub global_id: String,
    pub slug: String,
    pub known: Known,
    /// Digest of the pulled element: an unchanged one needs no work and no write.
    pub digest: [u8; 32],
}

/// Everything that ties one subject to records elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Link {
    pub case: Option<CaseRef>,
    /// At most one per organization.
    pub sightings: Vec<Sighting>,
    /// Numbers of OSCaR referrals already accounted for, per organization: ours that were matched, and those that
    /// stood there before we pushed. A number not in here is new. Bounded by [`NUMBERS_MAX`], oldest out first.
    #[serde(default)]
    pub numbers: Vec<(String, i64)>,
    /// OSCaR has shown the child's number at a further organization, be it outside our scope: a decision sent there may
    /// hit another child's referral (oscar.md §4.2).
    #[serde(default)]
    pub elsewhere: bool,
    /// Primero's `last_updated_at` of the case as last taken in or written: the same again is no news.
    #[serde(default)]
    pub case_stamp: Option<String>,
    /// That stamp is of our own write ([`super::echo`]): the long look back lists the case once more.
    #[serde(default, skip_serializing_if = "super::work::is_default")]
    pub case_stamp_own: bool,
}

/// Most referral numbers remembered for one child.
pub const NUMBERS_MAX: usize = 128;

impl Link {
    /// What was last seen of the child at this organization.
    pub fn at(&self, organization: &str) -> Option<&Sighting> {
        self.sightings
            .iter()
            .find(|sighting| sighting.organization == organization)
    }

    /// Whether this OSCaR referral is accounted for.
    pub fn counted(&self, organization: &str, number: i64) -> bool {
        self.numbers
            .iter()
            .any(|(at, known)| at == organization && *known == number)
    }

    /// Accounts for an OSCaR referral.
    pub fn count(&mut self, organization: &str, number: i64) {
        if !self.counted(organization, number) {
            if self.numbers.len() >= NUMBERS_MAX {
                self.numbers.remove(0);
            }
            self.numbers.push((organization.to_owned(), number));
        }
    }

    /// Stores a sighting in place of the organization's earlier one; true if it says anything new.
    pub fn see(&mut self, sighting: Sighting) -> bool {
        match self
            .sightings
            .iter_mut()
            .find(|known| known.organization == sighting.organization)
        {
            Some(known) if *known == sighting => false,
            Some(known) => {
                *known = sighting;
                true
            }
            None => {
                self.sightings.push(sighting);
                true
            }
        }
    }
}
