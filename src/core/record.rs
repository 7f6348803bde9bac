//! What the gateway remembers of one event beside its private content: where it stands and what the peers answered.
//!
//! A [`Head`] holds ids, times, hashes and outcomes, no names. The life of an event:
//!
//! ```text
//! accepted -> pending -> delivered -> (decision comes back, is written to the other side)
//!               |  ^ \-> in doubt   an answer was lost: read back, or a person says
//!               |  \---- parked     needs a person; requeue returns it
//!               \------> discarded  by a named person with a note, nothing else
//! ```

use super::event::{Decision, Kind, Private};
use super::intake::NOTE_CHARS_MAX;
use super::reason::Reason;
use super::station::StationId;
use super::time::BootId;
use super::work::is_default;
pub use super::work::{CaseRef, OneShot, ServiceWork, Work};
use serde::{Deserialize, Serialize};

/// Store-given order. Nothing else orders events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// The child an event is about, as an opaque id of this box. One lane per subject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject(#[serde(with = "super::hex")] pub [u8; 16]);

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "subject {:02x}{:02x}{:02x}", self.0[0], self.0[1], self.0[2])
    }
}

/// One of the two systems the gateway speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    Primero,
    Oscar,
}

impl Peer {
    pub const BOTH: [Peer; 2] = [Peer::Primero, Peer::Oscar];

    pub fn word(self) -> &'static str {
        match self {
            Peer::Primero => "primero",
            Peer::Oscar => "oscar",
        }
    }
}

/// The row of design §2 an event travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    LocalToOscar,
    LocalToPrimero,
    PrimeroToOscar,
    OscarToPrimero,
    Decisions,
}

impl Flow {
    pub fn word(self) -> &'static str {
        match self {
            Flow::LocalToOscar => "local-to-oscar",
            Flow::LocalToPrimero => "local-to-primero",
            Flow::PrimeroToOscar => "primero-to-oscar",
            Flow::OscarToPrimero => "oscar-to-primero",
            Flow::Decisions => "decisions",
        }
    }

    /// A referral to an NGO: Primero has the referral, OSCaR decides.
    pub fn to_oscar(self) -> bool {
        matches!(self, Flow::LocalToOscar | Flow::PrimeroToOscar)
    }
}

/// Where an event stands. There is no other state and no way to leave these (design §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Pending,
    InDoubt,
    Parked,
    Delivered,
    Discarded,
}

impl State {
    pub const ALL: [State; 5] = [
        State::Pending,
        State::InDoubt,
        State::Parked,
        State::Delivered,
        State::Discarded,
    ];

    pub fn word(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::InDoubt => "in_doubt",
            State::Parked => "parked",
            State::Delivered => "delivered",
            State::Discarded => "discarded",
        }
    }

    /// Still holds up its lane: the event before which no later one of the same child may pass.
    pub fn open(self) -> bool {
        matches!(self, State::Pending | State::InDoubt | State::Parked)
    }
}

/// A moment as the box knew it: the boot it happened in, and the wall time if the clock was plausible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    pub boot: BootId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix: Option<i64>,
}

/// One line of an event's history: a code, who or what, and when. No personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub at: Moment,
    /// What happened, from the fixed vocabulary of [`what`].
    pub what: String,
    /// Ids, field names or status codes that belong to it; never content.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What a person wrote about it; may speak of the child, so it is shown only with `--reveal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Private<String>>,
}

/// The words of an event's history.
pub mod what {
    pub const ACCEPTED: &str = "accepted";
    pub const CASE_CREATED: &str = "case_created";
    pub const CASE_FOUND: &str = "case_found";
    pub const SERVICE_ADDED: &str = "service_added";
    pub const REFERRED: &str = "referred_in_primero";
    pub const PUSHED: &str = "pushed_to_oscar";
    pub const SEEN: &str = "seen_in_oscar";
    pub const DECIDED: &str = "decided";
    pub const DECISION_WRITTEN: &str = "decision_written";
    pub const DECISION_SENT: &str = "decision_sent_to_oscar";
    pub const DECISION_SEEN: &str = "decision_seen_in_oscar";
    pub const LINK_SENT: &str = "case_number_sent_to_oscar";
    pub const CASE_UPDATED: &str = "case_updated";
    pub const LEFT_ALONE: &str = "left_alone";
    pub const RENEWED: &str = "renewed";
    pub const DECISION_LOST: &str = "decision_lost_in_primero";
    pub const LINKED: &str = "linked";
    pub const LEFT_OUT: &str = "left_out";
    pub const DELIVERED: &str = "delivered";
    pub const RETRY: &str = "failed_will_retry";
    pub const IN_DOUBT: &str = "in_doubt";
    pub const READ_BACK: &str = "read_back";
    pub const PARKED: &str = "parked";
    pub const REQUEUED: &str = "requeued";
    pub const RESOLVED: &str = "resolved";
    pub const DISCARDED: &str = "discarded";
    pub const WITHDRAWN: &str = "withdrawn";
    pub const INTERRUPTED: &str = "interrupted";
    pub const CONTENT_ERASED: &str = "content_erased";
}

