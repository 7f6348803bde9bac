//! What people do in the two systems while the box is between them.

use crate::office::{KINSHIP, SCHOOL, case};
use crate::world::{Made, ORGANIZATIONS, World};
use serde_json::{Value, json};
use simulators::oscar::{Child, NgoReferral};

/// What OSCaR calls [`KINSHIP`] and [`SCHOOL`], and a name that means two of Primero's.
const NGO_SERVICES: [&str; 3] = ["Kinship care", "School support", "Therapeutic training"];
/// The options of the field in which the ministry decides on a service.
const DECISIONS: [&str; 2] = ["accepted_340953", "rejected_936484"];

impl World {
    /// Anybody does anything.
    pub fn somebody_acts(&mut self) {
        let tenant = self.pick(&["cif", "cif", "gpc"]).expect("not empty");
        match self.dice.below(14) {
            0 | 1 => self.stage.ngo_registers(tenant),
            2 => self.stage.ngo_decides(tenant, "Accepted"),
            3 => self.somebody_telephones(),
            4 => self.ministry_edits(),
            5 => self.ministry_enters_the_same_child_twice(),
            6 => self.ngo_edits(tenant),
            7 => self.ngo_accepts_without_a_trace(tenant),
            8 | 9 => self.ministry_refers(),
            10 => self.ministry_decides_a_service(),
            11 => self.ministry_acts_on_a_referral(),
            _ => self.ngo_refers(),
        }
    }

