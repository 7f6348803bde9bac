//! The first load of a gateway that is told to look back: window after window of what was created since then, so that
//! no single answer is more than the line or the server can carry, and a cut costs one window and not the whole.
//!
//! A window shows every child in the second shape, without reasons, and nothing that was only edited (oscar.md §2.4):
//! it teaches who is who. The plain pull that follows begins at the same day and brings the rest; by then most of what
//! it shows is known, and costs bytes only.

use super::pull::{DAY_S, Looked, Watermark};
use super::sink::Glass;
use super::{Go, OscarPass};
use crate::core::exchange::Wire;
use crate::shell::session::PassReport;
use crate::store::StoreError;
use serde::{Deserialize, Serialize};

/// The widest window, and the first.
const WIDTH_MAX_S: i64 = 7 * DAY_S;
/// The narrowest.
const WIDTH_MIN_S: i64 = 3600;
/// An answer that takes longer, or holds more children, halves the next window: measured, 30 ms a child.
const TOOK_MAX_S: u64 = 60;
const ELEMENTS_MAX: u64 = 2000;

/// What is left of a first load, in Unix seconds of OSCaR's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Everything created before this has been seen.
    pub at: i64,
    pub until: i64,
    pub width_s: i64,
}

impl Load {
    /// The load of a first start that looks back further than one window; less comes with the plain pull.
    pub fn first(since: i64, now: i64) -> Option<Load> {
        (now - since > WIDTH_MAX_S).then_some(Load {
            at: since,
            until: now,
            width_s: WIDTH_MAX_S,
        })
    }

    fn end(&self) -> i64 {
        (self.at + self.width_s).min(self.until)
    }

    /// The window is done: the next one, wider again unless this one was heavy. Nothing when all is loaded.
    fn next(self, heavy: bool) -> Option<Load> {
        let width_s = if heavy { self.width_s / 2 } else { self.width_s * 2 };
        let next = Load {
            at: self.end(),
            width_s: width_s.clamp(WIDTH_MIN_S, WIDTH_MAX_S),
            ..self
        };
        (next.at < next.until).then_some(next)
    }

    /// The window could not be had: a narrower one next time.
    fn narrower(self) -> Load {
        Load {
            width_s: (self.width_s / 2).max(WIDTH_MIN_S),
            ..self
        }
    }
}

impl<W: Wire> OscarPass<W> {
    /// Goes on with the first load, each window kept before the next.
    pub(super) fn load(&mut self, report: &mut PassReport) -> Result<Go, StoreError> {
        while let Some(load) = self.mark().load {
            if self.ground.stopping() {
                return Ok(Go::Over);
            }
            let glass = Glass {
                until: Some(load.end()),
                ..self.glass(load.at)
            };
            let started = (self.ground.clock)().mono;
            let looked = self.look(glass, None, report)?;
            let took_s = (self.ground.clock)().mono.since(started).as_secs();
            let (next, go) = match looked {
                Looked::Whole(_, rest) if rest.held => return Ok(Go::Over),
                Looked::Whole(_, rest) => {
                    let heavy = took_s > TOOK_MAX_S || rest.elements > ELEMENTS_MAX;
                    (load.next(heavy), Go::On)
                }
                Looked::Unchanged(_) => (load.next(false), Go::On),
                Looked::Not => (Some(load.narrower()), Go::Over),
            };
            if next != Some(load) {
                self.keep(Watermark {
                    load: next,
                    ..self.mark()
                })?;
            }
            if go == Go::Over {
                return Ok(Go::Over);
            }
        }
        Ok(Go::On)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_everything_once_and_follow_the_line() {
        let day = DAY_S;
        assert_eq!(Load::first(0, WIDTH_MAX_S), None);
        let mut load = Load::first(0, 30 * day).expect("further than a week");
        let mut seen = 0;
        for turn in 0..1000 {
            assert_eq!(load.at, seen);
            // Cut off twice at the beginning, heavy for a while, light afterwards.
            if turn < 2 {
                load = load.narrower();
                continue;
            }
            seen = load.end();
            match load.next(turn < 8) {
                Some(next) => load = next,
                None => break,
            }
        }
        assert_eq!(seen, 30 * day);
        for _ in 0..20 {
            load = load.narrower();
        }
        assert_eq!(load.width_s, WIDTH_MIN_S);
    }
}
