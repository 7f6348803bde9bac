//! A [`Sim`] behind HTTPS.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Config, Sim};
use crate::wire::{Identity, Options, Server, TestCa};

/// A running OSCaR; dropping it stops it.
pub struct Oscar {
    sim: Arc<Mutex<Sim>>,
    server: Server,
}

impl Oscar {
    /// Serves a fresh [`Sim`] under a certificate of `ca`.
    ///
    /// # Panics
    /// If the address cannot be bound.
    pub fn start(ca: &TestCa, listen: &str, config: Config) -> Self {
        Oscar::start_with(&ca.localhost(), listen, config)
    }

    /// The same under a certificate of your choice.
    ///
    /// # Panics
    /// If the address cannot be bound.
    pub fn start_with(identity: &Identity, listen: &str, config: Config) -> Self {
        let sim = Arc::new(Mutex::new(Sim::new(config)));
        let shared = Arc::clone(&sim);
        let handler = Arc::new(move |request: &_| {
            // One process, one thread, as measured. A panic in one request must not silence the rest.
            shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .handle(request)
        });
        Self {
            sim,
            server: Server::start_with(listen, identity, Options::default(), handler),
        }
    }

    /// `https://localhost:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The wire: faults, counters, log.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Locks the simulator, so that a worker may act or a test may read the ledger.
    pub fn with<T>(&self, act: impl FnOnce(&mut Sim) -> T) -> T {
        act(&mut self.sim.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
