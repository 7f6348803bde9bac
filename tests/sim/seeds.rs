//! Many lives from many seeds; the seeds that once failed are kept and played first.

use crate::promises::Verdict;
use crate::world::World;

/// Seeds per push, half of them in each test, so that both cores work.
const SEEDS: u64 = 300;
/// Of a hundred requests, so many go wrong.
const FAULTS: u64 = 12;
/// Seeds that found a defect once.
const KEPT: &str = include_str!("seeds.txt");

fn play(seed: u64) -> Verdict {
    World::new(seed, FAULTS).live()
}

fn play_all(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let replay = format!("SIM_SEED={seed} cargo test -p referral-gateway --test sim whatever");
        let played = std::panic::catch_unwind(|| play(seed));
        match played {
            Ok(Ok(())) => {}
            Ok(Err(what)) => panic!("{what}\nreplay: {replay}"),
            Err(_) => panic!("replay: {replay}"),
        }
    }
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Every second seed from `first`, or the one that was asked for.
fn seeds(first: u64) -> Vec<u64> {
    match asked("SIM_SEED") {
        Some(seed) => (seed..=seed).filter(|seed| seed % 2 == first).collect(),
        None => (first..asked("SIM_SEEDS").unwrap_or(SEEDS)).step_by(2).collect(),
    }
}

#[test]
fn seeds_that_found_a_defect_once_find_none_now() {
    let kept = KEPT.lines().filter_map(|line| {
        let seed = line.split('#').next().unwrap_or_default().trim();
        seed.parse::<u64>().ok()
    });
    play_all(kept);
}

#[test]
fn whatever_happens_the_promises_hold() {
    play_all(seeds(0).into_iter());
}

/// The same with the other half of the seeds.
#[test]
fn whatever_else_happens_the_promises_hold() {
    play_all(seeds(1).into_iter());
}
