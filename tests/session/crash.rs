//! The power goes at every single sync of a working day, and afterwards the day goes on.

use crate::audit::{self, Verdict};
use crate::disk::Disk;
use crate::office::{KINSHIP, SCHOOL, but, referral};
use crate::stage::{EMAIL, PASSWORD, Stage, USER};
use referral_gateway::core::record::State;
use serde_json::{Value, json};
use simulators::{oscar, primero};
use std::collections::BTreeSet;

const CHILDREN: usize = 3;
/// Different lucks of the writes no sync had covered.
const SEEDS: u64 = 3;

fn events() -> Vec<Value> {
    let two = json!([{"subtype": KINSHIP}, {"subtype": SCHOOL}]);
    let again = but(referral(1), "/event_key", json!("again"));
    vec![
        referral(1),
        but(referral(2), "/services", two),
        but(referral(3), "/to", json!("primero")),
        but(again, "/services", json!([{"subtype": SCHOOL}])),
    ]
}

fn stage_on(disk: Disk) -> Stage {
    let peers = (
        primero::Config::cambodia(USER, PASSWORD),
        oscar::Config::default_for(EMAIL, PASSWORD),
    );
    Stage::on(disk, peers.0, peers.1)
}

/// The day, until its end or until the power goes; what the office was told is accepted.
fn day(stage: &mut Stage) -> BTreeSet<String> {
    let mut accepted = BTreeSet::new();
    let mut offer = |stage: &mut Stage, events: &[Value]| {
        for event in events {
            accepted.extend(stage.offer(event).map(|told| told.event_key).ok());
        }
    };
    let events = events();
    offer(stage, &events[..3]);
    let _ = stage.run_if_on();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    offer(stage, &events[3..]);
    for _ in 0..2 {
        let _ = stage.run_if_on();
        stage.ngo_registers("cif");
    }
    accepted
}

/// The rest of the day after the power has come back.
fn recovered(stage: &mut Stage, told: &BTreeSet<String>) -> Verdict {
    audit::always(stage, told, CHILDREN)?;
    // The office repeats whatever it has no answer for, and what it has one for as well.
    let mut all = BTreeSet::new();
    for event in &events() {
        all.insert(stage.accept(event));
    }
    stage.settle();
    audit::always(stage, &all, CHILDREN)?;
    audit::at_rest(stage, &all)?;
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    audit::always(stage, &all, CHILDREN)?;
    audit::at_rest(stage, &all)?;
    audit::decisions_written(stage, &all)
}

#[test]
fn a_power_cut_at_any_sync_loses_and_doubles_nothing() {
    let disk = Disk::default();
    let mut whole = stage_on(disk.clone());
    let born = disk.syncs();
    let all = day(&mut whole);
    assert_eq!(all.len(), 4);
    whole.settle();
    assert!(all.iter().all(|key| whole.head(key).state == State::Delivered));
    let syncs = disk.syncs();
    let (mut cuts, mut in_doubt) = (0, 0);
    for sync in born + 1..=syncs {
        for seed in 0..SEEDS {
            let disk = Disk::default();
            disk.cut_at(sync);
            let mut stage = stage_on(disk.clone());
            let told = day(&mut stage);
            if !disk.dead() {
                continue;
            }
            stage.cut(seed);
            if let Err(what) = recovered(&mut stage, &told) {
                panic!("cut at sync {sync}, seed {seed}: {what}");
            }
            cuts += 1;
            in_doubt += all
                .iter()
                .filter(|key| stage.head(key).state == State::InDoubt)
                .count();
        }
    }
    println!("{syncs} syncs, {cuts} cuts; {in_doubt} pushes were left in doubt");
    assert!(cuts > 40);
}
