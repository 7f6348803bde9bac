//! What a technician's check found: the judgement behind each line of `self-test`, and the words.
//!
//! Pure: the shell measures, this decides what a measurement means. No finding holds anything about a child, a
//! password, or a text of a server.

use super::outcome::Trouble;
use super::time::{Trust, Wall};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Ok,
    /// Works, and somebody should look at it.
    Warn,
    /// Does not work.
    Fail,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        }
    }
}

/// One line of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in one word or two.
    pub about: &'static str,
    pub verdict: Verdict,
    pub told: String,
    /// What to do about it; empty when all is well.
    pub advice: String,
    /// The named trouble behind it, if it is a peer's.
    pub trouble: Option<Trouble>,
}

impl Finding {
    pub fn ok(about: &'static str, told: impl Into<String>) -> Finding {
        Finding::new(about, Verdict::Ok, told.into(), "")
    }

    pub fn warn(about: &'static str, told: impl Into<String>, advice: &str) -> Finding {
        Finding::new(about, Verdict::Warn, told.into(), advice)
    }

    pub fn fail(about: &'static str, told: impl Into<String>, advice: &str) -> Finding {
        Finding::new(about, Verdict::Fail, told.into(), advice)
    }

    /// A peer that cannot be used, by the closed list of troubles.
    pub fn trouble(about: &'static str, trouble: Trouble) -> Finding {
        let mut finding = Finding::fail(about, trouble.word(), trouble.advice());
        finding.trouble = Some(trouble);
        finding
    }

    fn new(about: &'static str, verdict: Verdict, told: String, advice: &str) -> Finding {
        Finding {
            about,
            verdict,
            told,
            advice: advice.to_owned(),
            trouble: None,
        }
    }
}

/// How far the clock may be from a server's before tokens and certificates come into danger, seconds.
const SKEW_MAX_S: i64 = 120;

/// The clock, beside those of the servers that answered.
pub fn clock(wall: Wall, servers: &[i64]) -> Finding {
    let about = "clock";
    let worst = servers
        .iter()
        .map(|server| wall.unix - server)
        .max_by_key(|skew| skew.abs());
    match (wall.trust, worst) {
        (Trust::Unset, _) => Finding::fail(about, "not set", Trouble::Clock.advice()),
        (_, Some(skew)) if skew.abs() > SKEW_MAX_S => Finding::fail(
            about,
            format!(
                "{} s {} the servers' clocks",
                skew.abs(),
                if skew > 0 { "ahead of" } else { "behind" }
            ),
            "set the clock, or connect to a time server; check the clock's battery",
        ),
        (_, Some(_)) => Finding::ok(about, "agrees with the servers' clocks"),
        (Trust::Synced, None) => Finding::ok(about, "set by the time service"),
        (Trust::Floor, None) => Finding::warn(
            about,
            "plausible, but nobody has confirmed it",
            "connect to a time server, or fit a clock with a battery",
        ),
    }
}

/// Above these a card is worn or was never a good one: every accepted event waits for one such write. Milliseconds.
const USUAL_MS_MAX: u64 = 250;
const WORST_MS_MAX: u64 = 2_000;

/// How long writes of a page took until they were on disk, in milliseconds.
pub fn disk(mut sync_ms: Vec<u64>) -> Finding {
    sync_ms.sort_unstable();
    let usual = sync_ms.get(sync_ms.len() / 2).copied().unwrap_or(0);
    let worst = sync_ms.last().copied().unwrap_or(0);
    let told = format!("a write is on disk after {usual} ms, at worst {worst} ms");
    if usual > USUAL_MS_MAX || worst > WORST_MS_MAX {
        return Finding::warn(
            "disk",
            told,
            "the card is slow or worn: use an industrial one, or an SSD",
        );
    }
    Finding::ok("disk", told)
}

/// Below this nothing can be written reliably. Bytes.
const SPACE_MIN: u64 = 32_000_000;

