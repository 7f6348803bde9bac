//! The installation sheet: one page of plain text, to be printed, signed and left with the box. No secret and no name
//! of a child, a family or a worker is on it.

use crate::config::Config;
use crate::core::finding::{Finding, Verdict};
use crate::core::status::stamp;
use crate::core::time::Wall;
use crate::shell::figures;
use std::fmt::Write;

/// Letters in a line of a printed page.
const WIDTH: usize = 78;

/// The page, at most 66 lines of 78 letters for a check of usual length.
pub fn sheet(config: &Config, found: &[Finding], wall: Wall) -> String {
    let mut page =
        String::from("REFERRAL GATEWAY                                          INSTALLATION SHEET\n");
    let rule = "-".repeat(WIDTH);
    let gateway = &config.gateway;
    let when = wall.known().and_then(stamp);
    let mqtt = config.mqtt.as_ref().map_or("none", |mqtt| mqtt.url.as_str());
    let zone = gateway.time_zone.name();
    for (what, told) in [
        ("gateway", format!("{}, fleet {}", gateway.id, gateway.fleet)),
        (
            "version",
            format!("{}, on {}", env!("CARGO_PKG_VERSION"), figures::board()),
        ),
        (
            "checked",
            when.unwrap_or_else(|| "(the clock is not set)".to_owned()),
        ),
        (
            "office time",
            format!("{zone}, sessions {}", config.schedule_words()),
        ),
        (
            "primero",
            format!("{} as {}", config.primero.url, config.primero.user_name),
        ),
        ("oscar", format!("{} as {}", config.oscar.url, config.oscar.email)),
        ("relays for", config.oscar.organizations.join(", ")),
        ("centre", mqtt.to_owned()),
        ("queue", gateway.data_dir.display().to_string()),
        ("device key", gateway.seal_key_file.display().to_string()),
    ] {
        row(&mut page, what, &told);
    }
    let _ = writeln!(page, "{rule}");
    for finding in found {
        row(
            &mut page,
            finding.verdict.word(),
            &format!("{}: {}", finding.about, finding.told),
        );
        if !finding.advice.is_empty() {
            row(&mut page, "", &format!("-> {}", finding.advice));
        }
    }
    let count = |verdict| found.iter().filter(|finding| finding.verdict == verdict).count();
    let _ = writeln!(
        page,
        "{rule}\n{} ok, {} to look at, {} failed",
        count(Verdict::Ok),
        count(Verdict::Warn),
        count(Verdict::Fail)
    );
    page.push_str(
        "[ ] no other gateway relays for these organizations\n\
         [ ] a copy of the device key is in the envelope, locked away elsewhere\n\
         [ ] the certificate's fingerprint above was compared at each station\n\
         [ ] the office knows whom to call\n\n\
         installed by ___________________  date ____________  signature ______________\n",
    );
    page
}

/// A label and its text, broken at blanks (or in the middle of what has none) and indented.
fn row(page: &mut String, label: &str, text: &str) {
    let room = WIDTH - 14;
    let mut line = String::new();
    let mut label = label;
    let mut put = |line: &mut String| {
        let _ = writeln!(page, "{label:<12}  {line}");
        label = "";
        line.clear();
    };
    for word in text.split(' ') {
        let mut rest: &str = word;
        if !line.is_empty() && line.chars().count() + 1 + rest.chars().count() > room {
            put(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        while let Some((cut, _)) = rest.char_indices().nth(room) {
            line.push_str(&rest[..cut]);
            put(&mut line);
            rest = &rest[cut..];
        }
        line.push_str(rest);
    }
    put(&mut line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_to_the_page() {
        let mut page = String::new();
        let long = "AB:".repeat(60);
        row(
            &mut page,
            "ok",
            &format!("lan: 0.0.0.0:8443, certificate {long} and some more words"),
        );
        row(&mut page, "", "ខ្មែរ ".repeat(40).trim());
        assert!(page.lines().all(|line| line.chars().count() <= WIDTH), "{page}");
        assert!(
            page.lines()
                .skip(1)
                .all(|line| line.starts_with("              ")),
            "{page}"
        );
        let joined: String = page.split_whitespace().collect();
        assert!(joined.contains(&long), "nothing is lost: {page}");
    }
}
