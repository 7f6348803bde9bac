//! What the gateway asks of the two peers and what they can answer, as types. The codecs in `peers` turn these into
//! HTTP and back; the talks decide with them. A call is also the allow-list: a field that is not in it cannot leave.

use super::event::{Decision, Private};
use super::exchange::AnswerHead;
use super::outcome::Repeat;
use serde_json::{Map, Value};

/// Fields of a Primero record, by configured name.
pub type Fields = Map<String, Value>;

/// An identifier a case may be looked up by. Only equality of the returned row counts (primero.md §9.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseQuery {
    /// Name of the field, also the name of the filter.
    pub field: String,
    pub value: Private<String>,
}

/// One call to Primero.
#[derive(Clone, Debug, PartialEq)]
pub enum PrimeroCall {
    /// May the session start at all: not while a configuration is being applied (primero.md §7.3).
    Health,
    FindCase(CaseQuery),
    ReadCase {
        id: String,
    },
    /// With our own id: a repeat is a 409.
    CreateCase {
        id: String,
        fields: Private<Fields>,
    },
    /// A merge by our own `unique_id`s: a repeat changes nothing.
    PatchCase {
        id: String,
        fields: Private<Fields>,
    },
    ListReferrals {
        case: String,
    },
    /// The one call Primero cannot recognise as a repeat (primero.md §9.10).
    CreateReferral {
        case: String,
        to_user: String,
        service_type: String,
        service: String,
        notes: Private<String>,
    },
    DecideReferral {
        case: String,
        referral: String,
        decision: Decision,
    },
    RevokeReferral {
        case: String,
        referral: String,
    },
}

impl PrimeroCall {
    pub fn repeat(&self) -> Repeat {
        match self {
            PrimeroCall::CreateReferral { .. } => Repeat::Doubles,
            _ => Repeat::Harmless,
        }
    }
}

/// A case as Primero shows it to this role.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseView {
    pub id: String,
    pub fields: Private<Fields>,
}

impl CaseView {
    /// A text field, if present and not blank.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields
            .0
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// The case's `last_updated_at`, which every rendering has (primero.md §2.4).
    pub fn stamp(&self) -> Option<&str> {
        self.text("last_updated_at")
    }

    /// Users the case is referred or transferred to.
    pub fn assigned(&self) -> impl Iterator<Item = &str> {
        let list = self.fields.0.get("assigned_user_names").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }

    /// Not taken out of use: a disabled case takes writes all the same, and nobody would ever look at them.
    pub fn enabled(&self) -> bool {
        let off = |name: &str| self.fields.0.get(name) == Some(&Value::Bool(false));
        !off("enabled") && !off("record_state")
    }

    /// A tick box: only a true one counts.
    pub fn ticked(&self, name: &str) -> bool {
        self.fields.0.get(name) == Some(&Value::Bool(true))
    }

    /// The services, whatever their shape.
    pub fn services(&self) -> impl Iterator<Item = &Fields> {
        let list = self.fields.0.get("services_section").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_object)
    }

    /// The service with our `unique_id`.
    pub fn service(&self, unique_id: &str) -> Option<&Fields> {
        self.services()
            .find(|service| service.get("unique_id").and_then(Value::as_str) == Some(unique_id))
    }
}

/// Whom a Primero referral is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    User(String),
    /// Somebody outside Primero, of this agency, which may be left blank: a note for whoever acts on it
    /// (primero.md §3.4).
    Remote(String),
    Nobody,
}

/// A Primero referral, as far as the gateway looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferralView {
    pub id: String,
    pub status: String,
    pub service: Option<String>,
    pub to: Recipient,
    /// Who made it.
    pub by_user: Option<String>,
    /// What the one who made it wrote to the one who receives it.
    pub notes: Private<Option<String>>,
    /// When it was made, Unix milliseconds of Primero's clock.
    pub created_ms: Option<i64>,
    /// The case's `last_updated_at` after a write, as its answer tells.
    pub case_stamp: Option<String>,
}

/// What Primero answered.
#[derive(Clone, Debug, PartialEq)]
pub enum PrimeroReply {
    Healthy,
    /// A list: how many match on the server, and the rows of the first page.
    Cases {
        total: u64,
        rows: Vec<CaseView>,
    },
    Case(CaseView),
    Created,
    /// 409: the id (or the case_id) exists.
    Exists,
    NotFound,
    Forbidden,
    Referrals(Vec<ReferralView>),
    Referral(ReferralView),
    /// 422; the names of the refused fields, without content.
    Refused(String),
    ConsentRefused,
    RecipientRefused,
}

/// An OSCaR push: the permitted keys the gateway uses and no others (oscar.md §3.1).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Push {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_id: Option<String>,
    pub external_id: String,
    pub external_id_display: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mosvy_number: Option<Private<String>>,
    pub given_name: Private<String>,
    pub family_name: Private<String>,
    pub gender: Private<String>,
    pub date_of_birth: Private<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_current_village_code: Option<Private<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_current_village_code: Option<Private<String>>,
    pub reason_for_referral: Private<String>,
    pub external_case_worker_name: Private<String>,
    pub external_case_worker_mobile: Private<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_case_worker_email: Option<Private<String>>,
    pub level_of_risk: Private<String>,
    /// A boolean: the text "false" counts as true there (oscar.md §9.1.3).
    pub is_referred: bool,
    pub organization_name: String,
    /// One service per request: then one OSCaR referral number means one service (oscar.md §3.6).
    pub services: [PushService; 1],
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PushService {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    pub name: String,
}

/// One call to OSCaR that changes something there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OscarCall {
    Push(Box<Push>),
    /// One item per request: a bad one stops those after it (oscar.md §4.2).
    Decide {
        global_id: String,
        referral: i64,
        decision: Decision,
    },
    /// All three, always: a missing one would be written as null (oscar.md §4.1).
    Link {
        global_id: String,
        external_id: String,
        external_id_display: String,
    },
}

impl OscarCall {
    pub fn repeat(&self) -> Repeat {
        match self {
            OscarCall::Push(_) => Repeat::Doubles,
            OscarCall::Decide { .. } | OscarCall::Link { .. } => Repeat::Harmless,
        }
    }
}

/// What OSCaR answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OscarReply {
    /// 200 "Record saved."
    Saved,
    /// B3: this external id is linked to a child whose number must be sent along.
    ChildKnown,
    /// 422, and nothing was stored; the names of the refused fields.
    Refused(String),
    /// 422 after which a referral may exist (A2, A5).
    HalfRefused(String),
}

/// What a talk wants next.
#[derive(Clone, Debug, PartialEq)]
pub enum Act<Call> {
    /// Put the head on disk before anything else happens.
    Commit,
    Send(Call),
    /// Nothing more to do here; the head says how it ended.
    End,
}

/// The server's clock and status of an answer, for talks that need them.
pub type Heard<'a> = &'a AnswerHead;
