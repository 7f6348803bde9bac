//! Two recorded files are kept elsewhere, but later pulls show what they left behind. Their doings, as
//! `oscar-measured.md` tells them, are done here through the same requests and workers' methods, so that
//! those pulls prove the lifecycle too.

use chrono::TimeDelta;
use serde_json::{Value, json};
use simulators::oscar::catalogue::CATALOGUE;
use simulators::oscar::{Child, NgoReferral, Sim};
use simulators::wire::Request;

fn tick(sim: &mut Sim) {
    let now = sim.now() + TimeDelta::milliseconds(1);
    sim.set_now(now);
}

/// A push as the recorder's script made them, with some keys replaced.
fn push(sim: &mut Sim, changes: Value) {
    tick(sim);
    let login = Request::new("POST", "/api/v1/admin_auth/sign_in")
        .with_json(&json!({ "email": "gateway@example.org", "password": "Loopback-Pass-1" }));
    let session = sim.handle(&login);
    let mut organization = json!({
        "external_id_display": "0000001", "mosvy_number": "", "given_name": "Dara", "family_name": "Test",
        "gender": "female", "date_of_birth": "2015-01-01", "location_current_village_code": "10060805",
        "address_current_village_code": "10060805", "reason_for_referral": "[GW-7F3K2] sample reason",
        "external_case_worker_name": "Officer 1", "external_case_worker_id": "officer_1",
        "external_case_worker_mobile": "000000000", "level_of_risk": "medium", "is_referred": true,
        "organization_name": "cif", "services": [{ "name": "Community social work" }],
    });
    for (key, value) in changes.as_object().unwrap() {
        organization[key] = value.clone();
    }
    let mut request = Request::new("POST", "/api/v1/organizations/clients/upsert")
        .with_json(&json!({ "organization": organization }));
    for name in ["access-token", "client", "uid"] {
        request = request.with_header(name, session.header(name).unwrap());
    }
    assert_eq!(sim.handle(&request).status, 200);
}

fn global_id(sim: &Sim, tenant: &str, client: i64) -> String {
    sim.client(tenant, client).unwrap().global_id.clone()
}

/// `tenants-and-status`: a silent loss (A0), a child of two tenants, a destroyed child.
pub fn tenants_and_status(sim: &mut Sim) {
    let lost = sim
        .register_ngo_child("cif", &Child::named("Before", "Azero"))
        .unwrap();
    let id = global_id(sim, "cif", lost);
    push(
        sim,
        json!({ "global_id": id, "organization_name": "ngotwo", "given_name": "Changed",
                "family_name": "Azero",
                "external_id": "dddd2000-0000-4000-8000-000000000001" }),
    );
    assert_eq!(
        sim.count_by_external_id("ngotwo", "dddd2000-0000-4000-8000-000000000001"),
        0
    );

    let twice = sim
        .register_ngo_child("cif", &Child::named("Pich", "Twice"))
        .unwrap();
    let id = global_id(sim, "cif", twice);
    sim.advance_ids("cif", 0, 36).unwrap();
    sim.advance_ids("ngotwo", 0, 1).unwrap();
    sim.refer_to_ngo(
        "cif",
        twice,
        "ngotwo",
        &NgoReferral::of("Kinship care", "medium", "moved"),
    )
    .unwrap();
    let there = sim
        .register_ngo_child_as("ngotwo", &Child::named("Pich", "Twice"), &id)
        .unwrap();
    let unscripted = |c: &mut simulators::oscar::Client| {
        c.local_given_name = None;
        c.local_family_name = None;
    };
    sim.alter_client("ngotwo", there, unscripted).unwrap();
    push(
        sim,
        json!({ "global_id": id, "organization_name": "ngotwo", "given_name": "Renamed",
                "family_name": "Twice",
                "external_id": "dddd2000-0000-4000-8000-000000000002", "external_id_display": "0000002" }),
    );

    tick(sim);
    let gone = sim
        .register_ngo_child("cif", &Child::named("Rath", "Afour"))
        .unwrap();
    let id = global_id(sim, "cif", gone);
    push(
        sim,
        json!({ "global_id": id, "given_name": "Rath", "family_name": "Afour",
                "external_id": "dddd2000-0000-4000-8000-000000000003" }),
    );
    sim.destroy("cif", gone).unwrap();
    sim.advance_ids("cif", 0, 46).unwrap();
}

