//! `reconcile`: what each side shows of the open referrals, for people.

use super::ask::{ask_or, refused};
use super::{Line, exit, load};
use crate::core::reconcile::{AtOscar, AtPrimero, Report, Row};
use crate::shell::meter::TrafficMeter;
use crate::shell::parts;
use crate::shell::reconcile::{answer, last, run};

/// `reconcile`, and with `last_only` the report of the last look.
pub fn reconcile(line: &Line, last_only: bool) -> u8 {
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let method = if last_only { "GET" } else { "POST" };
    let given = ask_or(line, &config, (method, "/v1/reconcile"), Vec::new(), |config| {
        let parts = parts::open(config)?;
        if last_only {
            return Ok(last(&parts.store));
        }
        let mut meter = TrafficMeter::resume(config, &parts)?;
        let trust = parts.clock.now().wall.trust;
        let looked = run(&mut parts::session(config, &parts)?, trust)?;
        meter.close(parts.clock.now())?;
        Ok(answer(looked.as_ref(), trust))
    });
    let given = match given {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let text = given.body.to_string();
    // Out of the text, as the store's own reader does: out of the `Value` would be a second parser in the binary.
    let Ok(report) = serde_json::from_slice::<Report>(text.as_bytes()) else {
        return refused(line, &given);
    };
    if line.json {
        println!("{text}");
    } else {
        print!("{}", words(&report));
    }
    match given.status {
        200 if report.for_people() > 0 => exit::NEEDS_A_PERSON,
        200 => exit::OK,
        _ => exit::TRY_LATER,
    }
}

fn words(report: &Report) -> String {
    let mut out = String::new();
    if let Some(at) = &report.at {
        out.push_str(&format!("looked at {at}\n"));
    }
    for (peer, trouble) in [("primero", &report.primero), ("oscar", &report.oscar)] {
        if let Some(trouble) = trouble {
            out.push_str(&format!("{peer} could not be asked to the end: {trouble}\n"));
        }
    }
    report.rows.iter().for_each(|row| out.push_str(&row_words(row)));
    out.push_str(&format!(
        "{} of {} open referrals looked at; {} services differ, {} of them need a person\n",
        report.looked_at,
        report.open,
        report.differing(),
        report.for_people()
    ));
    if report.next.is_some() {
        out.push_str("the next look goes on from here: run it again for the rest\n");
    }
    out
}

fn row_words(row: &Row) -> String {
    let decision = row.decision.map_or("undecided", |decision| decision.word());
    let mut out = format!(
        "event {} ({}, {}), {}\n  here      {}, {decision}\n  primero   {}\n  oscar     {}\n",
        row.event_key,
        row.flow,
        row.organization,
        row.service,
        row.state,
        primero_words(&row.primero),
        oscar_words(&row.oscar)
    );
    for difference in &row.differs {
        out.push_str(&format!("  differs   {}\n", difference.words()));
    }
    out.push_str(&format!("  done      {}\n", row.done.words()));
    if row.for_a_person() {
        out.push_str("  needs     a person: put right what differs in the system that is wrong\n");
    }
    out
}

fn primero_words(shown: &AtPrimero) -> String {
    match shown {
        AtPrimero::Unread => "not read".to_owned(),
        AtPrimero::None => "no case yet".to_owned(),
        AtPrimero::Gone => "the case is not shown".to_owned(),
        AtPrimero::Seen {
            referral,
            service,
            option,
            ..
        } => {
            let service = match (service, option) {
                (false, _) => "missing",
                (true, None) => "undecided",
                (true, Some(option)) => option,
            };
            format!(
                "referral {}, service {service}",
                referral.as_deref().unwrap_or("-")
            )
        }
    }
}

fn oscar_words(shown: &AtOscar) -> String {
    match shown {
        AtOscar::Unread => "not read".to_owned(),
        AtOscar::NotShown => "does not show the child".to_owned(),
        AtOscar::Seen { referral: None, .. } => "shows the child, not the referral".to_owned(),
        AtOscar::Seen {
            referral: Some((number, status)),
            ..
        } => format!("referral {number}: {status}"),
    }
}
