//! Where the peer is. ureq asks its resolver before every request, also before those that go out on a connection there is
//! already: over a bad line that is a round trip and some 250 bytes for nothing. So ureq is told nothing, and the name
//! is looked up here, when a connection has to be opened and the peer is not where it was last.

use super::unsent::unsent;
use crate::core::exchange::Phase;
use crate::shell::clock::since_start;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, NextTimeout};

/// How long an address is used without asking again. The system does not tell what the name's own server says to it;
/// addresses that lead nowhere any more are forgotten at once.
const REMEMBERED: Duration = Duration::from_secs(3600);

const NO_PANIC: &str = "nobody panics with the addresses in hand";

/// What ureq is given for a resolver.
#[derive(Debug)]
pub struct Later;

impl Resolver for Later {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// The peer's addresses as last found.
#[derive(Debug, Default)]
pub struct Whereabouts {
    system: DefaultResolver,
    found: Mutex<Option<(Duration, Vec<SocketAddr>)>>,
}

impl Whereabouts {
    /// Opens a connection where the peer was last, and where it is not there any more, at the addresses the system says.
    pub fn reach<T>(
        &self,
        details: &ConnectionDetails,
        open: impl Fn(&[SocketAddr]) -> Result<T, ureq::Error>,
    ) -> Result<T, ureq::Error> {
        let remembered = self.remembered();
        let failed = match remembered.as_deref().map(&open) {
            Some(Ok(opened)) => return Ok(opened),
            Some(Err(error)) => Some(error),
            None => None,
        };
        *self.found.lock().expect(NO_PANIC) = None;
        let addresses = match (self.look_up(details), failed) {
            (Ok(addresses), None) => addresses,
            // It has moved.
            (Ok(addresses), Some(_)) if Some(&addresses) != remembered.as_ref() => addresses,
            (Ok(_), Some(error)) | (Err(_), Some(error)) | (Err(error), None) => return Err(error),
        };
        let opened = open(&addresses)?;
        *self.found.lock().expect(NO_PANIC) = Some((since_start(), addresses));
        Ok(opened)
    }

    /// Where the peer itself has answered within the last hour.
    fn remembered(&self) -> Option<Vec<SocketAddr>> {
        let found = self.found.lock().expect(NO_PANIC);
        let (at, addresses) = found.as_ref()?;
        (since_start().saturating_sub(*at) < REMEMBERED).then(|| addresses.clone())
    }

    /// Asks the system. A failure is marked as one before anything was sent.
    fn look_up(&self, details: &ConnectionDetails) -> Result<Vec<SocketAddr>, ureq::Error> {
        let asked = self.system.resolve(details.uri, details.config, details.timeout);
        asked
            .map(|addresses| addresses.to_vec())
            .map_err(|error| unsent(Phase::Resolve, matches!(error, ureq::Error::Timeout(_))))
    }
}
