//! Synthetic events. The names are nobody's.

use chrono::NaiveDate;
use referral_gateway::core::event::{
    CaseWorker, Child, Consent, Destination, Kind, Payload, Private, Referral, Risk, Sex,
};
use referral_gateway::core::link::ChildId;
use referral_gateway::core::record::{Flow, Head, Moment, Seq, ServiceWork, State, Subject, Work, what};
use referral_gateway::core::time::BootId;
use referral_gateway::store::{DeviceKey, Opened, Store, StoreError, Tx};

/// A plausible moment after the floor.
pub const T0: i64 = 1_795_000_000;
/// Planted in every sample, so that a search of the file can find them.
pub const LATIN: &str = "Zaphodina";
pub const KHMER: &str = "\u{1785}\u{17b6}\u{1793}\u{17cb}\u{1790}\u{17b6}";
pub const ORGANIZATION: &str = "sample-organization";

pub fn key() -> DeviceKey {
    DeviceKey::from_bytes([7; 32])
}

pub fn event_key(n: u64) -> String {
    format!("event-key-{n:08}-8f3c-4d2a")
}

pub fn subject(n: u64) -> Subject {
    let mut bytes = [0x51; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Subject(bytes)
}

/// As the core's intake makes it for a referral of one service.
pub fn head(seq: Seq, boot: BootId, n: u64) -> Head {
    let at = Moment { boot, unix: Some(T0) };
    let mut body_hash = [0xab; 32];
    body_hash[..8].copy_from_slice(&n.to_be_bytes());
    let service = ServiceWork::new(
        "family_based_care_kinship".to_owned(),
        format!("0f8fad5b-d9cb-469f-a165-{n:012}"),
    );
    let mut head = Head {
        seq,
        key: event_key(n),
        body_hash,
        kind: Kind::Referral,
        flow: Flow::LocalToOscar,
        organization: ORGANIZATION.to_owned(),
        subject: subject(n),
        tag: "GW-7F3K2".to_owned(),
        station: None,
        urgent: false,
        state: State::Pending,
        reason: None,
        attempts: 0,
        failures: 0,
        crashes: 0,
        lease: None,
        created: at,
        changed: at,
        work: Work {
            services: vec![service],
            ..Work::default()
        },
        history: Vec::new(),
    };
    head.note(at, what::ACCEPTED, "");
    head
}

/// A referral as an office writes it: about 900 bytes of JSON.
pub fn payload(n: u64) -> Payload {
    Payload::Referral(Box::new(Referral {
        to: Destination::Oscar,
        organization: ORGANIZATION.to_owned(),
        child: Child {
            given_name: Private(format!("{LATIN}-{n}")),
            family_name: Private("Beeblebrox".to_owned()),
            local_given_name: Private(KHMER.to_owned()),
            local_family_name: Private("\u{179f}\u{17bb}\u{1781}".to_owned()),
            sex: Private(Sex::Female),
            date_of_birth: Private(NaiveDate::from_ymd_opt(2015, 1, 1)),
            location_code: Private(Some("10060805".to_owned())),
            primero_case_id: None,
            oscar_global_id: None,
            mosvy_number: Private(None),
        },
        services: vec!["family_based_care_kinship".to_owned()],
        reason: Private("The grandmother asks for support; the family was visited on Monday.".to_owned()),
        risk_level: Private(Some(Risk::High)),
        referred_on: NaiveDate::from_ymd_opt(2026, 11, 20).expect("is a date"),
        consent: Consent {
            services: true,
            disclosure_other_organizations: true,
        },
        case_worker: CaseWorker {
            name: Private("Trillian Sample".to_owned()),
            phone: Private("012345678".to_owned()),
            email: Private(None),
        },
        office_code: None,
    }))
}

/// A short event: about 600 bytes of content, what the byte budget is stated for.
pub fn short_payload(n: u64) -> Payload {
    Payload::Withdraw {
        target: event_key(n),
        note: Private(Some("n".repeat(520))),
    }
}

pub fn fingerprint(n: u64) -> ChildId {
    let mut bytes = [0x33; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    ChildId::Fingerprint(bytes)
}

/// The intake of sample `n`, as a closure for `write`.
pub fn intake(n: u64) -> impl FnOnce(&mut Tx<'_>) -> Result<Seq, StoreError> + Send + 'static {
    move |tx| {
        let head = head(tx.next_seq(), tx.boot(), n);
        tx.insert(&head, &payload(n), &[fingerprint(n)])?;
        Ok(head.seq)
    }
}

/// The head as the core would leave it when everything is done and decided.
pub fn finish(head: &mut Head, at: Moment) {
    head.state = State::Discarded;
    head.lease = None;
    head.note(at, what::DISCARDED, "note");
}

pub fn no_recovery(_: &mut Head, _: Moment) -> bool {
    false
}

pub fn open_on(disk: &super::disk::Disk) -> Result<(Store, Opened), StoreError> {
    Store::open_on(disk.clone(), key(), Some(T0), &no_recovery)
}
