//! A box hands over to another: nothing is lost, nothing is sent twice, and the old box keeps still.

use crate::office::{Office, Ran, gateway, private, referral};
use crate::stick::Plugged;
use std::path::PathBuf;
use std::process::Command;

const PHRASE: &str = "five words for the stick";

/// A second box for the same office: same configuration, a data folder of its own, on the first one's shelf.
struct Second {
    config: PathBuf,
    data: PathBuf,
}

impl Second {
    fn new(office: &Office) -> Second {
        let text = std::fs::read_to_string(&office.config).unwrap();
        let config = office.folder.path().join("second.toml");
        private(
            &config,
            &text.replace("data_dir = \"data\"", "data_dir = \"second\""),
        );
        Second {
            config,
            data: office.folder.path().join("second"),
        }
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.ran(Command::new(gateway()), words)
    }

    /// An import from a stick, $1, to which this was done; only the import sees it.
    fn unable(&self, done: &str, folder: &str, phrase: &str) -> Ran {
        let mut shell = Command::new("unshare");
        shell.args([
            "-m",
            "sh",
            "-c",
            &format!("{done} && shift && exec \"$@\""),
            "sh",
            folder,
        ]);
        shell.arg(gateway());
        self.ran(shell, &["box", "import", folder, phrase])
    }

