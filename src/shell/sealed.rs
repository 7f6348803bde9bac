//! Passwords that a provisioning file brought: their files hold them sealed under the device key, and they are opened
//! here before anybody uses them. A file written by hand, in clear, is used as it is.

use crate::config::{self, Config, ConfigError, Secret};
use crate::store::{DeviceKey, SEALED_TEXT};
use std::path::Path;

/// Every sealed text of a box, by the name of its file.
pub const NAMES: [&str; 5] = [
    "primero.password",
    "oscar.password",
    "mqtt.password",
    "wifi.password",
    "swap.passphrase",
];

/// The configuration with its passwords opened.
pub fn opened(mut config: Config) -> Result<Config, ConfigError> {
    let key_file = config.gateway.seal_key_file.clone();
    open("primero.password", &mut config.primero.password, &key_file)?;
    open("oscar.password", &mut config.oscar.password, &key_file)?;
    if let Some(password) = config.mqtt.as_mut().and_then(|mqtt| mqtt.password.as_mut()) {
        open("mqtt.password", password, &key_file)?;
    }
    Ok(config)
}

/// Reads the passwords of both systems again: one of them was refused, and somebody may have corrected it since.
pub fn read_again(config: &mut Config) -> Result<(), ConfigError> {
    let key_file = config.gateway.seal_key_file.clone();
    let read = |section: &str, file: &Path| {
        let mut secret = Secret::new(config::secret_file(&format!("{section}.password_file"), file)?);
        open(&format!("{section}.password"), &mut secret, &key_file)?;
        Ok::<_, ConfigError>(secret)
    };
    let primero = read("primero", &config.primero.password_file)?;
    let oscar = read("oscar", &config.oscar.password_file)?;
    (config.primero.password, config.oscar.password) = (primero, oscar);
    Ok(())
}

fn open(name: &str, secret: &mut Secret, key_file: &Path) -> Result<(), ConfigError> {
    if !secret.reveal().starts_with(SEALED_TEXT) {
        return Ok(());
    }
    let again = "write it into gateway.txt on the card again";
    if !key_file.exists() {
        return Err(ConfigError(format!(
            "{name} is sealed, and {} is not there: {again}",
            key_file.display()
        )));
    }
    let key = DeviceKey::load_or_make(key_file).map_err(|error| ConfigError(format!("{name}: {error}")))?;
    let plain = key
        .open_text(name, secret.reveal())
        .ok_or_else(|| ConfigError(format!("{name} was sealed by another box: {again}")))?;
    *secret = Secret::new(plain);
    Ok(())
}
