//! The OSCaR simulator on what the replay cannot show: facts recorded elsewhere, switches, seeds, the wire.

#[path = "oscar_rules/desk.rs"]
mod desk;

use chrono::TimeDelta;
use desk::{Desk, EMAIL, PASSWORD};
use serde_json::json;
use simulators::oscar::{
    AcceptRule, Child, Config, MaxDevices, NgoReferral, Office, Oscar, Sim, StorageOrder,
};
use simulators::wire::client::Client;
use simulators::wire::{Request, TestCa};

/// Measured fact 2 and `oscar.md` 6.5: silence after an acceptance, broken by our own next push.
#[test]
fn an_acceptance_waits_for_the_next_save_which_may_be_our_own_push() {
    let mut desk = Desk::new(|_| ());
    assert_eq!(desk.push(&json!({})).status, 200);
    assert_eq!(desk.pull("").len(), 0, "pending is invisible");
    let child = desk.sim.register_child("cif", 1).unwrap();
    let before = desk.day();
    desk.sim.accept("cif", child, true).unwrap();
    assert_eq!(
        (desk.seen_since(before), desk.status(1).as_str()),
        (0, "Referred")
    );
    let global_id = desk.sim.client("cif", child).unwrap().global_id.clone();
    let echo = json!({ "global_id": global_id, "is_referred": false });
    assert_eq!(desk.push(&echo).status, 200);
    assert_eq!(
        (desk.seen_since(before), desk.status(1).as_str()),
        (1, "Accepted")
    );
}

#[test]
fn before_october_2025_an_acceptance_with_workers_showed_at_once() {
    let mut desk = Desk::new(|c| c.accept_rule = AcceptRule::BeforeOctober2025);
    desk.push(&json!({}));
    let child = desk.sim.register_child("cif", 1).unwrap();
    let before = desk.day();
    desk.sim.accept("cif", child, false).unwrap();
    assert_eq!(desk.seen_since(before), 0);
    desk.sim.accept("cif", child, true).unwrap();
    assert_eq!(
        (desk.seen_since(before), desk.status(1).as_str()),
        (1, "Accepted")
    );
}

/// `oscar-measured.md`, table "What moved".
#[test]
fn what_moves_a_child_into_an_incremental_pull() {
    type Act = fn(&mut Sim, i64);
    let table: [(&str, Act, bool); 14] = [
        ("reject", |s, c| s.reject("cif", c).unwrap(), true),
        (
            "hand decision",
            |s, _| s.hand_decide("cif", 1, "Accepted").unwrap(),
            true,
        ),
        (
            "enrolment",
            |s, c| s.enrol("cif", c, "ABLE", &["Kinship care"]).unwrap(),
            true,
        ),
        ("edit", |s, c| s.edit_child("cif", c, |_| ()).unwrap(), true),
        ("referral to Primero", |s, c| refer(s, c), true),
        ("restore", |s, c| s.restore("cif", c).unwrap(), true),
        ("accept", |s, c| s.accept("cif", c, true).unwrap(), false),
        (
            "notifications",
            |s, _| s.view_notifications("cif").unwrap(),
            false,
        ),
        ("page opened", |s, c| s.open_child_page("cif", c).unwrap(), false),
        (
            "another worker",
            |s, c| s.assign_worker("cif", c, 1).unwrap(),
            false,
        ),
        (
            "worker's phone",
            |s, _| s.alter_tenant("cif", |t| t.workers[1].mobile.clear()).unwrap(),
            false,
        ),
        ("archive", |s, c| s.archive("cif", c).unwrap(), false),
        (
            "referral deleted",
            |s, _| s.delete_referral("cif", 1).unwrap(),
            false,
        ),
        (
            "programme of other children edited",
            |s, _| s.edit_programme("cif", "ABLE").unwrap(),
            false,
        ),
    ];
    for (name, act, moves) in table {
        let mut desk = Desk::new(|_| ());
        desk.push(&json!({}));
        let child = desk.sim.register_child("cif", 1).unwrap();
        let before = desk.day();
        act(&mut desk.sim, child);
        assert_eq!(desk.seen_since(before) == 1, moves, "{name}");
    }
}

fn refer(sim: &mut Sim, child: i64) {
    sim.refer_to_primero(
        "cif",
        child,
        &NgoReferral::of("Kinship care", "high", "needs help"),
    )
    .unwrap();
}

