//! One test for each numbered trap of the two contracts and each defect of the cloud jobs, each showing the right
//! behaviour against the simulated peers. `oscar.md` §9.1 and §9.2, `primero.md` §9.

#[expect(
    dead_code,
    reason = "shared with the store's own tests, which ask more of the disk"
)]
#[path = "../support/disk.rs"]
mod disk;
#[expect(
    dead_code,
    reason = "shared with the sessions' tests, which break the line in more ways"
)]
#[path = "../session/line.rs"]
mod line;
#[path = "../session/ngo.rs"]
mod ngo;
#[expect(dead_code, reason = "shared with the sessions' tests")]
#[path = "../session/office.rs"]
mod office;
#[expect(dead_code, reason = "shared with the sessions' tests and the simulation")]
#[path = "../session/stage.rs"]
mod stage;

mod oscar_jobs;
mod oscar_jobs_later;
mod oscar_traps;
mod primero_jobs;
mod primero_jobs_later;
mod primero_traps;
mod primero_traps_last;
mod primero_traps_later;
