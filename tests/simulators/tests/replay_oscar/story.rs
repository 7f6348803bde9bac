//! What the recordings say in words: the workers' doings, edits by hand, and the chapters recorded elsewhere.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use simulators::oscar::catalogue::CATALOGUE;
use simulators::oscar::{Child, NgoReferral, Office, Sim};

use crate::chapters;
use crate::compare::Pairs;

const NEEDS: &str = "needs ministry support";

/// A `worker` line: does it and answers what the recorder wrote down.
pub fn worker(sim: &mut Sim, file: &str, n: u64) -> Value {
    match (file, n) {
        ("strict", 2) => child(sim, "cif", &Child::named("Bopha", "Strictone")),
        ("strict", 13) => child(sim, "cif", &Child::named("Chann", "Stricttwo")),
        ("strict", 14) => referral(sim, "cif", 2, "Generalist counselling", "medium"),
        ("strict", 32) => {
            let id = sim.register_child("cif", 1083).unwrap();
            let c = sim.client("cif", id).unwrap();
            json!({
                "id": c.id, "slug": c.slug, "global_id": c.global_id, "status": c.status,
                "external_id": c.external_id, "from_referral_id": c.from_referral_id.unwrap().to_string(),
            })
        }
        ("strict", 33) => json!(sim.accept("cif", 1033, true).is_ok()),
        ("known-child", 2) => child(
            sim,
            "cif",
            &Child {
                local_given_name: "កញ្ញា".to_owned(),
                local_family_name: "ស្គាល់".to_owned(),
                village_code: "01060805".to_owned(),
                reason_for_referral: "NGO reason".to_owned(),
                relevant_referral_information: "NGO info".to_owned(),
                ..Child::named("Kanha", "Known")
            },
        ),
        ("update-links", 2) => child(sim, "cif", &Child::named("Lina", "Linkone")),
        ("update-links", 3) => child(sim, "ngotwo", &Child::named("Mony", "Linktwo")),
        ("update-links", 4) => child(sim, "ngothree", &Child::named("Nita", "Linkthree")),
        ("update-statuses", 2) => child(sim, "cif", &Child::named("Sita", "Decide")),
        ("update-statuses", 3) => child(sim, "cif", &Child::named("Tola", "Decide")),
        ("update-statuses", 4) => referral(sim, "cif", 8, "Kinship care", "medium"),
        ("update-statuses", 5) => referral(sim, "cif", 9, "Support groups", "medium"),
        ("pull", _) => pull_worker(sim, n),
        _ => panic!("{file}#{n}: nobody knows what this worker did"),
    }
}

fn pull_worker(sim: &mut Sim, n: u64) -> Value {
    match n {
        2 => child(
            sim,
            "cif",
            &Child {
                village_code: "10060805".to_owned(),
                ..Child::named("Half", "Alpha")
            },
        ),
        3 => referral(sim, "cif", 18, "Therapeutic training", "high"),
        4 => child(
            sim,
            "cif",
            &Child {
                local_given_name: "បេតា".to_owned(),
                ..Child::named("Half", "Beta")
            },
        ),
        5 => child(
            sim,
            "cif",
            &Child {
                date_of_birth: None,
                ..Child::named("No", "Birthday")
            },
        ),
        6 => child(sim, "cif", &Child::named("", "Nameless")),
        7 => {
            let (local_given_name, local_family_name) = ("តែ".to_owned(), "ខ្មែរ".to_owned());
            child(
                sim,
                "cif",
                &Child {
                    local_given_name,
                    local_family_name,
                    ..Child::named("", "")
                },
            )
        }
        66 => child(sim, "provonly", &Child::named("Prov", "Only")),
        68 => referral(sim, "provonly", 1, "Kinship care", "medium"),
        _ => panic!("pull#{n}: nobody knows what this worker did"),
    }
}

fn child(sim: &mut Sim, tenant: &str, child: &Child) -> Value {
    let id = sim.register_ngo_child(tenant, child).unwrap();
    let c = sim.client(tenant, id).unwrap();
    json!({ "tenant": tenant, "id": id, "slug": c.slug, "global_id": c.global_id, "status": c.status })
}

fn referral(sim: &mut Sim, tenant: &str, client: i64, service: &str, risk: &str) -> Value {
    let id = sim
        .refer_to_primero(tenant, client, &NgoReferral::of(service, risk, NEEDS))
        .unwrap();
    let r = sim.referral(tenant, id).unwrap();
    json!({ "referral_id": id, "status": r.referral_status, "saved": r.saved, "client_id": r.client_id })
}

