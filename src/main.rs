//! The program: words in, exit code out. Everything else is in the library.
#![forbid(unsafe_code)]

use referral_gateway::shell::program;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(program::run_line(std::env::args_os().skip(1)))
}
