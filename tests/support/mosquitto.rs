//! A real Mosquitto under a test's control, and its own client as the independent witness.
//!
//! Whatever a test does with it, the collector of planted names (`planted.rs`) hears everything that is said, from the
//! start of the broker to its end, on a door of its own.

use crate::pki::{Authority, Validity};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions, QoS};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MISSING: &str = "is not installed: the tests of the MQTT link need a real broker and its clients; \
                       apt-get install mosquitto mosquitto-clients";

/// Debian keeps the broker where an ordinary user's PATH does not look.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} {MISSING}"))
}

/// A topic of the collector's own.
const ITSELF: &str = "collector";

/// Who may connect.
#[derive(Clone, Copy)]
pub enum Door {
    Open,
    /// User `gateway` with password `right`.
    Password,
    /// Holders of a certificate of the same authority.
    Certificate,
}

pub struct Mosquitto {
    pub authority: Authority,
    pub port: u16,
    /// Where the shipped configuration takes passwords.
    pub second_port: u16,
    config: PathBuf,
    process: Option<Child>,
    /// Whether the collector listens; a benchmark wants nobody else's traffic in its numbers.
    pub heard: bool,
    collector_port: u16,
    collector: Option<Collector>,
}

impl Mosquitto {
    /// Prepared, not started: its port refuses.
    pub fn absent(door: Door) -> Mosquitto {
        Mosquitto::prepared(door, Validity::Now)
    }

    pub fn prepared(door: Door, validity: Validity) -> Mosquitto {
        Mosquitto::prepared_for("localhost", door, validity)
    }

    /// Its certificate is for this name.
    fn prepared_for(name: &str, door: Door, validity: Validity) -> Mosquitto {
        let authority = Authority::new();
        let folder = &authority.folder;
        let port = free_port();
        let leaf = authority.leaf(name, validity);
        let certificate = folder.write("broker.pem", &leaf.certificate_pem);
        let key = folder.write("broker.key", &leaf.key_pem);
        let door = match door {
            Door::Open => "allow_anonymous true".to_owned(),
            Door::Password => format!(
                "allow_anonymous false\npassword_file {}",
                passwords(&folder.0).display()
            ),
            Door::Certificate => "require_certificate true\nuse_identity_as_username true".to_owned(),
        };
        let (user, ca) = (whoami(), authority.ca_file());
        let (collector_port, collector) = collectors_door();
        let text = format!(
            "per_listener_settings true\nuser {user}\npersistence false\n{collector}\
             listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n{door}\n",
            ca.display(),
            certificate.display(),
            key.display(),
        );
        let config = folder.write("mosquitto.conf", &text);
        Mosquitto {
            authority,
            port,
            second_port: 0,
            config,
            process: None,
            heard: true,
            collector_port,
            collector: None,
        }
    }

    /// The desk's own configuration and ACL, as shipped, on ports of this test: certificates at `port`, passwords at
    /// `second_port`. Every user of the ACL has the password `right`; `revoked` is made from the authority.
    pub fn as_shipped(revoked: impl FnOnce(&Authority) -> String) -> Mosquitto {
        let authority = Authority::new();
        let folder = &authority.folder;
        let (port, second_port) = (free_port(), free_port());
        let leaf = authority.leaf("localhost", Validity::Now);
        folder.write("broker.pem", &leaf.certificate_pem);
        folder.write("broker.key", &leaf.key_pem);
        folder.write("revoked.pem", &revoked(&authority));
        for user in ["desk", "desk-commands", "desk-janitor", "kpt-03", "kpt-05"] {
            add_password(&folder.0.join("passwords"), user);
        }
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/desk/mosquitto");
        let read = |name: &str| std::fs::read_to_string(shipped.join(name)).unwrap();
        let at = folder.0.display().to_string();
        folder.write("acl", &read("acl"));
        let text = read("mosquitto.conf")
            .replace("listener 8883", &format!("listener {port} 127.0.0.1"))
            .replace("listener 8884", &format!("listener {second_port} 127.0.0.1"))
            .replace("/etc/mosquitto/fleet", &at)
            .replace("/var/lib/mosquitto/", &format!("{at}/"));
        let (collector_port, collector) = collectors_door();
        let text = format!("user {}\n{text}\n{collector}", whoami());
        let config = folder.write("mosquitto.conf", &text);
        Mosquitto {
            authority,
            port,
            second_port,
            config,
            process: None,
            heard: true,
            collector_port,
            collector: None,
        }
    }

    /// As shipped, and started.
    pub fn running_as_shipped() -> Mosquitto {
        Mosquitto::running_with_acl(|acl| acl)
    }

    /// As shipped but for its ACL, and started.
    pub fn running_with_acl(changed: impl FnOnce(String) -> String) -> Mosquitto {
        let mut broker = Mosquitto::as_shipped(|authority| authority.revoking(&[]));
        let acl = broker.authority.folder.0.join("acl");
        let text = changed(std::fs::read_to_string(&acl).unwrap());
        std::fs::write(&acl, text).unwrap();
        broker.start();
        broker
    }

    pub fn running(door: Door) -> Mosquitto {
        let mut broker = Mosquitto::absent(door);
        broker.start();
        broker
    }

