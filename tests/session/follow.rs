//! A child that an NGO has referred or shared is followed: what changes there changes in Primero, unless Primero's people
//! have changed the same thing.

use crate::ngo::child;
use crate::office::{KINSHIP, but, referral};
use crate::stage::Stage;
use referral_gateway::core::flows::OscarConsent;
use referral_gateway::core::outbox::Verdict;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{Head, Peer, State};
use serde_json::{Value, json};
use simulators::oscar::{Child, Client};

/// A child referred by the NGO and in Primero; the client, and the case's id.
fn in_primero(stage: &mut Stage) -> (i64, String) {
    let (client, number) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let head = stage.head(&format!("o-cif-{number}"));
    assert_eq!(head.state, State::Delivered, "{:?}", head.history);
    stage.primero.taken();
    (
        client,
        stage.only_case()["id"].as_str().expect("an id").to_owned(),
    )
}

fn rename(name: &'static str) -> impl FnOnce(&mut Client) {
    move |child| child.given_name = Some(name.to_owned())
}

/// Events about a child's record, in order.
fn records(stage: &Stage) -> Vec<Head> {
    let seqs: Vec<_> = stage
        .store()
        .queue(|queue| queue.iter().map(|entry| entry.seq).collect());
    let heads = seqs
        .into_iter()
        .filter_map(|seq| stage.store().read(|view| view.head(seq)).expect("reads"));
    heads.filter(|head| head.kind.word() == "child").collect()
}

#[test]
fn what_the_ngo_changes_alone_is_changed_in_primero() {
    let mut stage = Stage::default();
    let (client, id) = in_primero(&mut stage);
    let before = stage.primero_case(&id);
    stage.ngo_edits("cif", client, |child| {
        child.given_name = Some("Tricia".to_owned());
        child.date_of_birth = Some("2014-04-04".to_owned());
    });
    stage.settle();
    let after = stage.primero_case(&id);
    assert_eq!(
        (&after["name_first"], &after["date_of_birth"]),
        (&json!("Tricia"), &json!("2014-04-04"))
    );
    for same in [
        "name_last",
        "owned_by",
        "risk_level",
        "location_current",
        "consent_for_services",
        "oscar_number",
    ] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(stage.primero.count("PATCH"), 1, "one write for both fields");
}

#[test]
fn what_primeros_people_change_alone_stays() {
    let mut stage = Stage::default();
    let (client, id) = in_primero(&mut stage);
    stage.worker_edits(&id, &json!({"name_first": "Tricia"}));
    stage.ngo_edits("cif", client, |child| {
        child.family_name = Some("McMillan".to_owned())
    });
    stage.settle();
    let after = stage.primero_case(&id);
    assert_eq!(
        (&after["name_first"], &after["name_last"]),
        (&json!("Tricia"), &json!("McMillan"))
    );
}

#[test]
fn a_value_changed_on_both_sides_waits_for_a_person_who_picks_one() {
    for (side, name) in [(Peer::Oscar, "Tricia"), (Peer::Primero, "Trish")] {
        let mut stage = Stage::default();
        let (client, id) = in_primero(&mut stage);
        stage.worker_edits(&id, &json!({"name_first": "Trish"}));
        stage.ngo_edits("cif", client, rename("Tricia"));
        stage.settle();
        let head = records(&stage).remove(0);
        assert_eq!(
            (head.state, head.reason),
            (State::Parked, Some(Reason::FieldConflict))
        );
        assert_eq!(
            stage.primero_case(&id)["name_first"],
            "Trish",
            "nothing written meanwhile"
        );
        let step = head.history.last().expect("a history");
        assert!(
            !step.detail.contains("Tri"),
            "no names in the open part: {}",
            step.detail
        );
        let both = &step.note.as_ref().expect("both values, sealed").0;
        assert!(both.contains("Tricia") && both.contains("Trish"), "{both}");
        stage.resolve(&head.key, Verdict::Take(side));
        stage.settle();
        assert_eq!(stage.primero_case(&id)["name_first"], name);
        assert_eq!(stage.head(&head.key).state, State::Delivered);
        stage.primero.taken();
        stage.settle();
        assert_eq!(stage.primero.count("PATCH"), 0, "settled for good");
    }
}

