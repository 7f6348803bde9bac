//! From the card writer to the desk, and through a power cut in the middle of the day's work.

use crate::far::{Far, Station, referral};
use crate::host::{host, wait_until};
use crate::machine::Machine;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Accepted events after which the plug is pulled.
const LOAD: usize = 60;
const STATIONS: [&str; 4] = ["front-desk", "ward", "school", "hotline"];

#[test]
fn a_box_sets_itself_up_works_and_loses_nothing_in_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let far = Far::up();
    let mut machine = Machine::fresh(folder.path(), "box");
    machine.write_to_card("gateway.txt", far.gateway_txt().as_bytes());
    machine.start();
    machine.says("Starting slot a");
    far.desk_sees("online");
    machine.says("gateway: online.");
    machine.wait_for_shell();
    assert_eq!(
        machine.shell_ok("cat /var/lib/referral-gateway/boot/reason"),
        "first"
    );
    root_is_read_only_and_logs_are_in_memory(&mut machine);

    let stations = Station::made_by_stick(&mut machine, folder.path(), &STATIONS);
    let (code, answer) = stations[0].send(&referral("first", 0)).unwrap();
    assert_eq!((code, &answer["state"]), (201, &"pending".into()), "{answer}");
    wait_until("the first event is delivered", || {
        stations[0].state("first") == "delivered"
    });
    assert_eq!(far.oscar.with(|sim| sim.referrals().len()), 1);

    far.peers(false);
    let accepted = load_until_the_power_goes(&mut machine, &stations);
    passwords_have_left_the_card(&machine);
    check_the_data_partition(&machine);

    machine.start();
    machine.says("gateway: o");
    machine.wait_for_shell();
    assert_eq!(
        machine.shell_ok("cat /var/lib/referral-gateway/boot/reason"),
        "power"
    );
    wait_until("the desk is told why it started", || {
        far.told("health")["boot_reason"] == "power"
    });
    let lost: Vec<_> = accepted
        .iter()
        .map(|key| (key, stations[station_of(key)].state(key)))
        .filter(|(_, state)| state != "pending")
        .collect();
    assert!(lost.is_empty(), "of {} accepted events: {lost:?}", accepted.len());

    far.peers(true);
    wait_until("everything accepted is delivered", || {
        accepted
            .iter()
            .all(|key| stations[station_of(key)].state(key) == "delivered")
    });
    let arrived = far.oscar.with(|sim| sim.referrals());
    let children: BTreeSet<&str> = arrived
        .iter()
        .filter_map(|row| row.external_id.as_deref())
        .collect();
    assert_eq!(children.len(), arrived.len(), "a referral came twice");
    assert!(
        arrived.len() > accepted.len(),
        "{} of {}",
        arrived.len(),
        accepted.len()
    );
    machine.shut_down();
    check_the_data_partition(&machine);
}

fn root_is_read_only_and_logs_are_in_memory(machine: &mut Machine) {
    let (said, code) = machine.shell("touch /etc/x");
    assert!(code != 0 && said.contains("Read-only"), "{said}");
    assert_eq!(
        machine.shell_ok("stat -f -c %T /var/log /run/log"),
        "tmpfs\ntmpfs"
    );
    let data = machine.shell_ok("df -B1000000 --output=size /var/lib/referral-gateway | tail -1");
    assert!(
        data.trim().parse::<u32>().unwrap() > 700,
        "the data partition grew to the card's end: {data} MB"
    );
}

fn station_of(key: &str) -> usize {
    key.split('-').nth(1).unwrap().parse().unwrap()
}

/// Four stations send as fast as they are let; when enough is accepted the plug is pulled under them. What was accepted
/// by then, and in the moment of the cut.
fn load_until_the_power_goes(machine: &mut Machine, stations: &[Station]) -> Vec<String> {
    let accepted = Mutex::new(Vec::new());
    let (count, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let cut = std::thread::scope(|scope| {
        for (which, station) in stations.iter().enumerate() {
            let (accepted, count, over) = (&accepted, &count, &over);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                    let key = format!("load-{which}-{number}");
                    // A refusal or a broken line is not an acceptance, and nobody claims it is.
                    if let Ok((201, _)) = station.send(&referral(&key, 1 + which * 300 + number)) {
                        accepted.lock().unwrap().push(key);
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        wait_until("enough is accepted", || count.load(Ordering::SeqCst) >= LOAD);
        let cut = machine.cut_power(20_261_129);
        over.store(true, Ordering::SeqCst);
        cut
    });
    let accepted = accepted.into_inner().unwrap();
    println!("{} events accepted, then {cut:?}", accepted.len());
    assert!(cut.flushes > 0 && cut.lost > 0, "the cut hit nothing: {cut:?}");
    accepted
}

/// Neither as files nor as forgotten blocks; the second partition on is not the card a laptop shows.
fn passwords_have_left_the_card(machine: &Machine) {
    let text = machine.text_from_card("gateway.txt");
    assert!(
        text.contains("password = \"\"") && text.contains("kpt-09"),
        "{text}"
    );
    assert!(!machine.names_on_card().contains("errors"));
    let card = std::fs::File::open(&machine.card_file).unwrap();
    let mut bytes = vec![0; 128 << 20];
    std::os::unix::fs::FileExt::read_exact_at(&card, &mut bytes, 4 << 20).unwrap();
    for secret in ["primero-password-1", "oscar-password-1", crate::far::PASSPHRASE] {
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} is still on the first partition");
    }
}

/// The file system repairs itself from its journal when it is mounted; here, on a copy, it is looked through.
fn check_the_data_partition(machine: &Machine) {
    let copy = machine.folder.join("data.ext4");
    let (from, to) = (machine.card_file.to_str().unwrap(), copy.to_str().unwrap());
    let (from, to) = (format!("if={from}"), format!("of={to}"));
    host(
        "dd",
        &[&from, &to, "bs=1M", "skip=1412", "conv=sparse", "status=none"],
    );
    // 0 or 1: nothing to do, or only the journal was played. Anything else breaks the test.
    host(
        "sh",
        &["-c", &format!("e2fsck -fp {} || [ $? -eq 1 ]", copy.display())],
    );
    std::fs::remove_file(copy).unwrap();
}
