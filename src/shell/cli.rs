//! The command line (design §4): words to a [`Command`], nothing else.

mod ask;
mod boxes;
mod enqueue;
mod events;
pub mod fleet;
mod inspect;
mod provision;
mod reconcile;
mod self_test;
mod shadow;
mod station;
mod stick;
mod support;
#[cfg(test)]
mod tests;

use crate::config::{Config, DEFAULT_PATH};
use crate::core::record::State;
use crate::shell::office::Settlement;
use crate::shell::parts::StartError;
use crate::shell::sealed;
use crate::shell::stations::StationOrder;
use lexopt::{Arg, Parser, ValueExt};
use std::path::PathBuf;

pub use ask::{status, sync};
pub use boxes::{BoxCommand, boxes};
pub use enqueue::enqueue;
pub use events::events;
pub use inspect::check_config;
pub use provision::{ProvisionCommand, provision};
pub use reconcile::reconcile;
pub use self_test::self_test;
pub use shadow::shadow;
pub use station::station;
pub use support::support_bundle;

/// Exit codes of design §4.
pub mod exit {
    pub const OK: u8 = 0;
    pub const FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    /// Validation, or a key already used for another body.
    pub const REFUSED: u8 = 3;
    pub const NEEDS_A_PERSON: u8 = 4;
    pub const TRY_LATER: u8 = 75;
}

pub const HELP: &str = "\
referral-gateway: takes in referral events and carries them to Primero and OSCaR

usage: referral-gateway [--config FILE] COMMAND [options]

  run                           run the service
  enqueue FILE|- [--dry-run]    take in events: a JSON object, an array, or JSON Lines
  sync [--shadow [--reveal]]    run a session now and wait for its end; with --shadow, only show what it would send
  reconcile [--last]            look at every open referral in both systems and show what differs; or the last report
  status                        how the gateway stands
  events list [--state STATE]   all events, or those pending, in_doubt, parked, delivered, discarded
  events show KEY [--reveal]    one event's story; --reveal opens the sealed part
  events requeue KEY            send a parked event round again
  events resolve KEY --arrived | --not-arrived | --settled | --take oscar|primero
                                settle what the gateway cannot know
  events discard KEY --note TEXT
                                give an event up, and say why
  events rejected FILE          open a file the drop folder rejected
  station add NAME              let a station of the office send over the LAN; shows its token once
  station list                  who may, and who may no more
  station revoke NAME           refuse a station from now on
  fleet --broker URL [--once] [--check [GATEWAY]] [--listen ADDRESS] [--prefix P] [--fleet F] [--wait SECONDS]
        [--ca-file F] [--user-name N --password-file F] [--client-cert F --client-key F]
                                at the central desk: all gateways, from what the broker keeps
  fleet key FILE                make a key that signs commands
  fleet send FLEET/GATEWAY sync|reannounce|requeue [NUMBER]|lock|unlock --key FILE [--expires SECONDS] [--print]
                                send a signed command and wait for what becomes of it
  check-config                  check the configuration and print what it comes to
  self-test [--sheet FILE]      check box, line, systems and broker; ends with an installation sheet to print
  support-bundle [--output FILE]
                                one file for whoever helps from afar, without names and secrets
  provision new                 print a provisioning file to fill in (save it as gateway.txt)
  provision check FILE          check it before it goes onto the card
  provision apply FILE FOLDER [BOARD]
                                take it in; the box does this itself at each start
  box export FOLDER [FILE]      hand this box over to another: seal everything onto a stick, and lock this one
  box import FOLDER [FILE]      take another box's place; FILE holds the passphrase if provisioning brought none
  box unlock --note TEXT        undo the lock of a box whose export was lost
  box reset [FILE]              empty this box; refused while events wait in it
  box undelivered               how many wait
  help, --version

  --config FILE   default /etc/referral-gateway/gateway.toml
  --json          print JSON
  --by NAME       who decides, for requeue, resolve and discard; default: the name you are logged in with

exit codes: 0 ok, 1 failed, 2 usage, 3 refused, 4 needs a person, 75 try later
";

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Version,
    Run,
    CheckConfig,
    Enqueue {
        file: String,
        dry_run: bool,
    },
    Sync,
    Shadow {
        reveal: bool,
    },
    /// Looks at the open referrals, or shows the last report.
    Reconcile {
        last: bool,
    },
    Status,
    Events(EventsCommand),
    Station(StationOrder),
    SelfTest {
        sheet: Option<PathBuf>,
    },
    SupportBundle {
        output: Option<PathBuf>,
    },
    /// The central desk's command.
    Fleet(Box<fleet::Fleet>),
    Provision(ProvisionCommand),
    Box(BoxCommand),
}

