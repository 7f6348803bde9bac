//! `box export|import|unlock|reset|undelivered`: a whole box, handed to another or emptied.

use super::{Line, exit, failed, load, not_opened};
use crate::config::Config;
use crate::shell::{log, parts, reset, swap};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, PartialEq, Eq)]
pub enum BoxCommand {
    Export {
        stick: PathBuf,
        passphrase: Option<PathBuf>,
    },
    Import {
        stick: PathBuf,
        passphrase: Option<PathBuf>,
    },
    Unlock {
        note: String,
    },
    Reset {
        passphrase: Option<PathBuf>,
    },
    Undelivered,
    /// Whether the first line of a file is the swap passphrase this box was provisioned with.
    CheckPassphrase {
        file: PathBuf,
    },
    /// What the file of commands on a stick asks for.
    Commands {
        stick: PathBuf,
    },
}

impl BoxCommand {
    /// From the words after `box`, and a note for whoever asks later.
    pub fn read(words: &[&str], note: &mut Option<String>) -> Result<BoxCommand, String> {
        let path = |word: &&str| PathBuf::from(*word);
        Ok(match words {
            ["export", stick, rest @ ..] if rest.len() < 2 => BoxCommand::Export {
                stick: path(stick),
                passphrase: rest.first().map(path),
            },
            ["import", stick, rest @ ..] if rest.len() < 2 => BoxCommand::Import {
                stick: path(stick),
                passphrase: rest.first().map(path),
            },
            ["unlock"] => BoxCommand::Unlock {
                note: note
                    .take()
                    .ok_or("an unlock needs --note: what became of the file?")?,
            },
            ["reset", rest @ ..] if rest.len() < 2 => BoxCommand::Reset {
                passphrase: rest.first().map(path),
            },
            ["undelivered"] => BoxCommand::Undelivered,
            ["check-passphrase", file] => BoxCommand::CheckPassphrase { file: path(file) },
            ["commands", stick] => BoxCommand::Commands { stick: path(stick) },
            _ => {
                return Err(
                    "box export FOLDER | import FOLDER | unlock --note TEXT | reset | undelivered".to_owned(),
                );
            }
        })
    }
}

const EMPTY: &str = "this box is empty";

/// `box …`
pub fn boxes(line: &Line, command: &BoxCommand) -> u8 {
    // A box emptied by half can open nothing that it has.
    match command {
        BoxCommand::Reset { .. } => {
            if let Some(done) = reset::finish(&line.config) {
                return told(line, done.map(|()| EMPTY.to_owned()));
            }
        }
        BoxCommand::CheckPassphrase { .. } if reset::under_way(&line.config).is_some() => {
            return told(
                line,
                Ok("this box is being emptied: any passphrase fits".to_owned()),
            );
        }
        _ => {}
    }
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let folder = line.config.parent().unwrap_or(Path::new("."));
    let done = match command {
        BoxCommand::Undelivered => {
            return match swap::undelivered(&config) {
                Ok(count) => {
                    println!("{count}");
                    exit::OK
                }
                Err(error) => not_opened(line, &error),
            };
        }
        BoxCommand::Commands { stick } => return super::stick::commands(line, &config, stick),
        BoxCommand::CheckPassphrase { file } => {
            vouched(&config, folder, file).map(|()| "the passphrase fits".to_owned())
        }
        _ if runs(&config) => {
            let words = "the service runs: systemctl stop referral-gateway, then again";
            return failed(line, "not_now", words, exit::TRY_LATER);
        }
        BoxCommand::Export { stick, passphrase } => swap::passphrase(&config, folder, passphrase.as_deref())
            .and_then(|phrase| swap::export(&config, stick, &phrase))
            .map(|file| format!("everything is in {}; this box is locked", file.display())),
        BoxCommand::Import { stick, passphrase } => {
            let phrase = swap::passphrase(&config, folder, passphrase.as_deref());
            match phrase.and_then(|phrase| swap::import(&config, folder, stick, &phrase)) {
                Ok(Err(words)) => return failed(line, "taken_over", &words, exit::NEEDS_A_PERSON),
                Ok(Ok(file)) => {
                    let file = file.display();
                    Ok(format!("this box has taken over; the stick's file is now {file}"))
                }
                Err(refused) => Err(refused),
            }
        }
        BoxCommand::Unlock { note } => swap::unlock(&config).map(|()| {
            log::warn(format_args!("unlocked: {note}"));
            "this box works again".to_owned()
        }),
        BoxCommand::Reset { passphrase } => passphrase
            .as_deref()
            .map_or(Ok(()), |file| {
                swap::passphrase(&config, folder, Some(file)).map(drop)
            })
            .and_then(|()| reset::reset(&config, &line.config))
            .map(|()| EMPTY.to_owned()),
    };
    told(line, done)
}

fn told(line: &Line, done: Result<String, swap::Refused>) -> u8 {
    match done {
        Ok(words) if line.json => println!("{}", json!({"done": words})),
        Ok(words) => println!("{words}"),
        Err(words) => return failed(line, "refused", &words, exit::REFUSED),
    }
    exit::OK
}

/// Whether the first line of a file on a stick is the passphrase this box was given; one without obeys no stick.
pub(super) fn vouched(config: &Config, folder: &Path, file: &Path) -> Result<(), swap::Refused> {
    swap::passphrase(config, folder, None)?;
    swap::passphrase(config, folder, Some(file)).map(drop)
}

fn runs(config: &Config) -> bool {
    std::os::unix::net::UnixStream::connect(parts::socket_path(config)).is_ok()
}