/// Free room on the data partition, against what the queue may grow to.
pub fn space(free: u64, queue_bytes: u64) -> Finding {
    let mb = |bytes: u64| bytes / 1_000_000;
    let told = format!("{} MB free", mb(free));
    let wanted = queue_bytes.saturating_mul(2).saturating_add(SPACE_MIN);
    if free < SPACE_MIN {
        return Finding::fail("space", told, "free some room on the data partition");
    }
    if free < wanted {
        let told = format!("{told}; a full queue wants {} MB", mb(wanted));
        return Finding::warn("space", told, "use a larger card, or lower limits.queue_bytes");
    }
    Finding::ok("space", told)
}

/// The organizations of this gateway among those OSCaR lists, by short name and whether they are integrated
/// (oscar-measured.md fact 10). None where OSCaR does not say.
pub fn organizations(ours: &[String], listed: &[(String, Option<bool>)]) -> Finding {
    let about = "oscar organizations";
    let of = |name: &String| listed.iter().find(|(listed, _)| listed == name);
    let joined = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let missing: Vec<&String> = ours.iter().filter(|name| of(name).is_none()).collect();
    if !missing.is_empty() {
        return Finding::fail(
            about,
            format!("OSCaR does not know {}", joined(missing)),
            "correct oscar.organizations: OSCaR's short names",
        );
    }
    let off = |name: &&String| of(name).is_some_and(|(_, integrated)| *integrated == Some(false));
    let apart: Vec<&String> = ours.iter().filter(off).collect();
    if !apart.is_empty() {
        return Finding::warn(
            about,
            format!("not integrated: {}", joined(apart)),
            "ask OSCaR's administrators to switch their integration on",
        );
    }
    Finding::ok(about, format!("{} known and integrated", ours.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::BUILD_FLOOR;

    fn verdicts(findings: &[Finding]) -> Vec<Verdict> {
        findings.iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn the_clock_is_judged_by_the_servers_first() {
        let now = BUILD_FLOOR + 1_000_000;
        let at = |confirmed| Wall::judge(now, 0, confirmed);
        use Verdict::{Fail, Ok, Warn};
        let found = [
            clock(Wall::judge(5, 0, false), &[now]),
            clock(at(false), &[]),
            clock(at(true), &[]),
            clock(at(false), &[now - 100, now + 119]),
            clock(at(true), &[now, now - 121]),
            clock(at(true), &[now + 4000]),
        ];
        assert_eq!(verdicts(&found), [Fail, Warn, Ok, Ok, Fail, Fail]);
        assert!(found[4].told.contains("121 s ahead of") && found[5].told.contains("4000 s behind"));
    }

    #[test]
    fn disk_and_space_warn_before_they_fail() {
        use Verdict::{Fail, Ok, Warn};
        let found = [
            disk(vec![20, 900, 30]),
            disk(vec![20, 2_001, 30]),
            disk(vec![251, 251, 3]),
            space(900_000_000, 256_000_000),
            space(500_000_000, 256_000_000),
            space(31_000_000, 1_000_000),
        ];
        assert_eq!(verdicts(&found), [Ok, Warn, Warn, Ok, Warn, Fail]);
        assert!(found[1].told.contains("after 30 ms, at worst 2001 ms"));
    }

    #[test]
    fn organizations_must_be_known_and_should_be_integrated() {
        let names = |list: &[&str]| list.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let listed = [
            ("cif".to_owned(), Some(true)),
            ("gpc".to_owned(), Some(false)),
            ("old".to_owned(), None),
        ];
        let found = [
            organizations(&names(&["cif", "old"]), &listed),
            organizations(&names(&["cif", "gpc"]), &listed),
            organizations(&names(&["gpc", "nobody"]), &listed),
        ];
        assert_eq!(verdicts(&found), [Verdict::Ok, Verdict::Warn, Verdict::Fail]);
        assert!(found[1].told.ends_with(": gpc") && found[2].told.ends_with("know nobody"));
    }
}
