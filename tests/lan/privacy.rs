//! Names planted in what comes in over the LAN turn up in no answer, no log, no list and no file.

use crate::client::{LanOffice, send};
use crate::office::planted::{clean, clean_folder};
use crate::office::referral;
use serde_json::{Value, json};
use simulators::wire::{Fault, FaultRule, Reply};

#[test]
fn nothing_planted_turns_up_in_an_answer_a_log_or_a_file() {
    let lan = LanOffice::start();
    let (desk, other) = (lan.station("front-desk"), lan.station("phone-2"));
    let mut good = referral("k-1", "Xanthippe", "cif");
    for pointer in [
        "/child/family_name",
        "/child/local_given_name",
        "/reason",
        "/case_worker/name",
    ] {
        *good.pointer_mut(pointer).unwrap() = json!("ក្រចៅឆ្មា quokka 099 777 111");
    }
    good["case_worker"]["email"] = json!("plover@example.org");
    let mut wrong = good.clone();
    wrong["child"]["sex"] = json!("quokka");
    wrong["organization"] = json!("ក្រចៅឆ្មា");
    let mut conflict = good.clone();
    conflict["reason"] = json!("Xanthippe");
    let broken = good.to_string().replacen("\"kind\"", "kind", 1);
    let bodies = [good.to_string(), good.to_string(), conflict.to_string(), broken];
    let mut statuses = Vec::new();
    for (token, body) in [&desk, &other]
        .into_iter()
        .flat_map(|token| bodies.iter().map(move |body| (token, body)))
    {
        let answer = lan.ask(Some(token), "POST", "/v1/events", body.as_bytes());
        clean("an answer", &answer.body);
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [201, 200, 409, 400, 200, 200, 409, 400]);
    let answer = lan.ask(Some(&desk), "POST", "/v1/events", wrong.to_string().as_bytes());
    assert_eq!(answer.status, 422);
    clean("a refusal", &answer.body);
    for (token, target) in [
        (Some(desk.as_str()), "/v1/events"),
        (Some(desk.as_str()), "/v1/events/k-1"),
        (Some(desk.as_str()), "/v1/status"),
        (Some(desk.as_str()), "/v1/events/Xanthippe"),
        (Some("Xanthippe quokka"), "/v1/events/%E1%9E%80%E1%9F%92%E1%9E%9A"),
        (None, "/Xanthippe?name=quokka"),
    ] {
        let answer = lan.ask(token, "GET", target, b"");
        clean(target, &answer.body);
    }
    let mut line = lan.connect();
    send(&mut line, Some(&desk), "Xanthippe quokka", "/", b"");
    clean(
        "what nobody can read",
        &crate::client::read(&mut line).map_or(Vec::new(), |answer| answer.body),
    );
    clean("the log", lan.office.log().as_bytes());
    clean("the roster", lan.office.run(&["station", "list"]).out.as_bytes());
    clean_folder(&lan.office.folder.path().join("data"));
}

/// A case's record id opens it in Primero for whoever has an account there: it is for the technician's own `status`.
#[test]
fn a_case_that_primero_fails_on_is_named_at_the_box_and_nowhere_else() {
    let mut lan = LanOffice::start();
    let token = lan.station("front-desk");
    let primero = &lan.office.primero;
    let service = "0c0ffee0-0000-4000-8000-000000000001";
    let case = json!({"name_first": "Dara", "name_last": "Chan", "sex": "female", "date_of_birth": "2015-05-05",
        "risk_level": "high", "consent_for_services": true, "disclosure_other_orgs": true,
        "services_section": [{"unique_id": service, "service_type": "family_based_care",
            "service_response_type": "referral_to_oscar", "service_implementing_agency": "agency-cif"}]});
    let case = primero.create_case("worker", case).unwrap();
    let referral = json!({"transitioned_to": "agency-cif-user", "service": "family_based_care",
        "service_record_id": service, "notes": "needs a home"});
    primero.refer("worker", &case, &referral).unwrap();
    let list = format!("/cases/{case}/referrals");
    let error = Fault::Answer(Reply::json(500, &json!({"errors": [{"status": 500}]})));
    primero.server().faults().add(FaultRule::on("GET", &list, error));
    lan.office.sync();
    let named = |text: &[u8]| text.windows(case.len()).any(|window| window == case.as_bytes());
    let bundle = lan.office.folder.path().join("bundle.json");
    for running in [true, false] {
        if running {
            let shown = lan.ask(Some(&token), "GET", "/v1/status?cases", b"");
            assert_eq!(shown.json()["peers"]["primero"]["failing_cases"], 1, "{shown:?}");
            assert!(!named(&shown.body), "shown to a station: {shown:?}");
        } else {
            lan.office.stop();
        }
        let ran = lan
            .office
            .run(&["support-bundle", "--output", bundle.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let text = std::fs::read(&bundle).unwrap();
        let told: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(told["status"]["peers"]["primero"]["failing_cases"], 1, "{told}");
        assert!(!named(&text), "in the support bundle: {told}");
        for words in [&["status"][..], &["status", "--json"]] {
            assert!(
                named(lan.office.run(words).out.as_bytes()),
                "{words:?}: a technician needs it"
            );
        }
    }
    assert!(!named(lan.office.log().as_bytes()), "in the log");
}
