//! The program: words in, exit code out. Everything else is in the library.
#![forbid(unsafe_code)]

use referral_gateway::config::Config;
use referral_gateway::shell::cli::{self, Command, Line, exit};
use referral_gateway::shell::{driver, log, parts};
use std::process::ExitCode;

fn main() -> ExitCode {
    let line = match cli::parse(lexopt::Parser::from_env()) {
        Ok(line) => line,
        Err(words) => {
            eprintln!("{words}");
            return ExitCode::from(exit::USAGE);
        }
    };
    ExitCode::from(match &line.command {
        Command::Help => {
            print!("{}", cli::HELP);
            exit::OK
        }
        Command::Version => {
            println!("referral-gateway {}", env!("CARGO_PKG_VERSION"));
            exit::OK
        }
        Command::Run => run(&line),
        Command::CheckConfig => cli::check_config(&line),
        Command::Enqueue { file, dry_run } => cli::enqueue(&line, file, *dry_run),
        Command::Sync => cli::sync(&line),
        Command::Status => cli::status(&line),
        Command::Events(command) => cli::events(&line, command),
    })
}

/// The service, on one thread of its own runtime; the store and the session have theirs.
fn run(line: &Line) -> u8 {
    let config = match cli::load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    config.notices.iter().for_each(log::warn);
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
