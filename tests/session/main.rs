//! What a session does between two peers, in process: the real core, the real store, the simulated peers, a clock
//! that moves only when told, and every fault a line can have.

#[expect(
    dead_code,
    reason = "shared with the store's own tests, which ask more of the disk"
)]
#[path = "../support/disk.rs"]
mod disk;
mod line;
mod ngo;
mod office;
mod pulling;
mod relayed;
#[expect(
    dead_code,
    reason = "shared with the simulation, which loses stores and switches flows"
)]
mod stage;

mod answers;
mod audit;
mod by_hand;
mod cases;
mod chaos;
mod clocks;
mod consent;
mod crash;
mod decisions;
mod direction;
mod excess;
mod follow;
mod inbound;
mod journey;
mod known;
mod look;
mod lost;
mod reconcile;
mod shadow;
mod sign_in;
mod site;
mod subtypes;
mod trouble;
mod turns;
mod whose;
mod withdrawn;