    fn ran(&self, mut program: Command, words: &[&str]) -> Ran {
        let output = program
            .arg("--config")
            .arg(&self.config)
            .args(words)
            .output()
            .unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The folder of a stick, and a file with its passphrase.
fn stick(office: &Office) -> (String, String) {
    let folder = office.folder.path().join("stick");
    std::fs::create_dir(&folder).unwrap();
    let phrase = office.folder.path().join("phrase.txt");
    private(&phrase, PHRASE);
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    (text(folder), text(phrase))
}

#[test]
fn the_new_box_goes_on_where_the_old_one_stopped() {
    let office = Office::new();
    office.enqueue(&referral("sent", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    office.enqueue(&referral("waiting", "Bopha", "cif"));
    let (folder, phrase) = stick(&office);

    let refused = office.run(&["box", "reset"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.err.contains("1 events"), "{refused:?}");
    assert_eq!(office.run(&["box", "undelivered"]).out, "1\n");

    let exported = office.run(&["box", "export", &folder, &phrase]);
    assert_eq!(exported.code, 0, "{exported:?}");
    let file = std::fs::read(format!("{folder}/kpt-03.gateway-swap")).unwrap();
    for word in ["Bopha", "Dara", "sent", "waiting"] {
        assert!(
            !file.windows(word.len()).any(|part| part == word.as_bytes()),
            "{word}"
        );
    }
    for words in [&["sync"][..], &["events", "list"], &["run"]] {
        let locked = office.run(words);
        assert!(
            locked.code != 0 && locked.err.contains("handed"),
            "{words:?}: {locked:?}"
        );
    }

    let second = Second::new(&office);
    let taken = second.run(&["box", "import", &folder, &phrase]);
    assert_eq!(taken.code, 0, "{taken:?}");
    assert_eq!(second.run(&["sync"]).code, 0);
    let states = second.run(&["events", "list", "--json"]).lines().remove(0);
    for event in states["events"].as_array().unwrap() {
        assert_eq!(event["state"], "delivered", "{event}");
    }
    assert_eq!(states["events"].as_array().unwrap().len(), 2);
    assert_eq!(office.oscar.with(|sim| sim.referrals().len()), 2, "each once");
    assert_eq!(office.primero.cases().len(), 2);

    let again = second.run(&["box", "import", &folder, &phrase]);
    assert_eq!(again.code, 3, "{again:?}");
    assert!(again.err.contains("imported"), "{again:?}");
    assert_eq!(
        office.run(&["box", "reset"]).code,
        0,
        "handed over, so it may be emptied"
    );
    assert!(!office.data("gateway.redb").exists() && !office.data("seal.key").exists());
}

#[test]
fn what_the_old_box_sent_the_new_one_knows() {
    let office = Office::new();
    office.enqueue(&referral("first", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    let before = office.oscar.with(|sim| sim.referrals().len());
    let (folder, phrase) = stick(&office);
    assert_eq!(office.run(&["box", "export", &folder, &phrase]).code, 0);
    let second = Second::new(&office);
    assert_eq!(second.run(&["box", "import", &folder, &phrase]).code, 0);
    // The same event again, as a station that was never answered would send it: the new box knows it.
    let body = referral("first", "Dara", "cif").to_string();
    let file = office.folder.path().join("again.json");
    std::fs::write(&file, body).unwrap();
    let again = second.run(&["enqueue", file.to_str().unwrap(), "--json"]);
    assert_eq!(again.lines()[0]["state"], "delivered", "{again:?}");
    assert_eq!(second.run(&["sync"]).code, 0);
    assert_eq!(office.oscar.with(|sim| sim.referrals().len()), before);
}

#[test]
fn an_import_takes_nothing_it_should_not() {
    let office = Office::new();
    office.enqueue(&referral("waiting", "Dara", "cif"));
    let (folder, phrase) = stick(&office);
    assert_eq!(office.run(&["box", "export", &folder, &phrase]).code, 0);
    let second = Second::new(&office);
    let wrong = office.folder.path().join("wrong.txt");
    private(&wrong, "quite another set of words");
    let refused = second.run(&["box", "import", &folder, wrong.to_str().unwrap()]);
    assert_eq!(refused.code, 3, "{refused:?}");
    let file = format!("{folder}/kpt-03.gateway-swap");
    let whole = std::fs::read(&file).unwrap();
    for length in [28, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let refused = second.run(&["box", "import", &folder, &phrase]);
        assert_eq!(refused.code, 3, "cut to {length}: {refused:?}");
        assert!(!second.data.join("seal.key").exists(), "cut to {length}");
    }
    std::fs::write(&file, &whole).unwrap();
    let own = referral("own", "Bopha", "cif").to_string();
    let input = office.folder.path().join("own.json");
    std::fs::write(&input, own).unwrap();
    assert_eq!(second.run(&["enqueue", input.to_str().unwrap()]).code, 0);
    let refused = second.run(&["box", "import", &folder, &phrase]);
    assert!(
        refused.code == 3 && refused.err.contains("only a fresh box"),
        "{refused:?}"
    );
    assert!(second.data.join("gateway.redb").exists());
    // The stick got lost: the old box may work again, and a person says so.
    assert_eq!(office.run(&["box", "unlock"]).code, 2);
    assert_eq!(
        office
            .run(&["box", "unlock", "--note", "stick fell into the river"])
            .code,
        0
    );
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("waiting"), "delivered");
}

#[test]
fn the_stations_find_the_box_they_know() {
    let mut office = Office::with("[lan]\nlisten = \"127.0.0.1:0\"\n");
    office.start();
    assert_eq!(office.stop(), Some(0));
    let files = ["lan.key", "lan.crt"];
    let known = files.map(|name| std::fs::read(office.data(name)).unwrap());
    let (folder, phrase) = stick(&office);
    assert_eq!(office.run(&["box", "export", &folder, &phrase]).code, 0);
    let second = Second::new(&office);
    let taken = second.run(&["box", "import", &folder, &phrase]);
    assert_eq!(taken.code, 0, "{taken:?}");
    assert_eq!(
        files.map(|name| std::fs::read(second.data.join(name)).unwrap()),
        known
    );
    assert_eq!(office.run(&["box", "reset"]).code, 0);
    for name in files {
        assert!(!office.data(name).exists(), "{name}");
    }
}

#[test]
fn a_file_in_the_drop_folder_is_not_left_behind() {
    let office = Office::new();
    office.enqueue(&referral("sent", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    let (folder, phrase) = stick(&office);
    let intake = office.data("intake");
    std::fs::create_dir_all(&intake).unwrap();
    let dropped = intake.join("late.json");
    let text = referral("late", "Bopha", "cif").to_string();
    std::fs::write(&dropped, &text).unwrap();
    let refused = office.run(&["box", "export", &folder, &phrase]);
    assert!(
        refused.code == 3 && refused.err.contains("drop folder"),
        "{refused:?}"
    );
    std::fs::remove_file(&dropped).unwrap();
    assert_eq!(office.run(&["box", "export", &folder, &phrase]).code, 0);
    // A program that was not told goes on writing files into the locked box.
    std::fs::write(&dropped, &text).unwrap();
    let refused = office.run(&["box", "reset"]);
    assert!(
        refused.code == 3 && refused.err.contains("drop folder"),
        "{refused:?}"
    );
    assert!(office.data("gateway.redb").exists());
    std::fs::remove_file(&dropped).unwrap();
    assert_eq!(office.run(&["box", "reset"]).code, 0);
}

/// A stick that turned read-only, and one that fails at the last step: no second box may believe that it is to take over.
#[test]
fn a_stick_that_cannot_be_marked_is_refused_beforehand_or_named_afterwards() {
    let office = Office::new();
    office.enqueue(&referral("waiting", "Dara", "cif"));
    let (folder, phrase) = stick(&office);
    assert_eq!(office.run(&["box", "export", &folder, &phrase]).code, 0);
    let second = Second::new(&office);
    let refused = second.unable(
        "mount --bind $1 $1 && mount -o remount,bind,ro $1",
        &folder,
        &phrase,
    );
    assert!(
        refused.code == 3 && refused.err.contains("cannot be written"),
        "{refused:?}"
    );
    for name in ["gateway.redb", "seal.key"] {
        assert!(!second.data.join(name).exists(), "{name}");
    }
    // A mounted file can be written, and nothing can take its name.
    let taken = second.unable(
        "f=$1/kpt-03.imported && >$f && mount --bind $f $f",
        &folder,
        &phrase,
    );
    assert!(
        taken.code == 4 && taken.err.contains("HAS TAKEN OVER") && taken.err.contains("destroy it"),
        "{taken:?}"
    );
    // As after a power cut at that point.
    assert!(PathBuf::from(&folder).join("kpt-03.gateway-swap").exists());
    let marked = second.run(&["box", "import", &folder, &phrase]);
    assert_eq!(marked.code, 0, "{marked:?}");
    assert!(!PathBuf::from(folder).join("kpt-03.gateway-swap").exists());
    assert!(!second.data.join("seal.key.import").exists());
    assert_eq!(second.run(&["sync"]).code, 0);
    assert_eq!(office.oscar.with(|sim| sim.referrals().len()), 1);
}

/// Its result may be lost with it.
#[test]
fn a_box_that_took_over_from_a_stick_that_failed_then_says_so_on_its_screen() {
    let mut old = Plugged::new();
    old.office.enqueue(&referral("k-1", "Dara", "cif"));
    old.office.stop();
    old.write("gateway-swap.txt", PHRASE);
    assert_eq!(old.insert().0, "0");
    let mut new = Plugged::new();
    new.office.stop();
    let file = "kpt-03.gateway-swap";
    std::fs::copy(old.stick.join(file), new.stick.join(file)).unwrap();
    // Nothing can take the name of a mounted file.
    new.write("kpt-03.imported", "");
    let script = new.script();
    let mut failing = Command::new("unshare");
    failing.args(["-m", "sh", "-c", "/usr/bin/mount --bind $0 $0 && exec sh \"$@\""]);
    failing
        .arg(new.stick.join("kpt-03.imported"))
        .args(script.get_args());
    failing.envs(script.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(failing.status().unwrap().success());
    let screen = std::fs::read_to_string(new.office.folder.path().join("screen")).unwrap();
    assert!(
        screen.contains("exit code 4: THIS BOX HAS TAKEN OVER"),
        "{screen}"
    );
    assert!(new.stick.join(file).exists());
    let (code, result) = new.insert();
    assert!(
        code == "0" && result.contains("has taken over"),
        "{code}: {result}"
    );
    assert!(!new.stick.join(file).exists());
    assert_eq!(new.office.state("k-1"), "pending");
}

/// The field guide, "The board or the card is dead": what the device key in the envelope is for. OSCaR shows nothing of a
/// referral that nobody there has opened, so that it is told again; the guide has a person look first.
#[test]
fn a_new_card_with_the_old_key_makes_no_second_case_or_service() {
    let office = Office::new();
    office.enqueue(&referral("sent", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    for file in std::fs::read_dir(office.data("")).unwrap().flatten() {
        if file.file_name() != "seal.key" {
            let _ = std::fs::remove_file(file.path());
        }
    }
    assert!(office.states().is_empty(), "the card is new");
    office.enqueue(&referral("sent", "Dara", "cif"));
    office.sync();
    assert_ne!(office.state("sent"), "pending");
    assert_eq!(office.primero.cases().len(), 1);
    assert_eq!(
        office.primero.cases()[0]["services_section"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn an_emptying_that_was_cut_off_is_finished_and_starts_nothing_meanwhile() {
    let office = Office::new();
    office.enqueue(&referral("waiting", "Dara", "cif"));
    let (folder, phrase) = stick(&office);
    assert_eq!(office.run(&["box", "export", &folder, &phrase]).code, 0);
    // As a power cut leaves it after the key: what waits cannot be read, and was handed over.
    let lock = office.data("handed-over");
    let begun = std::fs::read_to_string(&lock).unwrap() + "emptied\n";
    std::fs::write(&lock, begun).unwrap();
    std::fs::remove_file(office.data("seal.key")).unwrap();
    let started = office.run(&["run"]);
    assert!(
        started.code != 0 && started.err.contains("box reset"),
        "{started:?}"
    );
    let finished = office.run(&["box", "reset"]);
    assert_eq!(finished.code, 0, "{finished:?}");
    for name in ["gateway.redb", "seal.key", "handed-over"] {
        assert!(!office.data(name).exists(), "{name}");
    }
    assert!(!office.config.exists());
}

#[test]
fn a_box_whose_key_is_elsewhere_is_not_emptied() {
    let office = Office::new();
    office.enqueue(&referral("waiting", "Dara", "cif"));
    let key = office.data("seal.key");
    let aside = office.data("aside");
    std::fs::rename(&key, &aside).unwrap();
    let refused = office.run(&["box", "reset"]);
    assert!(
        refused.code == 3 && refused.err.contains("device key"),
        "{refused:?}"
    );
    std::fs::rename(&aside, &key).unwrap();
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("waiting"), "delivered");
}
