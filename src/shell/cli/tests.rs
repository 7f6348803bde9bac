//! Words on the line, and what is made of them.

use super::*;

fn read(words: &[&str]) -> Result<Line, String> {
    parse(Parser::from_args(words.iter().map(|word| word.to_string())))
}

#[test]
fn the_configuration_may_be_named_before_or_after_the_command() {
    let before = read(&["--config", "x.toml", "status"]).expect("a line as typed");
    let after = read(&["status", "--config", "x.toml"]).expect("a line as typed");
    assert_eq!(before, after);
    assert_eq!(
        read(&["run"]).expect("a line as typed").config,
        PathBuf::from(DEFAULT_PATH)
    );
}

#[test]
fn a_wrong_line_is_explained() {
    for words in [
        &["frobnicate"][..],
        &[],
        &["events", "discard", "k"],
        &["events", "resolve", "k"],
        &["events", "resolve", "k", "--take", "neither"],
        &["events", "list", "--state", "odd"],
        &["status", "--note", "x"],
        &["status", "--last"],
        &["enqueue"],
        &["run", "--frob"],
    ] {
        assert!(read(words).is_err(), "{words:?}");
    }
    let line = read(&["events", "resolve", "k", "--not-arrived"]).expect("a line as typed");
    let verdict = Settlement::NotArrived;
    assert_eq!(
        line.command,
        Command::Events(EventsCommand::Resolve {
            key: "k".into(),
            verdict
        })
    );
}
