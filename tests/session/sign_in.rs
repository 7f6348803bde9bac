//! Passwords and sessions: one try where a lock threatens, one renewal where a session has ended.

use crate::line::{Fault, Rule};
use crate::office::referral;
use crate::stage::{EMAIL, PASSWORD, Stage, USER};
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::record::State;
use referral_gateway::core::schedule::Orders;
use referral_gateway::peers::primero::Primero;
use referral_gateway::shell::session::OscarSettings;
use serde_json::json;
use simulators::wire::Reply;
use simulators::{oscar, primero};
use std::time::Duration;

const PUSH: &str = "POST /api/v1/organizations/clients/upsert";
const SIGN_IN: &str = "POST /api/v1/admin_auth/sign_in";
const PULL: &str = "GET /api/v1/organizations/clients";

#[test]
fn a_refused_password_at_primero_is_tried_exactly_once() {
    let mut config = primero::Config::cambodia(USER, "another-password");
    config.seed = 2;
    let mut stage = Stage::with(config, oscar::Config::default_for(EMAIL, PASSWORD));
    for n in 0..4 {
        stage.accept(&referral(n));
    }
    let report = stage.run();
    assert_eq!(report.primero.trouble, Some(Trouble::Auth));
    assert_eq!(report.oscar.trouble, None, "the peers fail apart");
    let asked = stage.primero.taken();
    assert_eq!(
        asked.iter().filter(|entry| entry.status == Some(401)).count(),
        1,
        "{asked:?}"
    );
    assert_eq!(asked.len(), 2, "health and one refused request: {asked:?}");
}

#[test]
fn a_refused_session_at_oscar_is_renewed_once_and_the_request_repeated_once() {
    let refused = || Fault::Instead(Reply::json(401, &json!({"errors": ["no"]})));
    let mut stage = Stage::default();
    stage.run();
    stage.oscar.taken();
    // The pull is refused once.
    stage.oscar.fault(Rule::once("GET", "/clients", refused()));
    assert_eq!(stage.run().oscar.trouble, None);
    assert_eq!((stage.oscar.count(SIGN_IN), stage.oscar.count(PULL)), (1, 2));
    stage.oscar.taken();
    // And a push: refused before anything is written, so repeating it is safe.
    let key = stage.accept(&referral(1));
    stage.oscar.fault(Rule::once("POST", "/upsert", refused()));
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert_eq!((stage.oscar.count(SIGN_IN), stage.oscar.count(PUSH)), (1, 2));
    stage.oscar.taken();
    // For ever: one new sign-in, one repetition, then stop.
    let key = stage.accept(&referral(2));
    stage.oscar.fault(Rule::always("", "/clients", refused()));
    assert_eq!(stage.run().oscar.trouble, Some(Trouble::Auth));
    assert_eq!(
        (
            stage.oscar.count(SIGN_IN),
            stage.oscar.count(PULL),
            stage.oscar.count(PUSH)
        ),
        (1, 2, 0)
    );
    assert_eq!(stage.state(&key), (State::Pending, None));
}

/// Two sign-ins at one moment can lose one of the two sessions: a refusal right after the first sign-in is tried once
/// more (oscar-measured.md, 1.2).
#[test]
fn a_refusal_right_after_the_first_sign_in_is_tried_once_more() {
    let mut stage = Stage::default();
    let refused = Fault::Instead(Reply::json(401, &json!({"errors": ["no"]})));
    stage.oscar.fault(Rule::once("GET", "/clients", refused));
    assert_eq!(stage.run().oscar.trouble, None);
    assert_eq!((stage.oscar.count(SIGN_IN), stage.oscar.count(PULL)), (2, 2));
}

#[test]
fn a_wrong_password_at_oscar_is_tried_once_a_session() {
    let mut stage = Stage::with(
        primero::Config::cambodia(USER, PASSWORD),
        oscar::Config::default_for(EMAIL, "another-password"),
    );
    stage.accept(&referral(1));
    let report = stage.run();
    assert_eq!(report.oscar.trouble, Some(Trouble::Auth));
    assert_eq!(stage.oscar.taken().len(), 1);
    assert_eq!(stage.primero_referrals().len(), 1, "the peers fail apart");
}

/// A session is good for a week. In its last day it still works, and is renewed.
#[test]
fn a_session_about_to_end_or_ended_is_renewed_without_a_hitch() {
    let day = Duration::from_secs(24 * 3600);
    for (waited, restart) in [
        (day * 6 + day / 2, false),
        (day * 6 + day / 2, true),
        (day * 8, false),
        (day * 8, true),
    ] {
        let mut stage = Stage::default();
        stage.run();
        stage.wait(waited);
        if restart {
            stage.restart();
        }
        for n in 0..3 {
            let key = stage.accept(&referral(n));
            assert_eq!(stage.run().oscar.trouble, None, "{waited:?} {n}");
            assert_eq!(stage.state(&key), (State::Delivered, None), "{waited:?} {n}");
        }
        assert_eq!(stage.oscar.count(SIGN_IN), 2, "{waited:?}");
    }
}

#[test]
fn another_account_is_signed_in_with_at_once() {
    let mut stage = Stage::default();
    stage.settle();
    let boot = stage
        .store()
        .read(|view| Ok(view.boot()))
        .expect("the store reads");
    let ground = stage.ground(stage.store(), boot);
    let orders = Orders {
        urgent_only: false,
        primero: true,
        oscar: true,
        reach_back: false,
        by_hand: false,
    };
    let mut session = stage.session_on(ground, stage.primero.clone(), stage.oscar.clone());
    stage.oscar.taken();
    session.run(orders).expect("the store works");
    assert_eq!(
        stage.oscar.count(SIGN_IN),
        0,
        "the session is kept over a restart"
    );
    let other = OscarSettings {
        email: "other@example.org".to_owned(),
        password: PASSWORD.to_owned(),
    };
    session.speak_as(Primero::new(USER, PASSWORD), other);
    let report = session.run(orders).expect("the store works");
    assert_eq!(stage.oscar.count(SIGN_IN), 1);
    assert_eq!(report.oscar.trouble, Some(Trouble::Auth), "nobody there knows it");
}
