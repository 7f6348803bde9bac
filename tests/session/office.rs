//! What the office sends, and what people at the peers do, in words the tests use. The names are nobody's.

use crate::stage::{EMAIL, PASSWORD, Stage};
use referral_gateway::core::event::Decision;
use referral_gateway::core::outbox::Verdict;
use referral_gateway::core::record::{Head, OneShot, ServiceWork};
use serde_json::{Value, json};
use simulators::oscar::ReferralRow;
use simulators::wire::Request;

pub const KINSHIP: &str = "family_based_care_kinship";
pub const SCHOOL: &str = "training_education_school_support";
pub const KINSHIP_AT_NGO: &str = "Kinship care";

/// A referral of invented child `n` to the NGO `cif`.
pub fn referral(n: u64) -> Value {
    json!({"event_key": format!("event-{n}"), "kind": "referral", "to": "oscar", "organization": "cif",
        "child": {"given_name": format!("Zaphodina{n}"), "family_name": "Beeblebrox",
            "local_given_name": "\u{1785}\u{17b6}\u{1793}\u{17cb}\u{1790}\u{17b6}", "local_family_name": "\u{179f}\u{17bb}\u{1781}",
            "sex": "female", "date_of_birth": "2015-05-05", "location_code": "10060805"},
        "services": [{"subtype": KINSHIP}],
        "reason": "needs a home", "risk_level": "high", "referred_on": "2026-11-20",
        "consent": {"services": true, "disclosure_other_organizations": true},
        "case_worker": {"name": "Officer 1", "phone": "012000001"}})
}

/// The same event with something else at a pointer.
pub fn but(mut event: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    event.pointer_mut(parent).expect("a known pointer")[key] = value;
    event
}

pub fn decision(of: &str, decision: Decision) -> Value {
    json!({"event_key": format!("on-{of}-decision"), "kind": "decision", "referral": of, "status": decision.word()})
}

pub fn withdrawal(of: &str) -> Value {
    json!({"event_key": format!("on-{of}-withdrawal"), "kind": "withdraw", "referral": of})
}

/// A case as a worker of the ministry enters it, of the child of [`referral`].
pub fn case(n: u64) -> Value {
    json!({"name_first": format!("Zaphodina{n}"), "name_last": "Beeblebrox", "sex": "female",
        "date_of_birth": "2015-05-05", "consent_for_services": true, "disclosure_other_orgs": true})
}

impl Stage {
    pub fn primero_case(&self, id: &str) -> Value {
        self.primero.peer(|sim| sim.case(id)).expect("the case is there")
    }

    /// The one case there is.
    pub fn only_case(&self) -> Value {
        let mut cases = self.primero.peer(|sim| sim.cases());
        assert_eq!(cases.len(), 1, "exactly one case");
        cases.remove(0)
    }

    pub fn primero_referrals(&self) -> Vec<Value> {
        self.primero.peer(|sim| sim.referrals())
    }

    /// A worker of the ministry enters a case; its id.
    pub fn enter_case(&self, data: Value) -> String {
        self.primero
            .peer(|sim| sim.create_case_as("worker", data))
            .expect("a valid case")
    }

    pub fn oscar_referrals(&self) -> Vec<ReferralRow> {
        self.oscar.peer(|sim| sim.referrals())
    }

    /// The NGO registers the child of every pending referral, and sees all of them.
    pub fn ngo_registers(&self, tenant: &str) {
        for row in self
            .oscar_referrals()
            .into_iter()
            .filter(|row| row.tenant == tenant)
        {
            self.oscar.peer(|sim| {
                // Refused where the child is known by now: then looking at the notifications links it.
                let _ = sim.register_child(tenant, row.id);
                sim.view_notifications(tenant).expect("the tenant exists");
            });
        }
    }

    /// Somebody asks the NGO about an event whose push is in doubt, and is told the truth.
    pub fn telephone(&mut self, head: &Head) {
        let tag = format!("[{}]", head.tag);
        let rows = self.oscar_referrals();
        let there = rows.iter().filter(|row| row.reason.starts_with(&tag)).count();
        let confirmed = |work: &&ServiceWork| work.push == OneShot::Done;
        let verdict = if there > head.work.services.iter().filter(confirmed).count() {
            Verdict::Arrived
        } else {
            Verdict::NotArrived
        };
        self.resolve(&head.key, verdict);
    }