    /// For somebody who knows this machine by another name.
    pub fn running_for(name: &str, door: Door) -> Mosquitto {
        let mut broker = Mosquitto::prepared_for(name, door, Validity::Now);
        broker.start();
        broker
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("running").id()
    }

    pub fn start(&mut self) {
        let mut command = Command::new(program("mosquitto"));
        command
            .arg("-c")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        let ports = [self.port, self.collector_port];
        let open = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
        while !ports.iter().all(open) {
            assert!(
                Instant::now() < deadline,
                "mosquitto does not come up with {}",
                self.config.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self.collector = self.heard.then(|| Collector::at(self.collector_port));
    }

    /// As a power cut would: no goodbye, and nothing kept.
    pub fn kill(&mut self) {
        let collector = self.collector.take().inspect(Collector::catch_up);
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        if let Some(collector) = collector {
            collector.search();
        }
    }

    /// As `systemctl stop` would: it keeps what it is configured to keep.
    pub fn stop(&mut self) {
        let collector = self.collector.take().inspect(Collector::catch_up);
        self.signal("TERM");
        self.process.take().expect("running").wait().unwrap();
        if let Some(collector) = collector {
            collector.search();
        }
    }

    /// `STOP` leaves connections open and unanswered, `CONT` goes on.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// What a newcomer is told on a topic, that is, what is retained there.
    pub async fn retained(&self, topic: &str) -> Option<String> {
        let mut command = self.witness(topic);
        command.args(["-C", "1", "-W", "1", "-F", "%r %p"]);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        // 27: nothing came in time. Anything else would make "nothing is retained" a hollow claim.
        let code = output.status.code();
        assert!(
            matches!(code, Some(0 | 27)),
            "mosquitto_sub: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim_end().strip_prefix("1 ").map(str::to_owned)
    }

    /// Waits until a topic holds this.
    pub async fn holds(&self, topic: &str, payload: &str) {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let held = self.retained(topic).await;
            if held.as_deref() == Some(payload) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{topic} holds {held:?}, not {payload:?}"
            );
        }
    }

    /// `mosquitto_sub` on a topic, its output not yet asked for.
    pub fn witness(&self, topic: &str) -> Command {
        let mut command = Command::new(program("mosquitto_sub"));
        command.arg("--cafile").arg(self.authority.ca_file());
        command.args([
            "-h",
            "localhost",
            "-p",
            &self.port.to_string(),
            "-t",
            topic,
            "-q",
            "1",
        ]);
        command
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port on which everybody hears everything, for the collector, and its lines in the configuration.
fn collectors_door() -> (u16, String) {
    let port = free_port();
    (port, format!("listener {port} 127.0.0.1\nallow_anonymous true\n"))
}

/// Hears everything until the broker ends: topics and payloads, line by line.
struct Collector {
    client: AsyncClient,
    /// Says when it hears, and when it has heard itself.
    news: Receiver<()>,
    hearing: JoinHandle<Vec<u8>>,
}

impl Collector {
    /// It hears when this returns.
    fn at(port: u16) -> Collector {
        let mut options = MqttOptions::new("collector", ("127.0.0.1", port));
        // Larger than anything a test says.
        options.set_max_packet_size(1 << 20, 1 << 10);
        let (client, mut events) = AsyncClient::builder(options).capacity(2).build();
        client.try_subscribe("#", QoS::AtMostOnce).unwrap();
        let (tell, news) = std::sync::mpsc::channel();
        let listening = async move {
            let mut heard = Vec::new();
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::Publish(said))) if *said.topic == *ITSELF.as_bytes() => {
                        let _ = tell.send(());
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => tell.send(()).unwrap(),
                    Ok(Event::Incoming(Packet::Publish(said))) => {
                        heard.extend([&said.topic[..], b" ", &said.payload, b"\n"].concat());
                    }
                    Ok(_) => {}
                    Err(_) => return heard,
                }
            }
        };
        let hearing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(listening)
        });
        news.recv_timeout(Duration::from_secs(20))
            .expect("the collector hears the broker");
        Collector {
            client,
            news,
            hearing,
        }
    }

    /// What was said before this is heard: the broker tells in order. One that hangs tells nothing more.
    fn catch_up(&self) {
        let _ = self
            .client
            .try_publish(ITSELF, "", PublishOptions::at_most_once());
        let _ = self.news.recv_timeout(Duration::from_secs(5));
    }

    /// Searches what was said, once the broker has ended.
    fn search(self) {
        let heard = self.hearing.join().expect("the collector hears to the end");
        // A test that has failed already has its reason.
        if !std::thread::panicking() {
            crate::planted::clean("what was said over MQTT", &heard);
        }
    }
}

/// A port nobody else is given while its broker is not up: below the range the system hands out by itself, its own
/// stretch for each test process, never the same twice within one.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id()
            .wrapping_mul(64)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(2000 + number % 13_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn passwords(folder: &Path) -> PathBuf {
    let file = folder.join("passwords");
    add_password(&file, "gateway");
    file
}

fn add_password(file: &Path, user: &str) {
    let mut command = Command::new(program("mosquitto_passwd"));
    command.arg("-b");
    if !file.exists() {
        command.arg("-c");
    }
    let made = command
        .arg(file)
        .args([user, "right"])
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
}

/// Started as root, Mosquitto would change to a user that cannot read this test's files.
fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
