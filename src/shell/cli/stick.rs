//! `box commands FOLDER`: a technician's commands from a file on a USB stick, for a box that nobody can log in to.
//!
//! The file's first line is the swap passphrase, each other one a command of a closed list ([`ALLOWED`]), read as the
//! command line reads it and given to this same program; no shell sees it. **Each is carried out at most once:** before
//! the first one the file gets another name, without the passphrase, and each command stands in the answers, on the
//! stick, before it is begun. If the stick is pulled out, what follows is not done; the last command in the answers,
//! if nothing stands below it, may have been.

use super::boxes::vouched;
use super::{Command, EventsCommand, Line, exit, failed, parse};
use crate::config::card;
use crate::config::{Config, DEFAULT_PATH};
use crate::core::status::stamp;
use crate::shell::clock::Clock;
use crate::shell::swap::{Refused, sync_folder, told};
use lexopt::Parser;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{self, Stdio};
use std::thread;
use std::time::Duration;

const FILE: &str = "gateway-commands.txt";
const ANSWERS: &str = "gateway-answers.txt";
const SHEET: &str = "sheet.txt";
/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: usize = 16 * 1024;
/// Most commands of one file.
const COMMANDS_MAX: usize = 50;
/// Longest answer of one command, in bytes: a full queue's list fits.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// All commands together; systemd ends the stick's script after 15 minutes (`gateway-stick@.service`).
const PATIENCE_MS: u64 = 12 * 60 * 1000;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

const ALLOWED: &str = "\
a stick may ask for:
  self-test                     (its sheet comes as sheet.txt)
  status
  sync
  reconcile [--last]
  events list [--state pending|in_doubt|parked|delivered|discarded]
  events show KEY
  events requeue KEY
  events resolve KEY --arrived | --not-arrived | --settled | --take oscar|primero
  events discard KEY --note \"why\"
  station list
  station add NAME
  station revoke NAME
and say with --by \"your name\" who decides";

/// `box commands FOLDER`; the worst exit code of the commands.
pub fn commands(line: &Line, config: &Config, stick: &Path) -> u8 {
    match obey(line, config, stick) {
        Ok((count, worst)) => {
            println!("commands: {count}; what became of each stands in {ANSWERS}");
            worst
        }
        Err(words) => failed(line, "refused", &words, exit::REFUSED),
    }
}

fn obey(line: &Line, config: &Config, stick: &Path) -> Result<(usize, u8), Refused> {
    let file = stick.join(FILE);
    let mut bytes = Vec::new();
    File::open(&file)
        .and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(told(FILE))?;
    let text = card::text(&bytes, FILE_BYTES_MAX).map_err(|error| format!("{FILE}: {error}"))?;
    vouched(config, line.config.parent().unwrap_or(Path::new(".")), &file)?;
    let meant = |order: &&str| !order.is_empty() && !order.starts_with('#');
    let orders: Vec<&str> = text.lines().skip(1).map(str::trim).filter(meant).collect();
    if orders.len() > COMMANDS_MAX {
        return Err(format!(
            "{FILE}: more than {COMMANDS_MAX} commands: take several files"
        ));
    }
    let program = std::env::current_exe().map_err(told("this program"))?;
    let caller = Caller {
        program: &program,
        config: &line.config,
        stick,
        clock: Clock::new(0),
    };
    let at = caller.clock.now().wall.known().and_then(stamp);
    let heading = format!("{}, {}\n", config.gateway.id, at.as_deref().unwrap_or("no clock"));
    let pulled = told("the stick; what follows the last command in the answers was not done");
    let mut answers = Answers::begin(&stick.join(ANSWERS), &heading).map_err(told(ANSWERS))?;
    claim(&file, &bytes).map_err(told(FILE))?;
    let mut worst = exit::OK;
    for order in &orders {
        answers.add(&format!("\n> {order}\n")).map_err(&pulled)?;
        let (said, code) = caller.call(order);
        answers.add(&said).map_err(&pulled)?;
        answers.add(&format!("[{}]\n", verdict(code))).map_err(&pulled)?;
        worst = worst.max(code);
    }
    answers.add("\nend of the answers\n").map_err(&pulled)?;
    Ok((orders.len(), worst))
}

/// Nothing of the file is done a second time, and the passphrase leaves the stick where it lies.
fn claim(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let first = bytes.iter().take_while(|byte| !b"\r\n".contains(byte)).count();
    let mut open = OpenOptions::new().write(true).open(file)?;
    open.write_all(&vec![b'*'; first])?;
    open.sync_all()?;
    fs::rename(file, file.with_extension("done"))?;
    sync_folder(file)
}

fn verdict(code: u8) -> String {
    let word = match code {
        exit::OK => return "ok".to_owned(),
        exit::USAGE => "not done",
        exit::REFUSED => "refused",
        exit::NEEDS_A_PERSON => "needs a person",
        exit::TRY_LATER => "try later",
        _ => "failed",
    };
    format!("{word}, exit code {code}")
}

/// The file of the answers, with the line ends of Windows; what was added is on the stick.
struct Answers(File);

impl Answers {
    fn begin(path: &Path, heading: &str) -> io::Result<Answers> {
        let mut answers = Answers(File::create(path)?);
        answers.add(heading)?;
        sync_folder(path)?;
        Ok(answers)
    }

    fn add(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(windows(text).as_bytes())?;
        self.0.sync_all()
    }
}

fn windows(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Gives commands to this program.
struct Caller<'a> {
    program: &'a Path,
    config: &'a Path,
    stick: &'a Path,
    /// Counts from the first command.
    clock: Clock,
}

