//! A peer that takes every write and changes nothing: for shadow mode, in which a session is played to its end without
//! telling anybody anything. Pure.
//!
//! A write is answered as the real peer would answer if all went well, and later reads are shown with it, so that the
//! whole chain of an event is planned and not only its first step. What the peer itself would make up (ids, numbers,
//! times) is made up here. A write that is not known to this module is refused: nothing unknown leaves either.

use crate::core::ask::Fields;
use crate::core::exchange::{Answer, AnswerHead, Method, Request};
use crate::core::record::{Peer, Seq};
use laid::{changes, merge};
use serde_json::{Value, json};
use std::collections::BTreeMap;

mod laid;

/// A field of a write: what it holds now, as far as that was read, and what it would hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub name: String,
    pub from: Option<Value>,
    pub to: Value,
}

/// A write that was not sent.
#[derive(Clone, PartialEq)]
pub struct Planned {
    pub peer: Peer,
    /// The event that was in hand.
    pub event: Seq,
    pub what: &'static str,
    /// Ids of what it would have been written to; never content.
    pub target: String,
    pub changes: Vec<Change>,
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.peer.word(), self.what, self.target)
    }
}

/// One peer's stand-in.
pub struct StandIn {
    peer: Peer,
    pub planned: Vec<Planned>,
    /// Cases as they were read last, without what is planned.
    read: BTreeMap<String, Fields>,
    /// What is planned for a case that is there.
    patches: BTreeMap<String, Fields>,
    /// Cases that are not.
    created: BTreeMap<String, Fields>,
    referrals: BTreeMap<String, Vec<Value>>,
}

impl StandIn {
    pub fn new(peer: Peer) -> StandIn {
        StandIn {
            peer,
            planned: Vec::new(),
            read: BTreeMap::new(),
            patches: BTreeMap::new(),
            created: BTreeMap::new(),
            referrals: BTreeMap::new(),
        }
    }

