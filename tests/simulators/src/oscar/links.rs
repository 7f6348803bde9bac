//! PUT clients/update_links (`oscar.md` 4.1): raw writes, tenant after tenant, always "saved" unless it
//! crashes.

use std::collections::HashMap;

use serde_json::Value;

use super::Sim;
use super::http::{Halt, Incoming, SAVED, message, text};
use crate::wire::Reply;

impl Sim {
    pub(super) fn update_links(&mut self, incoming: &Incoming) -> Result<Reply, Halt> {
        let crash = || Halt::Crash("public".to_owned());
        let items = match incoming.body.get("data") {
            Some(Value::Array(items)) if !items.is_empty() => items,
            _ => return Err(crash()),
        };
        // Items that are no objects match nothing; of two with one global id the last wins.
        let mut wanted: HashMap<String, &Value> = HashMap::new();
        for item in items {
            if let Some(global_id) = text(item.get("global_id")) {
                wanted.insert(global_id, item);
            }
        }
        let mut rows: Vec<_> = self
            .world
            .links
            .iter()
            .filter(|l| wanted.contains_key(&l.global_id))
            .cloned()
            .collect();
        rows.sort_by_key(|l| l.place);
        let today = self.now().date_naive();
        for row in rows {
            let tenant = self
                .world
                .tenants
                .iter()
                .position(|t| t.id == row.tenant_id && !t.deleted);
            let tenant = tenant.ok_or_else(|| Halt::NotFound("public".to_owned()))?;
            let place = self.world.place();
            let t = &mut self.world.tenants[tenant];
            let matching = t
                .clients
                .iter_mut()
                .find(|c| c.id == row.client_id && c.global_id == row.global_id);
            let client = matching.ok_or_else(|| Halt::Crash(t.short_name.clone()))?;
            let item = wanted[&row.global_id];
            client.external_id = text(item.get("external_id"));
            client.external_id_display = text(item.get("external_id_display"));
            client.synced_date = Some(today);
            client.place = place;
        }
        Ok(message(200, SAVED))
    }
}