/// Measured fact 5 and `oscar.md` 2.2: a referral to any NGO puts our own push into shape A.
#[test]
fn a_referral_to_another_ngo_flips_the_shape_and_archiving_flips_it_back() {
    let mut desk = Desk::new(|_| ());
    desk.push(&json!({}));
    let child = desk.sim.register_child("cif", 1).unwrap();
    assert!(desk.pull("")[0].get("organization_id").is_none());
    desk.sim
        .refer_to_ngo(
            "cif",
            child,
            "gpc",
            &NgoReferral::of("Kinship care", "low", "moved"),
        )
        .unwrap();
    let element = desk.pull("")[0].clone();
    assert_eq!(
        (&element["reason_for_referral"], &element["level_of_risk"]),
        (&json!("[GW-1] reason"), &json!("medium"))
    );
    desk.sim.archive("cif", child).unwrap();
    let element = desk.pull("")[0].clone();
    assert_eq!(
        (element.get("organization_id"), &element["is_referred"]),
        (None, &json!(true))
    );
    let global_id = element["global_id"].clone();
    assert_eq!(desk.push(&json!({ "global_id": global_id })).status, 500);
    assert_eq!(
        desk.push(&json!({})).status,
        200,
        "without global_id an archived child is pushed again"
    );
}

/// Measured fact 6: linked and pending referrals side by side; the seed is the storage.
#[test]
fn whether_a_push_meets_b3_is_a_matter_of_storage() {
    let outcome = |seed: u64| {
        let mut desk = Desk::new(|c| c.seed = seed);
        desk.push(&json!({}));
        desk.sim.register_child("cif", 1).unwrap();
        let global_id = desk.sim.client("cif", 1).unwrap().global_id.clone();
        desk.push(&json!({ "global_id": global_id }));
        desk.push(&json!({})).status
    };
    let statuses: Vec<u16> = (0..40).map(outcome).collect();
    assert!(statuses.contains(&200) && statuses.contains(&422), "{statuses:?}");
    assert_eq!(
        statuses,
        (0..40).map(outcome).collect::<Vec<_>>(),
        "same seed, same luck"
    );
}

/// `oscar.md` 3.4: A4 writes to the older linked referral, A5 keeps everything and says 422.
#[test]
fn a_status_in_a_push_hits_the_older_referral() {
    let mut desk = Desk::new(|_| ());
    desk.push(&json!({}));
    desk.sim.register_child("cif", 1).unwrap();
    let global_id = desk.sim.client("cif", 1).unwrap().global_id.clone();
    assert_eq!(
        desk.push(&json!({ "global_id": global_id, "referral_status": "Exited" }))
            .status,
        200
    );
    assert_eq!(
        (desk.status(1), desk.status(2)),
        ("Exited".to_owned(), "Referred".to_owned())
    );
    assert_eq!(
        desk.push(&json!({ "global_id": global_id, "referral_status": "" }))
            .status,
        422
    );
    assert_eq!(desk.sim.count_by_external_id("cif", "case-1"), 3);
    assert_eq!(desk.sim.count_by_tag("cif", "[GW-1]"), 3);
    assert_eq!(desk.sim.orphan_identities().len(), 0);
}

/// `oscar.md` 1.2, 10: the week, the eviction, the hardened variant.
#[test]
fn sessions_end_after_a_week_or_by_eviction() {
    let mut desk = Desk::new(|c| {
        c.max_devices = MaxDevices::EvictOldest;
        c.require_auth_everywhere = true;
    });
    let first = desk.session.clone();
    for _ in 0..10 {
        let now = desk.sim.now() + TimeDelta::seconds(1);
        desk.sim.set_now(now);
        desk.sign_in();
    }
    let newest = std::mem::replace(&mut desk.session, first);
    assert_eq!(desk.send("GET", "/api/v1/organizations", None).status, 401);
    desk.session = newest;
    assert_eq!(desk.send("GET", "/api/v1/organizations", None).status, 200);
    desk.sim.set_now(desk.sim.now() + TimeDelta::days(7));
    assert_eq!(
        desk.send("GET", "/api/v1/organizations/clients", None).status,
        401
    );
}

/// `oscar.md` 2.3: a zone-less value is read in the server's zone, which may lose the share half.
#[test]
fn a_zone_less_cursor_means_the_servers_zone() {
    let mut desk = Desk::new(|c| c.server_zone = chrono::FixedOffset::east_opt(7 * 3600).unwrap());
    desk.sim.set_now("2026-03-01T20:00:00Z".parse().unwrap());
    let child = desk
        .sim
        .register_ngo_child("cif", &Child::named("A", "B"))
        .unwrap();
    refer(&mut desk.sim, child);
    desk.sim
        .register_ngo_child("cif", &Child::named("C", "D"))
        .unwrap();
    assert_eq!(desk.pull("?since_date=2026-03-01T19:00:00Z").len(), 2);
    // 02:00 at +07:00 is 19:00 UTC of the day before: half A is whole, half B compares with the wrong date.
    assert_eq!(desk.pull("?since_date=2026-03-02T02:00:00").len(), 1);
}

