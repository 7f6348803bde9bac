//! The words of `fleet`, the desk's command: it needs no configuration file, everything stands on its line.

use lexopt::{Arg, Parser, ValueExt};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What `fleet` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// A table that keeps itself fresh; once, where nobody watches.
    Watch { once: bool },
    /// A Nagios-like check, of one gateway or of all.
    Check { gateway: Option<String> },
    /// A Prometheus exporter.
    Listen(SocketAddr),
    /// Make a signing key.
    Key { file: PathBuf },
    /// Send a signed command.
    Send {
        gateway: String,
        order: String,
        seq: Option<u64>,
        print: bool,
    },
}

/// The whole line after `fleet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    pub task: Task,
    pub json: bool,
    pub broker: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub user_name: Option<String>,
    pub password_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub prefix: String,
    pub fleet: Option<String>,
    /// The signing key.
    pub key: Option<PathBuf>,
    /// How long a command is good for.
    pub expires: Duration,
    /// How long to wait for what the broker keeps, or for an answer.
    pub wait: Duration,
}

#[derive(Default)]
struct Switches {
    once: bool,
    check: bool,
    print: bool,
    listen: Option<SocketAddr>,
    words: Vec<String>,
}

/// Reads the words after `fleet`; an error is a sentence for whoever typed them.
pub fn parse(parser: &mut Parser, json: bool) -> Result<Fleet, String> {
    let mut fleet = Fleet {
        task: Task::Watch { once: false },
        json,
        broker: None,
        ca_file: None,
        user_name: None,
        password_file: None,
        client_cert: None,
        client_key: None,
        prefix: "referral-gateway/v1".to_owned(),
        fleet: None,
        key: None,
        expires: Duration::from_secs(600),
        wait: Duration::from_secs(30),
    };
    let mut switches = Switches::default();
    collect(parser, &mut fleet, &mut switches).map_err(|error| error.to_string())?;
    fleet.task = task(switches)?;
    if fleet.broker.is_none() && !matches!(fleet.task, Task::Key { .. } | Task::Send { print: true, .. }) {
        return Err("which broker? --broker mqtts://host".to_owned());
    }
    Ok(fleet)
}

fn collect(parser: &mut Parser, fleet: &mut Fleet, switches: &mut Switches) -> Result<(), lexopt::Error> {
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("json") => fleet.json = true,
            Arg::Long("once") => switches.once = true,
            Arg::Long("check") => switches.check = true,
            Arg::Long("print") => switches.print = true,
            Arg::Long("listen") => switches.listen = Some(parser.value()?.parse()?),
            Arg::Long("broker") => fleet.broker = Some(parser.value()?.string()?),
            Arg::Long("ca-file") => fleet.ca_file = Some(parser.value()?.into()),
            Arg::Long("user-name") => fleet.user_name = Some(parser.value()?.string()?),
            Arg::Long("password-file") => fleet.password_file = Some(parser.value()?.into()),
            Arg::Long("client-cert") => fleet.client_cert = Some(parser.value()?.into()),
            Arg::Long("client-key") => fleet.client_key = Some(parser.value()?.into()),
            Arg::Long("prefix") => fleet.prefix = parser.value()?.string()?,
            Arg::Long("fleet") => fleet.fleet = Some(parser.value()?.string()?),
            Arg::Long("key") => fleet.key = Some(parser.value()?.into()),
            Arg::Long("expires") => fleet.expires = seconds(parser)?,
            Arg::Long("wait") => fleet.wait = seconds(parser)?,
            Arg::Value(word) => switches.words.push(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(())
}

/// Whole seconds; a command may live a week, and nobody waits longer.
fn seconds(parser: &mut Parser) -> Result<Duration, lexopt::Error> {
    let seconds: u32 = parser.value()?.parse()?;
    if (1..=604_800).contains(&seconds) {
        Ok(Duration::from_secs(seconds.into()))
    } else {
        Err("--expires and --wait are seconds, from 1 to 604800".into())
    }
}

fn task(switches: Switches) -> Result<Task, String> {
    let Switches {
        once,
        check,
        print,
        listen,
        words,
    } = switches;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(match (words.as_slice(), check, listen) {
        ([], false, None) => Task::Watch { once },
        ([], true, None) => Task::Check { gateway: None },
        ([gateway], true, None) => Task::Check {
            gateway: Some((*gateway).to_owned()),
        },
        ([], false, Some(address)) => Task::Listen(address),
        (["key", file], false, None) => Task::Key { file: file.into() },
        (["send", gateway, order, rest @ ..], false, None) if rest.len() < 2 => Task::Send {
            gateway: (*gateway).to_owned(),
            order: (*order).to_owned(),
            seq: match rest.first() {
                Some(seq) => Some(
                    seq.parse()
                        .map_err(|_| "an event's number is a number".to_owned())?,
                ),
                None => None,
            },
            print,
        },
        _ => {
            return Err(
                "fleet [--once|--json|--check [GATEWAY]|--listen ADDRESS], fleet key FILE, \
             fleet send FLEET/GATEWAY sync|reannounce|requeue [NUMBER]|lock|unlock --key FILE [--print]"
                    .to_owned(),
            );
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Fleet, String> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        parse(&mut Parser::from_args(words), false)
    }

    #[test]
    fn each_task_is_told_from_its_words() {
        let task = |words: &str| read(&format!("--broker mqtts://b {words}")).map(|fleet| fleet.task);
        assert_eq!(task(""), Ok(Task::Watch { once: false }));
        assert_eq!(task("--once"), Ok(Task::Watch { once: true }));
        assert_eq!(task("--check"), Ok(Task::Check { gateway: None }));
        assert_eq!(
            task("--check kpt-03"),
            Ok(Task::Check {
                gateway: Some("kpt-03".into())
            })
        );
        assert_eq!(
            task("--listen 127.0.0.1:9186"),
            Ok(Task::Listen("127.0.0.1:9186".parse().unwrap()))
        );
        assert_eq!(
            task("send kh/kpt-03 requeue 17"),
            Ok(Task::Send {
                gateway: "kh/kpt-03".into(),
                order: "requeue".into(),
                seq: Some(17),
                print: false
            })
        );
        for wrong in [
            "kpt-03",
            "--check --listen 127.0.0.1:1",
            "send kpt-03",
            "send a sync x",
            "--listen 9186",
            "key",
        ] {
            assert!(task(wrong).is_err(), "{wrong}");
        }
        assert!(
            read("--once").is_err() && read("send a sync").is_err(),
            "no broker"
        );
        assert!(
            read("key desk.key").is_ok() && read("send a sync --print").is_ok(),
            "none needed"
        );
        assert!(read("key k --expires 0").is_err() && read("key k --expires 604801").is_err());
    }
}
