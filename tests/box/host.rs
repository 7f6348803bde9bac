//! This machine: its programs, and its patience.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest anything is waited for: two busy cores emulate four others.
pub const PATIENCE: Duration = Duration::from_secs(900);

/// What `boards/image` makes of a board.
pub fn built(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/boards")
        .join(name);
    assert!(file.exists(), "{}: sudo boards/image BOARD", file.display());
    file
}

/// Runs a program of the host that must succeed, and gives what it said.
pub fn host(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("MTOOLS_SKIP_CHECK", "1")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// What U-Boot's script says: behind a header of 64 bytes, the length of the only part, and its end.
pub fn script_text(script: &Path) -> String {
    let bytes = std::fs::read(script).unwrap();
    String::from_utf8(bytes[72..].to_vec()).unwrap()
}

/// Makes U-Boot's script anew, with other words in one place.
pub fn change_boot_script(script: &Path, words: &str, others: &str) {
    let text = script_text(script);
    assert!(text.contains(words), "{text}");
    let plain = script.with_extension("cmd");
    std::fs::write(&plain, text.replace(words, others)).unwrap();
    let (plain, made) = (plain.to_str().unwrap(), script.to_str().unwrap());
    host(
        "mkimage",
        &["-A", "arm64", "-T", "script", "-C", "none", "-d", plain, made],
    );
}

/// Waits for something that must come.
pub fn wait_until(what: &str, mut come: impl FnMut() -> bool) {
    let start = Instant::now();
    while !come() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(500));
    }
}
