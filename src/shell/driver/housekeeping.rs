//! What the store wants every hour.

use crate::core::time::{Now, Trust};
use crate::store::{Store, StoreError};

/// The stored floor of the clock is raised when it has moved this far, in seconds: each raise is a commit.
const FLOOR_STEP_S: i64 = 24 * 3600;

/// Purges what is finished and old enough, and raises the floor of the clock.
pub fn tidy(store: &Store, now: Now, keep_s: i64) -> Result<(), StoreError> {
    store.purge(now.wall.known(), keep_s)?;
    if now.wall.trust == Trust::Synced {
        let floor = store.read(|view| Ok(view.floor()))?;
        if now.wall.unix - floor > FLOOR_STEP_S {
            store.write(move |tx| {
                tx.raise_floor(now.wall.unix);
                Ok::<(), StoreError>(())
            })?;
        }
    }
    Ok(())
}
