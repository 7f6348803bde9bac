//! The image's small scripts, each run by itself: what the panel shows, and what a start is put down to. The emulated box
//! (`tests/box`) runs them where they belong; here stand the cases it cannot be brought into, or not cheaply.

use crate::files::root;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn script(name: &str) -> PathBuf {
    root()
        .join("boards/common/root/usr/lib/referral-gateway")
        .join(name)
}

fn program(file: &Path, text: &str) {
    std::fs::write(file, format!("#!/bin/sh\n{text}")).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How a box stands, as systemd and the program would tell the panel.
struct Standing {
    /// The exit code of a provisioning that failed.
    provision: Option<u8>,
    serves: bool,
    restarts: u32,
    uptime_s: u32,
    locked: bool,
    /// Of both systems and the line.
    state: &'static str,
}

const STARTING: Standing = Standing {
    provision: None,
    serves: false,
    restarts: 0,
    uptime_s: 40,
    locked: false,
    state: "up",
};
const SERVING: Standing = Standing {
    serves: true,
    ..STARTING
};

/// One look of the panel.
fn shown(standing: &Standing) -> String {
    let place = TempDir::new().unwrap();
    let at = |name: &str| place.path().join(name);
    std::fs::write(at("uptime"), format!("{}.31 12.00\n", standing.uptime_s)).unwrap();
    program(&at("mountpoint"), "exit 0\n");
    program(
        &at("gateway"),
        &format!(
            r#"queue='"pending":0,"in_doubt":0,"parked":0' peer='{{"last_error":null,"state":"{state}"}}'
echo "{{\"locked\":{locked},$queue,\"oscar\":$peer,\"primero\":$peer,\"uplink\":{{\"state\":\"{state}\"}}}}"
"#,
            state = standing.state,
            locked = standing.locked
        ),
    );
    let provision = standing
        .provision
        .map_or("inactive".to_owned(), |code| code.to_string());
    program(
        &at("systemctl"),
        &format!(
            r#"case "$*" in
"is-failed --quiet gateway-provision.service") [ {provision} != inactive ] ;;
"show -P ExecMainStatus gateway-provision.service") echo {provision} ;;
"is-active --quiet referral-gateway.service") {serves} ;;
"show -P NRestarts referral-gateway.service") echo {restarts} ;;
"is-failed --quiet referral-gateway.service") false ;;
*) echo "what is $*?" >&2; exit 9 ;;
esac"#,
            serves = standing.serves,
            restarts = standing.restarts
        ),
    );
    let path = format!("{}:/usr/bin:/bin", place.path().display());
    said(
        Command::new("sh")
            .arg(script("panel"))
            .arg("once")
            .env("PATH", path)
            .env("GATEWAY_DATA", place.path())
            .env("GATEWAY_UPTIME", at("uptime"))
            .env("GATEWAY_PROGRAM", at("gateway"))
            .env("GATEWAY_LED", "none")
            .env("GATEWAY_CONSOLES", "/dev/null"),
    )
}

#[test]
fn the_panel_tells_a_refused_file_from_a_broken_program() {
    let failed = |code: u8, standing: Standing| Standing {
        provision: Some(code),
        ..standing
    };
    assert_eq!(shown(&STARTING), "booting");
    assert_eq!(shown(&SERVING), "online");
    let unasked = Standing {
        state: "unknown",
        ..SERVING
    };
    assert_eq!(shown(&unasked), "offline", "nobody knows yet");
    let locked = Standing {
        locked: true,
        ..SERVING
    };
    assert_eq!(shown(&locked), "attention");
    assert_eq!(shown(&failed(3, STARTING)), "setup", "the file is refused");
    assert_eq!(shown(&failed(4, STARTING)), "setup", "there is no file");
    assert_eq!(shown(&failed(203, STARTING)), "fault", "nothing to execute");
    assert_eq!(
        shown(&failed(1, STARTING)),
        "fault",
        "the disk, or no gateway at all"
    );
    assert_eq!(
        shown(&failed(1, SERVING)),
        "attention",
        "it serves, by what it had before"
    );
    let standing = Standing {
        restarts: 1,
        ..STARTING
    };
    assert_eq!(shown(&standing), "fault", "it fell and was started again");
    let standing = Standing {
        uptime_s: 1300,
        ..STARTING
    };
    assert_eq!(shown(&standing), "fault", "no start takes that long");
}

/// A box's data and what the kernel shows of it.
struct Started {
    place: TempDir,
}

impl Started {
    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        std::fs::write(self.at(name), bytes).unwrap();
    }

    fn run(&self, word: &str) {
        let mut command = Command::new("sh");
        command.arg(script("boot-reason")).arg(word);
        said(command.args(["data", "sys", "cmdline"].map(|name| self.at(name))));
    }

    /// Starts, and why it says it did.
    fn reason(&self) -> String {
        self.run("start");
        let text = std::fs::read_to_string(self.at("data/boot/reason")).unwrap();
        text.trim().to_owned()
    }
}

#[test]
fn a_start_is_put_down_to_what_caused_it() {
    let started = Started {
        place: TempDir::new().unwrap(),
    };
    std::fs::create_dir(started.at("data")).unwrap();
    started.write("cmdline", b"quiet gateway.slot=a gateway.rolled_back=0 ro");
    assert_eq!(started.reason(), "first");
    assert_eq!(
        started.reason(),
        "power",
        "no stop in good order, and nobody says why"
    );
    started.run("stop");
    assert_eq!(started.reason(), "reboot");

    // A watchdog that keeps its status over the reset.
    started.write("sys/class/watchdog/watchdog0/bootstatus", b"32\n");
    assert_eq!(started.reason(), "watchdog");
    started.run("stop");
    assert_eq!(
        started.reason(),
        "reboot",
        "that word is older than the last stop"
    );
    started.write("sys/class/watchdog/watchdog0/bootstatus", b"0\n");

    // A Raspberry Pi's firmware hands on its register.
    let register = "sys/firmware/devicetree/base/chosen/bootloader/pm_rsts";
    started.write(register, &[0, 0, 0, 0x20]);
    assert_eq!(started.reason(), "watchdog");
    started.run("stop");
    assert_eq!(
        started.reason(),
        "reboot",
        "a restart is done by the watchdog there"
    );
    started.write(register, &[0, 0, 0x10, 0]);
    assert_eq!(started.reason(), "power");
    started.write(register, &[0, 0, 0x10, 0x20]);
    assert_eq!(started.reason(), "power", "power came on after that");
    started.write(register, b"");
    assert_eq!(started.reason(), "power");

    started.write("data/boot/next", b"watchdog\n");
    assert_eq!(started.reason(), "watchdog", "gateway-keep left word");
    started.write("sys/fs/pstore/dmesg-ramoops-0", b"");
    assert_eq!(started.reason(), "panic");
    started.write("cmdline", b"quiet gateway.slot=b gateway.rolled_back=0 ro");
    assert_eq!(started.reason(), "update");
    started.write("cmdline", b"quiet gateway.slot=b gateway.rolled_back=1 ro");
    assert_eq!(started.reason(), "rollback");
    let log = std::fs::read_to_string(started.at("data/boot/log")).unwrap();
    assert_eq!(log.lines().count(), 14, "{log}");
}
