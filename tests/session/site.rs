//! A Primero that cannot take everything: what it lacks is found beforehand, and holds up only what needs it.

use crate::line::{Fault, Rule};
use crate::office::{KINSHIP, SCHOOL, but, referral};
use crate::stage::{EMAIL, PASSWORD, Stage, USER};
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{State, what};
use referral_gateway::shell::session::site_check::{KEPT, SiteCheck};
use serde_json::json;
use simulators::wire::Reply;
use simulators::{oscar, primero};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn without_kinship() -> primero::Config {
    let mut config = primero::Config::cambodia(USER, PASSWORD);
    let subtypes = config
        .lookups
        .get_mut("lookup-service-subtype")
        .expect("in the seed");
    subtypes.retain(|subtype| subtype != KINSHIP);
    config
}

fn stage(config: primero::Config) -> Stage {
    Stage::with(config, oscar::Config::default_for(EMAIL, PASSWORD))
}

fn kept(stage: &Stage) -> SiteCheck {
    let kept = stage.store().read(|view| view.meta_get::<SiteCheck>(KEPT));
    kept.expect("the store reads").expect("checked")
}

fn asked(stage: &Stage) -> usize {
    [
        "GET /api/v2/forms",
        "GET /api/v2/lookups",
        "GET /api/v2/users",
        "POST /api/v2/tokens",
    ]
    .iter()
    .map(|start| stage.primero.count(start))
    .sum()
}

#[test]
fn a_missing_subtype_parks_its_own_referrals_and_no_others() {
    let mut stage = stage(without_kinship());
    let kinship = stage.accept(&referral(1));
    let school = stage.accept(&but(referral(2), "/services", json!([{"subtype": SCHOOL}])));
    stage.run();
    assert_eq!(stage.state(&kinship), (State::Parked, Some(Reason::SiteGap)));
    assert_eq!(stage.state(&school), (State::Delivered, None));
    let history = stage.head(&kinship).history;
    let said = &history.last().expect("parked").detail;
    assert!(
        said.contains("lookup-service-subtype has no option family_based_care_kinship"),
        "{said}"
    );
    assert_eq!(
        stage.primero.peer(|sim| sim.cases()).len(),
        1,
        "no half case of the other child"
    );
    assert_eq!(stage.oscar_referrals().len(), 1);

    // The centre adds it; the next day the gateway sees it and sends the event by itself.
    stage.primero.peer(|sim| {
        let subtypes = sim.config_mut().lookups.get_mut("lookup-service-subtype");
        subtypes.expect("in the seed").push(KINSHIP.to_owned());
    });
    stage.run();
    assert_eq!(
        stage.state(&kinship),
        (State::Parked, Some(Reason::SiteGap)),
        "not asked yet"
    );
    stage.wait(DAY);
    stage.run();
    assert_eq!(stage.state(&kinship), (State::Delivered, None));
    assert!(kept(&stage).gaps.is_empty());
    assert_eq!(stage.oscar_referrals().len(), 2);
}

#[test]
fn a_form_that_is_closed_to_the_role_parks_before_anything_is_written() {
    let mut config = primero::Config::cambodia(USER, PASSWORD);
    config.roles[0].read_only.insert("services".to_owned());
    let mut stage = stage(config);
    let key = stage.accept(&referral(1));
    stage.run();
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::SiteGap)));
    assert!(stage.primero.peer(|sim| sim.cases()).is_empty());
    let gaps: Vec<String> = kept(&stage).gaps.iter().map(ToString::to_string).collect();
    assert_eq!(
        gaps,
        ["the gateway's role may not write the field services_section"]
    );
}

#[test]
fn an_unchanged_site_costs_three_answers_without_body_a_day() {
    let mut config = primero::Config::cambodia(USER, PASSWORD);
    config.bulk = 60;
    let mut stage = stage(config);
    stage.run();
    let bytes = |stage: &Stage| {
        let log = stage.primero.taken();
        // The pull of changed cases is another story.
        let check = log.iter().filter(|entry| !entry.what.ends_with("/cases"));
        check.map(|entry| entry.received).sum::<usize>()
    };
    println!("first check: {} bytes before compression", bytes(&stage));
    let first = kept(&stage);
    assert!(first.role_known && first.gaps.is_empty());
    for _ in 0..5 {
        stage.run();
        assert_eq!(asked(&stage), 0, "once a day");
        stage.primero.taken();
    }
    stage.wait(DAY);
    stage.run();
    assert_eq!(asked(&stage), 3, "the gateway's own number is known");
    let log = stage.primero.taken();
    let unchanged = log.iter().filter(|entry| entry.status == Some(304));
    assert_eq!(unchanged.count(), 3, "{log:?}");
    assert_eq!(kept(&stage), first, "nothing was written");

    // At a start it is asked again, as cheaply.
    stage.restart();
    stage.run();
    assert_eq!((asked(&stage), bytes(&stage)), (3, 0));
}

