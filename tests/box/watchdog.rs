//! What stands still is started again: the gateway by systemd, the box by its hardware watchdog.

use crate::far::Far;
use crate::host::wait_until;
use crate::machine::Machine;

/// As long as a test can wait; the shipped unit says three minutes.
const SHORT: &str = "mkdir -p /run/systemd/system/referral-gateway.service.d && \
    printf '[Service]\\nWatchdogSec=30s\\n' >/run/systemd/system/referral-gateway.service.d/test.conf && \
    systemctl daemon-reload && systemctl restart referral-gateway";

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

    machine.shell_ok(SHORT);
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
    machine.shut_down();
}
