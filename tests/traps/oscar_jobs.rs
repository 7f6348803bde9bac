//! `oscar.md` §9.2, rows 24 to 31: how the cloud jobs bring NGO referrals to Primero, and what is right.

use crate::ngo::{REASON, child};
use crate::office::{KINSHIP_AT_NGO, but, referral};
use crate::stage::{EMAIL, PASSWORD, Stage, USER};
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::{Value, json};
use simulators::oscar::{Child, NgoReferral};
use simulators::{oscar, primero};

/// The services of the one case.
fn services_of(stage: &Stage) -> Vec<Value> {
    stage.only_case()["services_section"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn delivered(stage: &Stage, organization: &str, number: i64) {
    let key = format!("o-{organization}-{number}");
    assert_eq!(
        stage.state(&key),
        (State::Delivered, None),
        "{:?}",
        stage.head(&key).history
    );
}

#[test]
fn job_defect_24_a_province_without_a_manager_stops_one_child_and_every_other_has_its_own() {
    let mut stage = Stage::default();
    let owners = [
        ("22010101", Some("mgromc")),
        ("19010101", None),
        ("21010101", Some("mgrtakeo")),
    ];
    let mut numbers = Vec::new();
    for (n, (village, _)) in (1..).zip(owners) {
        let living = Child {
            village_code: village.to_owned(),
            ..child(n)
        };
        let client = stage.ngo_child("cif", &living);
        numbers.push(stage.ngo_refers("cif", client));
    }
    stage.settle();
    for (number, (village, owner)) in numbers.into_iter().zip(owners) {
        let head = stage.head(&format!("o-cif-{number}"));
        match owner {
            Some(owner) => {
                let case = stage.primero_case(&head.work.case.expect("a case").id);
                assert_eq!(case["owned_by"], owner, "{village}");
            }
            None => assert_eq!(
                (head.state, head.reason),
                (State::Parked, Some(Reason::NoMapping))
            ),
        }
    }
}

#[test]
fn job_defect_25_a_name_of_two_meanings_is_told_by_our_ledger_or_not_at_all() {
    // Nobody has sent this child anywhere: only a person can know.
    let mut stage = Stage::default();
    let client = stage.ngo_child("cif", &child(1));
    let number = stage.ngo_refers_for("cif", client, "Therapeutic training");
    stage.settle();
    assert_eq!(
        stage.state(&format!("o-cif-{number}")),
        (State::Parked, Some(Reason::AmbiguousService))
    );
    // We have sent this one for the disability variant, and the NGO sends it back under the same name.
    let mut stage = Stage::default();
    let subtype = "disability_support_therapeutic_training";
    let key = stage.accept(&but(referral(1), "/services", json!([{"subtype": subtype}])));
    stage.run();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert!(stage.head(&key).closed());
    let client = stage.oscar.peer(|sim| sim.clients())[0].client.id;
    let number = stage.ngo_refers_for("cif", client, "Therapeutic training");
    stage.settle();
    delivered(&stage, "cif", number);
    assert_eq!(services_of(&stage)[1]["service_subtype"], json!([subtype]));
    assert_eq!(services_of(&stage)[1]["service_type"], "disability_support");
}

#[test]
fn job_defect_26_the_risk_is_read_from_its_own_key_and_never_lowered() {
    let mut stage = Stage::default();
    let client = stage.ngo_child("cif", &child(1));
    let new = NgoReferral::of(KINSHIP_AT_NGO, "high", REASON);
    stage
        .oscar
        .peer(|sim| sim.refer_to_primero("cif", client, &new))
        .expect("valid");
    stage.settle();
    assert_eq!(stage.only_case()["risk_level"], "high");
    let calmer = NgoReferral::of("School support", "no action", REASON);
    let number = stage
        .oscar
        .peer(|sim| sim.refer_to_primero("cif", client, &calmer))
        .expect("valid");
    stage.settle();
    delivered(&stage, "cif", number);
    assert_eq!(stage.only_case()["risk_level"], "high");
    // Without any risk, Primero's stays.
    let silent = |row: &mut oscar::Referral| row.level_of_risk = None;
    stage
        .oscar
        .peer(|sim| sim.alter_referral("cif", number, silent))
        .expect("there");
    stage.ngo_edits("cif", client, |_| {});
    stage.settle();
    assert_eq!(stage.only_case()["risk_level"], "high");
}

#[test]
fn job_defect_27_a_case_stays_with_its_owner() {
    let mut stage = Stage::default();
    let (client, _) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let id = stage.only_case()["id"].as_str().expect("an id").to_owned();
    stage
        .primero
        .peer(|sim| sim.move_owner(&id, "worker-two"))
        .expect("moved");
    // A change of the child, a move to another province, and a second referral.
    stage.ngo_edits("cif", client, |child| {
        child.given_name = Some("Tricia".to_owned());
        child.address = ["02", "0204", "020403", "02040302"].map(|code| Some(code.to_owned()));
    });
    let number = stage.ngo_refers_for("cif", client, "School support");
    stage.settle();
    delivered(&stage, "cif", number);
    let case = stage.only_case();
    assert_eq!(case["owned_by"], "worker-two");
    assert_eq!(
        (&case["name_first"], &case["location_current"]),
        (&json!("Tricia"), &json!("2040302"))
    );
}

#[test]
fn job_defect_28_an_ngo_nobody_has_listed_stops_its_own_referral_only() {
    let mut config = oscar::Config::default_for(EMAIL, PASSWORD);
    config.tenants[2].short_name = "unlisted".to_owned();
    let mut stage = Stage::with(primero::Config::cambodia(USER, PASSWORD), config);
    stage.organizations.push("unlisted".to_owned());
    stage.restart();
    let (_, strange) = stage.ngo_refers_new_child("unlisted", 1);
    let (_, fine) = stage.ngo_refers_new_child("cif", 2);
    stage.settle();
    assert_eq!(
        stage.state(&format!("o-unlisted-{strange}")),
        (State::Parked, Some(Reason::NoMapping))
    );
    delivered(&stage, "cif", fine);
    assert_eq!(
        services_of(&stage)[0]["oscar_referring_organization"],
        "agency-cif"
    );
}

#[test]
fn job_defect_29_two_referrals_for_one_service_are_two_services() {
    let mut stage = Stage::default();
    let (client, first) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    stage.owner_decides("rejected_936484");
    stage.settle();
    let second = stage.ngo_refers("cif", client);
    stage.settle();
    delivered(&stage, "cif", second);
    let services = services_of(&stage);
    assert_eq!(services.len(), 2);
    assert_ne!(services[0]["unique_id"], services[1]["unique_id"]);
    let numbers = |n: usize| services[n]["oscar_referral_id_a4ac8a5"].clone();
    assert_eq!(
        (numbers(0), numbers(1)),
        (json!(first.to_string()), json!(second.to_string()))
    );
    assert_eq!(
        services[0]["referral_status_edf41f2"], "rejected_936484",
        "not written over"
    );
    // The same ids on any box: derived from what OSCaR calls the referral.
    let (before, device) = (services.clone(), stage.device + 1);
    stage.device = device;
    stage.flows.start = Some(stage.clock.utc().timestamp() - 24 * 3600);
    stage.lose_the_store();
    stage.settle();
    assert_eq!(services_of(&stage), before);
}

#[test]
fn job_defect_30_direction_comes_from_the_ledger_and_not_from_the_link() {
    let mut stage = Stage::default();
    let (client, _) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let linked = stage.ngo_client("cif", client).external_id;
    assert!(linked.is_some(), "from here on `resource` says primero");
    let second = stage.ngo_refers_for("cif", client, "School support");
    stage.settle();
    delivered(&stage, "cif", second);
    for service in services_of(&stage) {
        assert_eq!(service["service_response_type"], "referral_from_oscar");
    }
    // And one of ours for the same child is ours.
    let case_id = stage.only_case()["case_id"].clone();
    let key = stage.accept(&but(referral(1), "/child/primero_case_id", case_id));
    stage.run();
    stage
        .oscar
        .peer(|sim| sim.view_notifications("cif"))
        .expect("a tenant");
    stage.ngo_edits("cif", client, |_| {});
    stage.settle();
    assert!(
        stage.head(&key).work.services[0].oscar_referral.is_some(),
        "{:?}",
        stage.head(&key).history
    );
    let ours = stage.store().queue(|queue| queue.len());
    assert_eq!(ours, 3, "two of theirs, one of ours");
}

#[test]
fn job_defect_31_the_reason_is_the_childs_and_an_unknown_service_is_said_in_words() {
    let mut stage = Stage::default();
    let client = stage.ngo_child("cif", &child(1));
    let number = stage.ngo_refers_for("cif", client, "Literacy Support");
    stage.settle();
    delivered(&stage, "cif", number);
    let service = services_of(&stage).remove(0);
    assert_eq!(
        (&service["service_type"], &service["service_subtype"]),
        (&json!("other"), &json!(["other_other_service"]))
    );
    assert_eq!(service["service_type_details_text"], "Literacy Support");
    let notes = service["referral_notes_from_oscar_2e787b8"]
        .as_str()
        .expect("notes");
    assert!(notes.contains(REASON), "{notes}");
    // Of two referrals between two looks only the later one's reason is known, and none is lent to the other.
    let client = stage.ngo_child("cif", &child(2));
    let early = stage.ngo_refers_for("cif", client, "School support");
    let new = NgoReferral::of(KINSHIP_AT_NGO, "low", "another reason");
    let late = stage
        .oscar
        .peer(|sim| sim.refer_to_primero("cif", client, &new))
        .expect("valid");
    stage.settle();
    assert_eq!(
        stage.state(&format!("o-cif-{early}")),
        (State::Parked, Some(Reason::ConsentNotStated)),
        "its consent form is not shown either"
    );
    assert_eq!(
        stage.state(&format!("o-cif-{late}")).0,
        State::Pending,
        "behind it, in its lane"
    );
}
