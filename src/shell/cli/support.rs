//! `support-bundle [--output FILE]`: one JSON file for whoever helps from afar. Nothing in it is about a child, a family
//! or a worker, and no secret: it can be sent by any mail.

use super::ask::standing_alone;
use super::{Line, exit, failed, load};
use crate::config::Config;
use crate::core::status::stamp;
use crate::shell::{clock, control, diagnosis, figures, parts};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `systemctl show` is asked for.
const UNIT: &str =
    "ActiveState,SubState,Result,NRestarts,ExecMainStatus,ExecMainStartTimestamp,StatusText,MemoryCurrent";
/// Lines of the journal: those of earlier starts, which the program itself has forgotten.
const JOURNAL_LINES: &str = "300";

/// `support-bundle`
pub fn support_bundle(line: &Line, output: Option<&Path>) -> u8 {
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let bundle = format!("{:#}\n", bundle(&config));
    if line.json && output.is_none() {
        print!("{bundle}");
        return exit::OK;
    }
    let file = output.map_or_else(
        || PathBuf::from(format!("support-{}.json", config.gateway.id)),
        Path::to_owned,
    );
    if let Err(error) = write(&file, &bundle) {
        let words = format!("the bundle could not be written to {}: {error}", file.display());
        return failed(line, "bundle", &words, exit::FAILED);
    }
    if line.json {
        println!(
            "{}",
            json!({ "bundle": file.display().to_string(), "bytes": bundle.len() })
        );
    } else {
        println!(
            "{}: {} kB of plain text, without names and secrets; look through it, then send it",
            file.display(),
            bundle.len().div_ceil(1000)
        );
    }
    exit::OK
}

/// For its owner alone all the same.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn bundle(config: &Config) -> Value {
    let (status, diagnosis) = asked(config);
    json!({
        "bundle": 1,
        "made_at": clock::wall(0).known().and_then(stamp),
        "version": env!("CARGO_PKG_VERSION"),
        "board": figures::board(),
        "config": config.json(),
        "status": status,
        "diagnosis": diagnosis,
        "unit": unit(),
        "journal": lines("journalctl", &["-u", "referral-gateway", "-n", JOURNAL_LINES, "--no-pager", "-o", "short-iso"]),
        "disk": lines("df", &["-Pk", &config.gateway.data_dir.display().to_string()]),
        "kernel": std::fs::read_to_string("/proc/version").ok().map(|text| text.trim().to_owned()),
        "memory": std::fs::read_to_string("/proc/meminfo").ok().map(|text| text.lines().take(3).collect::<Vec<_>>().join("; ")),
    })
}

/// Status and diagnosis: of the running service, or of the store itself. A store that does not open is a finding, not a
/// reason to give up.
fn asked(config: &Config) -> (Value, Value) {
    let socket = parts::socket_path(config);
    let ask = |target| control::ask(&socket, "GET", target, Vec::new());
    match (ask("/v1/status"), ask("/v1/diagnosis")) {
        (Ok(Some((_, status))), Ok(Some((_, diagnosis)))) => (status, diagnosis),
        (Ok(None), _) => {
            let alone = parts::open_existing(config)
                .and_then(|parts| Ok((standing_alone(config, &parts)?, diagnosis::of(&parts.store))));
            alone.unwrap_or_else(|error| (json!({ "not_opened": error.to_string() }), Value::Null))
        }
        (Err(error), _) | (_, Err(error)) => (json!({ "not_answering": error.to_string() }), Value::Null),
        (_, Ok(None)) => (json!({ "not_answering": "it stopped just now" }), Value::Null),
    }
}

fn unit() -> Value {
    lines("systemctl", &["show", "referral-gateway", "--property", UNIT])
}

/// What another program prints, as lines; null where there is no such program or it does not work here.
fn lines(program: &str, words: &[&str]) -> Value {
    let output = Command::new(program).args(words).output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            text.lines().collect::<Vec<_>>().into()
        }
        Ok(_) | Err(_) => Value::Null,
    }
}
