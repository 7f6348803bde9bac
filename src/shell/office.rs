//! Everything a person or a program at the office can ask of the gateway, answered in one place: the control socket,
//! the command line working on the store directly, and the LAN listener all come here.
//!
//! "Accepted" is said only after the commit is on disk. Answers hold no personal data, except the sealed part opened
//! on the box itself by `events show --reveal`.

mod accept;
mod answer;
mod refusal;
mod story;
mod take_in;

pub use accept::{Accepted, Doorkeeper, local_date};
pub use answer::{Answer, Order, Settlement, newest_of, show, worth_a_look};
pub use refusal::{LOCKED, Refusal, checked_json, checked_json_in, not_json};
pub use story::{event_line, story};
pub use take_in::{HEAD_BYTES, blank_head};
