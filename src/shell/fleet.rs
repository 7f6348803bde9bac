//! The central desk's end: `fleet` connects to the broker as a client that only listens, and shows what it hears.

mod exporter;
mod send;

use super::cli::exit;
use super::cli::fleet::{Fleet as Line, Task};
use super::clock;
use super::mqtt::{Account, Broker, Heard, MqttState, Pause, listen};
use super::tls::{ClientIdentity, TlsFiles, client_config};
use super::{figures, log};
use crate::config;
use crate::core::fleet::{Fleet, report};
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// A dead broker is noticed within twice this; the desk sits on a good line.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// After everything kept should have come, so long without a message before the picture is taken for whole: for
/// brokers that answer out of order.
const QUIET: Duration = Duration::from_millis(300);
/// How often the table is drawn again.
const REDRAW: Duration = Duration::from_secs(2);

/// What the listening task and those who show share.
#[derive(Clone)]
struct Desk(Arc<Shared>);

struct Shared {
    picture: Mutex<Picture>,
    /// The line's standing has changed.
    turned: Notify,
}

struct Picture {
    fleet: Fleet,
    state: MqttState,
    /// Everything kept has been read since the broker let us in.
    complete: bool,
    denied: bool,
    messages: u64,
}

impl Desk {
    fn picture(&self) -> MutexGuard<'_, Picture> {
        self.0
            .picture
            .lock()
            .expect("nobody panics while holding the picture")
    }

    /// The line is down: what is known stays, and is whole no more.
    fn down(&self, state: MqttState) {
        let mut picture = self.picture();
        picture.state = state;
        picture.complete = false;
        self.0.turned.notify_one();
    }

    fn hear(&self, heard: &Heard) -> ControlFlow<()> {
        let mut picture = self.picture();
        match heard {
            Heard::Connected => {
                picture.state = MqttState::Online;
                picture.complete = false;
            }
            Heard::Denied => picture.denied = true,
            Heard::Complete => picture.complete = true,
            Heard::Said { topic, payload, .. } => {
                picture.messages += 1;
                picture.fleet.hear(topic, payload);
                return ControlFlow::Continue(());
            }
        }
        self.0.turned.notify_one();
        ControlFlow::Continue(())
    }
}

/// Listens for ever, through every loss of the line.
async fn follow(desk: Desk, account: Account, filter: String) {
    let mut pause = Pause::new(figures::random());
    loop {
        let mut heard = |heard: Heard| desk.hear(&heard);
        let (state, held) = listen(&account, &filter, None, &mut heard).await;
        desk.down(state);
        tokio::time::sleep(pause.after(held)).await;
    }
}

