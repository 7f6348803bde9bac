//! The month's bytes as they pass: read off the lines' counters, kept in the store as [`Meter`] says.

use super::count::WireCount;
use super::parts::Parts;
use crate::config::Config;
use crate::core::meter::{DOCUMENT, Kept, Meter};
use crate::core::office_time::month;
use crate::core::time::Now;
use crate::store::{Store, StoreError};
use chrono_tz::Tz;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The count and where it comes from and goes to.
pub struct TrafficMeter {
    meter: Meter,
    counts: [Arc<WireCount>; 3],
    store: Store,
    zone: Tz,
}

impl TrafficMeter {
    /// Goes on from what the last run left in the store.
    pub fn resume(config: &Config, parts: &Parts) -> Result<TrafficMeter, StoreError> {
        let kept = parts.store.read(|view| view.meta_get::<Kept>(DOCUMENT))?;
        Ok(TrafficMeter {
            meter: Meter::resume(kept, config.uplink.monthly_budget),
            counts: [
                parts.primero_count.clone(),
                parts.oscar_count.clone(),
                parts.mqtt_count.clone(),
            ],
            store: parts.store.clone(),
            zone: config.gateway.time_zone,
        })
    }

    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Counts what has passed, and writes it down when that is due.
    pub fn look(&mut self, now: Now) -> Result<(), StoreError> {
        self.count(now);
        self.keep(self.meter.to_keep())
    }

    /// The exact count, for a clean stop.
    pub fn close(&mut self, now: Now) -> Result<(), StoreError> {
        self.count(now);
        self.keep(self.meter.last_word())
    }

    fn count(&mut self, now: Now) {
        let read =
            |count: &Arc<WireCount>| [count.sent_bytes.load(Relaxed), count.received_bytes.load(Relaxed)];
        self.meter
            .look(self.counts.each_ref().map(read), month(now, self.zone));
    }

    fn keep(&mut self, kept: Option<Kept>) -> Result<(), StoreError> {
        let Some(kept) = kept else { return Ok(()) };
        self.store.write(move |tx| {
            tx.meta_put(DOCUMENT, &kept);
            Ok::<_, StoreError>(())
        })?;
        self.meter.kept(kept);
        Ok(())
    }
}
