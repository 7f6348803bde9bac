//! The store is lost, with or without the device key. The new one looks back to a chosen day, learns from the peers
//! what had been done, and sends nothing a second time: what nothing proves is in doubt, for a person to settle.

use crate::promises;
use crate::world::{Made, World};
use referral_gateway::core::record::{Flow, State};
use std::collections::BTreeMap;

/// Before anything in these tests happens.
const START: i64 = 1_795_300_000;

/// Everything that exists at the two peers and must not exist twice.
fn there(world: &World) -> BTreeMap<&'static str, usize> {
    let cases = world.stage.primero.peer(|sim| sim.cases());
    let services = cases
        .iter()
        .map(|case| case["services_section"].as_array().map_or(0, Vec::len))
        .sum();
    BTreeMap::from([
        ("cases", cases.len()),
        ("services", services),
        ("Primero referrals", world.stage.primero_referrals().len()),
        ("OSCaR referrals", world.stage.oscar_referrals().len()),
        (
            "OSCaR children",
            world.stage.oscar.peer(|sim| sim.clients()).len(),
        ),
    ])
}

fn lose_it(seed: u64, new_key: bool) {
    let mut world = World::new(seed, 0);
    world.live().unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    // And some that nobody at the NGO has opened yet: OSCaR shows nothing of them.
    something_is_made(&mut world);
    world.stage.run();
    world.stage.run();
    let relayed = |world: &World| {
        let heads = world.heads();
        let relays = |flow: Flow| matches!(flow, Flow::PrimeroToOscar | Flow::OscarToPrimero);
        heads.iter().filter(|head| relays(head.flow)).count()
    };
    let (before, relays_before) = (there(&world), relayed(&world));
    assert!(
        relays_before > 0,
        "seed {seed} relays nothing: it would show nothing"
    );

    world.stage.flows.start = Some(START);
    if new_key {
        world.stage.device += 1;
    }
    // What the office had accepted went with the store; the peers keep what had reached them.
    world.accepted.clear();
    world.stage.lose_the_store();
    for _ in 0..3 {
        world.stage.settle();
    }

    assert_eq!(there(&world), before, "seed {seed}: nothing may be made twice");
    assert!(
        relayed(&world) > 0,
        "seed {seed}: the ledger is made again from what the peers show"
    );
    promises::always(&world).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    for head in world.heads() {
        let settled = matches!(head.state, State::Delivered | State::Discarded);
        assert!(
            settled || head.reason.is_some() || head.state == State::Pending,
            "{:?}",
            head.reason
        );
    }

    life_goes_on(&mut world, seed);
}

/// A referral in each system at least, one of them for this box.
fn something_is_made(world: &mut World) {
    world.made.clear();
    while !world.made.iter().any(Made::in_scope) {
        world.ministry_refers();
        world.ngo_refers();
    }
}

/// What is made from now on is carried as ever.
fn life_goes_on(world: &mut World, seed: u64) {
    something_is_made(world);
    world.stage.settle();
    let heads = world.heads();
    for made in world.made.iter().filter(|made| made.in_scope()) {
        let head = heads.iter().find(|head| head.key == made.key());
        let head = head.unwrap_or_else(|| panic!("seed {seed}: never seen: {made:?}"));
        assert!(
            head.state == State::Delivered || head.reason.is_some(),
            "seed {seed}: {made:?} is {:?}",
            head.state
        );
    }
    promises::always(world).unwrap_or_else(|what| panic!("seed {seed}, afterwards: {what}"));
}

#[test]
fn a_lost_store_is_made_again_and_nothing_is_sent_twice() {
    for seed in 7000..7015 {
        lose_it(seed, false);
    }
}

#[test]
fn a_lost_store_and_device_key_send_nothing_twice_either() {
    for seed in 7100..7115 {
        lose_it(seed, true);
    }
}
