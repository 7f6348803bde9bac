//! A technician's USB stick and a box that serves: the image's own script, run with the real program. Where the box
//! mounts a stick, a folder stands here; the emulated box (`tests/box/stick.rs`) has a real one.

use crate::office::{Office, gateway, planted, referral, wait_until};
use referral_gateway::store::DeviceKey;
use simulators::wire::{Fault, FaultRule};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PHRASE: &str = "five words for the stick";
const LAN: &str = "[lan]\nlisten = \"127.0.0.1:0\"\n";

/// A box that was given its passphrase, and the stick in it.
pub struct Plugged {
    pub office: Office,
    pub stick: PathBuf,
}

impl Plugged {
    /// The service runs.
    pub fn new() -> Plugged {
        let mut plugged = Plugged::unprovisioned();
        plugged.office.start();
        let key = DeviceKey::load_or_make(&plugged.office.data("seal.key")).unwrap();
        let sealed = key.seal_text("swap.passphrase", PHRASE);
        std::fs::write(plugged.office.folder.path().join("swap.passphrase"), sealed).unwrap();
        plugged
    }

    /// A box that was never given a passphrase; its service does not run.
    fn unprovisioned() -> Plugged {
        let office = Office::with(LAN);
        let stick = office.folder.path().join("stick");
        std::fs::create_dir(&stick).unwrap();
        for name in ["mount", "umount", "systemctl"] {
            let program = office.folder.path().join("bin").join(name);
            std::fs::create_dir_all(program.parent().unwrap()).unwrap();
            std::fs::write(&program, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Plugged { office, stick }
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.stick.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.stick.join(name)).ok()
    }

    /// What the box runs for the stick, in a process group of its own.
    pub fn script(&self) -> Command {
        let folder = self.office.folder.path();
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/common/root/usr/lib/referral-gateway/stick");
        let program = format!(
            "{} --config {}",
            gateway().display(),
            self.office.config.display()
        );
        let mut run = Command::new("sh");
        run.arg(script)
            .arg("/dev/stick")
            .env("PATH", format!("{}/bin:/usr/bin:/bin", folder.display()))
            .env("GATEWAY_STICK", &self.stick)
            .env("GATEWAY_PROGRAM", program)
            .env("GATEWAY_CONSOLES", folder.join("screen"))
            .process_group(0);
        run
    }

    /// Puts the stick in; the exit code on the box's screen, and the result on the stick.
    pub fn insert(&self) -> (String, String) {
        let screen = self.office.folder.path().join("screen");
        let ran = self.script().output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let said = std::fs::read_to_string(screen).unwrap_or_default();
        let code = said
            .split("exit code ")
            .nth(1)
            .and_then(|rest| rest.split('.').next());
        (
            code.unwrap_or_default().to_owned(),
            self.read("gateway-result.txt").unwrap_or_default(),
        )
    }

    /// The stations of the roster, those revoked with a mark.
    fn stations(&self) -> Vec<String> {
        let list = self.office.json(&["station", "list"]);
        let name = |station: &serde_json::Value| {
            let mark = if station["revoked"] == true { "-" } else { "" };
            format!("{mark}{}", station["station"].as_str().unwrap())
        };
        list["stations"].as_array().unwrap().iter().map(name).collect()
    }
}

#[test]
fn the_last_station_of_a_file_counts_and_a_refused_one_stays_in_it() {
    let plugged = Plugged::new();
    plugged.write("gateway-stations.txt", "not the passphrase\r\nphone-1");
    let (code, result) = plugged.insert();
    assert!(
        code == "3" && result.contains("not the swap passphrase"),
        "{code}: {result}"
    );
    assert!(plugged.stations().is_empty() && plugged.read("gateway-stations.txt").is_some());

    // As Windows' editor writes it.
    plugged.write(
        "gateway-stations.txt",
        &format!("\u{feff}{PHRASE}\r\nfront-desk\r\n\r\nphone-1"),
    );
    let (code, result) = plugged.insert();
    assert_eq!(code, "0", "{result}");
    assert_eq!(plugged.stations(), ["front-desk", "phone-1"]);
    assert!(result.contains("station phone-1 may send"), "{result}");
    assert_eq!(
        plugged.read("gateway-stations.txt"),
        None,
        "a passphrase does not stay on a stick"
    );

    plugged.write(
        "gateway-stations.txt",
        &format!("{PHRASE}\nPhone 2\nphone-3\nphone-1"),
    );
    let (code, result) = plugged.insert();
    assert_eq!(code, "3", "{result}");
    assert!(
        result.contains("small letters") && result.contains("station phone-3 may send"),
        "{result}"
    );
    assert_eq!(
        plugged.read("gateway-stations.txt").unwrap(),
        format!("{PHRASE}\nPhone 2\r\nphone-1\r\n"),
        "what is not done is still to be done"
    );
    assert_eq!(plugged.stations(), ["front-desk", "phone-1", "phone-3"]);
    assert_eq!(
        std::fs::read_dir(&plugged.stick).unwrap().count(),
        2,
        "nothing else is left there"
    );
}

#[test]
fn a_box_without_a_passphrase_gives_nothing_to_a_stick() {
    for file in ["gateway-stations.txt", "gateway-swap.txt", "gateway-reset.txt"] {
        let plugged = Plugged::unprovisioned();
        plugged.office.enqueue(&referral("k-1", "Dara", "cif"));
        plugged.write(file, "words of whoever passes by\r\nphone-1\r\n");
        let (code, result) = plugged.insert();
        assert_eq!(code, "3", "{file}: {result}");
        assert!(result.contains("has no swap passphrase"), "{file}: {result}");
        assert_eq!(plugged.stations(), [""; 0]);
        assert_eq!(
            plugged.office.state("k-1"),
            "pending",
            "neither locked nor emptied"
        );
        assert_eq!(std::fs::read_dir(&plugged.stick).unwrap().count(), 2, "{file}");
    }
}

#[test]
fn a_stick_hands_over_and_the_box_stays_away_then() {
    let mut plugged = Plugged::new();
    plugged.office.enqueue(&referral("k-1", "Dara", "cif"));
    plugged.write("gateway-swap.txt", "not the passphrase");
    assert_eq!(plugged.insert().0, "3");
    assert!(
        plugged.office.run(&["status"]).code == 0,
        "not even stopped for it"
    );
    // Here nobody stops it as systemd would.
    plugged.office.stop();
    plugged.write("gateway-swap.txt", PHRASE);
    plugged.write("gateway-support.txt", "");
    let (code, result) = plugged.insert();
    assert_eq!(code, "0", "{result}");
    assert!(
        result.contains("gateway-support.json") && result.contains("this box is locked"),
        "{result}"
    );
    assert!(plugged.read("gateway-swap.txt").is_none() && plugged.stick.join("kpt-03.gateway-swap").exists());
    assert!(
        plugged
            .office
            .run(&["status"])
            .err
            .contains("handed everything over")
    );
}

/// What the answers say under each command, in order.
fn answers(plugged: &Plugged) -> Vec<(String, String)> {
    let text = plugged.read("gateway-answers.txt").unwrap();
    assert_eq!(text.matches("\r\n").count(), text.matches('\n').count(), "{text}");
    planted::clean("the answers on a stick", text.as_bytes());
    let text = text.replace("\r\n", "\n");
    let parts = text.split("\n> ").skip(1);
    let pair = |part: &str| {
        let (order, answer) = part.split_once('\n').unwrap_or((part, ""));
        (order.to_owned(), answer.to_owned())
    };
    parts.map(pair).collect()
}

#[test]
fn what_the_guide_asks_for_is_done_by_a_stick() {
    let plugged = Plugged::new();
    plugged.office.first_session_over();
    let faults = plugged.office.oscar.server().faults();
    faults.add(FaultRule::on("POST", "/upsert", Fault::DropBefore).times(1));
    plugged.office.enqueue(&referral("k-1", "Dara", "cif"));
    plugged.office.sync();
    let orders = [
        "self-test",
        "station add front-desk",
        "station list",
        "events list --state in_doubt",
        "events show k-1",
        "events resolve k-1 \u{2014}not-arrived --by \u{201c}Officer Chan\u{201d}",
        "sync",
        "station revoke front-desk",
        "reconcile",
        "status",
    ];
    // As Windows' editor writes it, by somebody who copied a line from the guide.
    let file = format!(
        "\u{feff}{PHRASE}\r\n# at the office\r\n\r\nsudo referral-gateway {}",
        orders.join("\r\n")
    );
    plugged.write("gateway-commands.txt", &file);
    assert_eq!(plugged.office.state("k-1"), "in_doubt");
    let (code, result) = plugged.insert();
    assert!(result.contains("commands: 10; "), "{code}: {result}");
    let answers = answers(&plugged);
    let said = |n: usize, words: &str| {
        let (order, answer) = &answers[n];
        assert!(
            order.ends_with(orders[n]) && answer.contains(words),
            "{words}: {order}: {answer}"
        );
    };
    said(0, "clock");
    said(1, "station front-desk may send events with this token");
    said(2, "may send");
    said(3, "in_doubt");
    said(3, "1 event\n[ok]");
    said(4, "GW-");
    said(5, "[ok]");
    said(6, "[ok]");
    said(7, "is refused from now on\n[ok]");
    said(9, "[ok]\n\nend of the answers");
    assert_eq!(answers.len(), orders.len());
    assert_eq!(plugged.stations(), ["-front-desk"]);
    assert_eq!(plugged.office.state("k-1"), "delivered");
    assert_eq!(plugged.office.oscar.with(|sim| sim.referrals().len()), 1);
    let story = plugged.office.event("k-1")["text"].as_str().unwrap().to_owned();
    assert!(story.contains("Officer Chan"), "{story}");
    let sheet = plugged.read("sheet.txt").unwrap();
    assert!(
        sheet.contains("kpt-03") && sheet.matches("\r\n").count() == sheet.matches('\n').count(),
        "{sheet}"
    );

    // In again: nothing is asked any more, and what is left tells nobody the passphrase.
    assert!(plugged.read("gateway-commands.txt").is_none());
    let done = plugged.read("gateway-commands.done").unwrap();
    assert!(!done.contains(PHRASE) && done.ends_with("\r\nstatus"), "{done}");
    std::fs::remove_file(plugged.stick.join("gateway-result.txt")).unwrap();
    assert_eq!(plugged.insert().1, "");
}

#[test]
fn a_stick_gets_no_more_than_it_may_ask_for() {
    let plugged = Plugged::new();
    plugged.office.first_session_over();
    plugged.office.primero.server().set_down(true);
    plugged.office.enqueue(&referral("k-1", "Dara", "cif"));
    let orders = [
        "events show k-1 --reveal",
        "station add a; touch touched",
        "station add $(touch touched)",
        "events discard k-1 --note \"`touch touched` & the family moved\" --config /etc/passwd",
        "box export . gateway-commands.done",
        "events requeue k-1",
        "events show k-7",
    ];
    let file = |phrase: &str| format!("{phrase}\n{}\n", orders.join("\n"));
    for (wrong, told) in [
        (file("not the passphrase"), "not the swap passphrase"),
        (file(&"# ".repeat(9000)), "longer than"),
        (
            file(&format!("{PHRASE}{}", "\nstatus".repeat(50))),
            "more than 50",
        ),
    ] {
        plugged.write("gateway-commands.txt", &wrong);
        let (code, result) = plugged.insert();
        assert!(code == "3" && result.contains(told), "{code}: {result}");
        assert_eq!(plugged.read("gateway-commands.txt").unwrap(), wrong);
        assert!(plugged.read("gateway-answers.txt").is_none(), "{told}");
    }
    // A stick without room for an answer: nothing is begun.
    plugged.write("gateway-commands.txt", &file(PHRASE));
    std::os::unix::fs::symlink("/dev/full", plugged.stick.join("gateway-answers.txt")).unwrap();
    let (code, result) = plugged.insert();
    assert!(
        code == "3" && result.contains("No space left"),
        "{code}: {result}"
    );
    assert_eq!(plugged.read("gateway-commands.txt").unwrap(), file(PHRASE));
    std::fs::remove_file(plugged.stick.join("gateway-answers.txt")).unwrap();

    assert_eq!(plugged.insert().0, "2", "the worst of all");
    let answers = answers(&plugged);
    for (order, answer) in &answers[..5] {
        assert!(
            answer.contains("a stick may ask for:\n  self-test"),
            "{order}: {answer}"
        );
        assert!(answer.contains("[not done, exit code 2]"), "{order}: {answer}");
    }
    assert!(answers[5].1.contains("[failed, exit code 1]"), "{answers:?}");
    assert!(answers[6].1.contains("[failed, exit code 1]"), "{answers:?}");
    assert_eq!(plugged.office.state("k-1"), "pending");
    assert!(plugged.stations().is_empty() && !plugged.stick.join("kpt-03.gateway-swap").exists());
    assert!(!Path::new("touched").exists() && !plugged.stick.join("touched").exists());
}

#[test]
fn a_stick_pulled_out_in_the_middle_is_not_obeyed_again() {
    let plugged = Plugged::new();
    plugged.office.first_session_over();
    plugged.office.enqueue(&referral("k-1", "Dara", "cif"));
    let faults = plugged.office.primero.server().faults();
    faults.add(FaultRule::always(Fault::DelayAfter(Duration::from_millis(2500))));
    plugged.write(
        "gateway-commands.txt",
        &format!("{PHRASE}\nsync\nstation add phone-1"),
    );
    let mut pulled = plugged.script().spawn().unwrap();
    let begun = || {
        plugged
            .read("gateway-answers.txt")
            .is_some_and(|text| text.ends_with("> sync\r\n"))
    };
    wait_until("the first command is begun", begun);
    // With its children, as systemd ends it; the service goes on with its session.
    let group = format!("-{}", pulled.id());
    assert!(
        Command::new("kill")
            .args(["-KILL", "--", &group])
            .status()
            .unwrap()
            .success()
    );
    pulled.wait().unwrap();
    faults.clear();
    assert!(plugged.read("gateway-commands.txt").is_none());
    let result = plugged.read("gateway-result.txt");
    plugged.insert();
    assert_eq!(
        plugged.read("gateway-result.txt"),
        result,
        "nothing was asked of it"
    );
    assert!(plugged.stations().is_empty());
    assert!(begun(), "what was begun last is the last line");
}
