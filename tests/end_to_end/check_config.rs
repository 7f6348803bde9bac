//! `check-config`: what a technician sees before the first start.

use crate::office::{Office, private};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// The example of design §5, as it stands there.
const EXAMPLE: &str = r#"
[gateway]
id = "kpt-03"                 # opaque, shown in telemetry
fleet = "kh-pilot"
office_time_zone = "Asia/Phnom_Penh"
data_dir = "/var/lib/referral-gateway"
seal_key_file = "/etc/referral-gateway/seal.key"   # or systemd credential; made at first start

[primero]
url = "https://primero.example.org"
user_name = "gateway-kpt-03"
password_file = "/etc/referral-gateway/primero.password"
module_id = "primeromodule-cp"
# ca_file, fields.* (country field names), connect_timeout, read_timeout

[oscar]
url = "https://interoperability.example.org"
email = "gateway-kpt-03@example.org"
password_file = "/etc/referral-gateway/oscar.password"
organizations = ["cif", "gpc"]
# ca_file, mapping overrides

[flows]                       # all on by default
primero_to_oscar = true
start = "now"                 # or a date: what a first run with an empty store looks back to

[schedule]
every = "5m"                  # or cron = "*/5 7-18 * * mon-sat" in office time
on_event = true               # a fresh local event may start a session at once
jitter = "20s"

[uplink]
interface = "any"             # or "eth0", "wwan0"
monthly_budget = "500 MB"     # optional; over it only urgent events go
quiet_hours = []              # e.g. ["22:00-05:00"]

[mqtt]
url = "mqtts://broker.example.org:8883"
user_name = "…"               # password_file | client_cert + client_key, ca_file
prefix = "referral-gateway/v1"

[lan]
listen = "0.0.0.0:8443"       # omit the section to switch it off

[limits]
queue_events = 20000
queue_bytes = "256 MB"
keep_delivered = "72h"
"#;

fn check(words: &[&str]) -> Output {
    Command::new(crate::office::gateway())
        .args(words)
        .output()
        .unwrap()
}

#[test]
fn the_example_of_the_design_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    private(&folder.path().join("primero.password"), "p-secret-1");
    private(&folder.path().join("oscar.password"), "o-secret-2");
    let config = folder.path().join("gateway.toml");
    std::fs::write(&config, EXAMPLE.replace("/etc/referral-gateway", home)).unwrap();
    let config = config.to_str().unwrap();
    for words in [
        ["--config", config, "check-config"],
        ["check-config", "--config", config],
    ] {
        let output = check(&words);
        let (out, err) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        );
        assert!(output.status.success(), "{err}");
        assert!(!out.contains("secret-") && !err.contains("secret-"), "{out}{err}");
        for line in [
            "gateway.id = kpt-03",
            "primero.password_file = (read, hidden)",
            "oscar.organizations = cif, gpc",
            "oscar.ca_file = (the public authorities)",
            "primero.read_timeout = 1m",
            "primero.fields.name_first = name_first",
            "flows.start = now",
            "schedule.every = 5m",
            "schedule.cron = (none)",
            "uplink.interface = any",
            "uplink.monthly_budget = 500000000 B",
            "mqtt.prefix = referral-gateway/v1",
            "lan.listen = 0.0.0.0:8443",
            "limits.keep_delivered = 3d",
        ] {
            assert!(out.lines().any(|found| found == line), "{line} in {out}");
        }
    }
    let json: serde_json::Value =
        serde_json::from_slice(&check(&["check-config", "--json", "--config", config]).stdout).unwrap();
    assert_eq!(json["config"]["schedule.jitter"], "20s");
    assert!(
        json["notes"].as_array().is_some_and(Vec::is_empty),
        "nothing is left out: {json}"
    );
}

