//! `oscar.md` §9.1: what any client of OSCaR falls into.

use crate::ngo::child;
use crate::office::{KINSHIP_AT_NGO, SCHOOL, but, referral};
use crate::stage::{EMAIL, Stage};
use chrono::TimeDelta;
use referral_gateway::core::ask::{OscarCall, Push, PushService};
use referral_gateway::core::event::{Decision, Private};
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use referral_gateway::peers::oscar::{Session, encode, pull};
use serde_json::{Value, json};
use simulators::oscar::{Client, NgoReferral, Office};
use std::time::Duration;

const DECIDE: &str = "PUT /api/v1/organizations/referrals/update_statuses";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A first referral to this NGO, registered and accepted there.
fn known_at(stage: &mut Stage, organization: &str) -> (String, Client) {
    let key = stage.accept(&but(referral(1), "/organization", json!(organization)));
    stage.run();
    stage.ngo_registers(organization);
    stage.ngo_decides(organization, "Accepted");
    stage.settle();
    assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).history);
    let rows = stage.oscar.peer(|sim| sim.clients());
    let row = rows
        .into_iter()
        .find(|row| row.tenant == organization)
        .expect("registered");
    (key, row.client)
}

/// A second referral of the same child, for school.
fn again(organization: &str) -> Value {
    let event = but(referral(1), "/event_key", json!("again"));
    let event = but(event, "/organization", json!(organization));
    but(event, "/services", json!([{"subtype": SCHOOL}]))
}

fn session() -> Session {
    Session {
        access_token: "t".to_owned(),
        client: "c".to_owned(),
        uid: EMAIL.to_owned(),
        expiry: 0,
    }
}

fn body(call: &OscarCall) -> Value {
    let request = encode(call, &session());
    serde_json::from_slice(&request.body.expect("a body")).expect("JSON")
}

fn push() -> Push {
    let text = || Private("x".to_owned());
    Push {
        global_id: None,
        external_id: "e".to_owned(),
        external_id_display: "e".to_owned(),
        mosvy_number: None,
        given_name: text(),
        family_name: text(),
        gender: text(),
        date_of_birth: text(),
        location_current_village_code: None,
        address_current_village_code: None,
        reason_for_referral: text(),
        external_case_worker_name: text(),
        external_case_worker_mobile: text(),
        external_case_worker_email: None,
        level_of_risk: text(),
        is_referred: true,
        organization_name: "cif".to_owned(),
        services: [PushService {
            uuid: None,
            name: KINSHIP_AT_NGO.to_owned(),
        }],
    }
}

/// A 200 that creates nothing (A0) comes where the child's number is sent to an NGO that does not have the child.
#[test]
fn oscar_trap_01_a_child_known_elsewhere_is_not_lost_behind_a_200() {
    let mut stage = Stage::default();
    let (_, at_gpc) = known_at(&mut stage, "gpc");
    let key = stage.accept(&again("cif"));
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    let tag = format!("[{}]", stage.head(&key).tag);
    assert_eq!(
        stage.oscar.peer(|sim| sim.count_by_tag("cif", &tag)),
        1,
        "it is really there"
    );
    assert_eq!(
        stage.ngo_client("gpc", at_gpc.id),
        at_gpc,
        "and nobody else's child was written to"
    );
    // And "delivered" is not "seen": that comes with the NGO's number.
    assert_eq!(stage.head(&key).work.services[0].oscar_referral, None);
}

#[test]
fn oscar_trap_02_a_push_carries_no_status_and_moves_no_older_referral() {
    let sent = body(&OscarCall::Push(Box::new(push())));
    assert!(sent["organization"].get("referral_status").is_none());
    let mut stage = Stage::default();
    let (_, before) = known_at(&mut stage, "cif");
    let key = stage.accept(&again("cif"));
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    let statuses: Vec<String> = stage
        .oscar_referrals()
        .into_iter()
        .map(|row| row.status)
        .collect();
    assert_eq!(statuses, ["Accepted", "Referred"]);
    assert_eq!(stage.ngo_client("cif", before.id).status, before.status);
}

#[test]
fn oscar_trap_03_is_referred_is_a_boolean() {
    let sent = body(&OscarCall::Push(Box::new(push())));
    assert_eq!(sent["organization"]["is_referred"], Value::Bool(true));
}

