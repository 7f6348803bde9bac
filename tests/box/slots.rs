//! Two slots: changed by hand, fallen back from, and a store that a later version has written.

use crate::far::{Far, Station, referral};
use crate::host::{host, wait_until};
use crate::machine::Machine;
use redb::TableDefinition;
use referral_gateway::store::SCHEMA;
use std::path::Path;

const SLOT: &str = "/usr/lib/referral-gateway/slot";
const META: TableDefinition<&[u8], &[u8]> = TableDefinition::new("meta");

fn confirmed(machine: &mut Machine, slot: &str) {
    let wanted = format!("running {slot}, good {slot}, to try: none 0");
    let mut shown = String::new();
    wait_until(&format!("{wanted:?}"), || {
        shown = machine.shell_ok(&format!("{SLOT} show"));
        shown == wanted
    });
}

/// Once the box serves again it still has the event.
fn kept(station: &Station) {
    wait_until("the event of before is still there", || {
        station.state("before") == "pending"
    });
}

#[test]
fn slots_change_fall_back_and_keep_a_later_store() {
    let folder = tempfile::tempdir().unwrap();
    let far = Far::up();
    let mut machine = Machine::fresh(folder.path(), "box");
    machine.set_up(&far);
    confirmed(&mut machine, "a");
    let station = Station::made_by_stick(&mut machine, folder.path(), &["front-desk"]).remove(0);
    far.peers(false);
    assert_eq!(station.send(&referral("before", 0)).unwrap().0, 201);

    // By hand into the other slot: it serves, and is the good one from then on.
    machine.shell_ok(&format!("{SLOT} try b"));
    machine.restart_into("b", 1);
    machine.wait_for_shell();
    confirmed(&mut machine, "b");
    machine.started_because("update");
    kept(&station);

    // A slot that does not start at all: three tries, then the good one by itself.
    machine
        .shell_ok("mkdir -p /run/a && mount LABEL=slot-a /run/a && mv /run/a/boot/vmlinuz /run/a/boot/away");
    machine.shell_ok(&format!("umount /run/a && {SLOT} try a"));
    machine.restart_into("a", 1 + 3);
    machine.says_times("Starting slot b", 2);
    machine.wait_for_shell();
    confirmed(&mut machine, "b");
    machine.started_because("rollback");
    kept(&station);

    // A slot that starts and does not serve gives up after its patience, three times.
    machine
        .shell_ok("mkdir -p /run/a && mount LABEL=slot-a /run/a && mv /run/a/boot/away /run/a/boot/vmlinuz");
    machine.shell_ok("ln -sf /bin/false /run/a/usr/bin/referral-gateway");
    machine.shell_ok(
        "mkdir /run/a/etc/systemd/system/gateway-keep.service.d && printf '[Service]\nEnvironment=GATEWAY_TRIAL_PATIENCE_S=20\n' \
         >/run/a/etc/systemd/system/gateway-keep.service.d/test.conf",
    );
    machine.shell_ok(&format!("umount /run/a && {SLOT} try a"));
    machine.restart_into("a", 4 + 3);
    machine.says_times("Starting slot b", 3);
    let heard = machine.serial();
    let starts = heard
        .split("Starting slot ")
        .filter(|start| start.starts_with('a'));
    let broken = starts.last().unwrap_or_default();
    assert!(
        broken.contains("gateway: fault.") && !broken.contains("gateway: setup."),
        "a broken program is no word about the provisioning file: {broken}"
    );
    machine.wait_for_shell();
    confirmed(&mut machine, "b");
    machine.started_because("rollback");
    kept(&station);
    machine.shut_down();
    a_later_store_is_left_alone(&mut machine, folder.path());
    far.peers(true);
    wait_until("the event of before is delivered", || {
        station.state("before") == "delivered"
    });
    assert_eq!(far.oscar.with(|sim| sim.referrals().len()), 1);
}

/// As if the version that was tried had written a store of its own format, and this one came back.
fn a_later_store_is_left_alone(machine: &mut Machine, folder: &Path) {
    let later = SCHEMA + 1;
    stamp(machine, folder, later);
    machine.start();
    machine.says("gateway: fault.");
    machine.wait_for_shell();
    let said = machine.shell_ok("journalctl -u referral-gateway -o cat --no-pager");
    let wanted = format!(
        "the store has format {later} and this program knows formats up to {SCHEMA}; install the newer"
    );
    assert!(said.contains(&wanted), "{said}");
    machine.shut_down();
    stamp(machine, folder, SCHEMA);
    machine.start();
    machine.says("gateway: o");
}

/// Writes a schema number into the store on the card.
fn stamp(machine: &Machine, folder: &Path, schema: u32) {
    let mount = folder.join("data");
    std::fs::create_dir_all(&mount).unwrap();
    let (card, at) = (machine.card_file.to_str().unwrap(), mount.to_str().unwrap());
    let offset = format!("loop,offset={}", 1412u64 << 20);
    host("mount", &["-o", &offset, card, at]);
    let database = redb::Database::open(mount.join("gateway.redb")).unwrap();
    let write = database.begin_write().unwrap();
    write
        .open_table(META)
        .unwrap()
        .insert(b"schema".as_slice(), schema.to_be_bytes().as_slice())
        .unwrap();
    write.commit().unwrap();
    drop(database);
    host("umount", &[at]);
}
