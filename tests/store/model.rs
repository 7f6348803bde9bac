//! The store against a map: whatever is done to it in whatever order, it holds what the map holds.

use super::disk::Disk;
use super::samples::{T0, event_key, fingerprint, finish, head, open_on, payload, subject};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use referral_gateway::core::event::Payload;
use referral_gateway::core::link::{ChildId, Link, Sighting};
use referral_gateway::core::queue::Entry;
use referral_gateway::core::record::{Head, Moment, Seq, Subject, what};
use referral_gateway::core::time::BootId;
use referral_gateway::store::{Receipt, Store, StoreError, Tx};
use std::collections::BTreeMap;

/// Few, so that actions meet.
const NAMES: u64 = 8;

#[derive(Clone, Debug)]
enum Action {
    Accept(u64),
    Attempt(u64),
    Close(u64),
    Erase(u64),
    Retire(u64),
    Id(u64, u64),
    Link(u64),
    Document(u64, u32),
    /// All of these in one transaction.
    Together(Vec<Action>),
    /// All of these in one transaction that then fails.
    Fail(Vec<Action>),
    Reopen,
    Cut(u64),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    boot: u64,
    next_seq: u64,
    events: BTreeMap<u64, (Head, bool)>,
    receipts: BTreeMap<u64, Receipt>,
    /// Ids in event rows; those set explicitly stand above them.
    carried: BTreeMap<u64, Subject>,
    ids: BTreeMap<u64, Subject>,
    links: BTreeMap<u64, Link>,
    documents: BTreeMap<u64, u32>,
    handoffs: u64,
}

impl Model {
    fn at(&self) -> Moment {
        Moment {
            boot: BootId(self.boot),
            unix: Some(T0),
        }
    }

    fn subject_of(&self, n: u64) -> Option<Subject> {
        self.ids.get(&n).or_else(|| self.carried.get(&n)).copied()
    }

    /// Does an action to the map and, if it makes sense there, to the store.
    fn act(&mut self, action: &Action, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let at = self.at();
        match action {
            Action::Accept(n) if !self.events.contains_key(n) && !self.receipts.contains_key(n) => {
                let head = head(Seq(self.next_seq), BootId(self.boot), *n);
                self.next_seq += 1;
                tx.insert(&head, &payload(*n), &[fingerprint(*n)])?;
                self.carried.insert(*n, subject(*n));
                self.events.insert(*n, (head, true));
            }
            Action::Attempt(n) => {
                if let Some((head, _)) = self.events.get_mut(n).filter(|(head, _)| !head.closed()) {
                    head.attempts += 1;
                    head.note(at, what::RETRY, "timeout");
                    tx.update(head)?;
                }
            }
            Action::Close(n) => {
                if let Some((head, _)) = self.events.get_mut(n).filter(|(head, _)| !head.closed()) {
                    finish(head, at);
                    tx.update(head)?;
                    tx.handoff(head, what::DISCARDED)?;
                    self.handoffs += 1;
                }
            }
            Action::Erase(n) => {
                if let Some((head, content)) = self.events.get_mut(n).filter(|(head, _)| head.closed()) {
                    tx.erase_content(head)?;
                    *content = false;
                }
            }
            Action::Retire(n) => {
                if self
                    .events
                    .get(n)
                    .is_some_and(|(head, content)| head.closed() && !content)
                {
                    let (head, _) = self.events.remove(n).expect("was just seen");
                    tx.retire(head.seq, &Receipt::of(&head))?;
                    self.receipts.insert(*n, Receipt::of(&head));
                }
            }
            Action::Id(n, to) => {
                tx.put_id(&fingerprint(*n), subject(*to));
                self.ids.insert(*n, subject(*to));
            }
            Action::Link(n) => {
                let mut link = self.links.remove(n).unwrap_or_default();
                let organization = format!("org-{}", link.sightings.len());
                link.sightings
                    .push(Sighting::new(&organization, &format!("G{n}")));
                tx.put_link(subject(*n), &link);
                self.links.insert(*n, link);
            }
            Action::Document(n, value) => {
                tx.meta_put(&format!("document {n}"), value);
                self.documents.insert(*n, *value);
            }
            Action::Together(actions) => actions.iter().try_for_each(|action| self.act(action, tx))?,
            Action::Accept(_) | Action::Fail(_) | Action::Reopen | Action::Cut(_) => {}
        }
        self.check_inside(tx)
    }