    fn uuid(&mut self) -> String {
        let (a, b) = (self.dice.roll(), self.dice.roll());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    /// A worker of the ministry enters a case and refers it to an NGO.
    pub fn ministry_refers(&mut self) {
        let organization = self.pick(&ORGANIZATIONS).expect("not empty");
        let (subtype, kind) = self
            .pick(&[(KINSHIP, "family_based_care"), (SCHOOL, "training_education")])
            .expect("not empty");
        let agency = format!("agency-{organization}");
        let (service, user) = (self.uuid(), format!("{agency}-user"));
        let mut data = case(100 + self.number());
        data["risk_level"] = match self.dice.below(5) {
            0 => Value::Null,
            1 => json!("medium"),
            _ => json!("high"),
        };
        data["location_current"] = json!("10060805");
        data["services_section"] = json!([{"unique_id": service, "service_type": kind,
            "service_subtype": [subtype], "service_response_type": "referral_to_oscar",
            "service_implementing_agency": agency, "service_implementing_agency_individual": user}]);
        let referral = json!({"transitioned_to": user, "service": kind, "service_record_id": service,
            "notes": "made by the ministry"});
        let made = self.stage.primero.peer(|sim| {
            let case = sim.create_case_as("worker", data)?;
            sim.refer_as("worker", &case, &referral)
        });
        let made = made.unwrap_or_else(|reply| panic!("the ministry refers: {}", reply.status));
        let transition = made["id"].as_str().expect("a referral has an id").to_owned();
        let organization = organization.to_owned();
        self.made.push(Made::InPrimero {
            organization,
            transition,
        });
    }

    /// A worker of the ministry decides on a service that an NGO asked for.
    fn ministry_decides_a_service(&mut self) {
        let mut open: Vec<(String, String, Value)> = Vec::new();
        for case in self.stage.primero.peer(|sim| sim.cases()) {
            let services = case["services_section"].as_array().cloned().unwrap_or_default();
            for service in services {
                let asked = service["service_response_type"] == "referral_from_oscar";
                if asked && service["referral_status_edf41f2"] == "pending_310366" {
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    open.push((
                        text(&case["owned_by"]),
                        text(&case["id"]),
                        service["unique_id"].clone(),
                    ));
                }
            }
        }
        let (Some((owner, case, service)), Some(decision)) = (self.pick(&open), self.pick(&DECISIONS)) else {
            return;
        };
        let edit = json!({"services_section": [{"unique_id": service, "referral_status_edf41f2": decision}]});
        let edited = self
            .stage
            .primero
            .peer(|sim| sim.edit_case_as(&owner, &case, &edit));
        drop(edited);
    }

    /// The recipient decides in Primero itself, or the sender takes the referral back.
    fn ministry_acts_on_a_referral(&mut self) {
        let referrals = self.stage.primero_referrals();
        let ids: Vec<String> = referrals
            .iter()
            .filter_map(|row| row["id"].as_str().map(str::to_owned))
            .collect();
        let status = self
            .pick(&["accepted", "rejected", "revoked"])
            .expect("not empty");
        if let Some(id) = self.pick(&ids) {
            // Refused where the state does not allow it.
            let _ = self
                .stage
                .primero
                .peer(|sim| sim.decide_referral(&id, status, ""));
        }
    }

    fn any_case(&mut self) -> Option<(String, String)> {
        let cases: Vec<(String, String)> = self
            .stage
            .primero
            .peer(|sim| sim.cases())
            .iter()
            .filter_map(|case| {
                Some((
                    case["owned_by"].as_str()?.to_owned(),
                    case["id"].as_str()?.to_owned(),
                ))
            })
            .collect();
        self.pick(&cases)
    }

    /// Another worker edits a case, at any moment.
    fn ministry_edits(&mut self) {
        if let Some((owner, id)) = self.any_case() {
            let edit = json!({"name_nickname": format!("edited {}", self.number())});
            let _ = self
                .stage
                .primero
                .peer(|sim| sim.edit_case_as(&owner, &id, &edit));
        }
    }

    /// Two cases carry one ministry number: whoever takes the first hit takes a stranger.
    fn ministry_enters_the_same_child_twice(&mut self) {
        for _ in 0..2 {
            let mut data = case(200 + self.number());
            data["mosvy_number"] = json!("MOSVY-1001");
            let entered = self.stage.primero.peer(|sim| sim.create_case_as("worker", data));
            assert!(entered.is_ok(), "the ministry enters a case");
        }
    }

    /// An NGO refers a child of its own to the government.
    pub fn ngo_refers(&mut self) {
        let tenant = self.pick(&ORGANIZATIONS).expect("not empty");
        let service = self.pick(&NGO_SERVICES).expect("not empty");
        let risk = self.pick(&["high", "low", "no action"]).expect("not empty");
        let name = format!("Fordette{}", self.number());
        let number = self.stage.oscar.peer(|sim| {
            let child = Child {
                village_code: "10060805".to_owned(),
                ..Child::named(&name, "Prefect")
            };
            let client = sim.register_ngo_child(tenant, &child)?;
            sim.refer_to_primero(
                tenant,
                client,
                &NgoReferral::of(service, risk, "needs the government"),
            )
        });
        let number = number.unwrap_or_else(|refused| panic!("the NGO refers: {refused}"));
        let organization = tenant.to_owned();
        self.made.push(Made::InOscar { organization, number });
    }

    fn any_client(&mut self, tenant: &str) -> Option<i64> {
        let ids: Vec<i64> = self
            .stage
            .oscar
            .peer(|sim| sim.clients())
            .iter()
            .filter(|row| row.tenant == tenant && !row.client.archived)
            .map(|row| row.client.id)
            .collect();
        self.pick(&ids)
    }

    /// An NGO's worker saves a child.
    fn ngo_edits(&mut self, tenant: &str) {
        let nickname = format!("edited {}", self.number());
        if let Some(client) = self.any_client(tenant) {
            let edited = self.stage.oscar.peer(|sim| {
                sim.edit_child(tenant, client, |child| {
                    child.reason_for_referral = Some(nickname);
                })
            });
            drop(edited);
        }
    }

    /// The NGO accepts, and no date moves (oscar-measured.md fact 2).
    fn ngo_accepts_without_a_trace(&mut self, tenant: &str) {
        if let Some(client) = self.any_client(tenant) {
            let _ = self.stage.oscar.peer(|sim| sim.accept(tenant, client, true));
        }
    }
}
