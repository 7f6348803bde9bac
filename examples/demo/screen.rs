//! What the terminal shows. Lines of the demo stand at the margin; lines of the gateway stand behind a bar.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

/// Longest line, without the bar.
const WIDTH: usize = 116;

#[derive(Clone, Copy)]
pub enum Tone {
    Good,
    Bad,
    Careful,
    Heading,
    Faint,
}

fn coloured() -> bool {
    static COLOURED: OnceLock<bool> = OnceLock::new();
    *COLOURED.get_or_init(|| {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        wanted && std::io::stdout().is_terminal()
    })
}

/// The text in a colour, if there are colours.
pub fn paint(tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "1;31",
        Tone::Careful => "33",
        Tone::Heading => "1",
        Tone::Faint => "2",
    };
    if coloured() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// One line. A reader that went away (`| head`) does not stop the demo.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

pub fn heading(number: u32, text: &str) {
    say("");
    say(&paint(Tone::Heading, &format!("{number}. {text}")));
}

/// A command as somebody types it.
pub fn typed(words: &str) {
    say(&format!("  {} {words}", paint(Tone::Faint, "$ referral-gateway")));
}

/// Lines the gateway itself printed; only folded.
pub fn quoted(text: &str) {
    for line in text.lines().flat_map(folded) {
        say(format!("  {} {line}", paint(Tone::Faint, "│")).trim_end());
    }
}

/// A long line in several, broken after a space or a comma.
fn folded(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in line.split_inclusive([' ', ',']) {
        let last = lines.last().map_or(0, |last| last.chars().count());
        if last + part.trim_end().chars().count() > WIDTH {
            lines.push("    ".to_owned());
        }
        if let Some(last) = lines.last_mut() {
            last.push_str(part);
        }
    }
    lines
}
