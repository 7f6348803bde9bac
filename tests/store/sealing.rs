//! Guards against a stolen card that can be read, and against rows moved about by somebody who can write it.

use super::disk::Disk;
use super::samples::{
    KHMER, LATIN, ORGANIZATION, T0, event_key, finish, intake, key, no_recovery, open_on, subject,
};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use referral_gateway::core::link::{ChildId, Link, Sighting};
use referral_gateway::core::record::{Moment, Seq, what};
use referral_gateway::store::{DeviceKey, KeyError, Receipt, Store, StoreError};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const EVENT: TableDefinition<&[u8], &[u8]> = TableDefinition::new("event");
const GLOBAL_ID: &str = "01HZXSAMPLEGLOBALID0000001";
const CURSOR: &str = "cursor/oscar/sample-organization";

fn contains(image: &[u8], needle: &[u8]) -> bool {
    image.windows(needle.len()).any(|window| window == needle)
}

/// A store with something of everything in it.
fn fill(store: &Store) {
    for n in 0..4 {
        store.write(intake(n)).expect("is accepted");
    }
    store
        .write(|tx| {
            let mut head = tx.head(Seq(1))?.expect("is stored");
            finish(
                &mut head,
                Moment {
                    boot: tx.boot(),
                    unix: Some(T0),
                },
            );
            tx.handoff(&head, what::DISCARDED)?;
            tx.erase_content(&head)?;
            tx.retire(Seq(1), &Receipt::of(&head))?;
            let mut link = Link::default();
            link.sightings.push(Sighting {
                slug: "slug-of-sample".to_owned(),
                ..Sighting::new(ORGANIZATION, GLOBAL_ID)
            });
            tx.put_link(subject(2), &link);
            tx.put_id(&ChildId::GlobalId(GLOBAL_ID.to_owned()), subject(2));
            tx.meta_put(CURSOR, &vec![ORGANIZATION, "2026-11-20"]);
            Ok::<(), StoreError>(())
        })
        .expect("is stored");
}

#[test]
fn nothing_of_a_child_or_an_event_is_in_the_file_in_clear() {
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    fill(&store);
    let receipt = store
        .read(|view| view.receipt(&event_key(0)))
        .expect("reads")
        .expect("was retired");
    assert_eq!(receipt.key, event_key(0));
    drop(store);
    let image = disk.contents();
    assert!(contains(&image, b"event"), "the search finds what is there");
    let key = event_key(2);
    let planted = [
        LATIN,
        KHMER,
        "Beeblebrox",
        "Trillian",
        "grandmother",
        ORGANIZATION,
        &key,
        &key[..18],
        "event-key",
        GLOBAL_ID,
        "slug-of-sample",
        "GW-7F3K2",
        "0f8fad5b",
        "family_based",
        CURSOR,
        "cursor",
        "discarded",
    ];
    for planted in planted {
        assert!(!contains(&image, planted.as_bytes()), "{planted} is in the file");
    }
    assert!(!contains(&image, &[0xab; 24]), "a body hash is in the file");
    assert!(!contains(&image, &[7; 32]), "the device key is in the file");
}

/// Changes the event table behind the store's back.
fn tamper(disk: &Disk, change: impl FnOnce(Vec<Vec<u8>>) -> Vec<Vec<u8>>) {
    let database = redb::Builder::new()
        .create_with_backend(disk.clone())
        .expect("opens");
    let read = database
        .begin_read()
        .expect("reads")
        .open_table(EVENT)
        .expect("is there");
    let rows: Vec<(Vec<u8>, Vec<u8>)> = read
        .iter()
        .expect("reads")
        .map(|row| {
            row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec()))
                .expect("reads")
        })
        .collect();
    drop(read);
    let (keys, values): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let write = database.begin_write().expect("writes");
    {
        let mut table = write.open_table(EVENT).expect("is there");
        for (key, value) in keys.iter().zip(change(values)) {
            table.insert(key.as_slice(), value.as_slice()).expect("writes");
        }
    }
    write.commit().expect("commits");
}

fn filled_disk() -> Disk {
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    for n in 0..3 {
        store.write(intake(n)).expect("is accepted");
    }
    disk
}

#[test]
fn rows_swapped_between_events_are_refused() {
    let disk = filled_disk();
    tamper(&disk, |mut rows| {
        rows.swap(0, 1);
        rows
    });
    assert_eq!(open_on(&disk).err(), Some(StoreError::Damaged { table: "event" }));
}

