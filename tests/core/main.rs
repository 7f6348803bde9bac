//! The inner ring, through its public face: table tests, no clock, no disk.

mod forms;
mod alert;
mod intake;
mod mapping;
mod outbox;