/// `oscar.md` 8.2, 1.4 and 5: error shapes, hosts, dead endpoints.
#[test]
fn errors_take_the_shape_that_accept_asks_for() {
    let mut desk = Desk::new(|_| ());
    let mut ask = |accept: Option<&str>, host: &str, path: &str| {
        let request = Request::new("GET", path).with_header("host", host);
        let request = accept
            .into_iter()
            .fold(request, |r, a| r.with_header("accept", a));
        let reply = desk.sim.handle(&request);
        (
            reply.status,
            reply
                .header("content-type")
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .to_owned(),
        )
    };
    let (local, html, plain) = ("localhost:4000", "text/html".to_owned(), "text/plain".to_owned());
    assert_eq!(ask(None, local, "/api/v1/services"), (404, html.clone()));
    assert_eq!(
        ask(Some("application/json, */*"), local, "/api/v1/services"),
        (404, html.clone())
    );
    assert_eq!(
        ask(Some("application/json;q=0.9"), local, "/api/v1/services"),
        (500, plain.clone())
    );
    assert_eq!(ask(None, local, "/api/v1/organizations/listing"), (500, html));
    assert_eq!(
        ask(None, local, "/api/v1/organizations/listing.json"),
        (500, plain.clone())
    );
    assert_eq!(
        ask(None, "nosuch.example.org", "/api/v1/organizations"),
        (500, plain)
    );
    let json = "application/json".to_owned();
    assert_eq!(
        ask(None, local, "/api/v1/organizations/transactions/1"),
        (500, json.clone())
    );
    assert_eq!(ask(None, "cif.example.org", "/api/v1/organizations"), (200, json));
}

#[test]
fn one_poisoned_tenant_stops_the_pull_but_not_the_pushes() {
    let mut desk = Desk::new(|_| ());
    desk.sim
        .alter_tenant("gpc", |t| t.office = Office::ProvinceOnly("12".to_owned()))
        .unwrap();
    let child = desk
        .sim
        .register_ngo_child("gpc", &Child::named("A", "B"))
        .unwrap();
    assert_eq!(desk.pull("").len(), 1);
    desk.sim
        .refer_to_primero("gpc", child, &NgoReferral::of("Kinship care", "high", "help"))
        .unwrap();
    assert_eq!(
        desk.send("GET", "/api/v1/organizations/clients", None).status,
        500
    );
    assert_eq!(desk.push(&json!({})).status, 200);
    desk.sim.set_integrated("gpc", false).unwrap();
    assert_eq!(desk.pull("").len(), 0);
}

/// Same seed, same bytes: what a simulation test with thousands of seeds stands on.
#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = |seed: u64| {
        let mut desk = Desk::new(|c| (c.seed, c.storage_order) = (seed, StorageOrder::Seeded));
        for case in 0..20 {
            desk.push(&json!({ "external_id": format!("case-{case}") }));
            desk.sim.register_child("cif", case + 1).unwrap();
        }
        desk.send("GET", "/api/v1/organizations/clients", None).body
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn it_answers_over_https_and_to_a_person_with_curl() {
    let ca = TestCa::new();
    let oscar = Oscar::start(&ca, "127.0.0.1:0", Config::default_for(EMAIL, PASSWORD));
    let client = Client::new(&ca);
    let send = |method: &str, path: &str| {
        client
            .send(oscar.server().address(), method, path, &[], b"")
            .unwrap()
    };
    assert!(oscar.url().starts_with("https://localhost:"));
    assert_eq!(send("GET", "/api/v1/organizations/clients").status, 401);
    let made = send("POST", "/sim/register_ngo_child?tenant=cif&given=Sok&family=Test");
    assert_eq!((made.status, made.body), (200, br#"{"id":1}"#.to_vec()));
    let path = "/sim/refer_to_primero?tenant=cif&client=1&service=Kinship%20care&reason=%5BGW-9%5D%20help";
    assert_eq!(send("POST", path).status, 200);
    assert_eq!(
        send("GET", "/sim/count?tenant=cif&tag=%5BGW-9%5D").body,
        br#"{"count":1}"#.to_vec()
    );
    assert_eq!(send("POST", "/sim/dance?tenant=cif").status, 422);
    assert_eq!(oscar.with(|sim| sim.referrals().len()), 1);
}
