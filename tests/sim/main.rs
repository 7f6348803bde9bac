//! The simulation: the real core and the real store on a disk that can be cut, between two simulated peers with their
//! flaws, under a clock that moves only when told, and everything that happens drawn from one seed.
//!
//! The promises of design §1 are checked after every step; with the faults off, everything drains. A failing seed is
//! one printed line that plays it again, and joins `seeds.txt`.

#[expect(
    dead_code,
    reason = "shared with the store's own tests, which ask more of the disk"
)]
#[path = "../support/disk.rs"]
mod disk;
#[expect(
    dead_code,
    reason = "shared with the session tests, which ask more of the line"
)]
#[path = "../session/line.rs"]
mod line;
#[expect(
    dead_code,
    reason = "shared with the session tests, which do more at the office"
)]
#[path = "../session/office.rs"]
mod office;
#[expect(
    dead_code,
    reason = "shared with the session tests, which do more on the stage"
)]
#[path = "../session/stage.rs"]
mod stage;

mod fleet;
mod loss;
mod people;
mod planted;
mod promises;
mod quiet;
mod seeds;
mod world;
