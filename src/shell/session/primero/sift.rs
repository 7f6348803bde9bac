//! Sifting the rows of a pull while they arrive: which cases can have changed something for us?

use crate::core::ask::{CaseView, Fields};
use crate::core::link::ChildId;
use crate::peers::primero::Metadata;
use crate::shell::session::Ground;
use crate::store::{StoreError, View};
use serde_json::Value;

/// Of a page's cases that concern us, so many bytes are kept; what is beyond is read by itself when its turn comes.
const KEPT_BYTES_MAX: usize = 512 * 1024;

/// A case that may concern us.
pub(super) struct Kept {
    pub id: String,
    /// Its fields, if there was room.
    pub view: Option<CaseView>,
    /// Whether its referrals have to be listed.
    pub list: bool,
}

/// The rows of one answer, as they arrive.
#[derive(Default)]
pub(super) struct Page {
    pub kept: Vec<Kept>,
    kept_bytes: usize,
    pub rows: u32,
    pub metadata: Option<Metadata>,
    /// The server's clock, Unix seconds.
    pub date: Option<i64>,
    /// The same as the last answer to this question: no rows came.
    pub unchanged: bool,
    /// The question, the mark of its answer, and how often the store had been written when it was put.
    pub answered: Option<(String, String, u64)>,
    pub failed: Option<StoreError>,
}

impl Page {
    /// Keeps a row if it can have changed something for us.
    pub fn row(&mut self, view: CaseView, ground: &Ground, again: bool) {
        self.rows += 1;
        if self.failed.is_some() {
            return;
        }
        let list = match ground.store.read(|store| concerns(store, ground, &view, again)) {
            Ok(Some(list)) => list,
            Ok(None) => return,
            Err(error) => {
                self.failed = Some(error);
                return;
            }
        };
        let bytes = serde_json::to_vec(&view.fields.0).map_or(0, |bytes| bytes.len());
        let room = self.kept_bytes + bytes <= KEPT_BYTES_MAX;
        self.kept_bytes += if room { bytes } else { 0 };
        self.kept.push(Kept {
            id: view.id.clone(),
            view: room.then_some(view),
            list,
        });
    }
}

/// Whether a case can have changed something for us, and if so, whether its referrals have to be listed.
fn concerns(
    store: &View<'_>,
    ground: &Ground,
    view: &CaseView,
    again: bool,
) -> Result<Option<bool>, StoreError> {
    let ours = view.assigned().any(|user| ground.agency_of_user(user).is_some())
        || view.services().any(|service| remotely_ours(service, ground));
    let subject = match view.text("case_id") {
        Some(case_id) => store.subject_of(&ChildId::CaseId(case_id.to_owned()))?,
        None => None,
    };
    let Some(subject) = subject else {
        return Ok(ours.then_some(true));
    };
    let link = store.link(subject)?.unwrap_or_default();
    if link.case_stamp.as_deref() == view.stamp() && !(again && link.case_stamp_own) {
        return Ok(None);
    }
    let mut under_way = store
        .queue()
        .iter()
        .filter(|entry| entry.subject == subject && !entry.closed);
    if ours {
        return Ok(Some(true));
    }
    // Decisions on a service that came from OSCaR stand in the case itself; a referral's do not.
    match under_way.next() {
        None => Ok(None),
        Some(first) => {
            let mut list = false;
            for entry in std::iter::once(first).chain(under_way) {
                list |= store.head(entry.seq)?.is_some_and(|head| head.flow.to_oscar());
            }
            Ok(Some(list))
        }
    }
}

/// A service that was referred to one of our NGOs, but not to its user: a remote referral gives nobody access, so the
/// service alone tells of it (primero.md §3.4). The mark on it is never taken away (§9.19): the list says what it is.
fn remotely_ours(service: &Fields, ground: &Ground) -> bool {
    let text = |name: &str| service.get(name).and_then(Value::as_str);
    let agency = text("service_implementing_agency").and_then(|id| ground.site.mapping.agency_by_id(id));
    let user = text("service_implementing_agency_individual");
    service.get("service_status_referred") == Some(&Value::Bool(true))
        && agency.is_some_and(|agency| {
            ground.organizations.contains(&agency.organization) && user != Some(agency.user.as_str())
        })
}
