//! `self-test`: right about what is right, right about what is wrong, and never a danger to the accounts.

use crate::office::{Office, Ran, Wishes, private};
use serde_json::Value;
use simulators::wire::{Fault, FaultRule, Reply};

/// Each finding's verdict and words, by what it is about.
pub fn found(ran: &Ran) -> std::collections::BTreeMap<String, (String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = ran.lines();
    let findings = lines[0]["findings"]
        .as_array()
        .unwrap_or_else(|| panic!("{ran:?}"));
    findings
        .iter()
        .map(|finding| {
            let told = format!("{} {}", text(&finding["told"]), text(&finding["advice"]));
            (text(&finding["about"]), (text(&finding["verdict"]), told))
        })
        .collect()
}

/// Runs it and holds every verdict that is not "ok" against what is expected to be wrong.
pub fn finds(office: &Office, code: i32, wrong: &[(&str, &str, &str)]) {
    let ran = office.run(&["self-test", "--json"]);
    let found = found(&ran);
    let not_ok: Vec<&str> = found
        .iter()
        .filter(|(_, (verdict, _))| verdict != "ok")
        .map(|(about, _)| about.as_str())
        .collect();
    let expected: Vec<&str> = wrong.iter().map(|(about, _, _)| *about).collect();
    assert_eq!(not_ok, expected, "{ran:?}");
    for (about, verdict, words) in wrong {
        let (given, told) = &found[*about];
        assert!(
            given == verdict && told.contains(words),
            "{about}: {given} {told}"
        );
    }
    assert_eq!(ran.code, code, "{ran:?}");
}

pub const NOT_RUNNING: (&str, &str, &str) = ("service", "warn", "systemctl start");

fn requests(office: &Office, with: &str) -> [usize; 2] {
    [office.primero.server(), office.oscar.server()].map(|server| {
        let log = server.log();
        log.iter()
            .filter(|request| format!("{request:?}").contains(with))
            .count()
    })
}

#[test]
fn all_is_well_beside_the_service_and_without_it() {
    let mut office = Office::with("[lan]\nlisten = \"127.0.0.1:0\"\n");
    std::fs::create_dir(office.data("")).unwrap();
    finds(&office, 0, &[("lan", "warn", "no certificate yet"), NOT_RUNNING]);
    office.start();
    office.first_session_over();
    finds(&office, 0, &[]);
    assert_eq!(
        office.json(&["status"])["queue"]["pending"],
        0,
        "the service goes on"
    );
    let fingerprint = office.json(&["status"])["lan"]["fingerprint"].clone();
    let ran = office.run(&["self-test", "--json"]);
    assert!(
        found(&ran)["lan"].1.contains(fingerprint.as_str().unwrap()),
        "{ran:?}"
    );
    office.stop();
    finds(&office, 0, &[NOT_RUNNING]);
    let names = std::fs::read_dir(office.data("")).unwrap().flatten();
    let mut left = names.map(|entry| entry.file_name().into_string().unwrap());
    assert!(left.all(|name| !name.contains("self-test")), "it tidies up");
}

