//! How often somebody may do something: so much at once, then one each interval.
//!
//! One moment per client is all that is kept: the moment at which it will have its whole burst back. A table of
//! clients is bounded; those that have their burst back are forgotten first, and while none has, a client not yet in
//! the table is refused: whoever fills the table with addresses keeps out newcomers, not those at work.

use super::time::Mono;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// An allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once, after a rest.
    pub burst: u32,
    /// Then one each of these.
    pub interval: Duration,
}

/// What one client has left. The default is its whole burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Gauge {
    full_again: Mono,
}

impl Gauge {
    /// Takes one, or says how long to wait for it.
    pub fn take(&mut self, rate: Rate, now: Mono) -> Result<(), Duration> {
        let after = self.full_again.max(now).plus(rate.interval);
        let latest = now.plus(rate.interval.saturating_mul(rate.burst));
        if after > latest {
            return Err(after.since(latest));
        }
        self.full_again = after;
        Ok(())
    }
}

/// Gauges by client.
#[derive(Debug)]
pub struct Gauges<Client> {
    rate: Rate,
    clients_max: usize,
    by_client: HashMap<Client, Gauge>,
}

impl<Client: Eq + Hash> Gauges<Client> {
    pub fn new(rate: Rate, clients_max: usize) -> Gauges<Client> {
        Gauges {
            rate,
            clients_max,
            by_client: HashMap::new(),
        }
    }

    /// Takes one of this client's, or says how long to wait.
    pub fn take(&mut self, client: Client, now: Mono) -> Result<(), Duration> {
        if !self.by_client.contains_key(&client) && self.by_client.len() >= self.clients_max {
            self.by_client.retain(|_, gauge| gauge.full_again > now);
            if self.by_client.len() >= self.clients_max {
                return Err(self.rate.interval);
            }
        }
        self.by_client.entry(client).or_default().take(self.rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        interval: Duration::from_millis(100),
    };

    #[test]
    fn a_burst_is_allowed_then_one_each_interval() {
        let mut gauge = Gauge::default();
        let start = Mono(1000);
        for _ in 0..3 {
            assert_eq!(gauge.take(RATE, start), Ok(()));
        }
        assert_eq!(gauge.take(RATE, start), Err(Duration::from_millis(100)));
        assert_eq!(gauge.take(RATE, Mono(1099)), Err(Duration::from_millis(1)));
        assert_eq!(gauge.take(RATE, Mono(1100)), Ok(()));
        assert_eq!(gauge.take(RATE, Mono(1100)), Err(Duration::from_millis(100)));
        for _ in 0..3 {
            assert_eq!(gauge.take(RATE, Mono(9000)), Ok(()), "the burst comes back");
        }
    }

    #[test]
    fn a_full_table_forgets_the_rested_and_refuses_newcomers() {
        let mut gauges = Gauges::new(RATE, 2);
        assert_eq!(gauges.take("a", Mono(0)), Ok(()));
        assert_eq!(gauges.take("b", Mono(50)), Ok(()));
        assert_eq!(gauges.take("c", Mono(60)), Err(RATE.interval));
        assert_eq!(gauges.take("a", Mono(60)), Ok(()), "those at work go on");
        assert_eq!(gauges.take("c", Mono(151)), Ok(()), "b has rested");
        assert_eq!(gauges.by_client.len(), 2);
    }
}
