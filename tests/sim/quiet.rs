//! Echo: once everything stands on both sides and nobody does anything, no session writes anything, at either peer.

use crate::promises::Verdict;
use crate::world::World;

/// Everything people can do, without faults, until all has settled; then fifty sessions of silence.
pub fn fifty_quiet_sessions(seed: u64) -> Verdict {
    let mut world = World::new(seed, 0);
    world.live()?;
    world.stage.primero.taken();
    world.stage.oscar.taken();
    let commits = world.stage.store().figures().commits;
    for session in 0..50 {
        world
            .stage
            .run_as(session % 6 == 0, false)
            .map_err(|error| error.to_string())?;
    }
    let asked = [world.stage.primero.taken(), world.stage.oscar.taken()];
    let writes: Vec<String> = asked
        .iter()
        .flatten()
        .map(|request| request.what.clone())
        .filter(|what| !what.starts_with("GET ") && !what.ends_with("/sign_in"))
        .collect();
    if !writes.is_empty() {
        return Err(format!("{} writes without a cause: {writes:?}", writes.len()));
    }
    let written = world.stage.store().figures().commits - commits;
    if written > 10 {
        return Err(format!("{written} commits in fifty sessions without news"));
    }
    Ok(())
}

#[test]
fn a_session_without_news_writes_nothing_at_either_peer() {
    for seed in 5000..5012 {
        if let Err(what) = fifty_quiet_sessions(seed) {
            panic!("seed {seed}: {what}");
        }
    }
}
