//! What a child's element in an OSCaR pull means for the referrals we made of that child.
//!
//! OSCaR never says which referral is ours. A number is ours if it is new (not there before we pushed), stands at the
//! organization we pushed to, and carries the name of a service we pushed and have no number for: oldest push first
//! (oscar.md §6.4). More new numbers than open pushes cannot be told apart, and a person has to look. Absence of
//! anything never means anything: elements change shape from pull to pull (oscar-measured.md facts 4 and 5).

use super::event::Kind;
use super::link::{Known, Link, Sighting};
use super::mapping::Mapping;
use super::outbox;
use super::reason::Reason;
use super::record::{Head, Moment, OneShot, Peer, State, what};

/// A referral as it stands in an element's `services`, one per number and service name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub number: i64,
    pub service: String,
    pub status: String,
}

/// One child at one organization, as a pull shows it. Everything but the two ids may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub organization: String,
    pub global_id: String,
    pub external_id: Option<String>,
    pub slug: String,
    pub known: Known,
    pub items: Vec<Item>,
    /// Digest of the element as it came.
    pub digest: [u8; 32],
}

/// What came of an element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The link must be stored.
    pub link: bool,
    /// Indexes of the heads that changed.
    pub heads: Vec<usize>,
}

/// Takes an element in. `heads` are this subject's events in order of acceptance.
pub fn take_in(
    element: &Element,
    link: &mut Link,
    heads: &mut [Head],
    mapping: &Mapping,
    at: Moment,
) -> News {
    let sighting = Sighting {
        organization: element.organization.clone(),
        global_id: element.global_id.clone(),
        slug: element.slug.clone(),
        known: element.known.clone(),
        digest: element.digest,
    };
    let mut news = News {
        link: link.see(sighting),
        heads: Vec::new(),
    };
    let before: Vec<Head> = heads.to_vec();
    let ours: Vec<usize> = (0..heads.len())
        .filter(|&index| concerns(&heads[index], element))
        .collect();
    let mut names: Vec<&str> = element.items.iter().map(|item| item.service.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        news.link |= match_numbers(element, name, link, heads, &ours, mapping, at);
    }
    for &index in &ours {
        decide(element, &mut heads[index], mapping, at);
        learn_number(element, &mut heads[index], at);
    }
    news.heads = ours
        .into_iter()
        .filter(|&index| heads[index] != before[index])
        .collect();
    news
}

/// Only referrals that went to this organization, and not those a person has closed.
fn concerns(head: &Head, element: &Element) -> bool {
    head.flow.to_oscar()
        && head.kind == Kind::Referral
        && head.organization == element.organization
        && head.state != State::Discarded
}

/// Gives the new numbers of one service name to the pushes that wait for one. True if the link changed.
fn match_numbers(
    element: &Element,
    name: &str,
    link: &mut Link,
    heads: &mut [Head],
    ours: &[usize],
    mapping: &Mapping,
    at: Moment,
) -> bool {
    let org = &element.organization;
    let mut numbers: Vec<i64> = element
        .items
        .iter()
        .filter(|i| i.service == name)
        .map(|i| i.number)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.retain(|number| !link.counted(org, *number));
    let mut waiting = Vec::new();
    for &head in ours {
        for (service, work) in heads[head].work.services.iter().enumerate() {
            let same = mapping
                .oscar_service(&work.subtype)
                .is_some_and(|known| known.name == name);
            let sent = matches!(work.push, OneShot::Done | OneShot::Unsure);
            // One that a person has settled by hand waits for nothing.
            if same && sent && work.oscar_referral.is_none() && !work.link_written {
                waiting.push((head, service));
            }
        }
    }
    if waiting.is_empty() {
        // None of ours: made by the NGO, or by hand. Accounted for, so that a later push is not mistaken for it.
        numbers.iter().for_each(|number| link.count(org, *number));
        return !numbers.is_empty();
    }
    if numbers.len() > waiting.len() {
        for (head, _) in waiting {
            if heads[head].reason != Some(Reason::AmbiguousMatch) {
                outbox::park(&mut heads[head], at, Reason::AmbiguousMatch, "");
            }
        }
        return false;
    }
    for (number, (head, service)) in numbers.iter().zip(waiting) {
        link.count(org, *number);
        arrived(&mut heads[head], service, *number, at);
    }
    !numbers.is_empty()
}

/// A push of ours is seen on the other side: doubt about it ends here.
fn arrived(head: &mut Head, service: usize, number: i64, at: Moment) {
    let work = &mut head.work.services[service];
    work.oscar_referral = Some(number);
    let doubted = work.push == OneShot::Unsure;
    work.push = OneShot::Done;
    head.note(at, what::SEEN, &format!("as referral {number}"));
    if doubted && outbox::doubtful(head).is_none() {
        head.note(at, what::READ_BACK, "the referral had arrived");
        head.reason = None;
        if head
            .work
            .services
            .iter()
            .all(|service| service.push == OneShot::Done)
        {
            head.work.oscar_done = true;
            outbox::deliver(head, at);
        } else {
            head.state = State::Pending;
        }
    }
}

/// The first decision counts: later changes of the NGO's status mean other things ("work finished" and "rejected"
/// look alike: oscar-measured.md fact 3). Until it is written, a correction replaces it.
fn decide(element: &Element, head: &mut Head, mapping: &Mapping, at: Moment) {
    for index in 0..head.work.services.len() {
        let work = &head.work.services[index];
        let Some(item) = element
            .items
            .iter()
            .find(|item| Some(item.number) == work.oscar_referral)
        else {
            continue;
        };
        let Some(decision) = mapping.decision(&item.status) else {
            continue;
        };
        if work.decided_at == Some(Peer::Primero) {
            if work.decision != Some(decision) && head.state == State::Delivered {
                let detail = format!("the NGO says {}, Primero otherwise", decision.word());
                outbox::park(head, at, Reason::DecisionConflict, &detail);
            }
            continue;
        }
        let begun = work.decision_written || work.referral_decided;
        if work.decision == Some(decision) || (work.decision.is_some() && begun) {
            continue;
        }
        head.work.services[index].decision = Some(decision);
        head.note(at, what::DECIDED, &format!("{}, says the NGO", decision.word()));
    }
}

/// The child's OSCaR number belongs into the Primero case once a referral of ours is linked to it.
fn learn_number(element: &Element, head: &mut Head, at: Moment) {
    let linked = head
        .work
        .services
        .iter()
        .any(|service| service.oscar_referral.is_some());
    if linked && head.work.global_id.is_none() {
        head.work.global_id = Some(element.global_id.clone());
        head.work.slug = Some(element.slug.clone()).filter(|slug| !slug.is_empty());
        head.changed = at;
    }
}
