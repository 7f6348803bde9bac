//! What a child's element in an OSCaR pull means for the referrals we made of that child.
//!
//! OSCaR never says which referral is ours. A number is ours if it is new (not there before we pushed), stands at the
//! organization we pushed to, and carries the name of a service we pushed and have no number for: oldest push first
//! (oscar.md §6.4). More new numbers than open pushes cannot be told apart, and a person has to look. Absence of
//! anything never means anything: elements change shape from pull to pull (oscar-measured.md facts 4 and 5).

use super::element::Element;
use super::event::{Decision, Kind};
use super::link::Link;
use super::mapping::Mapping;
use super::outbox;
use super::reason::Reason;
use super::record::{Flow, Head, Moment, OneShot, Peer, State, what};

/// What came of an element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The link must be stored.
    pub link: bool,
    /// Indexes of the heads that changed.
    pub heads: Vec<usize>,
    /// Numbers now known to be of referrals that went to the NGO: the ledger must say so.
    pub ours: Vec<i64>,
}

/// Takes an element in. `heads` are this subject's events in order of acceptance.
pub fn take_in(
    element: &Element,
    link: &mut Link,
    heads: &mut [Head],
    mapping: &Mapping,
    at: Moment,
) -> News {
    let mut news = News {
        link: link.see(element),
        ..News::default()
    };
    let before: Vec<Head> = heads.to_vec();
    let here: Vec<usize> = (0..heads.len())
        .filter(|&index| concerns(&heads[index], element))
        .collect();
    let pushed: Vec<usize> = here
        .iter()
        .copied()
        .filter(|&index| heads[index].flow.to_oscar() && heads[index].kind == Kind::Referral)
        .collect();
    let mut names: Vec<&str> = element.items.iter().map(|item| item.service.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        Matching {
            element,
            name,
            mapping,
            at,
        }
        .run(link, heads, &pushed, &mut news);
    }
    for &index in &here {
        let head = &mut heads[index];
        decide(element, head, mapping, at);
        if head.flow.to_oscar() {
            learn_number(element, head, at);
        } else {
            see_link(element, head, at);
        }
    }
    news.heads = here
        .into_iter()
        .filter(|&index| heads[index] != before[index])
        .collect();
    news
}

/// Only events of this organization, and not those a person has closed.
fn concerns(head: &Head, element: &Element) -> bool {
    (head.flow.to_oscar() || head.flow == Flow::OscarToPrimero)
        && head.organization == element.organization
        && head.state != State::Discarded
}

/// Giving the new numbers of one service name to the pushes that wait for one.
struct Matching<'a> {
    element: &'a Element,
    name: &'a str,
    mapping: &'a Mapping,
    at: Moment,
}