impl Caller<'_> {
    fn too_late(&self) -> bool {
        self.clock.now().mono.0 >= PATIENCE_MS
    }

    /// What it said to one line of the file, and its exit code.
    fn call(&self, order: &str) -> (String, u8) {
        let mut words = match allowed(order) {
            Ok(words) => words,
            Err(why) => return (format!("{why}\n{ALLOWED}\n"), exit::USAGE),
        };
        if self.too_late() {
            let why = "not begun: the commands before it took too long; write it into a new file\n";
            return (why.to_owned(), exit::TRY_LATER);
        }
        let sheet = self.stick.join(SHEET);
        let tests = words.first().is_some_and(|word| word == "self-test");
        if tests {
            words.extend(["--sheet".to_owned(), sheet.display().to_string()]);
        }
        let done = self.ran(&words).and_then(|done| {
            if tests && let Ok(page) = fs::read_to_string(&sheet) {
                fs::write(&sheet, windows(&page))?;
            }
            Ok(done)
        });
        match done {
            Ok((said, Some(code))) => (said, code),
            Ok((said, None)) => (
                format!(
                    "{said}\nno answer so far, and the box is not asked any longer; `status` tells how it stands\n"
                ),
                exit::TRY_LATER,
            ),
            Err(error) => (format!("{error}\n"), exit::FAILED),
        }
    }

    /// What it printed, errors too, and the exit code of one that came to its end.
    fn ran(&self, words: &[String]) -> io::Result<(String, Option<u8>)> {
        let (said, saying) = io::pipe()?;
        let mut child = process::Command::new(self.program)
            .arg("--config")
            .arg(self.config)
            .args(words)
            .stdin(Stdio::null())
            .stdout(saying.try_clone()?)
            .stderr(saying)
            .spawn()?;
        let listener = thread::spawn(move || {
            let mut bytes = Vec::new();
            said.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).map(|_| bytes)
        });
        let ended = loop {
            if let Some(ended) = child.try_wait()? {
                break Some(ended);
            }
            if self.too_late() {
                child.kill()?;
                child.wait()?;
                break None;
            }
            thread::sleep(LOOK_AGAIN);
        };
        let bytes = listener.join().expect("reading does not panic")?;
        let code = ended.map(|ended| ended.code().and_then(|code| u8::try_from(code).ok()));
        let said = String::from_utf8_lossy(&bytes).into_owned();
        Ok((said, code.map(|code| code.unwrap_or(exit::FAILED))))
    }
}

/// The words of one line, if a stick may ask for that.
fn allowed(order: &str) -> Result<Vec<String>, String> {
    let mut words = words(order)?;
    // As the guide writes them for a box with a login.
    for before in ["sudo", "referral-gateway"] {
        if words.first().is_some_and(|word| word == before) {
            words.remove(0);
        }
    }
    let line = parse(Parser::from_args(&words))?;
    let may = match &line.command {
        Command::SelfTest { sheet } => sheet.is_none(),
        Command::Status | Command::Sync | Command::Reconcile { .. } | Command::Station(_) => true,
        Command::Events(EventsCommand::Show { reveal, .. }) => !reveal,
        Command::Events(EventsCommand::Rejected { .. }) => false,
        Command::Events(_) => true,
        _ => false,
    };
    let own = words.iter().any(|word| word.starts_with("--config"));
    if !may || own || line.json || line.config != Path::new(DEFAULT_PATH) {
        return Err("a stick cannot ask for that".to_owned());
    }
    if line.by.is_none() {
        words.extend(["--by", "a USB stick"].map(str::to_owned));
    }
    Ok(words)
}

/// A line's words. Quotation marks hold several together; those and the dashes that word processors make are read as
/// what was meant.
fn words(order: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in order.chars() {
        match letter {
            '"' | '\u{201c}' | '\u{201d}' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            _ if letter.is_whitespace() && !quoted => words.extend(word.take()),
            _ if letter.is_control() => {
                return Err("there is a character in it that cannot be typed".to_owned());
            }
            '\u{2013}' | '\u{2014}' if word.is_none() => word.get_or_insert_default().push_str("--"),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quoted {
        return Err("a quotation mark is missing".to_owned());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_list_is_allowed() {
        for order in [
            "self-test",
            "sudo referral-gateway status",
            "sync",
            "reconcile --last",
            "events list --state in_doubt",
            "events show office-1",
            "events requeue office-1",
            "events resolve office-1 --take oscar",
            "station list",
            "station revoke front-desk",
        ] {
            assert!(allowed(order).is_ok(), "{order}");
        }
        for order in [
            "reboot",
            "status; reboot",
            "run",
            "enqueue /etc/passwd",
            "sync --shadow --reveal",
            "events show office-1 --reveal",
            "events rejected /var/lib/referral-gateway/seal.key",
            "events list --state everything",
            "events discard office-1",
            "events discard office-1 --note \"no end",
            "station add front desk",
            "self-test --sheet /etc/passwd",
            "support-bundle --output /etc/passwd",
            "box undelivered",
            "provision new",
            "check-config",
            "fleet --broker mqtts://localhost",
            "--config /etc/passwd status",
            "status --config=/etc/referral-gateway/gateway.toml",
            "status --json",
            "events show \"a\u{7}b\"",
            "sudo",
            "help",
        ] {
            assert!(allowed(order).is_err(), "{order}");
        }
    }

    #[test]
    fn words_are_read_as_they_were_meant() {
        let order = "events\u{a0}discard  k-1 \u{2014}note \u{201c}the family \u{2013} ដារ៉ា \u{2013} $(moved)\u{201d} --by \"\"";
        let meant = [
            "events",
            "discard",
            "k-1",
            "--note",
            "the family \u{2013} ដារ៉ា \u{2013} $(moved)",
            "--by",
            "",
        ];
        assert_eq!(words(order).unwrap(), meant);
    }
}
