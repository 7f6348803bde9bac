//! The inner ring, through its public face: table tests, no clock, no disk.

mod alert;
mod command;
mod flapping;
mod fleet;
mod forms;
mod intake;
mod mapping;
mod outbox;
mod reconcile;
mod schedule;
