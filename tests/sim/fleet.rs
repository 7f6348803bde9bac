//! Ten boxes with scopes of their own between one pair of peers: nobody carries what is another's, nothing goes twice.

use crate::office::{but, referral};
use crate::stage::{EMAIL, PASSWORD, Stage};
use serde_json::json;
use simulators::{oscar, primero};
use std::collections::BTreeSet;
use std::time::Duration;

/// Organizations of the agency mapping, one a box.
const BOXES: [&str; 10] = ["cif", "gpc", "tpo", "eao", "goh", "sk", "colt", "kt", "ea", "fsi"];

fn user_of(organization: &str) -> String {
    format!("gateway-{organization}")
}

/// One Primero with a gateway user for each office, one OSCaR with a tenant for each organization.
fn country() -> (primero::Config, oscar::Config) {
    let mut ministry = primero::Config::cambodia(&user_of(BOXES[0]), PASSWORD);
    let pattern = ministry.users[0].clone();
    for (at, organization) in BOXES.iter().enumerate().skip(1) {
        let mut user = pattern.clone();
        user.id = 900 + at as u64;
        user.user_name = user_of(organization);
        ministry.users.push(user);
    }
    let mut ngos = oscar::Config::default_for(EMAIL, PASSWORD);
    let pattern = ngos.tenants[0].clone();
    ngos.tenants = BOXES
        .iter()
        .enumerate()
        .map(|(at, organization)| oscar::TenantConfig {
            id: at as i64 + 2,
            short_name: (*organization).to_owned(),
            full_name: format!("NGO {organization}"),
            integrated: true,
            ..pattern.clone()
        })
        .collect();
    (ministry, ngos)
}

#[test]
fn ten_boxes_between_one_pair_of_peers_do_not_meet() {
    let (ministry, ngos) = country();
    let hub = Stage::with(ministry, ngos);
    let mut boxes: Vec<Stage> = BOXES
        .iter()
        .enumerate()
        .map(|(at, organization)| hub.beside(&user_of(organization), &[organization], 20 + at as u8))
        .collect();
    for (at, (one, organization)) in boxes.iter_mut().zip(BOXES).enumerate() {
        for n in 0..3 {
            let child = 10 * at as u64 + n;
            let event = but(referral(child), "/organization", json!(organization));
            one.accept(&event);
        }
    }
    for round in 0..8 {
        for one in &mut boxes {
            one.run_reaching_back();
        }
        for organization in BOXES {
            hub.ngo_registers(organization);
            if round == 4 {
                hub.ngo_decides(organization, "Accepted");
            }
        }
        hub.wait(Duration::from_secs(60));
    }
    let rows = hub.oscar_referrals();
    assert_eq!(rows.len(), 3 * BOXES.len(), "each event went once, to one NGO");
    let pushed: BTreeSet<(String, String)> = rows
        .iter()
        .map(|row| {
            (
                row.tenant.clone(),
                row.reason.split(' ').next().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    assert_eq!(pushed.len(), rows.len());
    for (one, organization) in boxes.iter().zip(BOXES) {
        let heads = one
            .store()
            .read(|view| {
                let mut heads = Vec::new();
                for entry in view.queue().iter() {
                    heads.extend(view.head(entry.seq)?);
                }
                Ok(heads)
            })
            .expect("the store reads");
        assert_eq!(
            heads.len(),
            3,
            "{organization} holds its own events and no others"
        );
        for head in heads {
            assert_eq!(head.organization, organization);
            assert_eq!(head.decision().map(|decision| decision.word()), Some("accepted"));
            assert!(!head.write_back_due(), "{organization}: {:?}", head.work);
        }
    }
    let referrals = hub.primero_referrals();
    assert_eq!(referrals.len(), 3 * BOXES.len());
    assert!(referrals.iter().all(|row| row["status"] == "accepted"));
}
