//! What becomes of a referral that nobody on this box has taken in yet.

use super::uptake::{Taken, Uptake};
use crate::core::ask::ReferralView;
use crate::core::draw::stored_numbers;
use crate::core::event::Decision;
use crate::core::flows::Earlier;
use crate::core::reason::Reason;
use crate::core::record::{OneShot, Peer, State, Work};

/// What becomes of a referral nobody has taken in yet.
pub(super) enum Fate {
    /// Not this gateway's business, or settled long ago.
    Leave,
    Send,
    /// Nobody knows whether it was sent before.
    Doubt,
    /// OSCaR's numbers stand in its service.
    Sent(Vec<i64>),
}

impl Uptake {
    pub(super) fn fate(&self, taken: &Taken, made: &ReferralView) -> Fate {
        let created = made.created_ms.unwrap_or(self.born);
        let earlier = created <= self.born;
        let by_us = made
            .by_user
            .as_deref()
            .is_some_and(|user| user.eq_ignore_ascii_case(&self.user_name));
        let open = match made.status.as_str() {
            "in_progress" => true,
            // Accepted by hand before anybody carried it over: the NGO gets it together with that decision.
            "accepted" => !earlier,
            _ => false,
        };
        // What this gateway refers for the office is in its queue, whether or not Primero's answer has come.
        if !open || created < self.start || (by_us && !earlier) {
            return Fate::Leave;
        }
        // A number proves something only where it cannot be an older referral's of the same service.
        let alone = !taken
            .list
            .iter()
            .flatten()
            .any(|other| other.id != made.id && other.service == made.service);
        match stored_numbers(&taken.view, made, &self.site).filter(|_| alone) {
            Some(numbers) if made.status == "in_progress" => Fate::Sent(numbers),
            Some(_) => Fate::Leave,
            None if earlier && self.flows.earlier == Earlier::Doubt => Fate::Doubt,
            None => Fate::Send,
        }
    }
}

pub(super) fn decide_beforehand(work: &mut Work, made: &ReferralView) {
    if made.status != "accepted" {
        return;
    }
    for service in &mut work.services {
        service.decision = Some(Decision::Accepted);
        service.decided_at = Some(Peer::Primero);
        service.referral_decided = true;
    }
}

/// Marks as sent what was sent, and as unknown what nobody knows; why it is held, if it is.
pub(super) fn sent_before(work: &mut Work, fate: &Fate) -> Option<(State, Reason)> {
    let numbers = match fate {
        Fate::Sent(numbers) => numbers.as_slice(),
        _ => &[],
    };
    for (index, service) in work.services.iter_mut().enumerate() {
        service.oscar_referral = numbers.get(index).copied();
        service.link_written = service.oscar_referral.is_some();
        service.push = match service.oscar_referral {
            Some(_) => OneShot::Done,
            None => OneShot::Unsure,
        };
    }
    work.oscar_done = numbers.len() >= work.services.len();
    (!work.oscar_done).then_some((State::InDoubt, Reason::MaybeSentBefore))
}
