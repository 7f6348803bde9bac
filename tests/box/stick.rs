//! What the technician's USB stick makes the box do, and what the box shows meanwhile.

use crate::far::{Far, PASSPHRASE, Station, referral};
use crate::host::wait_until;
use crate::machine::Machine;

#[test]
fn a_stick_hands_a_box_over_and_never_empties_one_that_holds_events() {
    let folder = tempfile::tempdir().unwrap();
    let far = Far::up();
    let mut old = Machine::fresh(folder.path(), "old");
    a_missing_and_a_wrong_file_are_answered(&mut old, &far);
    old.set_up(&far);
    the_led_follows(&mut old);
    let station = Station::made_by_stick(&mut old, folder.path(), &["front-desk"]).remove(0);
    far.peers(false);
    assert_eq!(station.send(&referral("kept", 0)).unwrap().0, 201);
    wait_until("the panel shows that the line is down", || {
        old.serial().contains("gateway: offline.")
    });

    let stick = old.stick(&[("gateway-support.txt", "")]);
    assert!(
        stick.names().contains("gateway-support.json"),
        "{}",
        stick.names()
    );
    commands_are_answered(&mut old);
    let stick = old.stick(&[("gateway-reset.txt", PASSPHRASE)]);
    assert!(stick.result().contains("never delivered"), "{}", stick.result());
    assert!(stick.names().contains("gateway-reset.txt"));
    let stick = old.stick(&[("gateway-swap.txt", "not the passphrase of this box")]);
    assert!(
        stick.result().contains("not the swap passphrase"),
        "{}",
        stick.result()
    );
    wait_until("the box goes on with its event", || {
        station.state("kept") == "pending"
    });

    let stick = old.stick(&[("gateway-swap.txt", PASSPHRASE)]);
    assert!(
        stick.names().contains("kpt-09.gateway-swap"),
        "{}: {}",
        stick.names(),
        stick.result()
    );
    old.says("gateway: handed-over.");
    old.shut_down();

    // The new box knows the stations by their tokens, and they know it by its certificate.
    let mut new = Machine::fresh(folder.path(), "new");
    new.write_to_card("gateway.txt", far.gateway_txt().as_bytes());
    new.start();
    new.says("gateway: o");
    let stick = new.insert(stick);
    assert!(stick.result().contains("has taken over"), "{}", stick.result());
    let station = station.at(&new);
    wait_until("the new box has the event", || station.state("kept") == "pending");
    far.peers(true);
    wait_until("it delivers it", || station.state("kept") == "delivered");
    assert_eq!(far.oscar.with(|sim| sim.referrals().len()), 1);
    new.shut_down();
}

/// What the guide has a technician do who cannot log in.
fn commands_are_answered(old: &mut Machine) {
    let file = format!("{PASSPHRASE}\r\nself-test\r\nevents show kept\r\nstation list\r\nreboot");
    let stick = old.stick(&[("gateway-commands.txt", &file)]);
    let answers = stick.text("gateway-answers.txt");
    for told in [
        "> events show kept",
        "taken in and stored",
        "front-desk",
        "a stick may ask for",
        "end of the answers",
    ] {
        assert!(answers.contains(told), "{told}: {answers}");
    }
    let names = stick.names();
    assert!(
        names.contains("gateway-commands.done") && names.contains("sheet.txt"),
        "{names}"
    );
    assert!(!stick.text("gateway-commands.done").contains(PASSPHRASE));
}

/// Without a file it says so; with a wrong one it names what is wrong, and leaves the file as it is.
fn a_missing_and_a_wrong_file_are_answered(old: &mut Machine, far: &Far) {
    old.start();
    old.says("gateway: setup.");
    old.shut_down();
    assert!(
        old.text_from_card("gateway-errors.txt")
            .contains("there is no gateway.txt")
    );
    let wrong = far.gateway_txt().replace("user_name", "user_nam");
    old.write_to_card("gateway.txt", wrong.as_bytes());
    old.start();
    old.says("gateway: setup.");
    old.shut_down();
    let errors = old.text_from_card("gateway-errors.txt");
    assert!(errors.contains("user_nam"), "{errors}");
    assert!(
        old.text_from_card("gateway.txt").contains("primero-password-1"),
        "a refused file stays as it is"
    );
}

/// The emulator has no LED; a folder with the files of one shows what the panel writes.
fn the_led_follows(machine: &mut Machine) {
    machine.shell_ok("mkdir -p /run/leds/ACT && echo 255 >/run/leds/ACT/max_brightness");
    // The words for people would come between the shell's.
    machine.shell_ok("systemctl stop gateway-panel");
    let panel = "GATEWAY_CONSOLES=/dev/null GATEWAY_LEDS=/run/leds GATEWAY_LED=ACT /usr/lib/referral-gateway/panel once";
    let led =
        "cd /run/leds/ACT && cat trigger brightness delay_on delay_off 2>/dev/null | paste -sd' '; cd /";
    assert_eq!(machine.shell_ok(panel), "online");
    assert_eq!(machine.shell_ok(led), "none 255", "steady");
    machine.shell_ok("touch /run/gateway-updating");
    assert_eq!(machine.shell_ok(panel), "updating");
    assert_eq!(machine.shell_ok(led), "timer 255 50 50", "flickering");
    machine.shell_ok("rm /run/gateway-updating");
    assert_eq!(
        machine.shell_ok("lsmod | grep -c ^ledtrig_timer"),
        "1",
        "the kernel can blink by itself"
    );
    machine.shell_ok("systemctl start gateway-panel");
}
