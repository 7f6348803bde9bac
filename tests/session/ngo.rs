//! What the people of an NGO do in OSCaR, in words the tests use. The names are nobody's.

use crate::office::KINSHIP_AT_NGO;
use crate::stage::Stage;
use serde_json::Value;
use simulators::oscar::{Child, Client, NgoReferral};

/// A child of the NGO's own, living in the province of `mgrkdl`.
pub fn child(n: u64) -> Child {
    Child {
        village_code: "08010101".to_owned(),
        ..Child::named(&format!("Trillian{n}"), "Astra")
    }
}

/// The reason the NGO gives.
pub const REASON: &str = "needs a safe place";

impl Stage {
    /// The NGO registers a child of its own; the child's number within the NGO.
    pub fn ngo_child(&self, tenant: &str, child: &Child) -> i64 {
        self.oscar
            .peer(|sim| sim.register_ngo_child(tenant, child))
            .expect("a complete child")
    }

    /// The NGO refers a child to the government for this service; OSCaR's number of the referral.
    pub fn ngo_refers_for(&self, tenant: &str, client: i64, service: &str) -> i64 {
        let new = NgoReferral::of(service, "medium", REASON);
        self.oscar
            .peer(|sim| sim.refer_to_primero(tenant, client, &new))
            .expect("a valid referral")
    }

    pub fn ngo_refers(&self, tenant: &str, client: i64) -> i64 {
        self.ngo_refers_for(tenant, client, KINSHIP_AT_NGO)
    }

    /// A child registered and referred; client and referral.
    pub fn ngo_refers_new_child(&self, tenant: &str, n: u64) -> (i64, i64) {
        let client = self.ngo_child(tenant, &child(n));
        (client, self.ngo_refers(tenant, client))
    }

    pub fn ngo_client(&self, tenant: &str, client: i64) -> Client {
        let found = self.oscar.peer(|sim| sim.client(tenant, client).cloned());
        found.expect("registered")
    }

    /// Somebody at the NGO edits the child.
    pub fn ngo_edits(&self, tenant: &str, client: i64, edit: impl FnOnce(&mut Client)) {
        self.oscar
            .peer(|sim| sim.edit_child(tenant, client, edit))
            .expect("an edit");
    }

    /// OSCaR's status of a referral.
    pub fn ngo_status(&self, tenant: &str, referral: i64) -> String {
        let found = self.oscar.peer(|sim| sim.referral(tenant, referral).cloned());
        found.expect("there").referral_status
    }

    /// The owner of a case edits it.
    pub fn worker_edits(&self, case: &str, data: &Value) {
        let owner = self.primero_case(case)["owned_by"].clone();
        let owner = owner.as_str().expect("every case has an owner");
        let edit = |sim: &mut simulators::primero::Sim| sim.edit_case_as(owner, case, data);
        self.primero.peer(edit).expect("an edit");
    }
}