/// Longest history kept per event; the oldest line after the first gives way, so the beginning stays readable.
pub const HISTORY_MAX: usize = 24;
/// Lines of a history that keep a note: the newest. A row has room for as many of the longest.
const NOTES_MAX: usize = 4;
/// Longest detail of one history line, in bytes.
pub const DETAIL_MAX: usize = 160;

/// A decision made in Primero on one OSCaR referral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// OSCaR's number, of the event's organization.
    pub number: i64,
    /// Nothing where the services under this number were decided differently: OSCaR has one status for all.
    pub decision: Option<Decision>,
    pub sent: bool,
    /// What OSCaR was last seen to say.
    pub shown: Option<Decision>,
}

/// Everything about an event but its content. Sealed at rest all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub seq: Seq,
    /// Sender-made or gateway-made idempotency key (design §3).
    pub key: String,
    /// SHA-256 of the canonical body: the same key with another body is refused.
    #[serde(with = "super::hex")]
    pub body_hash: [u8; 32],
    pub kind: Kind,
    pub flow: Flow,
    pub organization: String,
    pub subject: Subject,
    /// The readable tag that survives in OSCaR's reason text, e.g. `GW-7F3K2` (oscar.md §3.6).
    pub tag: String,
    /// The station of the office that sent it, if it came through the LAN listener.
    #[serde(default, skip_serializing_if = "is_default")]
    pub station: Option<StationId>,
    /// Goes out even over the monthly budget.
    #[serde(default, skip_serializing_if = "is_default")]
    pub urgent: bool,
    pub state: State,
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: Option<Reason>,
    /// Times this event was taken in hand for a peer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: u32,
    /// Times a peer failed on this very event since it was last queued.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failures: u32,
    /// Times the program died with this event in hand.
    #[serde(default, skip_serializing_if = "is_default")]
    pub crashes: u32,
    /// Set in the commit before work starts; one from an earlier boot means the work was cut off.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lease: Option<BootId>,
    pub created: Moment,
    pub changed: Moment,
    pub work: Work,
    pub history: Vec<Step>,
}

