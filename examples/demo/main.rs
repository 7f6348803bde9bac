//! The whole story on one machine: the real gateway, run as it runs in an office, against Primero, OSCaR and an MQTT
//! broker that are simulated in this process behind real TLS. `cargo run --release --example demo`
//!
//! Needs nothing but a Rust toolchain, no network; ends by itself; exit code 0 only if every promise held.
#![forbid(unsafe_code)]

mod children;
mod office;
mod promises;
mod relay;
mod screen;
mod story;

use office::{Office, Service, Trouble};
use screen::{Tone, paint, say};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// With this first word the program is the gateway: an example cannot rely on another binary being built.
const AS_GATEWAY: &str = "as-gateway";
/// The same for the service, which ends with the demo: when standard input does.
const AS_SERVICE: &str = "as-service";
/// The demo ends within two minutes, whatever happens.
const AT_MOST: Duration = Duration::from_secs(110);

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    let service = words.next_if(|word| word == AS_SERVICE).is_some();
    if service || words.next_if(|word| word == AS_GATEWAY).is_some() {
        if service {
            std::thread::spawn(end_with_input);
        }
        return ExitCode::from(referral_gateway::shell::program::run_line(words));
    }
    let started = Instant::now();
    match tell() {
        Ok(kept) => {
            let seconds = started.elapsed().as_secs_f32();
            say("");
            if kept {
                let line =
                    format!("Every promise held ({seconds:.0} s). The folder all this happened in is gone.");
                say(&paint(Tone::Good, &line));
                ExitCode::SUCCESS
            } else {
                say(&paint(Tone::Bad, "A promise was broken."));
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            say(&paint(Tone::Bad, &format!("The demo could not go on: {error}")));
            ExitCode::FAILURE
        }
    }
}

/// The demo died without a word: the service must not outlive it.
fn end_with_input() {
    // Nothing is ever written there; an error is an end as well.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    std::process::exit(1);
}

fn tell() -> Result<bool, Trouble> {
    let home = TempDir::with_prefix("referral-gateway-demo-")?;
    let service = Service::default();
    watch(service.clone(), home.path().to_owned())?;
    let told = Office::new(home.path(), service.clone()).and_then(|office| {
        let told = story::tell(&office);
        if told.is_err() {
            screen::quoted(&office.log());
        }
        told
    });
    office::end(&service);
    home.close()?;
    told
}

/// Cleans up when somebody interrupts the demo, or when it hangs.
fn watch(service: Service, home: PathBuf) -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        let hung = runtime.block_on(async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => false,
                _ = tokio::time::sleep(AT_MOST) => true,
            }
        });
        if hung {
            say(&paint(Tone::Bad, "The demo took too long and gives up."));
        }
        office::end(&service);
        // Nothing more can be done about a folder that stays.
        let _ = std::fs::remove_dir_all(&home);
        std::process::exit(if hung { 1 } else { 130 });
    });
    Ok(())
}
