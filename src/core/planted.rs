//! Known defects that tests plant, most of them to show that the simulation would catch them. Nothing of this is in a
//! release build: there [`planted`] is always false and the defective code is not compiled in.

/// A way of breaking a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// An event is called accepted before its commit is on disk.
    AcknowledgeBeforeCommit,
    /// A push whose answer was lost is sent again.
    ResendInDoubt,
    /// The cursor moves before what it passes is stored.
    CursorBeforeStore,
    /// A lookup's first row is taken for the child that was asked for.
    TakeFirstHit,
    /// A later event of a child overtakes an earlier one.
    LaneIgnored,
    /// What the gateway wrote itself is taken for news and written again.
    EchoNotSuppressed,
    /// A write to Primero panics, and says all it has in hand. Not one for the simulation: it ends the program.
    PanicInHand,
}

impl Defect {
    /// Those of the simulation.
    pub const ALL: [Defect; 6] = [
        Defect::AcknowledgeBeforeCommit,
        Defect::ResendInDoubt,
        Defect::CursorBeforeStore,
        Defect::TakeFirstHit,
        Defect::LaneIgnored,
        Defect::EchoNotSuppressed,
    ];
}

#[cfg(debug_assertions)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}

/// Plants a defect into whatever this thread does from now on, or takes it out again.
#[cfg(debug_assertions)]
pub fn plant(defect: Option<Defect>) {
    PLANTED.set(defect);
}

#[cfg(debug_assertions)]
static EVERYWHERE: std::sync::OnceLock<Defect> = std::sync::OnceLock::new();

/// Plants a defect into every thread of this program, for good.
#[cfg(debug_assertions)]
pub fn plant_everywhere(defect: Defect) {
    // Once is enough.
    let _ = EVERYWHERE.set(defect);
}

/// Whether this thread carries that defect.
#[cfg(debug_assertions)]
pub fn planted(defect: Defect) -> bool {
    PLANTED.get() == Some(defect) || EVERYWHERE.get() == Some(&defect)
}

/// Never, in a release build.
#[cfg(not(debug_assertions))]
pub const fn planted(_: Defect) -> bool {
    false
}