#[derive(Debug, PartialEq, Eq)]
pub enum EventsCommand {
    List { state: Option<State> },
    Show { key: String, reveal: bool },
    Requeue { key: String },
    Resolve { key: String, verdict: Settlement },
    Discard { key: String, note: String },
    Rejected { file: PathBuf },
}

/// The whole line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub config: PathBuf,
    pub json: bool,
    pub by: Option<String>,
    pub command: Command,
}

#[derive(Default)]
struct Options {
    config: Option<PathBuf>,
    json: bool,
    by: Option<String>,
    dry_run: bool,
    reveal: bool,
    shadow: bool,
    last: bool,
    state: Option<State>,
    note: Option<String>,
    sheet: Option<PathBuf>,
    output: Option<PathBuf>,
    verdict: Option<Settlement>,
    words: Vec<String>,
    fleet: Option<Box<fleet::Fleet>>,
    help: bool,
    version: bool,
}

/// Reads the words; an error is a sentence for whoever typed them.
pub fn parse(parser: Parser) -> Result<Line, String> {
    let mut options = collect(parser).map_err(|error| error.to_string())?;
    let words = std::mem::take(&mut options.words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let command = match (options.help, options.version, words.as_slice()) {
        (true, _, _) | (_, _, ["help"]) => Command::Help,
        (_, true, _) => Command::Version,
        (_, _, ["fleet"]) => Command::Fleet(options.fleet.take().ok_or("say what the fleet is to do")?),
        (_, _, []) => return Err("say what to do; `referral-gateway help` lists the commands".to_owned()),
        (_, _, words) => command(words, &mut options)?,
    };
    let left_over = [
        (options.dry_run, "--dry-run"),
        (options.reveal, "--reveal"),
        (options.shadow, "--shadow"),
        (options.last, "--last"),
        (options.state.is_some(), "--state"),
        (options.note.is_some(), "--note"),
        (options.sheet.is_some(), "--sheet"),
        (options.output.is_some(), "--output"),
        (
            options.verdict.is_some(),
            "--arrived, --not-arrived, --settled and --take",
        ),
    ];
    if let Some((_, name)) = left_over.iter().find(|(given, _)| *given) {
        return Err(format!("{name} does not go with this command"));
    }
    let config = options.config.unwrap_or_else(|| PathBuf::from(DEFAULT_PATH));
    Ok(Line {
        // A bare name has no folder, and much is found by the file's folder.
        config: std::path::absolute(&config).unwrap_or(config),
        json: options.json,
        by: options.by,
        command,
    })
}

fn command(words: &[&str], options: &mut Options) -> Result<Command, String> {
    Ok(match words {
        ["run"] => Command::Run,
        ["check-config"] => Command::CheckConfig,
        ["support-bundle"] => Command::SupportBundle {
            output: options.output.take(),
        },
        ["self-test"] => Command::SelfTest {
            sheet: options.sheet.take(),
        },
        ["sync"] if std::mem::take(&mut options.shadow) => Command::Shadow {
            reveal: std::mem::take(&mut options.reveal),
        },
        ["sync"] => Command::Sync,
        ["reconcile"] => Command::Reconcile {
            last: std::mem::take(&mut options.last),
        },
        ["status"] => Command::Status,
        ["enqueue", file] => Command::Enqueue {
            file: (*file).to_owned(),
            dry_run: std::mem::take(&mut options.dry_run),
        },
        ["enqueue"] => return Err("enqueue what? name a file, or - for standard input".to_owned()),
        ["station", rest @ ..] => Command::Station(station::order(rest)?),
        ["provision", rest @ ..] => Command::Provision(ProvisionCommand::read(rest)?),
        ["box", rest @ ..] => Command::Box(BoxCommand::read(rest, &mut options.note)?),
        ["events", rest @ ..] => Command::Events(events_command(rest, options)?),
        [other, ..] => {
            return Err(format!(
                "there is no command `{other}`; `referral-gateway help` lists them"
            ));
        }
        [] => return Err("say what to do".to_owned()),
    })
}

fn events_command(words: &[&str], options: &mut Options) -> Result<EventsCommand, String> {
    Ok(match words {
        ["list"] => EventsCommand::List {
            state: options.state.take(),
        },
        ["show", key] => EventsCommand::Show {
            key: (*key).to_owned(),
            reveal: std::mem::take(&mut options.reveal),
        },
        ["requeue", key] => EventsCommand::Requeue {
            key: (*key).to_owned(),
        },
        ["resolve", key] => {
            let verdict = options.verdict.take();
            let verdict = verdict.ok_or("say --arrived, --not-arrived, --settled or --take")?;
            EventsCommand::Resolve {
                key: (*key).to_owned(),
                verdict,
            }
        }
        ["discard", key] => {
            let note = options.note.take().filter(|note| !note.trim().is_empty());
            let note = note.ok_or("a discard needs --note: say why, for whoever asks later")?;
            EventsCommand::Discard {
                key: (*key).to_owned(),
                note,
            }
        }
        ["rejected", file] => EventsCommand::Rejected {
            file: PathBuf::from(file),
        },
        ["show" | "requeue" | "resolve" | "discard"] => return Err("name the event's key".to_owned()),
        _ => return Err("events list|show|requeue|resolve|discard|rejected".to_owned()),
    })
}

fn collect(mut parser: Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("config") => options.config = Some(PathBuf::from(parser.value()?)),
            Arg::Long("json") => options.json = true,
            Arg::Long("by") => options.by = Some(parser.value()?.string()?),
            Arg::Long("dry-run") => options.dry_run = true,
            Arg::Long("reveal") => options.reveal = true,
            Arg::Long("shadow") => options.shadow = true,
            Arg::Long("last") => options.last = true,
            Arg::Long("state") => {
                let word = parser.value()?.string()?;
                let state = State::ALL.into_iter().find(|state| state.word() == word);
                options.state = Some(state.ok_or_else(|| {
                    lexopt::Error::from("--state is pending, in_doubt, parked, delivered or discarded")
                })?);
            }
            Arg::Long("sheet") => options.sheet = Some(PathBuf::from(parser.value()?)),
            Arg::Long("output") => options.output = Some(PathBuf::from(parser.value()?)),
            Arg::Long("note") => options.note = Some(parser.value()?.string()?),
            Arg::Long("arrived") => options.verdict = Some(Settlement::Arrived),
            Arg::Long("not-arrived") => options.verdict = Some(Settlement::NotArrived),
            Arg::Long("settled") => options.verdict = Some(Settlement::Settled),
            Arg::Long("take") => {
                options.verdict = Some(match parser.value()?.string()?.as_str() {
                    "oscar" => Settlement::TakeOscar,
                    "primero" => Settlement::TakePrimero,
                    _ => return Err(lexopt::Error::from("--take is oscar or primero")),
                });
            }
            Arg::Long("help") | Arg::Short('h') => options.help = true,
            Arg::Long("version") | Arg::Short('V') => options.version = true,
            Arg::Value(word) if options.words.is_empty() && word == "fleet" => {
                options.words.push(word.string()?);
                options.fleet = Some(Box::new(fleet::parse(&mut parser, options.json)?));
            }
            Arg::Value(word) => options.words.push(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

/// Reads the configuration, or says what is wrong with it.
pub fn load(line: &Line) -> Result<Config, u8> {
    Config::load(&line.config)
        .and_then(sealed::opened)
        .map_err(|error| {
            let words = format!("{}: {error}", line.config.display());
            failed(line, "configuration", &words, exit::USAGE)
        })
}

/// Says why nothing was done: an error object for programs, a sentence on standard error for people.
fn failed(line: &Line, code: &str, words: &str, exit: u8) -> u8 {
    if line.json {
        println!("{}", serde_json::json!({"error": code, "reason": words}));
    } else {
        // A stick that is gone takes the words along, not the code.
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{words}\n"));
    }
    exit
}

/// The same for a store or a setting that stands in the way.
fn not_opened(line: &Line, error: &StartError) -> u8 {
    let exit = if error.passing() {
        exit::TRY_LATER
    } else {
        exit::FAILED
    };
    failed(line, "not_opened", &error.to_string(), exit)
}

/// The service is there and says nothing.
fn unanswered(line: &Line, error: &std::io::Error) -> u8 {
    let words = format!("the service does not answer on its control socket: {error}");
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => exit::FAILED,
        _ => exit::TRY_LATER,
    };
    failed(line, "no_answer", &words, exit)
}
