//! What the drop folder leaves behind: `accepted/` gets a receipt with keys and numbers; `rejected/` gets a reason file
//! without content and the file itself, sealed (`events rejected FILE` opens it on this box). Both are named by a digest
//! of the content.
//!
//! **Time.** They go once `keep_delivered` has passed, like the content of a delivered event, and are counted like it:
//! nothing goes while the clock is unknown, and what was written under an unknown clock, or is from the future, is
//! stamped with the first known time that sees it. That is later than the truth: kept too long rather than too short.
//!
//! **Limits.** Each folder keeps at most [`FILES_MAX`] files of [`BYTES_MAX`] together; beyond that the oldest go.

use crate::core::time::Wall;
use crate::shell::log;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::{self, DirEntry, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Files in one folder: weeks of an office's, and a listing of them costs a Pi Zero some tens of milliseconds.
const FILES_MAX: usize = 4000;
/// Bytes in one folder: sixteen of the largest files.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What this module calls its files; others are nobody's business here.
const ENDINGS: [&str; 2] = [".json", ".sealed"];
/// The group may put files in and cannot list them; nobody removes another's.
const INTAKE_MODE: u32 = 0o1730;
const RESULTS_MODE: u32 = 0o750;

/// The folders of results.
pub struct Leavings {
    intake: PathBuf,
    keep_s: i64,
    seal: LessSafeKey,
    random: SystemRandom,
}

/// A file that was left behind.
struct Left {
    path: PathBuf,
    /// When, in Unix seconds, if that is known.
    since: Option<i64>,
    bytes: u64,
}

impl Leavings {
    /// Makes the drop folder and those of results in it.
    pub fn open(intake: &Path, keep: Duration, seal_key: &[u8; 32]) -> io::Result<Leavings> {
        folder(intake, INTAKE_MODE)?;
        folder(&intake.join("accepted"), RESULTS_MODE)?;
        folder(&intake.join("rejected"), RESULTS_MODE)?;
        Ok(Leavings {
            intake: intake.to_owned(),
            keep_s: i64::try_from(keep.as_secs()).unwrap_or(i64::MAX),
            seal: sealing(seal_key),
            random: SystemRandom::new(),
        })
    }

    /// The receipts of a file that is in.
    pub fn accepted(&self, digest: &str, receipts: &str, unix: Option<i64>) -> io::Result<()> {
        self.write(
            "accepted",
            &format!("{digest}.json"),
            &[receipts.as_bytes()],
            unix,
        )
    }

    /// A file that was not taken, and why.
    pub fn rejected(
        &self,
        digest: &str,
        mut bytes: Vec<u8>,
        reasons: &str,
        unix: Option<i64>,
    ) -> io::Result<()> {
        let nonce: [u8; NONCE_LEN] = self.random_bytes()?;
        let tag = self
            .seal
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes)
            .map_err(|_| io::Error::other("too large to seal"))?;
        let sealed = [&nonce[..], &bytes, tag.as_ref()];
        self.write("rejected", &format!("{digest}.sealed"), &sealed, unix)?;
        let name = format!("{digest}.reason.json");
        self.write("rejected", &name, &[reasons.as_bytes()], unix)?;
        self.tidy_folder("rejected", unix);
        Ok(())
    }

    /// On disk, file and name, before the original goes.
    fn write(&self, folder: &str, name: &str, parts: &[&[u8]], unix: Option<i64>) -> io::Result<()> {
        let folder = self.intake.join(folder);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(folder.join(name))?;
        // Whatever the umask: they are for whoever may hand files in.
        file.set_permissions(Permissions::from_mode(0o640))?;
        for part in parts {
            file.write_all(part)?;
        }
        if unix.is_none() {
            file.set_modified(UNIX_EPOCH)?;
        }
        file.sync_all()?;
        File::open(folder)?.sync_all()
    }

    /// Removes a file that has been seen to. Another that has come under its name meanwhile, or one that has been
    /// written to again, stays under a new name and is met at the next look.
    pub fn clear(&self, path: &Path, seen: &Metadata) -> io::Result<()> {
        let random: [u8; 16] = self.random_bytes()?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let aside = self.intake.join(name);
        fs::rename(path, &aside)?;
        let meta = fs::symlink_metadata(&aside)?;
        let what = |meta: &Metadata| {
            (
                meta.dev(),
                meta.ino(),
                meta.len(),
                meta.mtime(),
                meta.mtime_nsec(),
            )
        };
        if what(&meta) == what(seen) {
            fs::remove_file(&aside)?;
        }
        Ok(())
    }

    fn random_bytes<const N: usize>(&self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        let filled = self.random.fill(&mut bytes);
        filled.map_err(|_| io::Error::other("the system gives no random numbers"))?;
        Ok(bytes)
    }

    /// Removes what is old or too much. `unix` is the wall clock where it is plausible.
    pub fn tidy(&self, unix: Option<i64>) {
        self.tidy_folder("accepted", unix);
        self.tidy_folder("rejected", unix);
    }

    /// What cannot be read, stamped or removed is met again the next time.
    fn tidy_folder(&self, folder: &str, unix: Option<i64>) {
        let entries = fs::read_dir(self.intake.join(folder)).into_iter().flatten();
        let mut left: Vec<Left> = entries.flatten().filter_map(|entry| Left::of(&entry)).collect();
        let gone = |file: &Left| fs::remove_file(&file.path).is_ok();
        if let Some(now) = unix {
            for file in &mut left {
                if file.since.is_none_or(|since| since > now) {
                    file.stamp(now);
                }
            }
            let before = left.len();
            let old = |file: &Left| file.since.is_some_and(|since| now - since >= self.keep_s);
            left.retain(|file| !(old(file) && gone(file)));
            if left.len() < before {
                let number = before - left.len();
                log::info(format_args!(
                    "drop folder: {number} old files removed from {folder}/"
                ));
            }
        }
        // Of unknown age: more likely just written than older than all others.
        let order = |file: &Left| (file.since.is_none(), file.since);
        left.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.path.cmp(&b.path)));
        let (mut files, mut bytes) = (left.len(), left.iter().map(|file| file.bytes).sum::<u64>());
        let before = files;
        for file in &left {
            if files <= FILES_MAX && bytes <= BYTES_MAX {
                break;
            }
            if gone(file) {
                files -= 1;
                bytes -= file.bytes;
            }
        }
        if files < before {
            let number = before - files;
            log::warn(format_args!(
                "drop folder: too much in {folder}/: the {number} oldest files removed"
            ));
        }
    }
}

