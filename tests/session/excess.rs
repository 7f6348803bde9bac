//! What OSCaR says of one child is too much for a row of the store: that child is left out and shown, and nobody else is
//! held up.

use crate::ngo::child;
use crate::office::KINSHIP_AT_NGO;
use crate::stage::Stage;
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::json;
use simulators::oscar::NgoReferral;

#[test]
fn a_reason_as_long_as_a_book_is_cut_and_goes_on() {
    let mut stage = Stage::default();
    let client = stage.ngo_child("cif", &child(1));
    let long = NgoReferral::of(KINSHIP_AT_NGO, "medium", &"ក".repeat(100_000));
    let number = stage
        .oscar
        .peer(|sim| sim.refer_to_primero("cif", client, &long))
        .expect("valid");
    stage.settle();
    let head = stage.head(&format!("o-cif-{number}"));
    assert_eq!((head.state, head.reason), (State::Delivered, None));
}

/// What is told of one child is of this length; another one beside it. In so many sessions.
fn is_left_out_alone(bytes: usize, sessions: usize) {
    let mut stage = Stage::default();
    let (client, _) = stage.ngo_refers_new_child("cif", 1);
    stage.ngo_edits("cif", client, |child| child.slug = "x".repeat(bytes));
    let (_, small) = stage.ngo_refers_new_child("cif", 2);
    for _ in 0..sessions {
        let report = stage.run();
        assert_eq!(
            (report.oscar.trouble, report.oscar.partial),
            (Some(Trouble::Shape), true)
        );
    }
    assert_eq!(stage.state(&format!("o-cif-{small}")), (State::Delivered, None));
}

/// As long as it stands there it is told: the watermark does not pass it.
#[test]
fn a_child_that_does_not_fit_holds_nobody_else_up() {
    is_left_out_alone(310 * 1024, 3);
}

#[test]
fn a_child_too_large_to_be_read_is_shown_too() {
    is_left_out_alone(600 * 1024, 3);
}

#[test]
fn a_name_as_long_as_a_book_in_a_conflict_ends_nothing() {
    let mut stage = Stage::default();
    let (client, number) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let case = stage
        .head(&format!("o-cif-{number}"))
        .work
        .case
        .expect("a case")
        .id;
    stage.worker_edits(&case, &json!({ "name_first": "ខ".repeat(5_000) }));
    stage.ngo_edits("cif", client, |child| child.given_name = Some("ក".repeat(70_000)));
    stage.settle();
    let parked = stage
        .store()
        .read(|view| {
            let seqs = view.queue().iter().map(|entry| entry.seq);
            let heads: Result<Vec<_>, _> = seqs.map(|seq| view.head(seq)).collect();
            let mut heads = heads?.into_iter().flatten();
            Ok(heads.find(|head| head.reason == Some(Reason::FieldConflict)))
        })
        .expect("the store reads")
        .expect("a conflict");
    let note = parked
        .history
        .last()
        .and_then(|step| step.note.as_ref())
        .expect("both values");
    assert_eq!(note.0.chars().count(), 1000);
}