#[test]
fn contents_swapped_between_events_are_refused() {
    let disk = filled_disk();
    tamper(&disk, |mut rows| {
        let split = |row: &[u8]| 3 + usize::from(u16::from_be_bytes([row[1], row[2]]));
        let (first, second) = (split(&rows[0]), split(&rows[1]));
        let content = rows[0].split_off(first);
        let other = rows[1].split_off(second);
        rows[0].extend(other);
        rows[1].extend(content);
        rows
    });
    let (store, _) = open_on(&disk).expect("the heads are whole");
    let read = store.read(|view| view.payload(Seq(1)));
    assert_eq!(read.err(), Some(StoreError::Damaged { table: "event" }));
}

#[test]
fn a_changed_or_shortened_row_is_refused() {
    for cut in [0, 1, 2, 3, 40, 200] {
        let disk = filled_disk();
        tamper(&disk, |mut rows| {
            rows[1].truncate(cut);
            rows
        });
        assert_eq!(
            open_on(&disk).err(),
            Some(StoreError::Damaged { table: "event" }),
            "cut to {cut}"
        );
    }
    let disk = filled_disk();
    tamper(&disk, |mut rows| {
        rows[1][60] ^= 1;
        rows
    });
    assert_eq!(open_on(&disk).err(), Some(StoreError::Damaged { table: "event" }));
}

#[test]
fn a_store_of_another_key_is_refused_and_left_untouched() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("store.redb");
    let (store, _) = Store::open(&path, key(), Some(T0), &no_recovery).expect("opens");
    fill(&store);
    drop(store);
    let other = DeviceKey::from_bytes([8; 32]);
    assert_eq!(
        Store::open(&path, other, Some(T0), &no_recovery).err(),
        Some(StoreError::WrongKey)
    );
    let (store, opened) = Store::open(&path, key(), Some(T0), &no_recovery).expect("opens again");
    assert_eq!((opened.boot.0, opened.fresh), (2, false));
    assert_eq!(store.queue(|queue| queue.len()), 3);
}

#[test]
fn a_key_file_is_made_once_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("seal.key");
    let made = DeviceKey::load_or_make(&path).expect("is made");
    assert_eq!(DeviceKey::load_or_make(&path).expect("is read"), made);
    let mode = fs::metadata(&path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(
        fs::read_dir(folder.path()).expect("reads").count(),
        1,
        "no draft stays behind"
    );
    let text = fs::read_to_string(&path).expect("reads");
    assert_eq!(DeviceKey::parse(&text), Some(made.clone()));
    assert!(!format!("{made:?}").contains(&text[..8]));
    let another = DeviceKey::load_or_make(&folder.path().join("other.key")).expect("is made");
    assert_ne!(another, made);
}

#[test]
fn a_key_file_others_can_read_or_of_the_wrong_shape_is_refused() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("seal.key");
    let good = "5a".repeat(32);
    for mode in [0o604, 0o640, 0o644, 0o666, 0o620] {
        fs::write(&path, &good).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("sets the mode");
        let refused = DeviceKey::load_or_make(&path);
        assert_eq!(
            refused,
            Err(KeyError::Exposed {
                path: path.clone(),
                mode
            })
        );
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("sets the mode");
    assert!(DeviceKey::load_or_make(&path).is_ok());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets the mode");
    for wrong in [
        "",
        "5a5a",
        &good[..63],
        &format!("{good}5a"),
        &format!("{}zz", &good[..62]),
        "\u{e9}\u{e9}",
    ] {
        fs::write(&path, wrong).expect("writes");
        assert_eq!(
            DeviceKey::load_or_make(&path),
            Err(KeyError::Shape { path: path.clone() }),
            "{wrong:?}"
        );
        assert_eq!(
            fs::read_to_string(&path).expect("reads"),
            wrong,
            "is never overwritten"
        );
    }
}

/// As systemd hands out a credential: root's, with the service's access shown as a right of the group root.
#[test]
fn a_systemd_credential_is_accepted_and_its_like_is_not() {
    use std::os::unix::fs::{MetadataExt, chown};
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("seal.key");
    fs::write(&path, "5a".repeat(32)).expect("writes");
    let owner = fs::metadata(&path).expect("is there").uid();
    assert_eq!(
        owner, 0,
        "only root can make a file of root's: ./tests/run runs this as root"
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).expect("sets the mode");
    assert!(DeviceKey::load_or_make(&path).is_ok());
    for (user, group) in [(0, 100), (1, 0)] {
        chown(&path, Some(user), Some(group)).expect("root may");
        assert!(matches!(
            DeviceKey::load_or_make(&path),
            Err(KeyError::Exposed { mode: 0o440, .. })
        ));
    }
}
