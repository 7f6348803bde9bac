//! Signed commands from the desk: the key, the signature, and waiting for what becomes of it.

use super::{account, runtime};
use crate::core::command::{Command, DOMAIN, Order};
use crate::shell::cli::exit;
use crate::shell::cli::fleet::{Fleet as Line, Task};
use crate::shell::clock;
use crate::shell::mqtt::{Heard, Publication, listen};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// `fleet key FILE`: makes a signing key, for its owner alone, and prints what goes into the gateways' configuration.
pub fn make_key(file: &Path) -> Result<u8, String> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let document = made.map_err(|_| "the system gives no random numbers".to_owned())?;
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(document.as_ref())
    );
    // Never over an existing key: the gateways know that one.
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    let written = opened.and_then(|mut file| file.write_all(pem.as_bytes()));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let key = read_key(file)?;
    println!(
        "command_keys = [\"{}\"]",
        STANDARD.encode(key.public_key().as_ref())
    );
    Ok(exit::OK)
}

fn read_key(file: &Path) -> Result<Ed25519KeyPair, String> {
    let wrong = || {
        format!(
            "{} holds no Ed25519 key in PEM form; `fleet key` makes one",
            file.display()
        )
    };
    let text = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| wrong())?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| wrong())
}

/// The payload for `cmd`.
fn signed(key: &Ed25519KeyPair, command: &Command) -> String {
    let text = command.text();
    let sig = STANDARD.encode(key.sign(&[DOMAIN, text.as_bytes()].concat()));
    serde_json::json!({ "v": 1, "signed": text, "sig": sig }).to_string()
}

/// `fleet send`: exit code 0 done, 3 refused, 75 no answer.
pub fn send(line: &Line) -> Result<u8, String> {
    let Task::Send {
        gateway,
        order,
        seq,
        print,
    } = &line.task
    else {
        return Ok(exit::USAGE);
    };
    let gateway = match (&line.fleet, gateway.contains('/')) {
        (_, true) => gateway.clone(),
        (Some(fleet), false) => format!("{fleet}/{gateway}"),
        (None, false) => return Err("name the gateway as FLEET/GATEWAY, or say --fleet".to_owned()),
    };
    let order = Order::named(order, *seq).ok_or("sync, reannounce, requeue [NUMBER], lock or unlock")?;
    let file = line
        .key
        .as_deref()
        .ok_or("which key? --key FILE; `fleet key FILE` makes one")?;
    let mut id = [0; 16];
    let random = SystemRandom::new().fill(&mut id);
    random.map_err(|_| "the system gives no random numbers".to_owned())?;
    let command = Command {
        id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        gateway,
        order,
        expires: clock::wall(0).unix + i64::try_from(line.expires.as_secs()).unwrap_or(0),
    };
    let payload = signed(&read_key(file)?, &command);
    if *print {
        println!("{payload}");
        return Ok(exit::OK);
    }
    exchange(line, &command, &payload)
}

/// Says it, and waits for the answer that bears its id.
fn exchange(line: &Line, command: &Command, payload: &str) -> Result<u8, String> {
    let account = account(line)?;
    let base = format!("{}/{}", line.prefix, command.gateway);
    let say =
        Publication::new(&format!("{base}/cmd"), payload.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = None;
    let mut heard = |heard: Heard| match heard {
        Heard::Denied => ControlFlow::Break(()),
        Heard::Said { payload, .. } => match serde_json::from_slice::<Value>(payload) {
            // An answer without an id is one to a bad signature: whose, nobody can say, so it is told with care below.
            Ok(said) if said["id"] == *command.id || said["id"].is_null() => {
                answer = Some(said);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        },
        Heard::Connected | Heard::Complete => ControlFlow::Continue(()),
    };
    let filter = format!("{base}/cmd-result");
    let talk = listen(&account, &filter, Some(say), &mut heard);
    let ended = runtime()?.block_on(async { tokio::time::timeout(line.wait, talk).await });
    let Some(answer) = answer else {
        let why = match ended {
            Ok((state, _)) => format!("the broker: {}", state.word()),
            Err(_) => {
                "the gateway is away, or the broker does not let this user write its cmd topic".to_owned()
            }
        };
        eprintln!("no answer from {}: {why}", command.gateway);
        return Ok(exit::TRY_LATER);
    };
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    if line.json {
        println!("{answer}");
    } else {
        println!(
            "{} {}: {} {}",
            command.gateway,
            command.order.word(),
            text("outcome"),
            text("reason")
        );
    }
    Ok(match text("outcome").as_str() {
        "done" => exit::OK,
        "refused" => exit::REFUSED,
        _ => exit::TRY_LATER,
    })
}
