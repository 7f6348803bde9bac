//! The line to Primero and OSCaR, as far as a stranger gets, then as far as the gateway's own password gets.

use super::ms;
use super::refused::Refused;
use crate::config::Config;
use crate::core::exchange::{Answer, Method, Request, Wire};
use crate::core::fields::Site;
use crate::core::finding::{Finding, organizations};
use crate::core::outcome::{Outcome, Repeat, Trouble, judge_failure, judge_head};
use crate::peers::oscar::{self, Session};
use crate::peers::{organizations as listing, primero::Primero};
use crate::shell::clock::{self, Clock};
use crate::shell::parts;
use crate::shell::session::SessionReport;
use crate::shell::session::site_check::{SiteCheck, check_site};
use crate::shell::uplink::{Uplink, host};
use std::net::ToSocketAddrs;

type Put<'a> = &'a mut dyn FnMut(Finding);

/// Name lookups, TLS, login, and what only somebody logged in can see. `servers` gets the servers' clocks.
pub fn look(config: &Config, clock: &Clock, servers: &mut Vec<i64>, put: Put) {
    let broker = config.mqtt.as_ref().map(|mqtt| mqtt.url.as_str());
    for (about, url) in [
        ("dns primero", Some(config.primero.url.as_str())),
        ("dns oscar", Some(config.oscar.url.as_str())),
        ("dns mqtt", broker),
    ] {
        if let Some(url) = url {
            put(name(about, url, clock));
        }
    }
    // What is wrong with the configuration has been said by now.
    let (Ok(site), Ok((mut primero, mut oscar))) = (
        parts::site(config),
        parts::wires(config, &Default::default(), &Default::default()),
    ) else {
        return;
    };
    let health = Request {
        method: Method::Get,
        target: "/health/api".to_owned(),
        headers: Vec::new(),
        body: None,
    };
    let mut knocks = [
        (
            "tls primero",
            knock(&mut primero, &health, |answer| answer.head.status == 204),
        ),
        (
            "tls oscar",
            knock(&mut oscar, &listing::request(), |answer| {
                listing::read(answer).is_some()
            }),
        ),
    ];
    call_by_name(config, &mut knocks);
    for (about, knock) in &knocks {
        match knock {
            Ok(answer) => {
                servers.extend(answer.head.date);
                put(Finding::ok(
                    about,
                    "the certificate is accepted and the server is itself",
                ));
            }
            Err(trouble) => put(Finding::trouble(about, *trouble)),
        }
    }
    let refused = Refused::in_folder(&config.gateway.data_dir);
    let [(_, primero_there), (_, oscar_there)] = &knocks;
    if primero_there.is_ok() {
        log_in_at_primero(config, &site, &mut primero, &refused, put);
    }
    if let Ok(answer) = oscar_there {
        put(sign_in_at_oscar(config, &mut oscar, &refused));
        let listed = listing::read(answer).unwrap_or_default();
        put(organizations(&config.oscar.organizations, &listed));
    }
}

fn name(about: &'static str, url: &str, clock: &Clock) -> Finding {
    let host = host(url);
    let begun = ms(clock);
    match (host.as_str(), 443).to_socket_addrs() {
        Ok(mut addresses) => {
            let took = ms(clock) - begun;
            match addresses.next() {
                Some(first) => Finding::ok(about, format!("{host} is {} ({took} ms)", first.ip())),
                None => Finding::trouble(about, Trouble::Dns),
            }
        }
        Err(_) => Finding::trouble(about, Trouble::Dns),
    }
}

/// One question that needs no password.
fn knock(
    wire: &mut dyn Wire,
    request: &Request,
    expected: impl Fn(&Answer) -> bool,
) -> Result<Answer, Trouble> {
    match wire.exchange(request) {
        Ok(answer) if expected(&answer) => Ok(answer),
        Ok(answer) => Err(trouble(judge_head(&answer.head, Repeat::Harmless))),
        Err(failure) => Err(trouble(judge_failure(&failure, Repeat::Harmless))),
    }
}

