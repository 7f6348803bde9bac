//! Telling our own saves of a case from everybody else's.
//!
//! Every save moves a case's `last_updated_at` (primero.md §2.10), so each of our writes comes back as a changed case.
//! Its stamp is remembered as known only if nothing else can have happened since the case was last taken in: our write
//! followed on a reading that showed a known stamp, and the next stamp after it is its own. In the seconds between, a
//! worker's save could still slip through unseen: such stamps are marked as ours, and the long look back lists those
//! cases once more.

/// The stamps met in one conversation about one case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// The stamp up to which everything is accounted for.
    known: Option<String>,
    /// That this is where the case stands has been seen in this conversation.
    seen: bool,
    /// One of our writes has been answered.
    wrote: bool,
    broken: bool,
}

impl Echo {
    /// At the start of a conversation about a case last taken in at this stamp.
    pub fn since(known: Option<String>) -> Echo {
        Echo {
            known,
            ..Echo::default()
        }
    }

    /// The case was made by us just now: nobody knew it before.
    pub fn created(&mut self) {
        *self = Echo {
            seen: true,
            wrote: true,
            ..Echo::default()
        };
    }

    /// The case was read. `clear`: nobody of ours has anything to do with it yet, so that no news can be hidden in it.
    pub fn read(&mut self, stamp: &str, clear: bool) {
        self.seen = true;
        match &self.known {
            Some(known) => self.broken |= known != stamp,
            None => {
                self.broken |= !clear && !self.wrote;
                self.known = Some(stamp.to_owned());
            }
        }
    }

    /// A write of ours was answered with the case's new stamp, or without one.
    pub fn wrote(&mut self, stamp: Option<&str>) {
        self.wrote = true;
        self.broken |= !self.seen || stamp.is_none();
        self.known = stamp.map(str::to_owned);
    }

    /// The stamp to remember as our own, if there is one.
    pub fn own(&self) -> Option<&str> {
        self.known.as_deref().filter(|_| self.wrote && !self.broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(play: impl FnOnce(&mut Echo), known: Option<&str>) -> Option<String> {
        let mut echo = Echo::since(known.map(str::to_owned));
        play(&mut echo);
        echo.own().map(str::to_owned)
    }

    #[test]
    fn a_write_on_a_known_state_is_remembered() {
        let play = |echo: &mut Echo| {
            echo.read("1", false);
            echo.wrote(Some("2"));
            echo.read("2", false);
        };
        assert_eq!(own(play, Some("1")).as_deref(), Some("2"));
    }

    #[test]
    fn a_save_by_somebody_else_is_never_taken_for_ours() {
        let before = |echo: &mut Echo| {
            echo.read("1a", false);
            echo.wrote(Some("2"));
        };
        let after = |echo: &mut Echo| {
            echo.read("1", false);
            echo.wrote(Some("2"));
            echo.read("2a", false);
        };
        let unread = |echo: &mut Echo| echo.wrote(Some("2"));
        let unanswered = |echo: &mut Echo| {
            echo.read("1", false);
            echo.wrote(None);
        };
        assert_eq!(own(before, Some("1")), None);
        assert_eq!(own(after, Some("1")), None);
        assert_eq!(own(unread, Some("1")), None);
        assert_eq!(own(unanswered, Some("1")), None);
        assert_eq!(
            own(|echo| echo.read("1", true), Some("1")),
            None,
            "nothing was written"
        );
    }

    #[test]
    fn a_case_of_our_own_making_needs_no_earlier_stamp() {
        let play = |echo: &mut Echo| {
            echo.created();
            echo.read("1", false);
            echo.wrote(Some("2"));
        };
        assert_eq!(own(play, None).as_deref(), Some("2"));
        let foreign = |clear: bool| {
            move |echo: &mut Echo| {
                echo.read("1", clear);
                echo.wrote(Some("2"));
            }
        };
        assert_eq!(own(foreign(true), None).as_deref(), Some("2"));
        assert_eq!(own(foreign(false), None), None);
    }
}