    /// Inside a transaction its own changes are seen.
    fn check_inside(&self, tx: &Tx<'_>) -> Result<(), StoreError> {
        assert_eq!(tx.next_seq(), Seq(self.next_seq));
        assert_eq!(tx.queue().len(), self.events.len());
        for (n, (head, _)) in &self.events {
            assert_eq!(tx.head_by_key(&event_key(*n))?.as_ref(), Some(head));
        }
        Ok(())
    }

    fn check(&self, store: &Store) {
        let checked = store.read(|view| {
            assert_eq!(
                (view.boot(), view.next_seq()),
                (BootId(self.boot), Seq(self.next_seq))
            );
            assert_eq!(view.queue().len(), self.events.len());
            for n in 0..NAMES {
                let event = self.events.get(&n);
                let found = view.head_by_key(&event_key(n))?;
                assert_eq!(found.as_ref(), event.map(|(head, _)| head));
                if let Some((head, content)) = event {
                    let expected: Option<Payload> = content.then(|| payload(n));
                    assert!(view.payload(head.seq)? == expected, "content of event {n}");
                    let entry = *view.queue().get(head.seq).expect("is in the queue");
                    let digest = view.key_digest(&head.key);
                    assert_eq!(entry, Entry::of(head, digest, entry.bytes, *content));
                }
                assert_eq!(view.receipt(&event_key(n))?.as_ref(), self.receipts.get(&n));
                assert_eq!(view.subject_of(&fingerprint(n))?, self.subject_of(n), "id {n}");
                assert_eq!(view.subject_of(&ChildId::Mosvy(n.to_string()))?, None);
                assert_eq!(view.link(subject(n))?.as_ref(), self.links.get(&n));
                assert_eq!(
                    view.meta_get(&format!("document {n}"))?,
                    self.documents.get(&n).copied()
                );
            }
            Ok(())
        });
        checked.expect("reads");
        let report = store.verify_handoff(|_, _| {}).expect("the chain holds");
        assert_eq!(report.entries, self.handoffs);
    }
}

fn run(actions: Vec<Action>) {
    let mut disk = Disk::default();
    let (mut store, _) = open_on(&disk).expect("opens");
    let mut model = Model {
        boot: 1,
        next_seq: 1,
        ..Model::default()
    };
    for action in actions {
        match action {
            Action::Reopen => {
                drop(store);
                store = open_on(&disk).expect("opens again").0;
                model.boot += 1;
            }
            Action::Cut(seed) => {
                disk.cut();
                drop(store);
                disk = Disk::holding(disk.after_cut(seed));
                store = open_on(&disk).expect("opens after a cut").0;
                model.boot += 1;
            }
            Action::Fail(actions) => {
                let mut thrown_away = model.clone();
                let failed: Result<(), StoreError> = store.write(move |tx| {
                    actions
                        .iter()
                        .try_for_each(|action| thrown_away.act(action, tx))?;
                    Err(StoreError::Busy)
                });
                assert_eq!(failed, Err(StoreError::Busy));
            }
            action => {
                let mut before = model.clone();
                model = store
                    .write(move |tx| before.act(&action, tx).map(|()| before))
                    .expect("what makes sense is done");
            }
        }
        model.check(&store);
    }
}

fn simple() -> impl Strategy<Value = Action> {
    let n = || 0..NAMES;
    prop_oneof![
        4 => n().prop_map(Action::Accept),
        3 => n().prop_map(Action::Attempt),
        3 => n().prop_map(Action::Close),
        2 => n().prop_map(Action::Erase),
        2 => n().prop_map(Action::Retire),
        1 => (n(), n()).prop_map(|(id, to)| Action::Id(id, to)),
        1 => n().prop_map(Action::Link),
        1 => (n(), any::<u32>()).prop_map(|(name, value)| Action::Document(name, value)),
    ]
}

fn any_action() -> impl Strategy<Value = Action> {
    let several = || proptest::collection::vec(simple(), 1..6);
    prop_oneof![
        12 => simple(),
        2 => several().prop_map(Action::Together),
        2 => several().prop_map(Action::Fail),
        1 => Just(Action::Reopen),
        1 => any::<u64>().prop_map(Action::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/store/regressions.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_holds_what_the_model_holds(actions in proptest::collection::vec(any_action(), 1..40)) {
        run(actions);
    }
}

#[test]
fn an_id_put_by_hand_stays_when_its_event_is_retired() {
    run(vec![
        Action::Accept(1),
        Action::Id(1, 5),
        Action::Close(1),
        Action::Together(vec![Action::Erase(1), Action::Retire(1)]),
        Action::Cut(3),
        Action::Accept(2),
    ]);
}