    /// The NGO decides by hand every referral to it that it has seen.
    pub fn ngo_decides(&self, tenant: &str, status: &str) {
        for row in self.oscar_referrals() {
            if row.tenant == tenant && row.client_id.is_some() && row.referred_to == tenant {
                self.oscar
                    .peer(|sim| sim.hand_decide(tenant, row.id, status))
                    .expect("linked referrals");
            }
        }
    }

    /// Somebody else at the ministry sends this case to the NGO, for the service of [`referral`].
    pub fn pushed_by_hand(&self, tenant: &str, case_number: &str) {
        self.upserted(tenant, &json!({"external_id": case_number}));
    }

    /// The same for a child the NGO has.
    pub fn pushed_again_by_hand(&self, tenant: &str, case_number: &str, global_id: &str) {
        self.upserted(
            tenant,
            &json!({"external_id": case_number, "global_id": global_id}),
        );
    }

    fn upserted(&self, tenant: &str, ids: &Value) {
        let mut child = json!({"external_id_display": "1234567",
            "given_name": "By", "family_name": "Hand", "gender": "female", "date_of_birth": "2015-05-05",
            "reason_for_referral": "by hand", "external_case_worker_name": "Officer 2",
            "external_case_worker_mobile": "012000002", "level_of_risk": "low", "is_referred": true,
            "organization_name": tenant, "services": [{"name": KINSHIP_AT_NGO}]});
        for (name, value) in ids.as_object().expect("ids by name") {
            child[name] = value.clone();
        }
        let body = json!({ "organization": child });
        self.oscar.peer(|sim| {
            let sign_in = Request::new("POST", "/api/v1/admin_auth/sign_in")
                .with_json(&json!({"email": EMAIL, "password": PASSWORD}));
            let session = sim.handle(&sign_in);
            let mut push = Request::new("POST", "/api/v1/organizations/clients/upsert").with_json(&body);
            for name in ["access-token", "client", "uid"] {
                push = push.with_header(name, session.header(name).expect("signed in"));
            }
            assert_eq!(sim.handle(&push).status, 200);
        });
    }
}

/// A case and the referral a worker made of it.
pub struct Referred {
    pub case: String,
    pub referral: String,
}

/// What a worker of the ministry enters before referring child `n` to the NGO `cif`.
pub fn referred(n: u64) -> Value {
    let mut data = case(n);
    data["risk_level"] = json!("high");
    data["location_current"] = json!("10060805");
    data["services_section"] = json!([service(KINSHIP)]);
    data
}

/// A service a worker means for the NGO `cif`, under an id of its own.
pub fn service(subtype: &str) -> Value {
    json!({"service_response_type": "referral_to_oscar", "service_type": service_type(subtype),
        "service_subtype": [subtype], "service_implementing_agency": "agency-cif",
        "service_implementing_agency_individual": "agency-cif-user"})
}

fn service_type(subtype: &str) -> &'static str {
    if subtype == SCHOOL {
        "training_education"
    } else {
        "family_based_care"
    }
}

impl Stage {
    /// A worker enters child `n` and refers it to the NGO `cif`.
    pub fn worker_refers(&self, n: u64) -> Referred {
        self.worker_refers_to("agency-cif-user", referred(n))
    }

    /// A worker enters this case and refers its first service to this user.
    pub fn worker_refers_to(&self, user: &str, data: Value) -> Referred {
        let case = self.enter_case(data);
        let referral = self.refers(&case, user, 0);
        Referred { case, referral }
    }

    /// A worker refers a service of a case; the referral's id.
    pub fn refers(&self, case: &str, user: &str, index: usize) -> String {
        let service = self.primero_case(case)["services_section"][index].clone();
        let data = json!({"transitioned_to": user, "service": service["service_type"],
            "service_record_id": service["unique_id"], "notes": "needs a home"});
        let made = self.primero.peer(|sim| sim.refer_as("worker", case, &data));
        made.expect("consent is given")["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }
}