/// The trouble behind an outcome that is not the expected answer.
fn trouble(outcome: Outcome) -> Trouble {
    match outcome {
        Outcome::Down(trouble, _) | Outcome::Failed(trouble) | Outcome::Doubt(trouble) => trouble,
        Outcome::Unauthorized => Trouble::Auth,
        Outcome::Answered => Trouble::Shape,
    }
}

/// Tells a network's login page, a pulled cable and a wrong clock from what they look like, as a session does.
fn call_by_name(config: &Config, knocks: &mut [(&'static str, Result<Answer, Trouble>); 2]) {
    let mut report = SessionReport::default();
    for (pass, (_, knock)) in [&mut report.primero, &mut report.oscar].into_iter().zip(&*knocks) {
        pass.reached = knock.is_ok();
        pass.trouble = knock.as_ref().err().copied();
    }
    let named = Uplink::new(config).named(report, clock::wall(0).trust);
    for (pass, (_, knock)) in [named.primero, named.oscar].iter().zip(knocks) {
        if let (Err(trouble), Some(better)) = (knock, pass.trouble) {
            *trouble = better;
        }
    }
}

const TRIED: &str =
    "this password was refused before: correct the password file first (six refusals lock the account)";

fn log_in_at_primero(config: &Config, site: &Site, wire: &mut dyn Wire, refused: &Refused, put: Put) {
    let about = "login primero";
    let (user, password) = (&config.primero.user_name, config.primero.password.reveal());
    if refused.knows("primero", user, password) {
        return put(Finding::fail(about, "not tried again", TRIED));
    }
    let codec = Primero::new(user, password);
    let checked = check_site(wire, &codec, site, None);
    refused.note(
        "primero",
        user,
        password,
        checked.as_ref().err() == Some(&Trouble::Auth),
    );
    match checked {
        Ok(check) => {
            put(Finding::ok(about, format!("as {user}")));
            put(forms(&check));
        }
        Err(trouble) => put(Finding::trouble(about, trouble)),
    }
}

/// Gaps that are named; a site with more has one cause for most of them.
const GAPS_NAMED: usize = 5;

fn forms(check: &SiteCheck) -> Finding {
    let about = "primero forms";
    if !check.gaps.is_empty() {
        let named: Vec<String> = check
            .gaps
            .iter()
            .take(GAPS_NAMED)
            .map(ToString::to_string)
            .collect();
        let more = check.gaps.len().saturating_sub(GAPS_NAMED);
        let more = if more > 0 {
            format!("; and {more} more")
        } else {
            String::new()
        };
        return Finding::fail(
            about,
            format!("{}{more}", named.join("; ")),
            "what needs it is parked: correct [primero.fields] or the mapping file, or ask Primero's administrators",
        );
    }
    if !check.role_known {
        let told = "have all fields and options; Primero does not say which of them our role may write";
        return Finding::warn(
            about,
            told,
            "ask Primero's administrators what the role may write",
        );
    }
    Finding::ok(about, "have all fields and options, and our role may write them")
}

fn sign_in_at_oscar(config: &Config, wire: &mut dyn Wire, refused: &Refused) -> Finding {
    let about = "login oscar";
    let (user, password) = (&config.oscar.email, config.oscar.password.reveal());
    if refused.knows("oscar", user, password) {
        return Finding::fail(about, "not tried again", TRIED);
    }
    let answer = knock(wire, &oscar::sign_in(user, password), |answer| {
        answer.head.status == 200 && Session::of(&answer.head).is_some()
    });
    refused.note("oscar", user, password, answer == Err(Trouble::Auth));
    match answer {
        Ok(_) => Finding::ok(about, format!("as {user}")),
        Err(trouble) => Finding::trouble(about, trouble),
    }
}
