//! What pulling Primero's changed cases costs, on the real release binary over TLS, with the simulators in this process
//! so that memory and processor time are the gateway's own: `cargo bench --bench scale`. Beside today's cloud jobs
//! (shared/baseline.md) on records of the same kind: a service each, two of three referred to an NGO. `-- --quick` takes the
//! few cases that are held on every push; `-- --beside 1500` one comparison alone.

#[path = "../budget/process.rs"]
#[expect(dead_code, reason = "the budgets ask more of the kernel")]
mod process;
#[path = "../budget/service.rs"]
#[expect(dead_code, reason = "the budgets ask more of the service")]
mod service;
#[path = "../budget/table.rs"]
#[expect(dead_code, reason = "the budgets ask more of it")]
mod table;

#[path = "../../tests/end_to_end/office.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod office;

use chrono::{DateTime, TimeDelta, Utc};
use office::Office;
use serde_json::json;
use service::Service;
use simulators::wire::{Counters, Server};
use std::process::ExitCode;
use std::time::Duration;
use table::{Table, grouped};

/// The most that may be resident, whatever has changed.
const RESIDENT_MAX: u64 = 16_000_000;

/// What the cloud jobs took for as many changed records: processor seconds, MiB, requests to both, bytes both ways.
struct Today {
    cases: u64,
    /// Referrals that reached OSCaR: one push each, besides the sign-in.
    delivered: u64,
    cpu_s: f64,
    mib: f64,
    requests: u64,
    bytes: f64,
}

const TODAY: [Today; 4] = [
    Today {
        cases: 1,
        delivered: 1,
        cpu_s: 6.0,
        mib: 272.0,
        requests: 9,
        bytes: 10_300.0,
    },
    Today {
        cases: 50,
        delivered: 34,
        cpu_s: 6.2,
        mib: 280.0,
        requests: 193,
        bytes: 378_000.0,
    },
    Today {
        cases: 500,
        delivered: 334,
        cpu_s: 9.2,
        mib: 318.0,
        requests: 1843,
        bytes: 3_670_000.0,
    },
    // 500 of the 1,500 were lost.
    Today {
        cases: 1500,
        delivered: 667,
        cpu_s: 10.7,
        mib: 311.0,
        requests: 3678,
        bytes: 7_400_000.0,
    },
];

/// What one session took.
struct Cost {
    cpu: Duration,
    peak: u64,
    primero: u64,
    oscar: u64,
    lists: u64,
    bytes: u64,
    sent: usize,
}

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--test") {
        return ExitCode::SUCCESS;
    }
    let mut table = Table::default();
    // Beside today's jobs with so many cases alone, for whoever looks for what it costs.
    let only = std::env::args().skip_while(|word| word != "--beside").nth(1);
    let only: Option<u64> = only.map(|word| word.parse().expect("--beside CASES"));
    // What is held, on so few cases that it takes seconds.
    let quick = std::env::args().any(|word| word == "--quick");
    if only.is_none() {
        let many: &[u64] = if quick {
            &[1, 50]
        } else {
            &[1, 50, 500, 1500, 20_000]
        };
        many.iter().for_each(|cases| changed(&mut table, *cases));
    }
    if only.is_none() && !quick {
        some_referred(&mut table);
    }
    let wanted = |today: &&Today| match only {
        Some(only) => today.cases == only,
        None => !quick || today.cases <= 50,
    };
    TODAY
        .iter()
        .filter(wanted)
        .for_each(|today| beside(&mut table, today));
    if table.print() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Cases that changed and do not concern this office's NGOs.
fn changed(table: &mut Table, cases: u64) {
    let cost = session(cases, |_| false);
    let what = format!("{} changed cases, none of ours", grouped(cases));
    table.hold(
        &format!("{what}: most memory resident"),
        cost.peak,
        RESIDENT_MAX,
        " B",
    );
    table.hold(
        &format!("{what}: requests to Primero"),
        cost.primero,
        cases.div_ceil(200) + 4,
        "",
    );
    table.hold(&format!("{what}: lists of referrals"), cost.lists, 0, "");
    told(table, &what, cases, &cost);
}

fn some_referred(table: &mut Table) {
    let cost = session(1500, |n| n % 15 == 7);
    let what = "1,500 changed cases, 100 referred to our NGOs";
    assert_eq!(cost.sent, 100, "every referral is at its NGO");
    table.hold(&format!("{what}: lists of referrals"), cost.lists, 100, "");
    table.hold(&format!("{what}: requests to Primero"), cost.primero, 112, "");
    table.hold(&format!("{what}: requests to OSCaR"), cost.oscar, 102, "");
    told(table, what, 1500, &cost);
}

