//! `self-test [--sheet FILE]`: the findings as they come, then the installation sheet.

use super::{Line, exit, failed, load};
use crate::core::finding::{Finding, Verdict};
use crate::core::outcome::Trouble;
use crate::shell::clock;
use crate::shell::self_test::{passes, run, sheet};
use serde_json::json;
use std::path::Path;

/// `self-test`
pub fn self_test(line: &Line, sheet_file: Option<&Path>) -> u8 {
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let mut say = |finding: &Finding| {
        if !line.json {
            println!(
                "{:<5} {}: {}",
                finding.verdict.word(),
                finding.about,
                finding.told
            );
            if !finding.advice.is_empty() {
                println!("      {}", finding.advice);
            }
        }
    };
    let found = run(&config, &mut say);
    let page = sheet(&config, &found, clock::wall(0));
    let code = code(&found);
    if line.json {
        let findings: Vec<_> = found
            .iter()
            .map(|finding| {
                json!({ "about": finding.about, "verdict": finding.verdict.word(), "told": finding.told,
                    "advice": finding.advice, "trouble": finding.trouble.map(Trouble::word) })
            })
            .collect();
        let worst = found
            .iter()
            .map(|finding| finding.verdict)
            .max()
            .unwrap_or(Verdict::Ok);
        println!(
            "{}",
            json!({ "verdict": worst.word(), "findings": findings, "sheet": page })
        );
    } else {
        println!("\n{page}");
    }
    if let Some(file) = sheet_file
        && let Err(error) = std::fs::write(file, &page)
    {
        let words = format!("the sheet could not be written to {}: {error}", file.display());
        return failed(line, "sheet", &words, exit::FAILED);
    }
    code
}

/// What a script should do next: nothing, correct something, ask a person with rights at the peers, or wait for the
/// line.
fn code(found: &[Finding]) -> u8 {
    let failed: Vec<&Finding> = found
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fail)
        .collect();
    match failed.as_slice() {
        [] => exit::OK,
        all if all.iter().all(|finding| finding.trouble.is_some_and(passes)) => exit::TRY_LATER,
        all if all.iter().any(|finding| finding.trouble == Some(Trouble::Auth)) => exit::NEEDS_A_PERSON,
        _ => exit::FAILED,
    }
}
