//! `sync --shadow`: the real program beside its peers, telling nobody.

use crate::office::{Office, referral};
use serde_json::Value;

#[test]
fn a_shadow_session_shows_what_would_be_sent_and_sends_nothing() {
    let mut office = Office::new();
    let copy = office.data("shadow.redb");
    for service in [false, true] {
        if service {
            office.start();
            office.first_session_over();
        }
        let key = format!("office-{}", u8::from(service));
        office.enqueue(&referral(&key, &format!("Zaphodina{key}"), "cif"));
        // A shadow session that a power cut ended.
        std::fs::write(&copy, "left behind").unwrap();
        let before = (
            office.primero.cases().len(),
            office.oscar.with(|sim| sim.referrals().len()),
        );
        let told = office.run(&["sync", "--shadow", "--json"]);
        assert_eq!(told.code, 0, "{told:?}");
        let told: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!(told["writes"], 3, "{told}");
        assert_eq!(told["events"][0]["would_be"], "delivered");
        let words = office.run(&["sync", "--shadow"]).out;
        assert!(
            words.contains("to primero: create case") && words.contains("3 writes planned, none sent"),
            "{words}"
        );
        assert!(
            words.contains("(hidden)") && !words.contains("Zaphodina"),
            "{words}"
        );
        let open = office.run(&["sync", "--shadow", "--reveal"]).out;
        assert!(open.contains("Zaphodina"), "{open}");
        assert!(!copy.exists(), "nothing is left behind");
        let after = (
            office.primero.cases().len(),
            office.oscar.with(|sim| sim.referrals().len()),
        );
        assert_eq!(after, before, "nobody was told");
        assert_eq!(office.state(&key), "pending");
    }
    let real = office.run(&["sync"]);
    assert_eq!(real.code, 0, "{real:?}");
    assert_eq!(office.primero.cases().len(), 2);
    assert_eq!(office.oscar.with(|sim| sim.referrals().len()), 2);
}
