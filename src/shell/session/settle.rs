//! The commit that ends a step with one event.

use crate::core::link::ChildId;
use crate::core::queue::Entry;
use crate::core::record::{Head, Seq, State, Subject};
use crate::store::{StoreError, Tx};

/// Puts a head on disk together with what it taught about the child's ids.
///
/// A case that another subject is known by shows that both are one child: the event joins that lane, or what OSCaR
/// shows of the child would reach only one of them. What the office says of it joins it there.
pub(crate) fn settle(tx: &mut Tx<'_>, head: &Head) -> Result<(), StoreError> {
    let mut head = head.clone();
    if let Some(case) = &head.work.case {
        let number = ChildId::CaseId(case.case_id.clone());
        head.subject = tx.subject_of(&number)?.unwrap_or(head.subject);
        let mut link = tx.link(head.subject)?.unwrap_or_default();
        if link.case.as_ref() != Some(case) {
            link.case = Some(case.clone());
            tx.put_link(head.subject, &link);
            tx.put_id(&number, head.subject);
            tx.put_id(&ChildId::ShortId(case.short_id.clone()), head.subject);
        }
    }
    let before = tx.queue().get(head.seq).map(|entry| (entry.state, entry.subject));
    tx.update(&head)?;
    if let Some((_, lane)) = before.filter(|(_, lane)| *lane != head.subject) {
        take_along(tx, &head, lane)?;
    }
    if before.map(|(state, _)| state) != Some(head.state)
        && matches!(head.state, State::Delivered | State::Discarded)
    {
        tx.handoff(&head, head.state.word())?;
    }
    Ok(())
}

/// Takes the open events that speak of a referral out of the lane it has left: none may run before it.
fn take_along(tx: &mut Tx<'_>, referral: &Head, lane: Subject) -> Result<(), StoreError> {
    let open = |entry: &&Entry| entry.subject == lane && entry.state.open();
    let seqs: Vec<Seq> = tx.queue().iter().filter(open).map(|entry| entry.seq).collect();
    for seq in seqs {
        if let Some((mut head, Some(payload))) = tx.event(seq)?
            && payload.target() == Some(&referral.key)
        {
            head.subject = referral.subject;
            tx.update(&head)?;
        }
    }
    Ok(())
}
