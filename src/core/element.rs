//! One child at one organization, as a pull from OSCaR shows it.
//!
//! It comes in one of two shapes, and the shape of one child changes from pull to pull (oscar-measured.md facts 4 and
//! 5). A key that is absent says nothing; only the first shape says why, how urgent and with whose consent the NGO
//! referred.

use super::event::Private;
use super::link::Shown;

/// Which of its two shapes an element came in (oscar.md §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A: the child is flagged as referred to anybody outside, and its stamp lies in the window. Every child the NGO
    /// refers to Primero is flagged; a push from Primero flags nobody.
    Referred,
    /// B: everybody else, the archived included.
    Shared,
}

/// A referral as it stands in an element's `services`, one per number and service name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub number: i64,
    pub service: String,
    pub status: String,
}

/// What only the first shape says. It is of the latest referral to or from Primero alone, whichever of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latest {
    pub reason: Private<String>,
    /// As OSCaR spells it; blank where it says nothing.
    pub level_of_risk: Private<String>,
    /// A consent form is on file.
    pub consent_form: bool,
}

/// One child at one organization. Everything but the two ids may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub organization: String,
    pub global_id: String,
    /// The Primero `case_id` the child is linked to.
    pub external_id: Option<String>,
    pub slug: String,
    pub shape: Shape,
    pub shown: Shown,
    pub items: Vec<Item>,
    pub latest: Latest,
    /// The child's own status; never a decision (oscar.md §9.1.6).
    pub status: String,
    pub worker_name: Private<String>,
    pub worker_phone: Private<String>,
    /// Where the NGO's office is.
    pub office_code: Option<String>,
    /// Digest of the element as it came.
    pub digest: [u8; 32],
}

/// How every reason begins that a gateway has sent, whichever box it was.
const TAGGED: &str = "[GW-";

impl Element {
    /// Numbers in `services`, each once, in order.
    pub fn numbers(&self) -> Vec<i64> {
        let mut numbers: Vec<i64> = self.items.iter().map(|item| item.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The number that [`Element::latest`] speaks of, in the shape that has it. Numbers of one organization rise.
    pub fn latest_number(&self) -> Option<i64> {
        match self.shape {
            Shape::Referred => self.items.iter().map(|item| item.number).max(),
            Shape::Shared => None,
        }
    }

    /// The reference tag at the front of the latest referral's reason: a gateway sent that one.
    pub fn latest_tag(&self) -> Option<&str> {
        let reason = &self.latest.reason.0;
        let end = reason.strip_prefix(TAGGED)?.find(']')? + TAGGED.len();
        reason.get(1..end)
    }
}
