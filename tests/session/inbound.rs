//! Referrals the NGOs make to the government: each becomes one case with one pending service, once, and nothing of it is
//! invented.

use crate::ngo::{REASON, child};
use crate::office::{KINSHIP, KINSHIP_AT_NGO};
use crate::stage::Stage;
use referral_gateway::core::flows::OscarConsent;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{Flow, Head, State};
use serde_json::json;
use simulators::oscar::{Child, NgoReferral};

#[test]
fn an_ngos_referral_becomes_a_case_with_a_pending_service() {
    let mut stage = Stage::default();
    let (client, number) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let key = format!("o-cif-{number}");
    let head = stage.head(&key);
    assert_eq!(
        (head.state, head.reason),
        (State::Delivered, None),
        "{:?}",
        head.history
    );
    assert_eq!(
        (head.flow, head.organization.as_str()),
        (Flow::OscarToPrimero, "cif")
    );
    let case = stage.only_case();
    let known = stage.ngo_client("cif", client);
    assert_eq!(case["name_first"], "Trillian1");
    assert_eq!(
        (&case["sex"], &case["date_of_birth"]),
        (&json!("female"), &json!("2015-05-05"))
    );
    assert_eq!(case["location_current"], "8010101");
    assert_eq!(case["owned_by"], "mgrkdl");
    assert_eq!(case["risk_level"], "medium");
    assert_eq!(case["oscar_number"], known.global_id.as_str());
    assert_eq!(case["oscar_short_id"], known.slug.as_str());
    assert_eq!(case["consent_for_services"], true, "a form is on file");
    let services = case["services_section"].as_array().expect("services");
    assert_eq!(services.len(), 1);
    let service = &services[0];
    assert_eq!(service["service_response_type"], "referral_from_oscar");
    assert_eq!(service["service_subtype"], json!([KINSHIP]));
    assert_eq!(service["referral_status_edf41f2"], "pending_310366");
    assert_eq!(service["oscar_referral_id_a4ac8a5"], number.to_string());
    let notes = service["referral_notes_from_oscar_2e787b8"]
        .as_str()
        .expect("notes");
    assert!(notes.ends_with(REASON), "{notes}");
    assert!(
        stage.primero_referrals().is_empty(),
        "the case is the province's, nobody is referred to"
    );
    // The case's number stands at OSCaR, seen there.
    let case_id = case["case_id"].as_str();
    assert_eq!(stage.ngo_client("cif", client).external_id.as_deref(), case_id);
    assert!(head.work.link_seen, "{:?}", head.history);
}

#[test]
fn a_referral_without_a_consent_form_waits_until_oscar_shows_one() {
    let mut stage = Stage::default();
    let (client, number) = stage.ngo_refers_new_child("cif", 1);
    let forget = |sim: &mut simulators::oscar::Sim, forms: Vec<String>| {
        sim.alter_referral("cif", number, |row| row.consent_form = forms)
    };
    stage.oscar.peer(|sim| forget(sim, Vec::new())).expect("an edit");
    stage.settle();
    let key = format!("o-cif-{number}");
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::ConsentNotStated)));
    assert!(stage.primero.peer(|sim| sim.cases()).is_empty());
    // The NGO scans the form and saves the child.
    let form = vec!["/uploads/form.pdf".to_owned()];
    stage.oscar.peer(|sim| forget(sim, form)).expect("an edit");
    stage.ngo_edits("cif", client, |_| {});
    stage.settle();
    assert_eq!(
        stage.state(&key),
        (State::Delivered, None),
        "{:?}",
        stage.head(&key).history
    );
    assert_eq!(stage.only_case()["consent_for_services"], true);
}

#[test]
fn an_agreement_stands_for_a_consent_that_is_not_stated_and_ticks_no_box() {
    let mut stage = Stage::default();
    stage.flows.oscar_consent = OscarConsent::Agreement;
    stage.restart();
    let (_, number) = stage.ngo_refers_new_child("cif", 1);
    let forget = |row: &mut simulators::oscar::Referral| row.consent_form.clear();
    stage
        .oscar
        .peer(|sim| sim.alter_referral("cif", number, forget))
        .expect("an edit");
    stage.settle();
    assert_eq!(stage.state(&format!("o-cif-{number}")), (State::Delivered, None));
    let case = stage.only_case();
    assert!(case["consent_for_services"].is_null() && case["disclosure_other_orgs"].is_null());
}

/// Two services in one referral are two services of one case, and one event.
#[test]
fn a_referral_of_two_services_is_one_event_with_two_services() {
    let mut stage = Stage::default();
    let client = stage.ngo_child("cif", &child(1));
    let new = NgoReferral {
        services: vec![KINSHIP_AT_NGO.to_owned(), "School support".to_owned()],
        ..NgoReferral::of("", "high", REASON)
    };
    let number = stage
        .oscar
        .peer(|sim| sim.refer_to_primero("cif", client, &new))
        .expect("valid");
    stage.settle();
    let head = stage.head(&format!("o-cif-{number}"));
    assert_eq!(head.state, State::Delivered, "{:?}", head.history);
    assert_eq!(head.work.services.len(), 2);
    assert!(head.urgent);
    let services = stage.only_case()["services_section"].as_array().map(Vec::len);
    assert_eq!(services, Some(2));
}

