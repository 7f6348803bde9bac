//! The link table: which ids on either side are one child (design §2, "identity pairs").

use super::element::{Element, Shape};
use super::event::{Private, Values};
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
    /// The ministry's number, with a name it was typed with.
    Mosvy(String),
    /// A Primero referral: with [`ChildId::OscarReferral`] the ledger of what has been taken in already. It outlives
    /// the event; about 60 bytes each, never given up.
    Transition(String),
    /// An OSCaR referral: numbers repeat from one organization to the next (oscar.md §1.4).
    OscarReferral(String, i64),
    /// The digest of a child's identity as typed at the office, for children nobody has numbered yet.
    Fingerprint([u8; 32]),
}

/// What OSCaR says of a child. A later push must repeat it: an upsert overwrites the NGO's own record with whatever it
/// carries (oscar.md §3.5), so it has to carry what the NGO has. The raw words stay: what Primero calls `other` may be
/// `lgbt` here.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Known {
    pub given_name: Private<String>,
    pub family_name: Private<String>,
    #[serde(default)]
    pub local_given_name: Private<String>,
    #[serde(default)]
    pub local_family_name: Private<String>,
    pub gender: Private<String>,
    pub date_of_birth: Private<String>,
    pub location_code: Private<String>,
    pub mosvy_number: Private<String>,
}

/// The same as one pull shows it: a key that is absent says nothing (oscar-measured.md fact 4), a blank one does.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Shown {
    pub given_name: Option<Private<String>>,
    pub family_name: Option<Private<String>>,
    pub local_given_name: Option<Private<String>>,
    pub local_family_name: Option<Private<String>>,
    pub gender: Option<Private<String>>,
    pub date_of_birth: Option<Private<String>>,
    pub location_code: Option<Private<String>>,
    pub mosvy_number: Option<Private<String>>,
}

impl Known {
    /// Takes over what was shown and keeps the rest.
    pub fn learn(&mut self, shown: &Shown) {
        let pairs = [
            (&mut self.given_name, &shown.given_name),
            (&mut self.family_name, &shown.family_name),
            (&mut self.local_given_name, &shown.local_given_name),
            (&mut self.local_family_name, &shown.local_family_name),
            (&mut self.gender, &shown.gender),
            (&mut self.date_of_birth, &shown.date_of_birth),
            (&mut self.location_code, &shown.location_code),
            (&mut self.mosvy_number, &shown.mosvy_number),
        ];
        for (known, shown) in pairs {
            if let Some(shown) = shown {
                known.clone_from(shown);
            }
        }
    }
}

/// What OSCaR said of a child when it was last taken up for Primero: a value that differs from this has been changed at
/// the NGO since. Only the organization that referred or shared the child speaks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    pub organization: String,
    pub values: Values,
}

/// A child seen in a pull at one organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub organization: String,
    pub global_id: String,
    pub slug: String,
    /// The Primero case OSCaR has the child linked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Referral numbers seen with this global id at this organization: only such a pair may be decided upon
    /// (oscar.md §4.2). Bounded by [`NUMBERS_MAX`], oldest out first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<i64>,
    pub known: Known,
    /// Digests of the element as last pulled in each of its shapes, shared and referred: an unchanged one needs no work
    /// and no write, though the shapes take turns.
    pub digest: [u8; 32],
    #[serde(default)]
    pub referred_digest: [u8; 32],
}

impl Sighting {
    /// A child of whom nothing else is known yet.
    pub fn new(organization: &str, global_id: &str) -> Sighting {
        Sighting {
            organization: organization.to_owned(),
            global_id: global_id.to_owned(),
            slug: String::new(),
            external_id: None,
            numbers: Vec::new(),
            known: Known::default(),
            digest: [0; 32],
            referred_digest: [0; 32],
        }
    }

    fn digest_mut(&mut self, shape: Shape) -> &mut [u8; 32] {
        match shape {
            Shape::Shared => &mut self.digest,
            Shape::Referred => &mut self.referred_digest,
        }
    }

    /// Whether this very element has been taken in, and nothing has changed since.
    pub fn has(&self, element: &Element) -> bool {
        let digest = match element.shape {
            Shape::Shared => &self.digest,
            Shape::Referred => &self.referred_digest,
        };
        *digest == element.digest
    }
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
    /// And that organization has the child linked to another Primero case than ours, or to one we do not know:
    /// `update_links` would overwrite that (oscar.md §4.1).
    #[serde(default)]
    pub elsewhere_linked: bool,
    #[serde(default)]
    pub agreed: Option<Agreed>,
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

    /// What was shown there last is to be looked at again.
    pub fn look_again(&mut self, organization: &str) {
        if let Some(seen) = self
            .sightings
            .iter_mut()
            .find(|seen| seen.organization == organization)
        {
            seen.referred_digest = [0; 32];
        }
    }

    /// Takes an element in as the organization's sighting; true if it says anything new.
    pub fn see(&mut self, element: &Element) -> bool {
        let at = match self
            .sightings
            .iter()
            .position(|s| s.organization == element.organization)
        {
            Some(at) => at,
            None => {
                self.sightings
                    .push(Sighting::new(&element.organization, &element.global_id));
                self.sightings.len() - 1
            }
        };
        let seen = &mut self.sightings[at];
        let before = seen.clone();
        if seen.global_id != element.global_id {
            seen.global_id.clone_from(&element.global_id);
            seen.numbers.clear();
        }
        if !element.slug.is_empty() {
            seen.slug.clone_from(&element.slug);
        }
        seen.external_id = element.external_id.clone().or(seen.external_id.take());
        for item in &element.items {
            if !seen.numbers.contains(&item.number) {
                seen.numbers.push(item.number);
            }
        }
        let surplus = seen.numbers.len().saturating_sub(NUMBERS_MAX);
        seen.numbers.drain(..surplus);
        seen.known.learn(&element.shown);
        if *seen != before {
            // Should the other shape come as it came before this change, it is to be looked at all the same.
            (seen.digest, seen.referred_digest) = ([0; 32], [0; 32]);
        }
        *seen.digest_mut(element.shape) = element.digest;
        *seen != before
    }

    /// Whether this child's number stands at more than one organization, as far as pulls have shown.
    pub fn at_several(&self, global_id: &str) -> bool {
        let places = self.sightings.iter().filter(|seen| seen.global_id == global_id);
        self.elsewhere || places.count() > 1
    }
}