impl Matching<'_> {
    fn run(&self, link: &mut Link, heads: &mut [Head], pushed: &[usize], news: &mut News) {
        let org = &self.element.organization;
        let of_name = |item: &&super::element::Item| item.service == self.name;
        let mut numbers: Vec<i64> = self
            .element
            .items
            .iter()
            .filter(of_name)
            .map(|i| i.number)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.retain(|number| !link.counted(org, *number));
        let mut waiting = Vec::new();
        for &head in pushed {
            for (service, work) in heads[head].work.services.iter().enumerate() {
                let known = self.mapping.oscar_service(&work.subtype);
                let same = known.is_some_and(|known| known.name == self.name);
                let sent = matches!(work.push, OneShot::Done | OneShot::Unsure);
                // One that a person has settled by hand waits for nothing.
                if same && sent && work.oscar_referral.is_none() && !work.link_written {
                    waiting.push((head, service));
                }
            }
        }
        news.link |= !numbers.is_empty();
        self.take_tagged(&mut numbers, &mut waiting, link, heads, news);
        if waiting.is_empty() {
            // None of ours: made by the NGO, or by hand. Accounted for, so that a later push is not mistaken for it.
            numbers.iter().for_each(|number| link.count(org, *number));
            return;
        }
        if numbers.len() > waiting.len() {
            for (head, _) in waiting {
                if heads[head].reason != Some(Reason::AmbiguousMatch) {
                    outbox::park(&mut heads[head], self.at, Reason::AmbiguousMatch, "");
                }
            }
            return;
        }
        if numbers.len() < waiting.len() {
            // One in doubt may never have arrived: a number says nothing of it before every confirmed push has its own.
            let confirmed =
                |(head, service): &(usize, usize)| heads[*head].work.services[*service].push == OneShot::Done;
            let sure = waiting.iter().filter(|at| confirmed(at)).count();
            if numbers.len() > sure {
                return;
            }
            waiting.retain(confirmed);
        }
        for (number, (head, service)) in numbers.iter().zip(waiting) {
            link.count(org, *number);
            news.ours.push(*number);
            arrived(&mut heads[head], service, *number, self.at);
        }
    }

    /// The tag in the latest referral's reason says whose that one is, where the element has a reason at all.
    fn take_tagged(
        &self,
        numbers: &mut Vec<i64>,
        waiting: &mut Vec<(usize, usize)>,
        link: &mut Link,
        heads: &mut [Head],
        news: &mut News,
    ) {
        let Some(latest) = self.element.latest_number().filter(|n| numbers.contains(n)) else {
            return;
        };
        let org = &self.element.organization;
        match self.element.latest_tag() {
            Some(tag) => {
                numbers.retain(|number| *number != latest);
                link.count(org, latest);
                news.ours.push(latest);
                // Without a match here it is another box's, or of this one before it lost its store.
                if let Some(at) = waiting.iter().position(|(head, _)| heads[*head].tag == tag) {
                    let (head, service) = waiting.remove(at);
                    arrived(&mut heads[head], service, latest, self.at);
                }
            }
            // Whatever this box has sent carries its tag.
            None if self.element.latest_is_the_ngos()
                || (!self.element.latest.reason.0.is_empty()
                    && waiting
                        .iter()
                        .all(|(head, _)| heads[*head].work.pushed_at.is_some())) =>
            {
                numbers.retain(|number| *number != latest);
                link.count(org, latest);
            }
            None => {}
        }
    }
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
        if head.state == State::Parked && head.reason == Some(Reason::TellTheNgo) {
            // Primero has ended it meanwhile: the NGO has it all the same, and somebody has to tell them.
            return;
        }
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
/// look alike: oscar-measured.md fact 3). Until it is written, a correction replaces it. A decision made in Primero is
/// never replaced: it is seen here, or stands against another one.
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
        let shown = mapping.decision(&item.status);
        let from_primero = work.decided_at == Some(Peer::Primero);
        if from_primero || head.flow == Flow::OscarToPrimero {
            see_report(head, index, shown, at);
            continue;
        }
        let Some(decision) = shown else { continue };
        let begun = work.decision_written || work.referral_decided;
        if work.decision == Some(decision) || (work.decision.is_some() && begun) {
            continue;
        }
        head.work.services[index].decision = Some(decision);
        head.note(at, what::DECIDED, &format!("{}, says the NGO", decision.word()));
    }
}

/// What OSCaR shows of a referral whose decision is made in Primero.
fn see_report(head: &mut Head, index: usize, shown: Option<Decision>, at: Moment) {
    let work = &mut head.work.services[index];
    if work.shown_there != shown && !work.decision_reported {
        work.shown_there = shown;
        head.changed = at;
    }
    let work = &mut head.work.services[index];
    let (made, sent) = (work.decision, work.decision_sent);
    if work.decision_reported || made.is_none() || work.decided_at != Some(Peer::Primero) {
        return;
    }
    if shown == made {
        work.decision_reported = true;
        head.note(at, what::DECISION_SEEN, "");
    } else if sent && head.state == State::Delivered {
        work.decision_sent = false;
        let detail = "OSCaR said that it saved the decision and shows another";
        outbox::park(head, at, Reason::DecisionConflict, detail);
    }
}

/// Whether the Primero case stands on the child at OSCaR. Its endpoint says "saved" also where nothing matched
/// (oscar.md §4.1).
fn see_link(element: &Element, head: &mut Head, at: Moment) {
    let Some(case) = head.work.case.as_ref().filter(|_| head.work.global_id.is_some()) else {
        return;
    };
    if head.work.link_seen || head.state != State::Delivered {
        return;
    }
    match &element.external_id {
        Some(there) if *there == case.case_id => {
            head.work.link_seen = true;
            head.note(at, what::LINKED, "seen in OSCaR");
        }
        Some(_) => outbox::park(head, at, Reason::LinkConflict, "OSCaR names another case"),
        None if head.work.link_sent => {
            head.work.link_sent = false;
            outbox::fail(
                head,
                at,
                "OSCaR said that it saved the case number and does not show it",
            );
        }
        None => {}
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
