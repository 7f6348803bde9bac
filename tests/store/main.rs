//! What the store promises, tested by owning the disk (style.md §7): model, crash at every sync, sealing, group
//! commit, opening.

#[path = "../support/disk.rs"]
mod disk;
mod samples;

mod crash;
mod group;
mod model;
mod opening;
mod purging;
mod sealing;
