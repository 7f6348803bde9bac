//! What others refer: a worker of the ministry in Primero itself, and an NGO in OSCaR itself. The gateway finds both,
//! carries them across, and brings each decision back.

use crate::office::{Office, Trouble, wait};
use crate::screen::{Tone, heading, paint, quoted, say, typed};
use crate::story::sync;
use serde_json::{Value, json};
use simulators::oscar::{Child, NgoReferral};

/// A child that is referred in one of the two systems, not at the office.
pub struct Stranger {
    pub given: &'static str,
    pub family: &'static str,
    pub reason: &'static str,
}

/// Referred by the ministry to an NGO.
pub const MINISTRY_CHILD: Stranger = Stranger {
    given: "Veasna",
    family: "Rattanakosal",
    reason: "Lives with an aunt who is ill; needs somebody to look in",
};
/// Referred by an NGO to the government.
pub const NGO_CHILD: Stranger = Stranger {
    given: "Chanmony",
    family: "Phoumsavath",
    reason: "Needs papers that only the district can make",
};
pub const BOTH: [&Stranger; 2] = [&MINISTRY_CHILD, &NGO_CHILD];

impl Stranger {
    fn name(&self) -> String {
        format!("{} {}", self.given, self.family)
    }
}

const SERVICE: &str = "5a1de0c4-7d6e-4f1b-9a65-0c1f4f0a3b77";

/// The two events that came of it.
pub struct Relayed {
    pub from_primero: String,
    pub from_oscar: String,
}

/// Plays the scene.
pub fn others_refer(office: &Office) -> Result<Relayed, Trouble> {
    heading(4, "Others refer too: in Primero, and in OSCaR");
    let from_primero = the_ministry_refers(office)?;
    let from_oscar = an_ngo_refers(office)?;
    typed("events list");
    quoted(&office.text(&["events", "list"])?);
    Ok(Relayed {
        from_primero,
        from_oscar,
    })
}

fn the_ministry_refers(office: &Office) -> Result<String, Trouble> {
    let child = &MINISTRY_CHILD;
    say(&format!(
        "  A worker of the ministry refers {} to cif, in Primero itself.",
        child.name()
    ));
    let case = json!({"name_first": child.given, "name_last": child.family, "sex": "male",
        "date_of_birth": "2014-02-11", "risk_level": "medium", "location_current": "10060805",
        "consent_for_services": true, "disclosure_other_orgs": true,
        "services_section": [{"unique_id": SERVICE, "service_type": "family_based_care",
            "service_subtype": ["family_based_care_kinship"], "service_response_type": "referral_to_oscar",
            "service_implementing_agency": "agency-cif",
            "service_implementing_agency_individual": "agency-cif-user"}]});
    let referral = json!({"transitioned_to": "agency-cif-user", "service": "family_based_care",
        "service_record_id": SERVICE, "notes": child.reason});
    let made = office.primero.create_case("worker", case);
    let made = made.and_then(|case| office.primero.refer("worker", &case, &referral));
    let made = made.map_err(|reply| format!("Primero refused the worker: {}", reply.status))?;
    let key = format!("p-{}", made["id"].as_str().unwrap_or_default());
    sync(office)?;
    delivered(office, &key)?;
    let tag = office.json(&["events", "show", &key])?["tag"].clone();
    let tag = tag.as_str().unwrap_or_default();
    let rows = office.oscar.with(|sim| sim.referrals());
    let row = rows
        .iter()
        .find(|row| row.tenant == "cif" && row.reason.contains(tag))
        .ok_or("the referral has not arrived in OSCaR")?;
    say(&format!(
        "  It stands in cif's OSCaR as referral {}. There is no room for {}: a worker registers and rejects.",
        row.id,
        child.name()
    ));
    office.oscar.with(|sim| {
        let client = sim.register_child("cif", row.id)?;
        sim.reject("cif", client)
    })?;
    sync(office)?;
    wait("the rejection reaches Primero", || {
        let referrals = office.primero.referrals();
        let rejected = |row: &Value| row["service_record_id"] == SERVICE && row["status"] == "rejected";
        Ok(referrals.iter().any(rejected).then_some(()))
    })?;
    say(&format!(
        "  {}: in Primero the ministry's worker reads \"rejected\".",
        paint(Tone::Good, "came back")
    ));
    Ok(key)
}

fn an_ngo_refers(office: &Office) -> Result<String, Trouble> {
    let child = &NGO_CHILD;
    say(&format!(
        "  gpc refers a child of its own, {}, to the government, in OSCaR itself.",
        child.name()
    ));
    let number = office.oscar.with(|sim| {
        let form = Child {
            village_code: "10060805".to_owned(),
            ..Child::named(child.given, child.family)
        };
        let client = sim.register_ngo_child("gpc", &form)?;
        sim.refer_to_primero(
            "gpc",
            client,
            &NgoReferral::of("School support", "high", child.reason),
        )
    })?;
    let key = format!("o-gpc-{number}");
    sync(office)?;
    delivered(office, &key)?;
    let (owner, case, service) = asked_of_the_government(office)?;
    say(&format!(
        "  It stands in Primero as a case of {owner}, who accepts the service."
    ));
    let edit =
        json!({"services_section": [{"unique_id": service, "referral_status_edf41f2": "accepted_340953"}]});
    let edited = office.primero.edit_case(&owner, &case, &edit);
    edited.map_err(|reply| format!("Primero refused the manager: {}", reply.status))?;
    sync(office)?;
    wait("the acceptance reaches OSCaR", || {
        let rows = office.oscar.with(|sim| sim.referrals());
        let accepted = rows
            .iter()
            .any(|row| row.tenant == "gpc" && row.id == number && row.status == "Accepted");
        Ok(accepted.then_some(()))
    })?;
    say(&format!(
        "  {}: in gpc's OSCaR the referral reads \"Accepted\".",
        paint(Tone::Good, "came back")
    ));
    Ok(key)
}

fn delivered(office: &Office, key: &str) -> Result<(), Trouble> {
    wait("a relayed referral arrives", || {
        let events = office.events()?;
        let there = events
            .iter()
            .any(|event| event["event_key"] == key && event["state"] == "delivered");
        Ok(there.then_some(()))
    })?;
    say(&format!("  {}  {key}", paint(Tone::Good, "delivered")));
    Ok(())
}

/// Owner, case and service of what the NGO asked for.
fn asked_of_the_government(office: &Office) -> Result<(String, String, String), Trouble> {
    for case in office.primero.cases() {
        if case["name_first"] != NGO_CHILD.given {
            continue;
        }
        let service = &case["services_section"][0]["unique_id"];
        if let (Some(owner), Some(id), Some(service)) =
            (case["owned_by"].as_str(), case["id"].as_str(), service.as_str())
        {
            return Ok((owner.to_owned(), id.to_owned(), service.to_owned()));
        }
    }
    Err("the NGO's child has no case in Primero".into())
}
