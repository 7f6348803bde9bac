//! `primero.md` §9, traps 20 to 23.

use crate::line::{Fault, Rule};
use crate::office::{but, case, decision, referral, referred};
use crate::primero_traps::{key, met, sent};
use crate::primero_traps_later::written;
use crate::stage::{PASSWORD, USER};
use referral_gateway::core::ask::{CaseView, PrimeroCall, Recipient, ReferralView};
use referral_gateway::core::event::{Decision, Private};
use referral_gateway::core::exchange::{Phase, Request};
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::json;
use simulators::wire::Reply;

#[test]
fn primero_trap_20_consent_is_looked_at_before_each_send_and_never_overridden() {
    let mut stage = met();
    stage
        .oscar
        .fault(Rule::always("", "/", Fault::Never(Phase::Connect)));
    let (made, local) = (stage.worker_refers(1), stage.accept(&referral(2)));
    stage.run();
    let local_case = stage.head(&local).work.case.expect("in Primero").id;
    for case in [&made.case, &local_case] {
        stage
            .primero
            .peer(|sim| sim.withdraw_consent(case))
            .expect("withdrawn");
    }
    stage.oscar.mend();
    stage.run();
    for event in [&key(&made), &local] {
        assert_eq!(stage.state(event), (State::Parked, Some(Reason::ConsentMissing)));
    }
    assert_eq!(stage.oscar_referrals().len(), 0);
    assert!(
        written(&stage)
            .iter()
            .all(|(_, body)| body["data"]["consent_overridden"].is_null())
    );
}

#[test]
fn primero_trap_21_no_case_changes_its_owner() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    let id = stage.enter_case(case(2));
    let short = stage.primero_case(&id)["short_id"].clone();
    let local = stage.accept(&but(referral(2), "/child/primero_case_id", short));
    stage.run();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert!(stage.head(&key(&made)).closed() && stage.head(&local).closed());
    for case in [&made.case, &id] {
        assert_eq!(stage.primero_case(case)["owned_by"], "worker");
    }
    let writes = written(&stage);
    assert!(writes.len() > 3);
    for (what, body) in writes.iter().filter(|(what, _)| what.starts_with("PATCH")) {
        assert!(body["data"]["owned_by"].is_null(), "{what}");
    }
}

#[test]
fn primero_trap_22_no_decision_is_invented_and_no_failed_list_forgotten() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    stage.run();
    stage.ngo_registers("cif");
    stage.run();
    stage.primero.taken();
    // A changed case with a service, and no decision in it.
    stage.primero.peer(|sim| sim.bump_cases_of("worker"));
    stage.run();
    assert!(stage.head(&key(&made)).decision().is_none() && written(&stage).is_empty());
    assert_eq!(stage.oscar.count("PUT /api/v1/organizations/referrals"), 0);
    // One list fails while others go: it is asked for again, also after a restart.
    let (first, second) = (stage.worker_refers(2), stage.worker_refers(3));
    let failure = Reply::json(500, &json!({"errors": [{"status": 500, "message": "nil"}]}));
    stage
        .primero
        .fault(Rule::once("GET", "/referrals", Fault::Instead(failure)));
    stage.run();
    assert_eq!(stage.oscar_referrals().len(), 2);
    stage.restart();
    stage.run();
    sent(&stage, &first);
    sent(&stage, &second);
}

#[test]
fn primero_trap_23_nothing_that_can_be_printed_holds_a_childs_name() {
    let fields = case(1).as_object().expect("an object").clone();
    let view = CaseView {
        id: "x".to_owned(),
        fields: Private(fields.clone()),
    };
    let call = PrimeroCall::CreateCase {
        id: "x".to_owned(),
        fields: Private(fields),
    };
    let made = ReferralView {
        id: "x".to_owned(),
        status: "in_progress".to_owned(),
        service: None,
        to: Recipient::Nobody,
        by_user: None,
        notes: Private(Some("Zaphodina1 needs a home".to_owned())),
        created_ms: None,
        case_stamp: None,
    };
    let site = referral_gateway::core::fields::Site {
        mapping: referral_gateway::core::mapping::Mapping::built_in(),
        names: referral_gateway::core::fields::FieldNames::default(),
        module_id: simulators::primero::MODULE.to_owned(),
    };
    let agency = site.mapping.agency("cif").expect("an agency").clone();
    let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).expect("a day");
    let drawn = referral_gateway::core::draw::draw(&view, &made, &agency, &site, day);
    let request: Request =
        referral_gateway::peers::primero::Primero::new(USER, PASSWORD).encode(&call, &site);
    let printed = format!("{view:?} {call:?} {made:?} {drawn:?} {request:?}");
    for secret in ["Zaphodina", "Beeblebrox", "2015-05-05", "home", PASSWORD, "Basic"] {
        assert!(!printed.contains(secret), "{secret}");
    }
    // The history of an event that went all the way, and of one that was held up.
    let mut stage = met();
    let sent_on = stage.worker_refers(1);
    let held = stage.worker_refers_to("agency-cif-user", but(referred(2), "/risk_level", json!(null)));
    stage.run();
    let told = stage.accept(&decision(&key(&sent_on), Decision::Accepted));
    stage.run();
    for event in [&key(&sent_on), &key(&held), &told] {
        let head = format!("{:?}", stage.head(event));
        assert!(
            !head.contains("Zaphodina") && !head.contains("Beeblebrox"),
            "{head}"
        );
    }
}