#[test]
fn half_a_change_is_read_as_a_whole() {
    let mut stage = stage(without_kinship());
    stage.run();
    assert_eq!(kept(&stage).gaps.len(), 1);
    // The lookups stay as they are; a form changes.
    stage.primero.peer(|sim| {
        let fields = &mut sim.config_mut().fields;
        fields.retain(|field| field.name != "risk_level");
    });
    stage.wait(DAY);
    stage.run();
    let gaps: Vec<String> = kept(&stage).gaps.iter().map(ToString::to_string).collect();
    assert_eq!(gaps.len(), 2, "{gaps:?}");
}

#[test]
fn a_check_that_does_not_get_through_stops_nothing_and_is_not_repeated_at_once() {
    let faults = [
        Fault::CutOff,
        Fault::AnswerLost,
        Fault::Never(Phase::Sent),
        Fault::Instead(Reply::html(500, "<h1>Trouble</h1>")),
        Fault::Instead(Reply::json(200, &json!({"data": []}))),
        Fault::page(200),
    ];
    for fault in faults {
        let mut stage = Stage::default();
        stage.primero.fault(Rule::always("GET", "/forms", fault.clone()));
        let key = stage.accept(&referral(1));
        stage.run();
        assert_eq!(stage.state(&key), (State::Delivered, None), "{fault:?}");
        stage.run();
        assert_eq!(stage.primero.count("GET /api/v2/forms"), 1, "{fault:?}");
        stage.primero.mend();
        stage.wait(Duration::from_secs(3600));
        stage.run();
        assert!(kept(&stage).gaps.is_empty(), "{fault:?}");
    }
}

#[test]
fn a_role_that_primero_does_not_tell_is_taken_at_its_word() {
    for (method, path, status) in [
        ("GET", "/users/", 403),
        ("POST", "/tokens", 429),
        ("POST", "/tokens", 403),
    ] {
        let mut stage = Stage::default();
        let refused = Fault::Instead(Reply::json(status, &json!({"errors": []})));
        stage.primero.fault(Rule::always(method, path, refused));
        let key = stage.accept(&referral(1));
        let report = stage.run();
        assert_eq!(report.primero.trouble, None::<Trouble>);
        assert_eq!(stage.state(&key), (State::Delivered, None));
        let check = kept(&stage);
        assert!(!check.role_known && check.gaps.is_empty());
    }
}

#[test]
fn a_refusal_makes_the_gateway_look_again() {
    let mut stage = Stage::default();
    stage.run();
    stage.primero.peer(|sim| {
        let subtypes = sim.config_mut().lookups.get_mut("lookup-service-subtype");
        subtypes
            .expect("in the seed")
            .retain(|subtype| subtype != KINSHIP);
    });
    stage.primero.taken();
    let first = stage.accept(&referral(1));
    stage.run();
    assert_eq!(stage.state(&first), (State::Parked, Some(Reason::PrimeroRefused)));
    let second = stage.accept(&referral(2));
    stage.run();
    assert_eq!(stage.state(&second), (State::Parked, Some(Reason::SiteGap)));
    assert_eq!(
        stage.primero.count("POST /api/v2/cases"),
        1,
        "the second was not even tried"
    );
}

#[test]
fn a_number_without_a_field_holds_up_no_decision_and_is_written_once_there_is_one() {
    let mut config = primero::Config::cambodia(USER, PASSWORD);
    config.roles[0].read_only.insert("oscar_form".to_owned());
    let mut stage = stage(config);
    let key = stage.accept(&referral(1));
    stage.run();
    stage.ngo_registers("cif");
    stage.settle();
    let head = stage.head(&key);
    assert_eq!(
        (head.state, head.reason),
        (State::Delivered, None),
        "{:?}",
        head.history
    );
    assert!(
        head.history
            .iter()
            .any(|step| step.what == what::LEFT_OUT && step.detail == "oscar_number oscar_short_id")
    );
    let service = |stage: &Stage| stage.only_case()["services_section"][0].clone();
    assert!(
        service(&stage)["oscar_referral_id_a4ac8a5"].is_string(),
        "its other number is there"
    );
    stage.primero.taken();
    stage.run();
    let log = stage.primero.taken();
    assert!(
        !log.iter().any(|entry| entry.what.starts_with("PATCH")),
        "{log:?}"
    );

    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert_eq!(service(&stage)["referral_status_edf41f2"], "accepted_340953");
    assert!(stage.only_case()["oscar_number"].is_null());
    assert!(!stage.head(&key).closed(), "the number is owed");

    stage
        .primero
        .peer(|sim| sim.config_mut().roles[0].read_only.clear());
    stage.wait(DAY);
    stage.settle();
    assert!(stage.only_case()["oscar_number"].is_string());
    assert!(stage.head(&key).closed());
}
