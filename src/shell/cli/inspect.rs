//! Commands that only look at files: the configuration, and what the drop folder has sealed.

use super::{Line, exit, failed, load};
use crate::config::Config;
use crate::shell::drop_folder;
use crate::shell::parts;
use crate::store::DeviceKey;
use serde_json::json;
use std::path::Path;

/// `check-config`
pub fn check_config(line: &Line) -> u8 {
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let notes = match parts::check(&config) {
        Ok(notes) => notes,
        Err(error) => {
            let words = format!("{}: {error}", line.config.display());
            return failed(line, "configuration", &words, exit::USAGE);
        }
    };
    if line.json {
        println!("{}", json!({"config": config.json(), "notes": notes}));
        return exit::OK;
    }
    print!("{}", config.printed());
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    exit::OK
}

/// `events rejected FILE`: opens what the drop folder sealed, for whoever has to correct it.
pub fn rejected(line: &Line, config: &Config, file: &Path) -> u8 {
    match opened(config, file) {
        Ok(bytes) if line.json => println!("{}", json!({"content": String::from_utf8_lossy(&bytes)})),
        Ok(bytes) => print!("{}", String::from_utf8_lossy(&bytes)),
        Err(why) => {
            let words = format!("{}: {why}", file.display());
            return failed(line, "not_opened", &words, exit::FAILED);
        }
    }
    exit::OK
}

fn opened(config: &Config, file: &Path) -> Result<Vec<u8>, String> {
    let sealed = std::fs::read(file).map_err(|error| error.to_string())?;
    let key_file = &config.gateway.seal_key_file;
    if !key_file.exists() {
        return Err(format!("{} is not there", key_file.display()));
    }
    let key = DeviceKey::load_or_make(key_file).map_err(|error| error.to_string())?;
    drop_folder::opened(&key.derive("rejected intake"), &sealed)
        .ok_or_else(|| "not a file this box has sealed".to_owned())
}
