//! `reconcile`: the real program compares what both systems show with what it holds, and tells neither of them.

use crate::office::{Office, referral};
use serde_json::Value;

#[test]
fn reconcile_shows_what_each_side_shows_and_keeps_the_report() {
    let mut office = Office::new();
    assert_eq!(
        office.run(&["reconcile", "--last"]).code,
        1,
        "nothing to show yet"
    );
    for service in [false, true] {
        if service {
            office.start();
            office.first_session_over();
        }
        let key = format!("office-{}", u8::from(service));
        office.enqueue(&referral(&key, &format!("Zaphodina{key}"), "cif"));
        assert_eq!(office.sync(), 0);
        assert_eq!(office.state(&key), "delivered");
        let before = (
            office.primero.cases(),
            office.oscar.with(|sim| sim.referrals().len()),
        );
        let ran = office.run(&["reconcile"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(
            ran.out.contains(&format!("event {key} (local-to-oscar, cif)"))
                && ran.out.contains("primero   referral in_progress, service ")
                && ran.out.contains("0 services differ"),
            "{}",
            ran.out
        );
        assert!(!ran.out.contains("Zaphodina"), "{}", ran.out);
        let after = (
            office.primero.cases(),
            office.oscar.with(|sim| sim.referrals().len()),
        );
        assert_eq!(after, before, "nobody was told");

        let last = office.json(&["reconcile", "--last"]);
        assert_eq!(last["looked_at"], 1 + u64::from(service), "{last}");
        assert_eq!(last["rows"][0]["primero"]["case"], "seen");
        let report: Value = office.json(&["reconcile"]);
        assert_eq!(
            report["rows"].as_array().map(Vec::len),
            last["rows"].as_array().map(Vec::len)
        );
    }
    office.primero.server().set_down(true);
    office.oscar.server().set_down(true);
    let ran = office.run(&["reconcile"]);
    assert!(
        ran.code == 75 && ran.out.contains("primero could not be asked to the end"),
        "{ran:?}"
    );
    assert_eq!(
        office.json(&["reconcile", "--last"])["rows"][0]["primero"]["case"],
        "unread"
    );
}
