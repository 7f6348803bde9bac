//! `/sim/...`: the workers' methods and the ledger for a person with curl. Real OSCaR has nothing like it.
//!
//! `curl -X POST 'https://localhost:PORT/sim/register_child?tenant=cif&referral=6'`, then
//! `/sim/accept?tenant=cif&client=3&workers=1`; `curl https://localhost:PORT/sim/referrals`,
//! `/sim/count?tenant=cif&external_id=X` or `&tag=Y`.

use chrono::DateTime;
use serde_json::{Value, json};

use super::{Child, NgoReferral, Refused, Sim};
use crate::wire::{Reply, Request};

/// The query of a console request.
struct Args(Vec<(String, String)>);

impl Args {
    fn text(&self, name: &str) -> Result<&str, Refused> {
        self.optional(name)
            .ok_or_else(|| Refused(format!("{name}= is missing")))
    }

    fn optional(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn id(&self, name: &str) -> Result<i64, Refused> {
        self.text(name)?
            .parse()
            .map_err(|_| Refused(format!("{name}= is no number")))
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.optional(name), Some("1" | "true" | "yes"))
    }
}

impl Sim {
    pub(super) fn console(&mut self, request: &Request) -> Reply {
        let args = Args(request.query_pairs());
        let action = request.path.trim_start_matches("/sim/").trim_end_matches('/');
        let answer = match request.method.as_str() {
            "GET" => self.show(action, &args),
            "POST" => self.act(action, &args),
            method => Err(Refused(format!("{method}: only GET and POST here"))),
        };
        match answer {
            Ok(value) => Reply::json(200, &value),
            Err(refused) => Reply::json(422, &json!({ "refused": refused.0 })),
        }
    }

    fn show(&self, what: &str, args: &Args) -> Result<Value, Refused> {
        match what {
            "referrals" => Ok(self.referrals().iter().map(|r| json!({
                "tenant": r.tenant, "id": r.id, "external_id": r.external_id, "global_id": r.global_id,
                "client_id": r.client_id, "status": r.status, "reason": r.reason, "services": r.services,
                "saved": r.saved, "level_of_risk": r.level_of_risk, "client_name": r.client_name,
                "referred_from": r.referred_from, "referred_to": r.referred_to, "deleted": r.deleted,
            })).collect()),
            "clients" => Ok(self.clients().iter().map(|row| json!({
                "tenant": row.tenant, "id": row.client.id, "slug": row.client.slug,
                "global_id": row.client.global_id, "external_id": row.client.external_id,
                "given_name": row.client.given_name, "family_name": row.client.family_name,
                "status": row.client.status, "referred_external": row.client.referred_external,
                "archived": row.client.archived, "updated_at": row.client.updated_at.to_rfc3339(),
            })).collect()),
            "identities" => Ok(json!({ "all": self.identities(), "orphans": self.orphan_identities() })),
            "count" => {
                let tenant = args.text("tenant")?;
                let count = match args.optional("tag") {
                    Some(tag) => self.count_by_tag(tenant, tag),
                    None => self.count_by_external_id(tenant, args.text("external_id")?),
                };
                Ok(json!({ "count": count }))
            }
            _ => Err(Refused(format!("nothing called {what} to show"))),
        }
    }

    fn act(&mut self, action: &str, args: &Args) -> Result<Value, Refused> {
        if action == "set_now" {
            let now = DateTime::parse_from_rfc3339(args.text("now")?).map_err(|e| Refused(e.to_string()))?;
            self.set_now(now.to_utc());
            return Ok(json!({ "ok": true }));
        }
        let tenant = args.text("tenant")?;
        let made = match action {
            "register_child" => Some(self.register_child(tenant, args.id("referral")?)?),
            "register_ngo_child" => Some(
                self.register_ngo_child(tenant, &Child::named(args.text("given")?, args.text("family")?))?,
            ),
            "refer_to_primero" => {
                let risk = args.optional("risk").unwrap_or("medium");
                let reason = args.optional("reason").unwrap_or("needs ministry support");
                let new = NgoReferral::of(args.text("service")?, risk, reason);
                Some(self.refer_to_primero(tenant, args.id("client")?, &new)?)
            }
            _ => {
                self.act_on_row(action, tenant, args)?;
                None
            }
        };
        Ok(match made {
            Some(id) => json!({ "id": id }),
            None => json!({ "ok": true }),
        })
    }

    fn act_on_row(&mut self, action: &str, tenant: &str, args: &Args) -> Result<(), Refused> {
        let client = || args.id("client");
        match action {
            "view_notifications" => self.view_notifications(tenant),
            "open_child_page" => self.open_child_page(tenant, client()?),
            "accept" => self.accept(tenant, client()?, args.flag("workers")),
            "reject" => self.reject(tenant, client()?),
            "hand_decide" => self.hand_decide(tenant, args.id("referral")?, args.text("status")?),
            "enrol" => self.enrol(
                tenant,
                client()?,
                args.text("programme")?,
                &[args.text("service")?],
            ),
            "leave_programmes" => self.leave_programmes(tenant, client()?),
            "edit_child" => self.edit_child(tenant, client()?, |_| ()),
            "archive" => self.archive(tenant, client()?),
            "restore" => self.restore(tenant, client()?),
            "destroy" => self.destroy(tenant, client()?),
            "delete_referral" => self.delete_referral(tenant, args.id("referral")?),
            "set_integrated" => self.set_integrated(tenant, args.flag("on")),
            _ => Err(Refused(format!("nobody here does {action}"))),
        }
    }
}
