//! The only table that turns HTTP into policy: what became of an exchange, and so what may be done next.
//!
//! A codec first reads the answers that mean something to it (a 404, a 409, a 422); everything else comes here.
//! Two things decide: how far the request got, and whether repeating it could do it twice.
//! Sources: primero.md §7.2, oscar.md §8.6, design §7.

use super::exchange::{Answer, AnswerHead, Failure, Phase};
use std::time::Duration;

/// What repeating a request could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// A read, or a write that carries our own id: repeating it changes nothing.
    Harmless,
    /// A second copy would be a second referral.
    Doubles,
}

/// Why a peer cannot be used now: the closed list of design §6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    Dns,
    Route,
    Tls,
    Clock,
    Portal,
    Auth,
    Throttled,
    Timeout,
    Server,
    Shape,
}

impl Trouble {
    pub fn word(self) -> &'static str {
        match self {
            Trouble::Dns => "dns",
            Trouble::Route => "route",
            Trouble::Tls => "tls",
            Trouble::Clock => "clock",
            Trouble::Portal => "portal",
            Trouble::Auth => "auth",
            Trouble::Throttled => "throttled",
            Trouble::Timeout => "timeout",
            Trouble::Server => "server",
            Trouble::Shape => "shape",
        }
    }

    /// Whether the fault lies between the box and the server: it may pass at any moment, and trying costs little.
    pub fn of_the_line(self) -> bool {
        match self {
            Trouble::Dns | Trouble::Route | Trouble::Timeout => true,
            Trouble::Tls
            | Trouble::Clock
            | Trouble::Portal
            | Trouble::Auth
            | Trouble::Throttled
            | Trouble::Server
            | Trouble::Shape => false,
        }
    }

    /// What a technician should look at.
    pub fn advice(self) -> &'static str {
        match self {
            Trouble::Dns => "the name of the server does not resolve: check the uplink and its DNS",
            Trouble::Route => "no connection: check the uplink (cable, modem, data plan)",
            Trouble::Tls => {
                "the server's certificate is not trusted: check ca_file, whether the certificate has run out, or whether \
                 something intercepts the line"
            }
            Trouble::Clock => {
                "the certificate does not fit the box's clock: set the clock (or connect to a time server); if the clock \
                 is right, the server's certificate has run out"
            }
            Trouble::Portal => {
                "something other than the server answered (a login page of the network?): open a browser on this \
                 network and sign in"
            }
            Trouble::Auth => {
                "the server refused the gateway's user name or password: correct the password file, then run \
                 `referral-gateway sync`"
            }
            Trouble::Throttled => "the server asked to wait: nothing to do",
            Trouble::Timeout => "the server or the line is too slow: nothing to do unless it stays",
            Trouble::Server => "the server fails: tell the centre if it stays",
            Trouble::Shape => {
                "the server answered something unexpected: tell the centre; the server may have been changed"
            }
        }
    }
}

/// What became of an exchange, as far as policy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The peer answered this request itself; the codec knows what it means.
    Answered,
    /// Nothing was done and the peer cannot be used now.
    Down(Trouble, Option<Duration>),
    /// The credentials were refused, before anything was done.
    Unauthorized,
    /// The peer failed on this request; repeating it later is harmless.
    Failed(Trouble),
    /// It may have been done. Never repeat: read back or ask a person.
    Doubt(Trouble),
}

/// Judges an exchange. `expected` says whether the codec can read this answer itself.
pub fn judge(
    result: &Result<Answer, Failure>,
    repeat: Repeat,
    expected: impl Fn(&Answer) -> bool,
) -> Outcome {
    match result {
        Err(failure) => judge_failure(failure, repeat),
        Ok(answer) if expected(answer) => Outcome::Answered,
        Ok(answer) => judge_head(&answer.head, repeat),
    }
}

/// Judges an exchange that gave no usable answer.
pub fn judge_failure(failure: &Failure, repeat: Repeat) -> Outcome {
    match failure.phase {
        Phase::Resolve => Outcome::Down(Trouble::Dns, None),
        Phase::Connect | Phase::Tls if failure.timed_out => Outcome::Down(Trouble::Timeout, None),
        Phase::Connect => Outcome::Down(Trouble::Route, None),
        Phase::Refused => Outcome::Down(Trouble::Server, None),
        Phase::OtherName => Outcome::Down(Trouble::Portal, None),
        Phase::Certificate | Phase::Tls => Outcome::Down(Trouble::Tls, None),
        Phase::CertificateDates => Outcome::Down(Trouble::Clock, None),
        Phase::Sent | Phase::Body => {
            let trouble = if failure.timed_out {
                Trouble::Timeout
            } else {
                Trouble::Route
            };
            match repeat {
                Repeat::Harmless => Outcome::Down(trouble, None),
                Repeat::Doubles => Outcome::Doubt(trouble),
            }
        }
    }
}