#[test]
fn what_nobody_can_name_or_place_is_set_aside_alone() {
    let mut stage = Stage::default();
    let doubled = stage.ngo_child("cif", &child(1));
    let doubled = stage.ngo_refers_for("cif", doubled, "Therapeutic training");
    // Stung Treng has no manager in the tables, and neither has the NGO's office there.
    let nowhere = stage.ngo_child(
        "cif",
        &Child {
            village_code: "19010101".to_owned(),
            ..child(3)
        },
    );
    let nowhere = stage.ngo_refers("cif", nowhere);
    let strange = stage.ngo_child(
        "cif",
        &Child {
            date_of_birth: Some("22012-01-01".to_owned()),
            ..child(4)
        },
    );
    let strange = stage.ngo_refers("cif", strange);
    let (_, fine) = stage.ngo_refers_new_child("cif", 5);
    stage.settle();
    for (number, reason) in [
        (doubled, Reason::AmbiguousService),
        (nowhere, Reason::NoMapping),
        (strange, Reason::ValueUnreadable),
    ] {
        assert_eq!(
            stage.state(&format!("o-cif-{number}")),
            (State::Parked, Some(reason))
        );
    }
    assert_eq!(stage.state(&format!("o-cif-{fine}")), (State::Delivered, None));
    assert_eq!(stage.only_case()["name_first"], "Trillian5");
}

#[test]
fn an_existing_case_keeps_its_owner_its_worker_and_its_higher_risk() {
    for (there, after) in [(Some("high"), "high"), (Some("low"), "medium"), (None, "medium")] {
        let mut stage = Stage::default();
        let client = stage.ngo_child("cif", &child(1));
        let mut data = json!({"name_first": "Tricia", "name_last": "Astra", "sex": "female",
            "date_of_birth": "2015-01-01", "risk_level": there});
        data["oscar_number"] = json!(stage.ngo_client("cif", client).global_id);
        let id = stage.enter_case(data);
        let number = stage.ngo_refers("cif", client);
        stage.settle();
        assert_eq!(stage.state(&format!("o-cif-{number}")), (State::Delivered, None));
        let case = stage.primero_case(&id);
        assert_eq!(
            (&case["owned_by"], &case["name_first"]),
            (&json!("worker"), &json!("Tricia"))
        );
        assert_eq!(case["risk_level"], after);
        assert!(case["consent_for_services"].is_null());
        assert_eq!(case["services_section"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn a_closed_case_is_not_added_to() {
    let mut stage = Stage::default();
    let client = stage.ngo_child("cif", &child(1));
    let mut data = json!({"name_first": "Tricia", "sex": "female", "date_of_birth": "2015-01-01"});
    data["oscar_number"] = json!(stage.ngo_client("cif", client).global_id);
    let id = stage.enter_case(data);
    stage.worker_edits(&id, &json!({"status": "closed"}));
    let number = stage.ngo_refers("cif", client);
    stage.settle();
    assert_eq!(
        stage.state(&format!("o-cif-{number}")),
        (State::Parked, Some(Reason::CaseClosed))
    );
    assert!(
        stage.primero_case(&id)["services_section"]
            .as_array()
            .is_none_or(Vec::is_empty)
    );
}

#[test]
fn what_is_not_ours_is_not_stored() {
    let mut stage = Stage::default();
    stage.ngo_refers_new_child("tpo", 1);
    stage.settle();
    let events = stage.store().queue(|queue| queue.len());
    assert_eq!(events, 0);
    assert!(stage.primero.peer(|sim| sim.cases()).is_empty());
}

/// The NGO made and decided it before anybody looked: there is nothing left to ask for.
#[test]
fn a_referral_decided_before_it_was_seen_is_nobodys_event() {
    let mut stage = Stage::default();
    let (_, number) = stage.ngo_refers_new_child("cif", 1);
    stage
        .oscar
        .peer(|sim| sim.hand_decide("cif", number, "Exited"))
        .expect("linked");
    stage.settle();
    assert_eq!(stage.store().queue(|queue| queue.len()), 0);
}

/// Such keys are refused at the door; a store may hold one from before.
#[test]
fn a_senders_event_with_the_key_of_an_ngos_referral_keeps_nothing_out() {
    let mut stage = Stage::default();
    let (_, first) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let taken = format!("o-cif-{}", first + 1);
    let ours = stage.accept(&crate::office::referral(7));
    let head = stage.head(&ours);
    let key = taken.clone();
    stage
        .store()
        .write(move |tx| {
            let payload = tx.payload(head.seq)?.expect("a moment old");
            let seq = tx.next_seq();
            tx.insert(&Head { seq, key, ..head }, &payload, &[])
        })
        .expect("stored");
    let (client, number) = stage.ngo_refers_new_child("cif", 2);
    assert_eq!(number, first + 1);
    stage.settle();
    stage.ngo_edits("cif", client, |child| {
        child.given_name = Some("Renamed".to_owned())
    });
    stage.settle();
    assert_eq!(stage.head(&taken).flow, Flow::LocalToOscar);
    let arrived = stage.head(&format!("{taken}x"));
    assert_eq!(
        (arrived.flow, arrived.state),
        (Flow::OscarToPrimero, State::Delivered)
    );
    assert_eq!(stage.ngo_status("cif", number), "Referred");
    assert!(stage.find(&format!("{taken}xx")).is_none(), "once");
}