/// Two of three changed cases referred, as in the records the jobs were measured on.
fn beside(table: &mut Table, today: &Today) {
    let cost = session(today.cases, |n| n % 3 != 2);
    assert_eq!(
        cost.sent as u64,
        today.cases - today.cases / 3,
        "every referral is at its NGO"
    );
    let what = format!("{} changed cases, two of three referred", grouped(today.cases));
    let requests = cost.primero + cost.oscar;
    // The least there can be: Primero lists referrals case by case only (primero.md §3.1), and their ids, notes and
    // senders stand nowhere else; OSCaR takes one child a push (oscar.md §3). The wish lies below it.
    table.hold(
        &format!("{what}: requests beyond a list and a push for each"),
        requests - 2 * cost.sent as u64,
        today.cases.div_ceil(200) + 4,
        "",
    );
    table.tell(
        &format!("{what}: requests, today {}", grouped(today.requests)),
        grouped(requests),
        &grouped(today.requests.div_ceil(3)),
    );
    let each = |requests: u64, delivered: u64| requests as f64 / delivered as f64;
    let before = each(today.requests, today.delivered);
    table.tell(
        &format!("{what}: requests for each that arrives, today {before:.2}"),
        format!("{:.2}", each(requests, cost.sent as u64)),
        &wish(before / 3.0, ""),
    );
    let cpu = cost.cpu.as_secs_f64();
    table.tell(
        &format!("{what}: processor, today {} s", today.cpu_s),
        format!("{cpu:.2} s"),
        &wish(today.cpu_s / 100.0, " s"),
    );
    let bytes = format!("{} B with TLS", grouped(cost.bytes));
    table.tell(
        &format!("{what}: bytes, today {:.0} kB", today.bytes / 1000.0),
        bytes,
        &wish(today.bytes / 5.0 / 1000.0, " kB"),
    );
    let peak = format!("{:.1} MiB", cost.peak as f64 / 1_048_576.0);
    table.tell(
        &format!("{what}: memory, today {} MiB", today.mib),
        peak,
        &wish(today.mib / 50.0, " MiB"),
    );
    told(table, &what, today.cases, &cost);
}

fn wish(number: f64, unit: &str) -> String {
    format!("{number:.2}{unit}")
}

fn told(table: &mut Table, what: &str, cases: u64, cost: &Cost) {
    table.note(format!(
        "{what}: {} + {} requests, {} lists, {} B ({} B a case), {} ms of processor time, {} B at most",
        cost.primero,
        cost.oscar,
        cost.lists,
        grouped(cost.bytes),
        grouped(cost.bytes / cases),
        cost.cpu.as_millis(),
        grouped(cost.peak)
    ));
}

/// One session of a service that has met both peers before, with so many changed cases.
fn session(cases: u64, referred: impl Fn(u64) -> bool) -> Cost {
    let office = Office::with("\n[limits]\nqueue_events = 50000\n");
    let service = Service::start(&office);
    service.wait_for_line("session:");
    enter(&office, cases, referred);
    for server in servers(&office) {
        server.close_connections();
    }
    std::thread::sleep(Duration::from_millis(100));
    let (busy, before) = (service.process().busy(), servers(&office).map(Server::counters));
    assert_eq!(service.sync(), 200);
    let after = servers(&office).map(Server::counters);
    let spent = |index: usize, wanted: &dyn Fn(&str, &str) -> bool| {
        let count = |counters: &Counters| -> u64 {
            let requests = counters
                .requests
                .iter()
                .filter(|((method, path), _)| wanted(method, path));
            requests.map(|(_, number)| number).sum()
        };
        count(&after[index]) - count(&before[index])
    };
    let bytes = |counters: &[Counters; 2]| counters.iter().map(|c| c.bytes_in + c.bytes_out).sum::<u64>();
    let list = |method: &str, path: &str| method == "GET" && path.ends_with("/referrals");
    let cost = Cost {
        cpu: service.process().busy() - busy,
        peak: service.process().resident_peak(),
        primero: spent(0, &|_, _| true),
        oscar: spent(1, &|_, _| true),
        lists: spent(0, &list),
        bytes: bytes(&after) - bytes(&before),
        sent: office.oscar.with(|sim| sim.referrals().len()),
    };
    service.stop();
    cost
}

fn servers(office: &Office) -> [&Server; 2] {
    [office.primero.server(), office.oscar.server()]
}

/// A worker enters and refers, some seconds apart, by Primero's clock.
fn enter(office: &Office, cases: u64, referred: impl Fn(u64) -> bool) {
    let base: DateTime<Utc> = std::time::SystemTime::now().into();
    let mut sim = office.primero.sim();
    for n in 0..cases {
        sim.set_now(base + TimeDelta::milliseconds(1000 + 700 * n as i64));
        let data = json!({"name_first": format!("Dara{n}"), "name_last": "Chan", "sex": "female",
            "date_of_birth": "2015-05-05", "location_current": "10060805", "risk_level": "medium",
            "consent_for_services": true, "disclosure_other_orgs": true,
            "services_section": [{"service_response_type": "referral_to_oscar", "service_type": "family_based_care",
                "service_subtype": ["family_based_care_kinship"], "service_implementing_agency": "agency-cif",
                "service_implementing_agency_individual": "agency-cif-user"}]});
        let id = sim.create_case_as("worker", data).expect("a valid case");
        if referred(n) {
            let service = sim.case(&id).expect("made above")["services_section"][0]["unique_id"].clone();
            let data = json!({"transitioned_to": "agency-cif-user", "service": "family_based_care",
                "service_record_id": service, "notes": "sample reason for this referral"});
            sim.refer_as("worker", &id, &data).expect("consent is given");
        }
    }
}