    /// The answer to a request that must not leave, or that only the stand-in can answer; nothing for a read, or for
    /// signing in at OSCaR.
    pub fn answer(&mut self, request: &Request, event: Seq) -> Option<Answer> {
        let path = request.target.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).skip(2).collect();
        if request.method == Method::Get {
            return self.own(&parts);
        }
        let body: Value = request
            .body
            .as_deref()
            .and_then(|body| serde_json::from_slice(body).ok())
            .unwrap_or_default();
        match (self.peer, request.method, parts.as_slice()) {
            (Peer::Oscar, Method::Post, ["admin_auth", "sign_in"]) => None,
            (Peer::Oscar, _, ["organizations", rest @ ..]) => Some(self.oscar(rest, &body, event)),
            (Peer::Primero, method, ["cases", rest @ ..]) => {
                let data = body
                    .get("data")
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default();
                Some(self.primero(method, rest, data, event))
            }
            _ => Some(refused()),
        }
    }

    /// A read that was answered, as it would look after what is planned.
    pub fn shown(&mut self, request: &Request, mut answer: Answer) -> Answer {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).skip(2).collect();
        if self.peer != Peer::Primero || answer.head.status != 200 || request.method != Method::Get {
            return answer;
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else {
            return answer;
        };
        match parts.as_slice() {
            ["cases", id] => {
                if let Some(case) = body.get_mut("data").and_then(Value::as_object_mut) {
                    self.read.insert((*id).to_owned(), case.clone());
                    merge(case, self.patches.get(*id));
                }
            }
            ["cases"] => self.list(&mut body, query),
            ["cases", case, "referrals"] => {
                if let Some(rows) = body.get_mut("data").and_then(Value::as_array_mut) {
                    self.overlay_referrals(case, rows);
                }
            }
            _ => return answer,
        }
        answer.body = body.to_string().into_bytes();
        answer
    }

    /// Reads of a case that is not really there.
    fn own(&self, parts: &[&str]) -> Option<Answer> {
        match parts {
            ["cases", id] => Some(ok(&json!({ "data": self.created.get(*id)? }))),
            ["cases", id, "referrals"] => {
                self.created.get(*id)?;
                let rows = self.referrals.get(*id).cloned().unwrap_or_default();
                Some(ok(&json!({ "data": rows })))
            }
            _ => None,
        }
    }

    fn list(&self, body: &mut Value, query: &str) {
        let Some(rows) = body.get_mut("data").and_then(Value::as_array_mut) else {
            return;
        };
        for row in rows.iter_mut().filter_map(Value::as_object_mut) {
            let id = row
                .get("id")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            merge(row, self.patches.get(&id));
        }
        let asked = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        let filters: Vec<(String, String)> = query.split('&').filter_map(asked).collect();
        let fits = |case: &Fields| {
            filters
                .iter()
                .any(|(name, value)| case.get(name).and_then(Value::as_str) == Some(value))
        };
        let ours: Vec<Value> = self
            .created
            .values()
            .filter(|case| fits(case))
            .cloned()
            .map(Value::Object)
            .collect();
        let more = ours.len() as u64;
        rows.extend(ours);
        if let Some(total) = body.pointer("/metadata/total").and_then(Value::as_u64) {
            body["metadata"]["total"] = json!(total + more);
        }
    }

    fn overlay_referrals(&self, case: &str, rows: &mut Vec<Value>) {
        for planned in self.referrals.get(case).into_iter().flatten() {
            match rows.iter_mut().find(|row| row["id"] == planned["id"]) {
                Some(row) => row["status"] = planned["status"].clone(),
                None => rows.push(planned.clone()),
            }
        }
    }

    fn primero(&mut self, method: Method, rest: &[&str], data: Fields, event: Seq) -> Answer {
        match (method, rest) {
            (Method::Post, []) => self.create_case(data, event),
            (Method::Patch, [id]) => self.patch_case(id, data, event),
            (Method::Post, [case, "referrals"]) => {
                let id = format!("planned-{}", self.planned.len() + 1);
                self.plan("create referral", (*case).to_owned(), event, changes(None, &data));
                let mut referral = data;
                referral.insert("id".to_owned(), json!(id));
                referral.insert("status".to_owned(), json!("in_progress"));
                referral.insert("record_id".to_owned(), json!(case));
                self.put_referral(case, Value::Object(referral))
            }
            (Method::Patch, [case, "referrals", id]) => {
                self.plan(
                    "decide referral",
                    format!("{case} {id}"),
                    event,
                    changes(None, &data),
                );
                let status = data.get("status").cloned().unwrap_or_default();
                self.put_referral(case, json!({ "id": id, "status": status }))
            }
            (Method::Delete, [case, "referrals", id]) => {
                self.plan("revoke referral", format!("{case} {id}"), event, Vec::new());
                self.put_referral(case, json!({ "id": id, "status": "revoked" }))
            }
            _ => refused(),
        }
    }

    fn create_case(&mut self, mut data: Fields, event: Seq) -> Answer {
        let id = data
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        self.plan("create case", id.clone(), event, changes(None, &data));
        let tail = id
            .get(id.len().saturating_sub(7)..)
            .unwrap_or_default()
            .to_owned();
        data.insert("case_id".to_owned(), json!(id));
        data.insert("short_id".to_owned(), json!(tail));
        data.insert("record_state".to_owned(), json!(true));
        data.insert("enabled".to_owned(), json!(true));
        self.created.insert(id, data);
        Answer {
            head: AnswerHead {
                status: 204,
                ..AnswerHead::default()
            },
            body: Vec::new(),
        }
    }

    fn patch_case(&mut self, id: &str, data: Fields, event: Seq) -> Answer {
        let before = match self.created.get(id) {
            Some(case) => case.clone(),
            None => {
                let mut before = self.read.get(id).cloned().unwrap_or_default();
                merge(&mut before, self.patches.get(id));
                before
            }
        };
        self.plan("change case", id.to_owned(), event, changes(Some(&before), &data));
        let target = match self.created.get_mut(id) {
            Some(case) => case,
            None => self.patches.entry(id.to_owned()).or_default(),
        };
        merge(target, Some(&data));
        let mut after = before;
        merge(&mut after, Some(&data));
        after.insert("id".to_owned(), json!(id));
        ok(&json!({ "data": after }))
    }

    /// Keeps a referral's planned state and answers with it.
    fn put_referral(&mut self, case: &str, referral: Value) -> Answer {
        let rows = self.referrals.entry(case.to_owned()).or_default();
        let shown = match rows.iter_mut().find(|row| row["id"] == referral["id"]) {
            Some(row) => {
                row["status"] = referral["status"].clone();
                row.clone()
            }
            None => {
                rows.push(referral.clone());
                referral
            }
        };
        ok(&json!({ "data": shown }))
    }

    fn oscar(&mut self, rest: &[&str], body: &Value, event: Seq) -> Answer {
        let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
        let item = |body: &Value| object(&body["data"][0]);
        let text = |fields: &Fields, name: &str| {
            fields
                .get(name)
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        match rest {
            ["clients", "upsert"] => {
                let push = object(&body["organization"]);
                let target = text(&push, "organization_name").unwrap_or_default();
                self.plan("push referral", target, event, changes(None, &push));
            }
            ["clients", "update_links"] => {
                let link = item(body);
                let target = text(&link, "global_id").unwrap_or_default();
                self.plan("write link", target, event, changes(None, &link));
            }
            ["referrals", "update_statuses"] => {
                let decision = item(body);
                let target = text(&decision, "referral_id").unwrap_or_default();
                self.plan("write decision", target, event, changes(None, &decision));
            }
            _ => return refused(),
        }
        ok(&json!({ "external_id": "", "message": "Record saved." }))
    }

    fn plan(&mut self, what: &'static str, target: String, event: Seq, changes: Vec<Change>) {
        self.planned.push(Planned {
            peer: self.peer,
            event,
            what,
            target,
            changes,
        });
    }
}

fn ok(body: &Value) -> Answer {
    Answer {
        head: AnswerHead {
            status: 200,
            json: true,
            ..AnswerHead::default()
        },
        body: body.to_string().into_bytes(),
    }
}

fn refused() -> Answer {
    Answer {
        head: AnswerHead {
            status: 403,
            json: true,
            ..AnswerHead::default()
        },
        body: b"{\"errors\":[]}".to_vec(),
    }
}
