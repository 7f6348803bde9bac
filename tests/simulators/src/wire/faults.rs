//! Which fault strikes which request.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Fault, FaultRule};

/// The fault rules of one server. Every matching rule counts a request until one of them strikes; rules are
/// asked in the order they were added, and at most one strikes a request.
#[derive(Default)]
pub struct Faults {
    rules: Mutex<Vec<FaultRule>>,
    struck: AtomicU64,
}

impl Faults {
    /// Add a rule behind those already there.
    pub fn add(&self, rule: FaultRule) {
        self.rules
            .lock()
            .expect("fault rules lock is never poisoned")
            .push(rule);
    }

    /// Forget all rules.
    pub fn clear(&self) {
        self.rules
            .lock()
            .expect("fault rules lock is never poisoned")
            .clear();
    }

    /// How many requests a fault has struck; counted as it is chosen, before it takes effect.
    pub fn struck(&self) -> u64 {
        self.struck.load(Relaxed)
    }

    /// The fault for this request, its rule's counters moved on.
    pub(super) fn strike(&self, method: &str, path: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().expect("fault rules lock is never poisoned");
        for rule in rules.iter_mut() {
            let matches =
                rule.method.as_deref().is_none_or(|m| m == method) && path.contains(&rule.path_contains);
            if !matches {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            match &mut rule.times {
                Some(0) => continue,
                Some(left) => *left -= 1,
                None => {}
            }
            self.struck.fetch_add(1, Relaxed);
            return Some(rule.fault.clone());
        }
        None
    }
}