#[test]
fn oscar_trap_04_a_repeat_referral_wipes_nothing_of_the_ngos_record() {
    let mut stage = Stage::default();
    let (_, client) = known_at(&mut stage, "cif");
    stage.ngo_edits("cif", client.id, |child| {
        child.mosvy_number = Some("M-77".to_owned());
        child.gender = Some("lgbt".to_owned());
        child.family_name = Some("Changed".to_owned());
    });
    stage.settle();
    let before = stage.ngo_client("cif", client.id);
    let key = stage.accept(&again("cif"));
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    let after = stage.ngo_client("cif", client.id);
    let master = |c: &Client| {
        let names = (c.given_name.clone(), c.family_name.clone());
        (
            names,
            c.gender.clone(),
            c.date_of_birth.clone(),
            c.address.clone(),
            c.mosvy_number.clone(),
        )
    };
    assert_eq!(master(&after), master(&before));
}

/// `Other Service` and `Not Specified` share one catalogue uuid; `resource` and `is_referred` are on for both
/// directions.
#[test]
fn oscar_trap_05_neither_uuid_nor_resource_nor_is_referred_says_what_a_referral_is() {
    let mut stage = Stage::default();
    let (_, client) = known_at(&mut stage, "cif");
    let new = NgoReferral {
        services: vec!["Other Service".to_owned(), "Not Specified".to_owned()],
        ..NgoReferral::of("", "low", "asks for help")
    };
    let number = stage
        .oscar
        .peer(|sim| sim.refer_to_primero("cif", client.id, &new))
        .expect("valid");
    stage.settle();
    let events = stage.store().queue(|queue| queue.len());
    assert_eq!(events, 2, "our own push is not taken for the NGO's");
    let work = stage.head(&format!("o-cif-{number}")).work;
    assert_eq!(work.services.len(), 2);
    assert_ne!(work.services[0].unique_id, work.services[1].unique_id);
    assert_eq!(
        stage.only_case()["services_section"].as_array().map(Vec::len),
        Some(3)
    );
}

#[test]
fn oscar_trap_06_the_childs_own_status_is_no_decision() {
    let mut stage = Stage::default();
    let (first, client) = known_at(&mut stage, "cif");
    let key = stage.accept(&again("cif"));
    stage.run();
    stage
        .oscar
        .peer(|sim| sim.open_child_page("cif", client.id))
        .expect("there");
    // The work with the child ends: the child is Exited, the second referral nobody has decided.
    stage
        .oscar
        .peer(|sim| sim.reject("cif", client.id))
        .expect("there");
    stage.settle();
    assert_eq!(stage.ngo_client("cif", client.id).status, "Exited");
    assert!(stage.head(&key).work.services[0].oscar_referral.is_some(), "seen");
    assert_eq!(stage.head(&key).decision(), None);
    assert_eq!(stage.head(&first).decision(), Some(Decision::Accepted));
}

#[test]
fn oscar_trap_07_the_cursor_is_the_servers_and_never_ahead_of_the_disk() {
    let request = pull(&session(), 1_795_399_200, None, None).expect("a date");
    assert!(
        request.target.ends_with("?since_date=2026-11-23T02%3A00%3A00Z"),
        "{}",
        request.target
    );
    // A box ten years ahead, whose power goes at any sync of the session that sees the referral.
    for sync in 1.. {
        let mut stage = Stage::default();
        stage.skew(TimeDelta::days(3650));
        stage.run();
        stage.wait(DAY);
        let (_, number) = stage.ngo_refers_new_child("cif", 1);
        stage.disk.cut_at(stage.disk.syncs() + sync);
        stage.run_if_on();
        let cut = stage.disk.dead();
        if cut {
            stage.cut(sync);
        } else {
            stage.disk.cut_at(u64::MAX);
        }
        stage.settle();
        let key = format!("o-cif-{number}");
        assert_eq!(
            stage.state(&key),
            (State::Delivered, None),
            "{sync}: {:?}",
            stage.head(&key).history
        );
        assert_eq!(
            stage.only_case()["services_section"].as_array().map(Vec::len),
            Some(1)
        );
        if !cut {
            assert!(sync > 3, "the cut struck nothing");
            break;
        }
    }
}

