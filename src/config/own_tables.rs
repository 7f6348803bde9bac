//! The file of `[mapping]`: rows of a site's own, laid over the tables that are built in.

use super::{Config, ConfigError};
use crate::core::mapping::Mapping;
use std::path::{Path, PathBuf};

/// A site's own mapping rows, checked.
#[derive(Clone, Debug)]
pub struct OwnTables {
    pub path: PathBuf,
    pub text: String,
}

/// Largest mapping file, in bytes: forty times the built-in tables.
const MAPPING_BYTES_MAX: u64 = 512 * 1024;

pub fn read(path: &Path) -> Result<OwnTables, ConfigError> {
    let wrong = |why: String| ConfigError(format!("mapping.file: {}: {why}", path.display()));
    let size = std::fs::metadata(path)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if size > MAPPING_BYTES_MAX {
        return Err(wrong(format!("larger than {} kB", MAPPING_BYTES_MAX / 1024)));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    Mapping::overridden(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(OwnTables {
        path: path.to_owned(),
        text,
    })
}

impl Config {
    /// The tables this gateway goes by.
    pub fn tables(&self) -> Mapping {
        match &self.mapping {
            None => Mapping::built_in(),
            Some(file) => Mapping::overridden(&file.text).expect("checked when the configuration was read"),
        }
    }
}