/// Judges an answer the codec did not expect.
pub fn judge_head(head: &AnswerHead, repeat: Repeat) -> Outcome {
    let doubt_or = |harmless: Outcome, trouble: Trouble| match repeat {
        Repeat::Harmless => harmless,
        Repeat::Doubles => Outcome::Doubt(trouble),
    };
    let after = head.retry_after_s.map(Duration::from_secs);
    match head.status {
        401 => Outcome::Unauthorized,
        429 => Outcome::Down(Trouble::Throttled, after),
        // A maintenance answer that says when to come back is given before any work is done (primero.md §7.2).
        503 if after.is_some() => Outcome::Down(Trouble::Throttled, after),
        500 => doubt_or(Outcome::Failed(Trouble::Server), Trouble::Server),
        502..=504 => doubt_or(Outcome::Down(Trouble::Server, None), Trouble::Server),
        300..=399 | 511 => Outcome::Down(Trouble::Portal, None),
        // A page where JSON was due: a portal on a read; on a write, who knows who answered.
        200..=299 if !head.json => doubt_or(Outcome::Down(Trouble::Portal, None), Trouble::Portal),
        200..=299 => doubt_or(Outcome::Failed(Trouble::Shape), Trouble::Shape),
        _ => Outcome::Failed(Trouble::Shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, json: bool, retry_after_s: Option<u64>) -> AnswerHead {
        AnswerHead {
            status,
            json,
            retry_after_s,
            ..AnswerHead::default()
        }
    }

    #[test]
    fn nothing_sent_is_never_in_doubt() {
        for phase in [
            Phase::Resolve,
            Phase::Connect,
            Phase::Refused,
            Phase::OtherName,
            Phase::Certificate,
            Phase::CertificateDates,
            Phase::Tls,
        ] {
            for timed_out in [true, false] {
                let failure = Failure {
                    phase,
                    timed_out,
                    status: None,
                };
                for repeat in [Repeat::Harmless, Repeat::Doubles] {
                    assert!(
                        matches!(judge_failure(&failure, repeat), Outcome::Down(..)),
                        "{phase:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_lost_answer_is_in_doubt_only_where_a_repeat_would_double() {
        for phase in [Phase::Sent, Phase::Body] {
            let failure = Failure {
                phase,
                timed_out: true,
                status: None,
            };
            assert_eq!(
                judge_failure(&failure, Repeat::Doubles),
                Outcome::Doubt(Trouble::Timeout)
            );
            assert_eq!(
                judge_failure(&failure, Repeat::Harmless),
                Outcome::Down(Trouble::Timeout, None)
            );
        }
    }

    #[test]
    fn each_status_has_one_row() {
        use Outcome::{Doubt, Down, Failed, Unauthorized};
        use Repeat::{Doubles, Harmless};
        let minute = Some(Duration::from_secs(60));
        for (status, json, after, repeat, outcome) in [
            (401, true, None, Doubles, Unauthorized),
            (429, false, None, Doubles, Down(Trouble::Throttled, None)),
            (503, true, Some(60), Doubles, Down(Trouble::Throttled, minute)),
            (503, false, None, Doubles, Doubt(Trouble::Server)),
            (503, false, None, Harmless, Down(Trouble::Server, None)),
            (502, false, None, Doubles, Doubt(Trouble::Server)),
            (504, false, None, Harmless, Down(Trouble::Server, None)),
            (500, true, None, Doubles, Doubt(Trouble::Server)),
            (500, true, None, Harmless, Failed(Trouble::Server)),
            (302, false, None, Doubles, Down(Trouble::Portal, None)),
            (200, false, None, Harmless, Down(Trouble::Portal, None)),
            (200, false, None, Doubles, Doubt(Trouble::Portal)),
            (200, true, None, Doubles, Doubt(Trouble::Shape)),
            (200, true, None, Harmless, Failed(Trouble::Shape)),
            (400, false, None, Doubles, Failed(Trouble::Shape)),
            (418, false, None, Harmless, Failed(Trouble::Shape)),
        ] {
            assert_eq!(
                judge_head(&head(status, json, after), repeat),
                outcome,
                "{status} {repeat:?}"
            );
        }
    }
}