#[test]
fn it_ends_with_a_sheet_of_one_page() {
    let mut office = Office::with("[lan]\nlisten = \"127.0.0.1:0\"\n");
    office.start();
    let file = office.folder.path().join("sheet.txt");
    let ran = office.run(&["self-test", "--sheet", file.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let sheet = std::fs::read_to_string(&file).unwrap();
    assert!(ran.out.trim_end().ends_with(sheet.trim_end()), "{ran:?}");
    assert!(sheet.lines().count() <= 66, "{sheet}");
    assert!(sheet.lines().all(|line| line.chars().count() <= 78), "{sheet}");
    for words in [
        "INSTALLATION SHEET",
        "kpt-03, fleet kh-pilot",
        "cif, gpc",
        "0 failed",
        "signature",
    ] {
        assert!(sheet.contains(words), "{words}: {sheet}");
    }
    assert!(!ran.out.contains("-password-1"), "no secret: {ran:?}");
    let ran = office.run(&["self-test", "--sheet", "/nowhere/sheet.txt"]);
    assert!(ran.code == 1 && ran.err.contains("/nowhere/sheet.txt"), "{ran:?}");
}

#[test]
fn a_refused_password_is_tried_once_until_it_is_changed() {
    let office = Office::new();
    let at = |name: &str| office.folder.path().join(name);
    std::fs::create_dir(office.data("")).unwrap();
    private(&at("primero.password"), "wrong");
    private(&at("oscar.password"), "wrong too");
    let refused = [
        ("login oscar", "fail", "correct the password file"),
        ("login primero", "fail", "correct the password file"),
        NOT_RUNNING,
    ];
    finds(&office, 4, &refused);
    let tries = |office: &Office| [requests(office, "lookups")[0], requests(office, "sign_in")[1]];
    assert_eq!(tries(&office), [1, 1], "once each");
    for _ in 0..7 {
        let ran = office.run(&["self-test"]);
        assert!(
            ran.code == 1 && ran.out.matches("not tried again").count() == 4,
            "{ran:?}"
        );
    }
    assert_eq!(tries(&office), [1, 1], "and never again");
    private(&at("primero.password"), crate::office::PRIMERO_PASSWORD);
    finds(
        &office,
        1,
        &[("login oscar", "fail", "refused before"), NOT_RUNNING],
    );
    private(&at("oscar.password"), crate::office::OSCAR_PASSWORD);
    finds(&office, 0, &[NOT_RUNNING]);
    finds(&office, 0, &[NOT_RUNNING]);
    assert!(!office.data("self-test.refused").exists());
}

#[test]
fn what_is_wrong_with_the_line_is_named() {
    let office = Office::new();
    std::fs::create_dir(office.data("")).unwrap();
    office.primero.server().set_down(true);
    finds(
        &office,
        75,
        &[NOT_RUNNING, ("tls primero", "fail", "check the uplink")],
    );
    office.primero.server().set_down(false);
    let page = || Fault::Answer(Reply::html(200, "<html>Please sign in</html>"));
    office.oscar.server().faults().add(FaultRule::always(page()));
    finds(&office, 1, &[NOT_RUNNING, ("tls oscar", "fail", "sign in")]);
    office.oscar.server().faults().clear();
    office.oscar.server().set_date_skew(3600);
    finds(&office, 1, &[("clock", "fail", "s behind"), NOT_RUNNING]);
    office.oscar.server().set_date_skew(0);

    let text = std::fs::read_to_string(&office.config).unwrap();
    private(
        &office.config,
        &text
            .replace("https://localhost", "https://nowhere.invalid")
            .replacen("https://127.0.0.1", "https://nowhere.invalid", 1),
    );
    let ran = office.run(&["self-test", "--json"]);
    assert!(
        ran.code == 75 && found(&ran)["dns primero"].0 == "fail",
        "{ran:?}"
    );
}

#[test]
fn a_server_with_another_authority_is_not_trusted() {
    let office = Office::wished(Wishes {
        primero: Some(|_| simulators::wire::TestCa::new().localhost()),
        ..Wishes::default()
    });
    std::fs::create_dir(office.data("")).unwrap();
    finds(
        &office,
        1,
        &[NOT_RUNNING, ("tls primero", "fail", "check ca_file")],
    );
    assert_eq!(requests(&office, "lookups")[0], 0, "the password stays here");
}

#[test]
fn organizations_oscar_does_not_know_or_has_not_integrated_are_named() {
    // Its case workers exist in OSCaR's example world, its integration is off there.
    let office = Office::new();
    std::fs::create_dir(office.data("")).unwrap();
    let text = std::fs::read_to_string(&office.config).unwrap();
    private(
        &office.config,
        &text.replace("\"cif\", \"gpc\"", "\"cif\", \"sk\""),
    );
    let apart = ("oscar organizations", "warn", "not integrated: sk");
    finds(&office, 0, &[apart, NOT_RUNNING]);
    private(&office.config, &text.replace("\"cif\", \"gpc\"", "\"colt\""));
    finds(
        &office,
        1,
        &[("oscar organizations", "fail", "does not know colt"), NOT_RUNNING],
    );
}

#[test]
fn what_primero_lacks_is_named() {
    let office = Office::new();
    std::fs::create_dir(office.data("")).unwrap();
    let text = std::fs::read_to_string(&office.config).unwrap();
    let fields = "[primero.fields]\nmosvy_number = \"no_such_field\"\n\n[oscar]";
    private(&office.config, &text.replace("[oscar]", fields));
    finds(
        &office,
        1,
        &[
            ("primero forms", "fail", "no form has the field no_such_field"),
            NOT_RUNNING,
        ],
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_said_so() {
    let office = Office::new();
    finds(
        &office,
        1,
        &[
            ("disk", "fail", "data partition"),
            NOT_RUNNING,
            ("space", "warn", "`df`"),
        ],
    );
}
