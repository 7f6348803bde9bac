//! A child's own record, on its way to Primero: shared for the first time, or changed since.

use super::{Child, Taken, Taking, known};
use crate::core::event::{ChildRecord, Payload, Private, Values};
use crate::core::inbound;
use crate::core::link::{Agreed, ChildId};
use crate::core::mapping::risk_of;
use crate::core::record::{Flow, Work};
use crate::shell::session::relay::{Enrolled, NewEvent, enter};
use crate::store::{StoreError, Tx};

impl Taking {
    /// What the NGO has changed of a child since it was last brought to Primero.
    pub(super) fn take_changes(
        &self,
        tx: &mut Tx<'_>,
        child: &mut Child<'_>,
        agreed: Agreed,
        values: Values,
        taken: &mut Taken,
    ) -> Result<bool, StoreError> {
        let mut now = agreed.values.clone();
        for (name, value) in values {
            match now.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => now.push((name, value)),
            }
        }
        if now == agreed.values || !self.flows.oscar_to_primero {
            return Ok(false);
        }
        let key = format!("c-{}-{}", child.element.organization, tx.next_seq().0);
        let full = self.enter_record(tx, child, key, Some(agreed.values), taken)?;
        child.link.agreed = Some(Agreed {
            organization: agreed.organization,
            values: now,
        });
        Ok(full)
    }

    /// A child the NGO shares gets a case, so that nobody registers it a second time.
    pub(super) fn take_shared(
        &self,
        tx: &mut Tx<'_>,
        child: &mut Child<'_>,
        values: Values,
        taken: &mut Taken,
    ) -> Result<bool, StoreError> {
        let key = format!("s-{}", child.element.global_id);
        let full = self.enter_record(tx, child, key, None, taken)?;
        child.link.agreed = Some(Agreed {
            organization: child.element.organization.clone(),
            values,
        });
        Ok(full)
    }

    fn enter_record(
        &self,
        tx: &mut Tx<'_>,
        child: &Child<'_>,
        key: String,
        before: Option<Values>,
        taken: &mut Taken,
    ) -> Result<bool, StoreError> {
        let element = child.element;
        let (record, _) = inbound::child(element, &known(child));
        let mut work = Work::default();
        if before.is_none() {
            work.global_id = Some(element.global_id.clone());
            work.slug = Some(element.slug.clone()).filter(|slug| !slug.is_empty());
            work.pushed_at = Some(self.glass.since);
        }
        let new = NewEvent {
            key,
            flow: Flow::OscarToPrimero,
            subject: child.subject,
            ids: vec![ChildId::GlobalId(element.global_id.clone())],
            organization: element.organization.clone(),
            urgent: false,
            payload: Payload::Child(Box::new(ChildRecord {
                organization: element.organization.clone(),
                child: record,
                risk_level: Private(risk_of(&element.latest.level_of_risk.0)),
                office_code: element.office_code.clone(),
                before,
            })),
            work,
            held: None,
        };
        let entered = enter(tx, &self.identity, self.limits, new, self.at)?;
        taken.confirmed += u32::from(matches!(entered, Enrolled::New(_)));
        Ok(entered == Enrolled::Full)
    }
}