/// `fleet`, from its words to its exit code.
pub fn run(line: &Line) -> u8 {
    let failed = match line.task {
        Task::Check { .. } => report::Verdict::Unknown as u8,
        _ => exit::FAILED,
    };
    let done = match &line.task {
        Task::Key { file } => send::make_key(file),
        Task::Send { .. } => send::send(line),
        Task::Watch { .. } | Task::Check { .. } | Task::Listen(_) => show(line),
    };
    done.unwrap_or_else(|words| {
        // A check's words belong on standard output: that is where its caller looks.
        match line.task {
            Task::Check { .. } => println!("UNKNOWN - {words}"),
            _ => eprintln!("{words}"),
        }
        failed
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| format!("no runtime: {error}"))
}

fn show(line: &Line) -> Result<u8, String> {
    let account = account(line)?;
    let filter = format!("{}/{}/+/+", line.prefix, line.fleet.as_deref().unwrap_or("+"));
    let desk = Desk(Arc::new(Shared {
        picture: Mutex::new(Picture {
            fleet: Fleet::new(&line.prefix),
            state: MqttState::Connecting,
            complete: false,
            denied: false,
            messages: 0,
        }),
        turned: Notify::new(),
    }));
    let runtime = runtime()?;
    runtime.block_on(async {
        tokio::spawn(follow(desk.clone(), account, filter));
        match &line.task {
            Task::Listen(address) => exporter::serve(&desk, *address).await,
            Task::Watch { once: false } if !line.json && std::io::stdout().is_terminal() => {
                watch(&desk).await;
                Ok(exit::OK)
            }
            task => {
                whole(&desk, line.wait).await?;
                Ok(print(&desk, task, line.json))
            }
        }
    })
}

/// Waits until everything the broker keeps has been heard.
async fn whole(desk: &Desk, within: Duration) -> Result<(), String> {
    let heard = async {
        loop {
            if desk.picture().denied {
                return Err(
                    "the broker does not let this user read the gateways' topics: see its acl_file"
                        .to_owned(),
                );
            }
            if desk.picture().complete {
                break;
            }
            desk.0.turned.notified().await;
        }
        loop {
            let before = desk.picture().messages;
            tokio::time::sleep(QUIET).await;
            if desk.picture().messages == before {
                return Ok(());
            }
        }
    };
    match tokio::time::timeout(within, heard).await {
        Ok(done) => done,
        Err(_) => {
            let state = desk.picture().state.word();
            Err(format!(
                "the broker has not told everything in time (connection: {state})"
            ))
        }
    }
}

fn print(desk: &Desk, task: &Task, json: bool) -> u8 {
    let now = clock::wall(0).unix;
    let picture = desk.picture();
    if let Task::Check { gateway } = task {
        let (verdict, words) = report::check(&picture.fleet, gateway.as_deref(), now);
        print!("{words}");
        return verdict as u8;
    }
    if json {
        println!("{}", report::document(&picture.fleet, now));
    } else {
        print!("{}", report::table(&picture.fleet, now));
    }
    exit::OK
}

/// Draws the table again and again until somebody ends the program.
async fn watch(desk: &Desk) {
    loop {
        draw(&desk.picture());
        tokio::time::sleep(REDRAW).await;
    }
}

fn draw(picture: &Picture) {
    let table = report::table(&picture.fleet, clock::wall(0).unix);
    let whole = if picture.complete { "" } else { ", reading" };
    // Home, each line to its end, the rest of the screen: no flicker, and no library for it.
    println!(
        "\u{1b}[H{}\u{1b}[Kbroker {}{whole}, {} messages ignored\u{1b}[J",
        table.replace('\n', "\u{1b}[K\n"),
        picture.state.word(),
        picture.fleet.ignored(),
    );
}

/// How we get in at the broker.
fn account(line: &Line) -> Result<Account, String> {
    let url = line.broker.as_deref().unwrap_or_default();
    let broker = Broker::parse(url).map_err(|error| format!("--broker: {error}"))?;
    let client = match (&line.client_cert, &line.client_key) {
        (Some(certificate_file), Some(key_file)) => Some(ClientIdentity {
            certificate_file: certificate_file.clone(),
            key_file: key_file.clone(),
        }),
        (None, None) => None,
        _ => return Err("--client-cert and --client-key go together".to_owned()),
    };
    let files = TlsFiles {
        ca_file: line.ca_file.clone(),
        client,
    };
    let tls = client_config(&files).map_err(|error| error.to_string())?;
    let password = match &line.password_file {
        Some(file) => Some(config::secret_file("--password-file", file).map_err(|error| error.to_string())?),
        None => None,
    };
    Ok(Account {
        broker,
        // Two desks may watch at once: a client id of its own for each.
        client_id: format!("desk-{:016x}", figures::random()),
        user_name: line.user_name.clone(),
        password,
        tls,
        keep_alive: KEEP_ALIVE,
        connect_timeout: CONNECT_WITHIN,
        interface: None,
    })
}

/// Says on standard error what has become of the line, for the exporter's journal.
fn journal(state: MqttState) {
    log::info(format_args!("broker: {}", state.word()));
}
