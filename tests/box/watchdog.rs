//! What stands still is started again: the gateway by systemd, the box by its hardware watchdog or by gateway-keep.

use crate::far::{Far, Station, referral};
use crate::host::wait_until;
use crate::machine::Machine;
use std::path::Path;

/// Waits as long as a test can instead of as long as the shipped unit says.
fn shorten(machine: &mut Machine, unit: &str, settings: &str) {
    let folder = format!("/run/systemd/system/{unit}.service.d");
    machine.shell_ok(&format!(
        "mkdir -p {folder} && printf '[Service]\\n{settings}\\n' >{folder}/test.conf && systemctl daemon-reload && \
         systemctl restart {unit}"
    ));
}

#[test]
fn a_gateway_and_a_box_that_stand_still_are_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let far = Far::up();
    let mut machine = Machine::fresh(folder.path(), "box");
    machine.set_up(&far);
    assert_eq!(
        machine.shell_ok("cat /sys/class/watchdog/watchdog0/state"),
        "active",
        "systemd feeds it"
    );

    shorten(&mut machine, "referral-gateway", "WatchdogSec=30s");
    let pid = "systemctl show -P MainPID referral-gateway";
    let stood_still = machine.shell_ok(pid);
    machine.shell_ok(&format!("kill -STOP {stood_still}"));
    wait_until("systemd has started the gateway again", || {
        machine.shell("systemctl is-active referral-gateway && [ $(systemctl show -P NRestarts referral-gateway) = 1 ]").1 == 0
    });
    assert_ne!(machine.shell_ok(pid), stood_still);
    far.desk_sees("online");
    assert_eq!(
        machine.shell_ok("cat /var/lib/referral-gateway/boot/reason"),
        "first",
        "the box went on"
    );

    // systemd freezes when it crashes, and nobody feeds the watchdog any more: the hardware resets the box.
    machine.type_in("kill -SEGV 1\n");
    machine.says_times("Starting slot a", 2);
    machine.wait_for_shell();
    wait_until("the gateway serves again", || {
        machine.shell("systemctl is-active referral-gateway").1 == 0
    });
    machine.started_because("watchdog");
    a_card_that_hangs(&mut machine, &far, folder.path());
    machine.shut_down();
}

/// The card answers no more in the middle of an event: the store does not get on, so nothing feeds systemd's watchdog; the
/// gateway cannot be started anew beside the one that hangs, so gateway-keep starts the box again.
fn a_card_that_hangs(machine: &mut Machine, far: &Far, folder: &Path) {
    let station = Station::made_by_stick(machine, folder, &["front-desk"]).remove(0);
    shorten(machine, "referral-gateway", "WatchdogSec=30s\\nTimeoutStopSec=5s");
    shorten(machine, "gateway-keep", "Environment=GATEWAY_PATIENCE_S=60");
    wait_until("it serves with that", || {
        matches!(station.ask("GET", "/v1/events", ""), Ok((200, _)))
    });
    machine.shell_ok("fsfreeze --freeze /var/lib/referral-gateway");
    let answer = station.send(&referral("hung", 0));
    assert!(!matches!(answer, Ok((200 | 201, _))), "{answer:?}");
    machine.says_times("Starting slot a", 3);
    machine.wait_for_shell();
    wait_until("the event is taken in", || {
        matches!(station.send(&referral("hung", 0)), Ok((200 | 201, _)))
    });
    wait_until("it is delivered", || station.state("hung") == "delivered");
    assert_eq!(far.oscar.with(|sim| sim.referrals().len()), 1);
}