/// `lifecycle`: what becomes of pushes at the NGO's hands.
pub fn lifecycle(sim: &mut Sim) {
    let mut born = |name: &str, number: u64, referral: i64| -> i64 {
        sim.advance_ids("cif", 0, referral - 1).unwrap();
        push(
            sim,
            json!({ "given_name": name, "family_name": "Lifecycle",
                    "external_id_display": format!("{number:07}"),
                    "external_id": format!("ffff0000-0000-4000-8000-{number:012}") }),
        );
        let id = sim.register_child("cif", referral).unwrap();
        tick(sim);
        id
    };
    let [vanna, vibol] = [born("Vanna", 1, 50), born("Vibol", 2, 51)];
    let [virak, visal, _vuthy] = [born("Virak", 3, 52), born("Visal", 4, 53), born("Vuthy", 5, 54)];
    let [wanna, yada] = [born("Wanna", 6, 55), born("Yada", 7, 56)];
    // Accepted, with and without workers: unseen until the next save.
    for (child, workers) in [(vanna, true), (vibol, false)] {
        sim.accept("cif", child, workers).unwrap();
        sim.edit_child("cif", child, |_| ()).unwrap();
    }
    // Rejected and taken back: the referral stays Exited. Accepted unseen, then let go: straight to Exited.
    sim.reject("cif", virak).unwrap();
    sim.accept("cif", virak, true).unwrap();
    sim.accept("cif", visal, true).unwrap();
    sim.reject("cif", visal).unwrap();
    sim.hand_decide("cif", 54, "Accepted").unwrap();
    sim.hand_decide("cif", 54, "Exited").unwrap();
    // Enrolled first: Referred for ever.
    sim.enrol(
        "cif",
        wanna,
        "ABLE",
        &["Community social work", "Therapeutic interventions"],
    )
    .unwrap();
    // The recorded programme had one of the two rows with that name.
    sim.alter_client("cif", wanna, |c| {
        c.enrolments[0].services.dedup_by_key(|at| CATALOGUE[*at].name)
    })
    .unwrap();
    sim.leave_programmes("cif", wanna).unwrap();
    // A second referral of a known child, linked by looking at the notifications.
    let id = global_id(sim, "cif", yada);
    push(
        sim,
        json!({ "global_id": id, "given_name": "Yada", "family_name": "Lifecycle",
                "external_id_display": "0000007",
                "external_id": "ffff0000-0000-4000-8000-000000000007",
                "services": [{ "name": "Kinship care" }] }),
    );
    sim.view_notifications("cif").unwrap();
    sim.hand_decide("cif", 57, "Accepted").unwrap();
    sim.hand_decide("cif", 56, "Exited").unwrap();
    sim.accept("cif", yada, true).unwrap();
    sim.assign_worker("cif", yada, 1).unwrap();
    referred_on(sim);
}

/// A child referred on to another NGO, which accepts it; a worker's new phone.
fn referred_on(sim: &mut Sim) {
    sim.advance_ids("cif", 0, 58).unwrap();
    push(
        sim,
        json!({ "given_name": "Zara", "family_name": "Lifecycle", "external_id_display": "0000008",
                "external_id": "ffff0000-0000-4000-8000-000000000008" }),
    );
    let zara = sim.register_child("cif", 59).unwrap();
    let id = global_id(sim, "cif", zara);
    let there = sim
        .register_ngo_child_as("ngotwo", &Child::named("Zara", "Lifecycle"), &id)
        .unwrap();
    sim.alter_client("ngotwo", there, |c| {
        c.local_given_name = None;
        c.local_family_name = None;
    })
    .unwrap();
    sim.accept("ngotwo", there, true).unwrap();
    sim.alter_tenant("cif", |t| t.workers[1].mobile = "010456883".to_owned())
        .unwrap();
    sim.advance_ids("cif", 0, 60).unwrap();
}
