//! What a configuration has on the disk, read without opening any of it: whoever empties a box must find the rest again
//! when some of it has gone already.

use super::ConfigError;
use std::path::{Path, PathBuf};

/// The folders and files of one box.
#[derive(Debug)]
pub struct Belongings {
    pub data_dir: PathBuf,
    pub seal_key_file: PathBuf,
    /// Passwords, and the key and certificate this box shows the desk, wherever and whatever they are called.
    pub secrets: Vec<PathBuf>,
}

impl Belongings {
    /// As the file names them; they need not be there.
    pub fn named_in(path: &Path) -> Result<Belongings, ConfigError> {
        let text = super::text_of(path)?;
        let raw = super::section::read::<super::RawConfig>(&text)?;
        let home = path.parent().unwrap_or(Path::new("."));
        let (data_dir, seal_key_file) = folders(raw.gateway.data_dir, raw.gateway.seal_key_file, home);
        let mqtt = raw
            .mqtt
            .map(|mqtt| [mqtt.password_file, mqtt.client_cert, mqtt.client_key]);
        let secrets = [raw.primero.password_file, raw.oscar.password_file].into_iter();
        let secrets = secrets.chain(mqtt.into_iter().flatten().flatten());
        Ok(Belongings {
            data_dir,
            seal_key_file,
            secrets: secrets.map(|file| home.join(file)).collect(),
        })
    }
}

/// Where the store is, and the device key.
pub(super) fn folders(data_dir: PathBuf, seal_key_file: Option<PathBuf>, home: &Path) -> (PathBuf, PathBuf) {
    let data_dir = home.join(data_dir);
    let key = seal_key_file.map_or_else(|| data_dir.join("seal.key"), |path| home.join(path));
    (data_dir, key)
}