/// What is installed as an example must be a configuration, as it stands and with every comment made a setting.
#[test]
fn the_shipped_example_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    for name in ["primero", "oscar", "mqtt"] {
        private(&folder.path().join(format!("{name}.password")), "secret-1");
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = std::fs::read_to_string(root.join("boards/common/gateway.toml")).unwrap();
    let shipped = shipped.replace("/etc/referral-gateway", home);
    let config = folder.path().join("gateway.toml");
    let checked = |text: &str| {
        std::fs::write(&config, text).unwrap();
        let output = check(&["check-config", "--json", "--config", config.to_str().unwrap()]);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{told}");
        told["config"].clone()
    };
    let usual = checked(&shipped);
    assert!(
        usual
            .as_object()
            .unwrap()
            .keys()
            .all(|key| !key.starts_with("lan.")),
        "nothing listens on any network until somebody has asked for it: {usual}"
    );
    // What a comment says holds anyway does; these are examples of something else.
    let examples = [
        "file",
        "ca_file",
        "file",
        "client_",
        "command_keys",
        "file = ",
        "shared_cases",
        "cron",
        "monthly",
        "quiet",
        "names",
        "listen",
    ];
    let opened = shipped.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.contains(" = ") && !rest.starts_with(' ') => {
            let kept = examples.iter().any(|word| rest.starts_with(word));
            if kept { line } else { rest }
        }
        _ => line,
    });
    let opened: String = opened.map(|line| format!("{line}\n")).collect();
    assert!(
        opened.contains("\nread_back_after = "),
        "the comments were opened"
    );
    assert_eq!(checked(&opened), usual);
    // The listener as the comment above it has it switched on.
    let listening = opened.replace("\n#[lan]\n", "\n[lan]\n");
    let listening = checked(&listening.replace("\n#listen = ", "\nlisten = "));
    assert_eq!(listening["lan.listen"], "0.0.0.0:8443");
}

/// Makes each mistake in a good configuration, one at a time.
fn named(office: &Office, mistakes: &[(&str, &str, &str)]) {
    let good = std::fs::read_to_string(&office.config).unwrap();
    for (from, to, wanted) in mistakes {
        assert!(good.contains(from), "{from}");
        std::fs::write(&office.config, good.replacen(from, to, 1)).unwrap();
        let ran = office.run(&["check-config"]);
        assert!(ran.code == 2 && ran.err.contains(wanted), "{to}: {ran:?}");
        let ran = office.run(&["check-config", "--json"]);
        assert!(
            ran.code == 2 && ran.lines()[0]["reason"].as_str().unwrap().contains(wanted),
            "{to}: {ran:?}"
        );
    }
    std::fs::write(&office.config, &good).unwrap();
}

#[test]
fn a_mistake_is_named_with_its_remedy() {
    let office = Office::new();
    named(
        &office,
        &[
            ("user_name", "usr_name", "did you mean `user_name`?"),
            ("[schedule]", "[shedule]", "did you mean `schedule`?"),
            (
                "every = \"24h\"",
                "every = \"25h\"",
                "out of range: from 5s to 1d",
            ),
            ("every = \"24h\"", "every = \"soon\"", "write a time like"),
            ("\"Asia/Phnom_Penh\"", "\"Cambodia\"", "is no time zone"),
            ("[\"cif\", \"gpc\"]", "[]", "name at least one"),
            (
                "[\"cif\", \"gpc\"]",
                "[\"cif\", \"nobody\"]",
                "\"nobody\" is not in the agency mapping",
            ),
            ("url = \"https", "url = \"http", "primero.url"),
            (
                "ca_file = \"ca.pem\"",
                "ca_file = \"gateway.toml\"",
                "primero.ca_file",
            ),
            (
                "id = \"kpt-03\"",
                "id = \"KPT 03\"",
                "small letters, digits and hyphens",
            ),
            ("module_id = \"primeromodule-cp\"", "", "module_id"),
        ],
    );
    assert_eq!(office.run(&["check-config"]).code, 0);
    assert!(!office.data("gateway.redb").exists(), "a check makes nothing");
}

#[test]
fn a_mistake_about_schedule_or_uplink_is_named_with_its_remedy() {
    named(
        &Office::new(),
        &[
            ("every = ", "evry = ", "did you mean `every`?"),
            (
                "every = \"24h\"",
                "cron = \"*/5 7-18 * *\"",
                "4 fields instead of five",
            ),
            (
                "every = \"24h\"",
                "cron = \"*/5 7-28 * * mon-sat\"",
                "\"7-28\" is no hour (from 0 to 23)",
            ),
            (
                "[schedule]",
                "[uplink]\ninterfce = \"eth0\"\n[schedule]",
                "did you mean `interface`?",
            ),
            (
                "[schedule]",
                "[uplink]\ninterface = \"eth 0\"\n[schedule]",
                "as `ip link` shows it",
            ),
            (
                "[schedule]",
                "[uplink]\nmonthly_budget = \"half\"\n[schedule]",
                "uplink.monthly_budget",
            ),
            (
                "[schedule]",
                "[uplink]\nquiet_hours = [\"22-5\"]\n[schedule]",
                "write hours like \"22:00-05:00\"",
            ),
        ],
    );
}

