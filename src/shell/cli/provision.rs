//! `provision new|check|apply|wifi`: the provisioning file, on the laptop and on the box.

use super::{Line, exit, failed};
use crate::shell::provision::{self, Applied, ERRORS_FILE, Refusal};
use serde_json::json;
use std::path::{Path, PathBuf};

/// What a technician fills in.
const EXAMPLE: &str = include_str!("../../../boards/common/gateway.txt");

#[derive(Debug, PartialEq, Eq)]
pub enum ProvisionCommand {
    New,
    Check {
        file: PathBuf,
        board: Option<PathBuf>,
    },
    /// On the box: takes the file into a folder.
    Apply {
        file: PathBuf,
        home: PathBuf,
        board: Option<PathBuf>,
    },
    /// On the box: prints what wpa_supplicant reads.
    Wifi {
        home: PathBuf,
    },
}

impl ProvisionCommand {
    /// From the words after `provision`.
    pub fn read(words: &[&str]) -> Result<ProvisionCommand, String> {
        let path = |word: &&str| PathBuf::from(*word);
        Ok(match words {
            ["new"] => ProvisionCommand::New,
            ["check", file] => ProvisionCommand::Check {
                file: path(file),
                board: None,
            },
            ["check", file, board] => ProvisionCommand::Check {
                file: path(file),
                board: Some(path(board)),
            },
            ["apply", file, home] => ProvisionCommand::Apply {
                file: path(file),
                home: path(home),
                board: None,
            },
            ["apply", file, home, board] => ProvisionCommand::Apply {
                file: path(file),
                home: path(home),
                board: Some(path(board)),
            },
            ["wifi", home] => ProvisionCommand::Wifi { home: path(home) },
            _ => return Err("provision new | check FILE [BOARD] | apply FILE FOLDER [BOARD]".to_owned()),
        })
    }
}

/// `provision …`
pub fn provision(line: &Line, command: &ProvisionCommand) -> u8 {
    match command {
        ProvisionCommand::New => {
            print!("{EXAMPLE}");
            exit::OK
        }
        ProvisionCommand::Check { file, board } => check(line, file, board.as_deref()),
        ProvisionCommand::Apply { file, home, board } => apply(line, file, home, board.as_deref()),
        ProvisionCommand::Wifi { home } => match provision::wifi(home) {
            Ok(text) => {
                print!("{}", text.unwrap_or_default());
                exit::OK
            }
            Err(error) => failed(line, "not_opened", &error.to_string(), exit::FAILED),
        },
    }
}

fn check(line: &Line, file: &Path, board: Option<&Path>) -> u8 {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let words = format!("{}: {error}", file.display());
            return failed(line, "not_read", &words, exit::FAILED);
        }
    };
    match provision::check(&bytes, &standard(board)) {
        Ok(()) if line.json => println!("{}", json!({"file": "accepted"})),
        Ok(()) => println!(
            "{}: nothing is wrong with it. Copy it onto the card's first partition as gateway.txt",
            file.display()
        ),
        Err(refusal) => return refused(line, &refusal),
    }
    exit::OK
}

fn apply(line: &Line, file: &Path, home: &Path, board: Option<&Path>) -> u8 {
    // The configuration names folders from the root on: its own paths start elsewhere than this command's.
    let applied = std::path::absolute(home)
        .map_err(Refusal::Disk)
        .and_then(|home| provision::apply(file, &home, &standard(board)));
    if let Err(error) = provision::answer(file, applied.as_ref().err()) {
        eprintln!("the answer could not be written to {ERRORS_FILE} on the card: {error}");
    }
    let words = match applied {
        Ok(Applied::Taken) => "taken",
        Ok(Applied::Unchanged) => "unchanged",
        Err(refusal) => return refused(line, &refusal),
    };
    if line.json {
        println!("{}", json!({"file": words}));
    } else {
        println!("gateway.txt: {words}");
    }
    exit::OK
}

/// The `[limits]` of a board's file: what else it says is not the service's.
fn standard(board: Option<&Path>) -> String {
    let text = board
        .and_then(|board| std::fs::read_to_string(board).ok())
        .unwrap_or_default();
    let from = text.find("[limits]").unwrap_or(text.len());
    let section = &text[from..];
    let end = section[1.min(section.len())..]
        .find("\n[")
        .map_or(section.len(), |end| end + 2);
    section[..end].to_owned()
}

fn refused(line: &Line, refusal: &Refusal) -> u8 {
    let words = refusal.words();
    if line.json {
        println!("{}", json!({"error": "provisioning", "reasons": words}));
    } else {
        words.iter().for_each(|words| eprintln!("{words}"));
    }
    match refusal {
        Refusal::Missing => exit::NEEDS_A_PERSON,
        Refusal::Faults(_) => exit::REFUSED,
        Refusal::Disk(_) => exit::FAILED,
    }
}
