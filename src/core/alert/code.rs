//! The closed list of alerts: their words in topics, and how bad each is.

/// How bad it is; a desk maps it to its own colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Somebody should look in the coming days.
    Warning,
    /// Children's referrals wait, or may be refused.
    Critical,
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Level::Warning => "warning",
            Level::Critical => "critical",
        }
    }
}

/// The closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Events need a person.
    Parked,
    /// Answers were lost.
    InDoubt,
    /// The two systems and this box do not say the same of a referral, and only a person can put it right.
    Differs,
    /// The oldest open event is older than [`OVERDUE_S`](super::OVERDUE_S).
    Overdue,
    /// The queue is nearly at its bound.
    QueueFull,
    /// The disk is full, or nearly.
    Disk,
    /// A peer refuses our password.
    AuthPrimero,
    AuthOscar,
    /// A peer has not done its part for [`DOWN_S`](super::DOWN_S).
    DownPrimero,
    DownOscar,
    /// A peer's answers cannot be used: other shape than agreed, or a pull that makes no sense.
    ShapePrimero,
    ShapeOscar,
    /// OSCaR answers, but has failed on every pull for [`PULL_FAILS`](super::PULL_FAILS): nothing comes in from the NGOs. Pushes go on.
    PullOscar,
    /// A certificate is not trusted, or one of ours runs out.
    Certificate,
    /// The clock is not set, or does not fit the certificates.
    Clock,
    /// The program keeps dying.
    CrashLoop,
    /// The month's bytes are used up.
    Budget,
    /// Locked by the desk.
    Locked,
}

impl Code {
    pub const ALL: [Code; 18] = [
        Code::Parked,
        Code::InDoubt,
        Code::Differs,
        Code::Overdue,
        Code::QueueFull,
        Code::Disk,
        Code::AuthPrimero,
        Code::AuthOscar,
        Code::DownPrimero,
        Code::DownOscar,
        Code::ShapePrimero,
        Code::ShapeOscar,
        Code::PullOscar,
        Code::Certificate,
        Code::Clock,
        Code::CrashLoop,
        Code::Budget,
        Code::Locked,
    ];

    /// The word in the topic `alert-<code>`.
    pub fn word(self) -> &'static str {
        match self {
            Code::Parked => "parked",
            Code::InDoubt => "in_doubt",
            Code::Differs => "differs",
            Code::Overdue => "overdue",
            Code::QueueFull => "queue_full",
            Code::Disk => "disk",
            Code::AuthPrimero => "auth_primero",
            Code::AuthOscar => "auth_oscar",
            Code::DownPrimero => "down_primero",
            Code::DownOscar => "down_oscar",
            Code::ShapePrimero => "shape_primero",
            Code::ShapeOscar => "shape_oscar",
            Code::PullOscar => "pull_oscar",
            Code::Certificate => "certificate",
            Code::Clock => "clock",
            Code::CrashLoop => "crash_loop",
            Code::Budget => "budget",
            Code::Locked => "locked",
        }
    }

    pub fn level(self) -> Level {
        match self {
            Code::Parked
            | Code::InDoubt
            | Code::Differs
            | Code::ShapePrimero
            | Code::ShapeOscar
            | Code::Certificate
            | Code::Budget
            | Code::Locked => Level::Warning,
            Code::Overdue
            | Code::QueueFull
            | Code::Disk
            | Code::AuthPrimero
            | Code::AuthOscar
            | Code::DownPrimero
            | Code::DownOscar
            | Code::PullOscar
            | Code::Clock
            | Code::CrashLoop => Level::Critical,
        }
    }
}
