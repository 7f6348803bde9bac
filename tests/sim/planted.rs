//! Six known defects, planted one at a time: a simulation that does not notice them proves nothing.

use crate::promises::Verdict;
use crate::quiet;
use crate::world::World;
use referral_gateway::core::planted::{Defect, plant};
use std::panic::AssertUnwindSafe;

/// Lives in which the defect has to be noticed.
const SEEDS: u64 = 60;

fn lives_with(defect: Defect, live: &impl Fn(u64) -> Verdict) -> Option<(u64, String)> {
    for seed in 1000..1000 + SEEDS {
        plant(Some(defect));
        let lived = std::panic::catch_unwind(AssertUnwindSafe(|| live(seed)));
        plant(None);
        match lived {
            Ok(Ok(())) => {}
            Ok(Err(what)) => return Some((seed, what)),
            Err(_) => return Some((seed, "a panic".to_owned())),
        }
    }
    None
}

fn is_caught(defect: Defect, live: impl Fn(u64) -> Verdict) {
    match lives_with(defect, &live) {
        Some((seed, what)) => {
            let healthy = live(seed);
            assert_eq!(
                healthy,
                Ok(()),
                "seed {seed} fails without {defect:?} too: {what}"
            );
            println!("{defect:?} caught by seed {seed}: {what:.200}");
        }
        None => panic!("{defect:?} went unnoticed through {SEEDS} lives"),
    }
}

fn life(seed: u64) -> Verdict {
    World::new(seed, 12).live()
}

#[test]
fn acknowledging_before_the_commit_is_caught() {
    is_caught(Defect::AcknowledgeBeforeCommit, life);
}

#[test]
fn resending_what_is_in_doubt_is_caught() {
    is_caught(Defect::ResendInDoubt, life);
}

#[test]
fn taking_the_first_hit_is_caught() {
    is_caught(Defect::TakeFirstHit, life);
}

#[test]
fn ignoring_the_lane_is_caught() {
    is_caught(Defect::LaneIgnored, life);
}

#[test]
fn moving_the_cursor_before_storing_is_caught() {
    is_caught(Defect::CursorBeforeStore, life);
}

#[test]
fn answering_ones_own_echo_is_caught() {
    is_caught(Defect::EchoNotSuppressed, quiet::fifty_quiet_sessions);
}