/// What was done to server or database right before a line, as its note says.
pub fn before(sim: &mut Sim, pairs: &Pairs, file: &str, n: u64) {
    match (file, n) {
        ("auth", 56) => {
            let expired = sim.now() - chrono::TimeDelta::seconds(5);
            sim.set_expiry(&pairs.apply("TGyfBr3n9NwAnnr4nnV3zA"), expired);
        }
        ("known-child", 56) => alter(sim, 3, |c| {
            c.local_given_name = Some("កញ្ញា".to_owned());
            c.mosvy_number = Some("M1".to_owned());
            c.reason_for_referral = Some("NGO reason".to_owned());
        }),
        ("known-child", 86) => alter(sim, 3, |c| {
            c.initial_referral_date = None;
            c.received_by_id = None;
        }),
        ("known-child", 87) => alter(sim, 3, |c| {
            c.initial_referral_date = Some(c.created_at.date_naive());
            c.received_by_id = Some(1);
            c.workers.clear();
        }),
        ("known-child", 88) => alter(sim, 3, |c| c.status = "Exited".to_owned()),
        ("known-child", 89) => alter(sim, 3, |c| {
            c.referee_id = None;
            c.received_by_id = None;
        }),
        ("update-links", 34) => {
            let a = pairs.apply("01M80Y9EB5TZXH7BGMYFPJMD9R");
            sim.add_link_row(&a, "ngotwo", 1).unwrap();
        }
        ("update-links", 38) => {
            let a = pairs.apply("01M80Y9EB5TZXH7BGMYFPJMD9R");
            sim.remove_link_rows(&a, "ngotwo").unwrap();
            sim.alter_tenant("ngotwo", |t| t.deleted = true).unwrap();
        }
        ("update-statuses", 47) => sim.alter_referral("cif", 47, |r| r.level_of_risk = None).unwrap(),
        ("update-statuses", 48) => sim
            .alter_referral("cif", 47, |r| {
                r.level_of_risk = Some("low".to_owned());
                r.services.clear();
            })
            .unwrap(),
        ("update-statuses", 49) => {
            let kinship = CATALOGUE.iter().position(|s| s.name == "Kinship care").unwrap();
            sim.alter_referral("cif", 47, |r| {
                r.services = vec![kinship];
                r.consent_form.clear();
            })
            .unwrap();
        }
        ("update-statuses", 62) => {
            sim.rewrite_link_row(&pairs.apply("01M80Y9QRBR0WGV181YFCWGTQQ"), "cif")
                .unwrap();
        }
        ("pull", 8) => stamp_children(sim),
        ("pull", 65) => sim.set_integrated("provonly", true).unwrap(),
        ("pull", 72) => sim
            .alter_tenant("provonly", |t| t.office = Office::NoSettings)
            .unwrap(),
        ("pull", 73) => sim.set_integrated("provonly", false).unwrap(),
        ("pull", 74) => sim
            .alter_tenant("ngothree", |t| {
                t.integrated = true;
                t.schema_exists = false;
            })
            .unwrap(),
        ("strict", 35) => sim.config.strict_current_user = true,
        ("strict", 37) => sim.config.strict_current_user = false,
        _ => {}
    }
}

fn alter(sim: &mut Sim, id: i64, edit: impl FnOnce(&mut simulators::oscar::Client)) {
    sim.alter_client("cif", id, edit).unwrap();
}

/// The recorder gave two children a known stamp and put all others out of the way. With equal stamps storage
/// order decides, so the rows are rewritten in the order in which the recorded full pull shows them.
fn stamp_children(sim: &mut Sim) {
    let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
    let others = [
        2, 8, 9, 10, 1, 3, 4, 5, 6, 7, 12, 14, 13, 16, 15, 17, 22, 11, 20, 21,
    ]
    .map(|id| ("cif", id));
    let far = [("ngotwo", 3), ("ngotwo", 2), ("ngotwo", 1), ("ngothree", 1)];
    for (tenant, id) in others.into_iter().chain(far).chain([("cif", 19), ("cif", 18)]) {
        let (made, saved) = match (tenant, id) {
            ("cif", 18 | 19) => ("2020-01-01T00:00:00Z", "2024-05-01T20:30:00.500Z"),
            _ => ("2010-01-01T00:00:00Z", "2010-01-01T00:00:00Z"),
        };
        sim.alter_client(tenant, id, |c| {
            (c.created_at, c.updated_at) = (at(made), at(saved))
        })
        .unwrap();
    }
}

/// What happened before a part of the recordings begins: fresh processes, and two files kept elsewhere.
pub fn between(sim: &mut Sim, file: &str, from: u64) {
    match (file, from) {
        ("strict", 1) => sim.config.strict_current_user = true,
        ("push", 1) => {
            sim.config.strict_current_user = false;
            sim.config.cold_start = true;
            sim.restart_process();
        }
        ("update-statuses", 1) => {
            sim.alter_tenant("ngotwo", |t| t.deleted = false).unwrap();
            chapters::tenants_and_status(sim);
        }
        ("pull", 1) => chapters::lifecycle(sim),
        ("strict", 22) => sim.config.strict_current_user = true,
        ("strict", 29) => {
            sim.config.strict_current_user = false;
            sim.advance_ids("cif", 1032, 1082).unwrap();
        }
        _ => {}
    }
}
