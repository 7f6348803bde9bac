//! The shipped unit under a real systemd: started as its own user in its sandbox, restarted when it stands still,
//! stopped, and left alone when its configuration is wrong. In namespaces of its own; needs root and Debian's systemd.

use crate::office::referral;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

const TEST_UNITS: [(&str, &str); 3] = [
    (
        "test.target",
        "[Unit]\nDefaultDependencies=no\nWants=test.service\n",
    ),
    (
        "test.service",
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nTimeoutStartSec=90\nExecStart=/bin/bash /out/steps.sh\n\
         StandardOutput=append:/out/said\nStandardError=append:/out/complaints\n\
         ExecStopPost=/bin/systemctl --force --force poweroff\n",
    ),
    // The shipped unit otherwise as it is: a watchdog as short as a test, a log the test can read.
    (
        "referral-gateway.service.d/test.conf",
        "[Service]\nWatchdogSec=2s\nRestartSec=200ms\nTimeoutAbortSec=2s\nStandardError=append:/out/log\n",
    ),
];

/// A root overlay with everything a package would install, and the scripts.
fn prepare(out: &Path) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = |to: &str, text: &[u8]| {
        let path = out.join(to);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let copy = |to: &str, from: &str| place(to, &std::fs::read(here.join(from)).unwrap());
    let units = "root/etc/systemd/system/";
    for (name, text) in TEST_UNITS {
        place(&format!("{units}{name}"), text.as_bytes());
    }
    copy(
        &format!("{units}referral-gateway.service"),
        "boards/common/referral-gateway.service",
    );
    copy(
        "root/etc/referral-gateway/gateway.toml",
        "boards/common/gateway.toml",
    );
    copy("sysusers.conf", "boards/common/referral-gateway.sysusers");
    copy("tmpfiles.conf", "boards/common/referral-gateway.tmpfiles");
    for script in ["boot.sh", "steps.sh"] {
        copy(script, &format!("tests/end_to_end/systemd/{script}"));
    }
    place(
        "referral.json",
        referral("k-1", "Dara", "cif").to_string().as_bytes(),
    );
    let binary = out.join("root/usr/bin/referral-gateway");
    std::fs::create_dir_all(binary.parent().unwrap()).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_referral-gateway"), binary).unwrap();
}

#[test]
fn the_unit_does_what_it_says_under_a_real_systemd() {
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    assert_eq!(user, 0, "only root may unshare: ./tests/run runs this as root");
    for needed in ["/lib/systemd/systemd", "/usr/bin/unshare"] {
        assert!(
            Path::new(needed).exists(),
            "{needed} is missing; ./tests/run installs it"
        );
    }
    let out = tempfile::tempdir().unwrap();
    prepare(out.path());
    let output = Command::new("timeout")
        .args([
            "-s", "KILL", "120", "unshare", "--mount", "--pid", "--cgroup", "--ipc",
        ])
        .args(["--uts", "--net", "--fork", "--kill-child", "--mount-proc", "bash"])
        .arg(out.path().join("boot.sh"))
        .arg(out.path())
        .output()
        .unwrap();
    let read = |name: &str| std::fs::read_to_string(out.path().join(name)).unwrap_or_default();
    let (said, log) = (read("said"), read("log"));
    let told = format!(
        "said:\n{said}\ncomplaints:\n{}\nlog:\n{log}\nsystemd:\n{}{}",
        read("complaints"),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    for line in [
        "started active running",
        "user referral-gateway",
        "capabilities 0000000000000000 0000000000000000",
        "seccomp 2 1",
        "key 600 referral-gateway",
        "status 0 pending, 0 in doubt, 0 parked; primero ",
        "accepted \"pending\":1",
        "folders 710 3730 750 750",
        "member \"pending\":1",
        "dropped \"pending\":2 [{\"event_key\":\"k-2\",\"seq\":2}]",
        "unreadable 1 600 root",
        "restarted 1 \"pending\":2",
        "stopped inactive success 0",
        "misconfigured failed 2 0",
        "end",
    ] {
        assert!(
            said.lines().any(|found| found.starts_with(line)),
            "no `{line}`\n{told}"
        );
    }
    assert!(!said.contains("open:"), "the group sees too much\n{told}");
    assert!(
        log.contains("ready, boot 2") && log.contains("stopping"),
        "{told}"
    );
    assert!(log.contains("<6>ready") || !log.contains('<'), "{told}");
}