impl Left {
    /// A file that this module wrote.
    fn of(entry: &DirEntry) -> Option<Left> {
        let name = entry.file_name();
        let name = name.to_str()?;
        let meta = entry.metadata().ok()?;
        if !meta.is_file() || !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            return None;
        }
        Some(Left {
            path: entry.path(),
            since: Wall::judge(meta.mtime(), 0, false).known(),
            bytes: meta.len(),
        })
    }

    /// Its age counts from now on.
    fn stamp(&mut self, now: i64) {
        let at = UNIX_EPOCH + Duration::from_secs(now.unsigned_abs());
        let file = File::options().write(true).open(&self.path);
        // Without a stamp it is of unknown age until the next time.
        self.since = file.and_then(|file| file.set_modified(at)).is_ok().then_some(now);
    }
}

/// Makes a folder with this mode, or gives it that; what root has set besides (the group of new files) stays.
fn folder(path: &Path, mode: u32) -> io::Result<()> {
    fs::create_dir_all(path)?;
    let now = fs::metadata(path)?.permissions().mode() & 0o7777;
    if now & 0o1777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn sealing(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has the cipher's length"))
}

/// Opens a rejected file for whoever has to correct it; nothing if it was not sealed with this key.
pub fn opened(seal_key: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut rest = rest.to_vec();
    let plain = sealing(seal_key)
        .open_in_place(nonce, Aad::empty(), &mut rest)
        .ok()?;
    Some(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::{BUILD_FLOOR, WALL_CEILING};

    const DAY: i64 = 24 * 3600;
    const NOW: i64 = BUILD_FLOOR + 100 * DAY;

    struct Folder(tempfile::TempDir, Leavings);

    impl Folder {
        fn new() -> Folder {
            let folder = tempfile::tempdir().unwrap();
            let leavings = Leavings::open(
                &folder.path().join("intake"),
                Duration::from_secs(3 * 86_400),
                &[7; 32],
            );
            Folder(folder, leavings.unwrap())
        }

        fn put(&self, name: &str, unix: i64, bytes: u64) {
            let file = File::create(self.0.path().join("intake").join(name)).unwrap();
            file.set_len(bytes).unwrap();
            let at = UNIX_EPOCH + Duration::from_secs(unix.unsigned_abs());
            file.set_modified(at).unwrap();
        }

        fn names(&self, folder: &str) -> Vec<String> {
            let entries = fs::read_dir(self.0.path().join("intake").join(folder)).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    #[test]
    fn what_is_left_behind_goes_when_its_time_has_passed_by_a_known_clock() {
        let folder = Folder::new();
        folder.put("accepted/old.json", NOW - 3 * DAY, 1);
        folder.put("rejected/old.sealed", NOW - 3 * DAY, 1);
        folder.put("rejected/old.reason.json", NOW - 3 * DAY, 1);
        folder.put("rejected/young.sealed", NOW - 3 * DAY + 1, 1);
        folder.put("rejected/somebody's.txt", NOW - 3 * DAY, 1);
        folder.1.tidy(None);
        assert_eq!(
            folder.names("accepted"),
            ["old.json"],
            "nothing goes by an unknown clock"
        );
        folder.1.tidy(Some(NOW));
        assert!(folder.names("accepted").is_empty());
        assert_eq!(folder.names("rejected"), ["somebody's.txt", "young.sealed"]);
    }

    #[test]
    fn a_clock_that_was_wrong_at_the_time_removes_nothing_early() {
        let folder = Folder::new();
        // Written before the clock was set, by one far ahead, and by one plausibly ahead.
        folder.1.accepted("1970", "[]", None).unwrap();
        folder.put("accepted/2099.json", WALL_CEILING + 9 * 365 * DAY, 1);
        folder.put("accepted/ahead.json", NOW + 900 * DAY, 1);
        folder.1.tidy(Some(NOW));
        folder.1.tidy(Some(NOW + 3 * DAY - 1));
        assert_eq!(folder.names("accepted"), ["1970.json", "2099.json", "ahead.json"]);
        folder.1.tidy(Some(NOW + 3 * DAY));
        assert!(folder.names("accepted").is_empty(), "and not for ever");
    }

    #[test]
    fn what_has_come_under_the_same_name_meanwhile_is_not_removed() {
        let Folder(folder, leavings) = Folder::new();
        let intake = folder.path().join("intake");
        let path = intake.join("today.json");
        let files = || {
            let entries = fs::read_dir(&intake).unwrap().map(|entry| entry.unwrap().path());
            let mut texts: Vec<String> = entries
                .filter(|path| path.is_file())
                .map(|path| fs::read_to_string(path).unwrap())
                .collect();
            texts.sort();
            texts
        };
        fs::write(&path, "first").unwrap();
        let seen = fs::metadata(&path).unwrap();
        fs::write(intake.join("draft.tmp"), "other").unwrap();
        fs::rename(intake.join("draft.tmp"), &path).unwrap();
        leavings.clear(&path, &seen).unwrap();
        assert_eq!(files(), ["other"]);

        fs::write(&path, "longer").unwrap();
        let seen = fs::metadata(&path).unwrap();
        fs::write(&path, "longer still").unwrap();
        leavings.clear(&path, &seen).unwrap();
        assert_eq!(files(), ["longer still", "other"]);

        fs::write(&path, "last").unwrap();
        leavings.clear(&path, &fs::metadata(&path).unwrap()).unwrap();
        assert_eq!(files(), ["longer still", "other"]);
    }

    #[test]
    fn too_much_goes_oldest_first_and_what_was_just_written_stays() {
        let folder = Folder::new();
        for number in 0..20 {
            folder.put(
                &format!("rejected/{number:02}.sealed"),
                NOW - DAY + number,
                4 << 20,
            );
        }
        // Its clock is not set: of unknown age, and the newest.
        folder.1.rejected("new", vec![1; 100], "[]", None).unwrap();
        let mut wanted: Vec<String> = (5..20).map(|number| format!("{number:02}.sealed")).collect();
        wanted.extend(["new.reason.json".to_owned(), "new.sealed".to_owned()]);
        assert_eq!(folder.names("rejected"), wanted);

        for number in 0..FILES_MAX + 3 {
            folder.put(
                &format!("accepted/{number:04}.json"),
                NOW - DAY + number as i64,
                1,
            );
        }
        folder.1.tidy(Some(NOW));
        let names = folder.names("accepted");
        assert_eq!((names.len(), names[0].as_str()), (FILES_MAX, "0003.json"));
    }
}