/// Primero has three words for sex where OSCaR has six: its own word stays OSCaR's.
#[test]
fn a_word_primero_does_not_have_survives_at_the_ngo() {
    let mut stage = Stage::default();
    let client = stage.ngo_child(
        "cif",
        &Child {
            gender: "prefer_not_to_say".to_owned(),
            ..child(1)
        },
    );
    stage.ngo_refers("cif", client);
    stage.settle();
    let case = stage.only_case();
    assert_eq!(case["sex"], "other");
    // The office refers the same child back: the push overwrites the NGO's record with what it carries.
    let event = but(referral(1), "/child/primero_case_id", case["case_id"].clone());
    let key = stage.accept(&but(
        but(event, "/child/sex", json!("other")),
        "/services",
        json!([{"subtype": KINSHIP}]),
    ));
    let consent = json!({"consent_for_services": true, "disclosure_other_orgs": true});
    assert!(
        consent
            .as_object()
            .is_some_and(|ticks| ticks.iter().all(|(name, value)| case[name] == *value))
    );
    stage.settle();
    assert_eq!(
        stage.state(&key).0,
        State::Delivered,
        "{:?}",
        stage.head(&key).history
    );
    let after = stage.ngo_client("cif", client);
    assert_eq!(after.gender.as_deref(), Some("prefer_not_to_say"));
    assert_eq!(stage.only_case()["sex"], "other");
}

#[test]
fn a_risk_rises_with_the_ngo_and_never_falls() {
    let mut stage = Stage::default();
    let (client, id) = in_primero(&mut stage);
    for (risk, after) in [("low", "medium"), ("high", "high"), ("no action", "high")] {
        let latest = stage.oscar.peer(|sim| sim.referrals()).last().expect("one").id;
        let assess = move |row: &mut simulators::oscar::Referral| row.level_of_risk = Some(risk.to_owned());
        stage
            .oscar
            .peer(|sim| sim.alter_referral("cif", latest, assess))
            .expect("an edit");
        stage.ngo_edits("cif", client, |_| {});
        stage.settle();
        assert_eq!(stage.primero_case(&id)["risk_level"], after);
    }
}

#[test]
fn a_closed_case_is_left_as_it_is() {
    let mut stage = Stage::default();
    let (client, id) = in_primero(&mut stage);
    stage.worker_edits(&id, &json!({"status": "closed"}));
    let before = stage.primero_case(&id);
    stage.ngo_edits("cif", client, rename("Tricia"));
    stage
        .oscar
        .peer(|sim| sim.archive("cif", client))
        .expect("archived");
    stage.settle();
    assert_eq!(stage.primero_case(&id), before);
    assert!(records(&stage).iter().all(|head| head.state == State::Delivered));
}

/// Only the NGO that referred the child speaks for it: two that spell a name differently would write for ever.
#[test]
fn another_ngo_does_not_rename_the_child() {
    let mut stage = Stage::default();
    let (client, id) = in_primero(&mut stage);
    let global_id = stage.ngo_client("cif", client).global_id;
    stage
        .oscar
        .peer(|sim| sim.register_ngo_child_as("gpc", &Child::named("Other", "Spelling"), &global_id))
        .expect("known there too");
    stage.settle();
    assert_eq!(stage.primero_case(&id)["name_first"], "Trillian1");
}

fn sharing() -> Stage {
    let mut stage = Stage::default();
    stage.flows.shared_cases = true;
    stage.flows.oscar_consent = OscarConsent::Agreement;
    stage.restart();
    stage
}

#[test]
fn a_shared_child_gets_one_case_without_a_service_or_a_consent() {
    let mut stage = sharing();
    let client = stage.ngo_child("cif", &child(1));
    stage.settle();
    let case = stage.only_case();
    assert_eq!(
        (&case["name_first"], &case["owned_by"]),
        (&json!("Trillian1"), &json!("mgrkdl"))
    );
    assert!(case["services_section"].as_array().is_none_or(Vec::is_empty));
    assert!(case["consent_for_services"].is_null() && case["disclosure_other_orgs"].is_null());
    assert_eq!(
        stage.ngo_client("cif", client).external_id.as_deref(),
        case["case_id"].as_str()
    );
    assert!(records(&stage).iter().all(Head::closed));
    // Referred afterwards: the same case.
    stage.ngo_refers("cif", client);
    stage.settle();
    let services = stage.only_case()["services_section"].as_array().map(Vec::len);
    assert_eq!(services, Some(1));
}

#[test]
fn a_shared_child_that_has_a_case_changes_nothing_of_it() {
    let mut stage = sharing();
    let client = stage.ngo_child("cif", &child(1));
    let mut data = json!({"name_first": "Tricia", "sex": "female", "date_of_birth": "2015-05-05"});
    data["oscar_number"] = json!(stage.ngo_client("cif", client).global_id);
    let id = stage.enter_case(data);
    let before = stage.primero_case(&id);
    stage.settle();
    assert_eq!(stage.primero_case(&id), before);
}

#[test]
fn without_an_agreement_no_shared_child_is_taken() {
    let mut stage = Stage::default();
    stage.flows.shared_cases = true;
    stage.restart();
    stage.ngo_child("cif", &child(1));
    stage.settle();
    assert_eq!(stage.store().queue(|queue| queue.len()), 0);
    assert_eq!(stage.primero.peer(|sim| sim.cases()), Vec::<Value>::new());
}
