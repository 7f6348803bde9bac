//! The program from its words to its exit code: what `main` runs, and whoever embeds it.

use super::cli::{self, Command, Line, exit};
use super::{driver, fleet, log, parts};
use crate::config::Config;
#[cfg(debug_assertions)]
use crate::core::planted;
use std::ffi::OsString;

/// Does what the words after the program's name say; the exit code.
pub fn run_line<Words>(words: Words) -> u8
where
    Words: IntoIterator<Item = OsString>,
    Words::IntoIter: 'static,
{
    let line = match cli::parse(lexopt::Parser::from_args(words)) {
        Ok(line) => line,
        Err(words) => {
            eprintln!("{words}");
            return exit::USAGE;
        }
    };
    match &line.command {
        Command::Help => {
            print!("{}", cli::HELP);
            exit::OK
        }
        Command::Version => {
            // The package asks for the schema before it puts an older program in this one's place.
            println!(
                "referral-gateway {}, store schema {}",
                env!("CARGO_PKG_VERSION"),
                crate::store::SCHEMA
            );
            exit::OK
        }
        Command::Run => run(&line),
        Command::CheckConfig => cli::check_config(&line),
        Command::Enqueue { file, dry_run } => cli::enqueue(&line, file, *dry_run),
        Command::Sync => cli::sync(&line),
        Command::Shadow { reveal } => cli::shadow(&line, *reveal),
        Command::Reconcile { last } => cli::reconcile(&line, *last),
        Command::Status => cli::status(&line),
        Command::Events(command) => cli::events(&line, command),
        Command::Fleet(line) => fleet::run(line),
        Command::Station(order) => cli::station(&line, order),
        Command::Box(command) => cli::boxes(&line, command),
        Command::SupportBundle { output } => cli::support_bundle(&line, output.as_deref()),
        Command::SelfTest { sheet } => cli::self_test(&line, sheet.as_deref()),
        Command::Provision(command) => cli::provision(&line, command),
    }
}

/// The service, on one thread of its own runtime; the store and the session have theirs.
fn run(line: &Line) -> u8 {
    let config = match cli::load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    #[cfg(debug_assertions)]
    if std::env::var_os("PLANTED").is_some_and(|word| word == "panic") {
        planted::plant_everywhere(planted::Defect::PanicInHand);
        abort_on_panic();
    }
    match serve(&config) {
        Ok(()) => exit::OK,
        Err(error) => {
            log::warn(&error);
            if error.passing() {
                exit::TRY_LATER
            } else {
                exit::FAILED
            }
        }
    }
}

/// As the release profile has it.
#[cfg(debug_assertions)]
fn abort_on_panic() {
    let says = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        says(panic);
        std::process::abort();
    }));
}

fn serve(config: &Config) -> Result<(), parts::StartError> {
    let parts = parts::open(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| parts::StartError::Setting(format!("no runtime: {error}")))?;
    let result = runtime.block_on(driver::run(config, parts));
    // Connections still open belong to clients that went away; nothing of theirs is unsaved.
    runtime.shutdown_background();
    result
}