#[test]
fn oscar_trap_08_the_same_number_at_two_organizations_is_two_referrals() {
    let mut stage = Stage::default();
    let (_, here) = stage.ngo_refers_new_child("cif", 1);
    let (_, there) = stage.ngo_refers_new_child("gpc", 2);
    assert_eq!(here, there);
    stage.settle();
    assert_eq!(stage.primero.peer(|sim| sim.cases()).len(), 2);
    let case = stage.head(&format!("o-gpc-{there}")).work.case.expect("a case");
    stage.owner_decides_in(&case.id, "rejected_936484");
    stage.settle();
    assert_eq!(stage.ngo_status("gpc", there), "Exited");
    assert_eq!(stage.ngo_status("cif", here), "Referred");
}

#[test]
fn oscar_trap_09_one_bad_decision_holds_up_no_other() {
    let mut stage = Stage::default();
    let numbers: Vec<i64> = (1..4).map(|n| stage.ngo_refers_new_child("cif", n).1).collect();
    stage.settle();
    // Old data that does not pass OSCaR's own checks any more.
    let spoil = |row: &mut simulators::oscar::Referral| row.level_of_risk = None;
    stage
        .oscar
        .peer(|sim| sim.alter_referral("cif", numbers[0], spoil))
        .expect("an edit");
    for number in &numbers {
        let case = stage.head(&format!("o-cif-{number}")).work.case.expect("a case");
        stage.owner_decides_in(&case.id, "accepted_340953");
    }
    stage.oscar.taken();
    stage.settle();
    assert_eq!(
        stage.state(&format!("o-cif-{}", numbers[0])),
        (State::Parked, Some(Reason::DecisionRefused))
    );
    for number in &numbers[1..] {
        assert_eq!(stage.ngo_status("cif", *number), "Accepted");
    }
    assert_eq!(stage.oscar.count(DECIDE), 3, "one item each, and each once");
}

#[test]
fn oscar_trap_10_one_session_token_lasts_from_run_to_run() {
    let mut stage = Stage::default();
    for n in 0..20 {
        stage.run();
        if n % 5 == 0 {
            stage.restart();
        }
    }
    assert_eq!(stage.oscar.count("POST /api/v1/admin_auth/sign_in"), 1);
}

#[test]
fn oscar_trap_11_a_poisoned_tenant_stops_neither_pushes_nor_decisions() {
    let mut stage = Stage::default();
    let (_, number) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let poison =
        |tenant: &mut simulators::oscar::Tenant| tenant.office = Office::ProvinceOnly("01".to_owned());
    stage
        .oscar
        .peer(|sim| sim.alter_tenant("tpo", poison))
        .expect("a tenant");
    stage.ngo_refers_new_child("tpo", 9);
    stage.owner_decides("accepted_340953");
    let key = stage.accept(&referral(2));
    let report = stage.run();
    assert_eq!(
        (report.oscar.trouble, report.oscar.partial),
        (Some(Trouble::Server), true)
    );
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert_eq!(stage.ngo_status("cif", number), "Accepted");
}

#[test]
fn oscar_trap_12_silence_is_no_answer() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    for _ in 0..100 {
        stage.wait(DAY);
        stage.run_reaching_back();
    }
    let head = stage.head(&key);
    assert_eq!((head.state, head.decision()), (State::Delivered, None));
    assert!(head.undecided() && !head.closed());
    assert_eq!(stage.primero_referrals()[0]["status"], "in_progress");
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert_eq!(stage.head(&key).decision(), Some(Decision::Accepted));
}

#[test]
fn oscar_trap_13_an_archived_child_resurrects_nothing() {
    let mut stage = Stage::default();
    let client = stage.ngo_child("cif", &child(1));
    let number = stage.ngo_refers("cif", client);
    stage.settle();
    let id = stage.only_case()["id"].as_str().expect("an id").to_owned();
    stage.owner_decides("rejected_936484");
    stage.worker_edits(&id, &json!({"status": "closed"}));
    stage.settle();
    let before = stage.primero_case(&id);
    stage
        .oscar
        .peer(|sim| sim.archive("cif", client))
        .expect("archived");
    let rename = |child: &mut Client| {
        child.given_name = Some("Ghost".to_owned());
        child.updated_at += TimeDelta::hours(1);
    };
    stage
        .oscar
        .peer(|sim| sim.alter_client("cif", client, rename))
        .expect("there");
    stage.wait(Duration::from_secs(2 * 3600));
    for _ in 0..10 {
        stage.wait(DAY);
        stage.run_reaching_back();
    }
    assert_eq!(stage.primero_case(&id), before);
    assert_eq!(stage.ngo_status("cif", number), "Exited");
}