impl Head {
    /// Adds a line to the history, keeping it bounded.
    pub fn note(&mut self, at: Moment, what: &str, detail: &str) {
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(1);
        }
        let mut end = detail.len().min(DETAIL_MAX);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        self.history.push(Step {
            at,
            what: what.to_owned(),
            detail: detail[..end].to_owned(),
            note: None,
        });
        self.changed = at;
    }

    /// Puts words that only the box may show beside the newest line.
    pub fn remark(&mut self, words: &str) {
        if let Some(step) = self.history.last_mut() {
            step.note = Some(Private(words.chars().take(NOTE_CHARS_MAX).collect()));
        }
        let noted = self.history.iter_mut().filter(|step| step.note.is_some());
        noted.rev().skip(NOTES_MAX).for_each(|step| step.note = None);
    }

    /// The decision as far as it is known for the event as a whole: only when every service agrees.
    pub fn decision(&self) -> Option<Decision> {
        let mut decisions = self.work.services.iter().map(|service| service.decision);
        let first = decisions.next()??;
        decisions.all(|other| other == Some(first)).then_some(first)
    }

    /// Delivered, but not decided for both sides on every service, and no person has settled them: nobody has decided, or
    /// Primero has and OSCaR has not yet shown the referral that must be told of it.
    pub fn undecided(&self) -> bool {
        let open = |service: &ServiceWork| match service.decision {
            None => !service.decision_written && !service.decision_reported,
            Some(_) => {
                self.flow.to_oscar()
                    && service.decided_at == Some(Peer::Primero)
                    && service.oscar_referral.is_none()
                    && !service.decision_reported
            }
        };
        self.state == State::Delivered
            && (self.flow.to_oscar() || self.flow == Flow::OscarToPrimero)
            && self.kind == Kind::Referral
            && self.work.services.iter().any(open)
    }

    /// Something learned from OSCaR is not yet in Primero.
    pub fn write_back_due(&self) -> bool {
        if self.flow == Flow::OscarToPrimero && self.work.case.is_some() {
            // The office has decided what an NGO asked for; a decision made in the case's form stands there already.
            let office =
                |s: &ServiceWork| s.decision.is_some() && s.decided_at.is_none() && !s.decision_written;
            return self.work.services.iter().any(office);
        }
        if !self.flow.to_oscar() || self.kind != Kind::Referral || self.work.case.is_none() {
            return false;
        }
        let work = &self.work;
        let number_due = work.global_id.is_some() && !work.number_written && !work.number_left_out;
        let service_due = work.services.iter().any(|service| {
            (service.decision.is_some() && !service.decision_written)
                || (service.oscar_referral.is_some() && !service.link_written && !work.links_left_out)
        });
        number_due || service_due
    }

    /// A decision made in Primero, or the child's Primero number, has not reached OSCaR yet. Nothing can be said there
    /// of a referral that OSCaR has not shown.
    pub fn report_due(&self) -> bool {
        self.link_due() || self.reports().iter().any(|report| !report.sent)
    }

    /// The child's Primero number has not been sent.
    pub fn link_due(&self) -> bool {
        self.link_unseen() && !self.work.link_sent
    }

    /// The child's Primero number does not stand at OSCaR yet, as far as pulls have shown.
    fn link_unseen(&self) -> bool {
        self.flow == Flow::OscarToPrimero
            && self.work.case.is_some()
            && self.work.global_id.is_some()
            && !self.work.link_seen
    }

    /// Something was said to OSCaR that no pull has shown there.
    pub fn report_unseen(&self) -> bool {
        (self.work.link_sent && self.link_unseen()) || self.reports().iter().any(|report| report.sent)
    }

    /// Decisions made in Primero that have not been seen at OSCaR: one for each of its numbers, once every service
    /// under that number is decided.
    pub fn reports(&self) -> Vec<Report> {
        let mut reports: Vec<Report> = Vec::new();
        for service in &self.work.services {
            let (Some(number), Some(decision)) = (service.oscar_referral, service.decision) else {
                continue;
            };
            let due = service.decided_at == Some(Peer::Primero) && !service.decision_reported;
            let under = || {
                self.work
                    .services
                    .iter()
                    .filter(move |s| s.oscar_referral == Some(number))
            };
            if !due
                || under().any(|s| s.decision.is_none())
                || reports.iter().any(|report| report.number == number)
            {
                continue;
            }
            let one = under().all(|s| s.decision == Some(decision));
            reports.push(Report {
                number,
                decision: one.then_some(decision),
                sent: under().all(|s| s.decision_sent),
                shown: service.shown_there,
            });
        }
        reports
    }

    /// The peer this event waits for, if any.
    pub fn next_peer(&self) -> Option<Peer> {
        match self.state {
            State::Pending if !self.work.primero_done => Some(Peer::Primero),
            State::Pending if !self.work.oscar_done => Some(Peer::Oscar),
            // Primero can be read back at once; OSCaR cannot be asked (oscar.md §3.6): a pull or a person settles it.
            State::InDoubt if !self.work.primero_done => Some(Peer::Primero),
            State::Delivered if self.write_back_due() => Some(Peer::Primero),
            State::Delivered if self.report_due() => Some(Peer::Oscar),
            State::Pending | State::InDoubt | State::Parked | State::Delivered | State::Discarded => None,
        }
    }

    /// No later event of the same child may pass. One that was delivered and then parked for a person (a number or a
    /// decision that found no room in Primero) holds up nobody.
    pub fn holds_lane(&self) -> bool {
        self.state.open() && !(self.work.primero_done && self.work.oscar_done)
    }

    /// Nothing more can happen to this event: its content may be erased and, later, its row.
    pub fn closed(&self) -> bool {
        match self.state {
            State::Discarded => true,
            State::Delivered => {
                let left_out = self.work.number_left_out || self.work.links_left_out;
                let due = self.write_back_due() || self.report_due();
                !self.undecided() && !due && !self.report_unseen() && !left_out
            }
            State::Pending | State::InDoubt | State::Parked => false,
        }
    }
}