#[test]
fn an_interface_that_is_not_there_is_said_with_those_that_are() {
    let office = Office::with("[uplink]\ninterface = \"wwan9\"\nquiet_hours = [\"22:00-05:00\"]\n");
    let ran = office.run(&["check-config"]);
    assert_eq!(ran.code, 0, "a modem may be plugged in later: {ran:?}");
    assert!(ran.err.contains("there is no \"wwan9\" now"), "{ran:?}");
    assert!(ran.out.contains("uplink.quiet_hours = 22:00-05:00\n"), "{ran:?}");
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    let office = Office::new();
    let secret = office.folder.path().join("oscar.password");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    for command in ["check-config", "run", "status"] {
        let ran = office.run(&[command]);
        assert!(ran.code == 2 && ran.err.contains("everybody may read"), "{ran:?}");
        assert!(ran.err.contains("chmod 600"), "{ran:?}");
    }
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(office.run(&["check-config"]).code, 0);
    std::fs::remove_file(&secret).unwrap();
    let ran = office.run(&["check-config"]);
    assert!(
        ran.code == 2 && ran.err.contains("oscar.password_file: cannot read"),
        "{ran:?}"
    );
}

#[test]
fn a_private_key_that_others_may_read_is_refused() {
    let office = Office::with(
        "[mqtt]\nurl = \"mqtts://broker.example.org\"\nclient_cert = \"own.pem\"\nclient_key = \"own.key\"\n",
    );
    let ran = office.run(&["check-config"]);
    assert!(
        ran.code == 2 && ran.err.contains("mqtt.client_key: cannot read"),
        "{ran:?}"
    );
    let key = office.folder.path().join("own.key");
    crate::office::private(&key, "no key at all");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = office.run(&["check-config"]);
    assert!(
        ran.code == 2 && ran.err.contains("mqtt.client_key: everybody may read"),
        "{ran:?}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let output = check(&["status", "--config", "/nowhere/gateway.toml"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(err.contains("/nowhere/gateway.toml"), "{err}");
    assert_eq!(err.matches("/nowhere").count(), 1, "said once: {err}");
}

/// A configuration of the design's example with this mapping file; what `check-config` says.
fn check_with_mapping(rows: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    private(&folder.path().join("primero.password"), "p-secret-1");
    private(&folder.path().join("oscar.password"), "o-secret-2");
    let config = folder.path().join("gateway.toml");
    let text = EXAMPLE.replace("/etc/referral-gateway", home);
    std::fs::write(&config, format!("{text}\n[mapping]\nfile = \"mapping.json\"\n")).unwrap();
    std::fs::write(folder.path().join("mapping.json"), rows).unwrap();
    let output = check(&["check-config", "--config", config.to_str().unwrap()]);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_sites_own_mapping_is_shown_and_a_wrong_one_is_refused_by_row() {
    let row = r#"{"code":"22","name":"Oddar Meanchey","user":"mgromc"}"#;
    let about = r#""version":1,"about":"centre, 2026-11-20""#;
    let (code, said) = check_with_mapping(&format!(r#"{{{about},"provinces":[{row}]}}"#));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("mapping.about = centre, 2026-11-20"), "{said}");
    let wrong = [
        // The province that the cloud job had twice.
        (format!(r#"{{{about},"provinces":[{row},{row}]}}"#), "\"22\""),
        (r#"{"version":2,"about":"x"}"#.to_owned(), "version 2"),
        // An organization of ours that the file takes away.
        (
            format!(r#"{{{about},"replace":["agencies"]}}"#),
            "is not in the agency mapping",
        ),
    ];
    for (rows, word) in wrong {
        let (code, said) = check_with_mapping(&rows);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(word), "{said}");
    }
}
