//! Remembers which password a peer refused, so that a second self-test does not bring an account nearer to its lock.
//!
//! One line per peer: its name and 16 bits of a digest, too few to tell anything about the password. A wrong guess, one
//! in 65,536, costs a technician one look at the password file.

use crate::shell::identity::sha256;
use std::fs;
use std::path::{Path, PathBuf};

const FILE: &str = "self-test.refused";

pub struct Refused(PathBuf);

impl Refused {
    pub fn in_folder(data_dir: &Path) -> Refused {
        Refused(data_dir.join(FILE))
    }

    fn line(peer: &str, user: &str, password: &str) -> String {
        let digest = sha256(format!("{peer}\0{user}\0{password}").as_bytes());
        format!("{peer} {:02x}{:02x}", digest[0], digest[1])
    }

    /// Whether this password was refused before.
    pub fn knows(&self, peer: &str, user: &str, password: &str) -> bool {
        let line = Refused::line(peer, user, password);
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().any(|known| known == line)
    }

    /// Notes how the peer took it. Where it cannot be noted, the next self-test tries again.
    pub fn note(&self, peer: &str, user: &str, password: &str, refused: bool) {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(peer)).collect();
        let line = Refused::line(peer, user, password);
        if refused {
            lines.push(&line);
        }
        let _ = if lines.is_empty() {
            fs::remove_file(&self.0)
        } else {
            fs::write(&self.0, lines.join("\n") + "\n")
        };
    }
}
