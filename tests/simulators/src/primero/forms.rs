//! GET /api/v2/forms, /lookups and /users/:id: what a client can learn of a site's configuration.
//!
//! Read in Primero's source at 2.15.2.1: the list of forms is not paged and is the same for every role, whatever the
//! documentation says; a subform is a form of its own to which a field points; what a role may write stands in
//! `permitted_form` of its user's own extended record. Every localised text carries every locale of the program.

use serde_json::{Map, Value, json};

use super::config::{Field, Kind, MODULE};
use super::errors::{Refusal, ok};
use super::list::{PER_CAP, to_i};
use super::state::{Caller, Sim};
use crate::wire::{Reply, Request};

/// Some of the locales Primero is translated into; a text nobody has translated is there all the same, empty.
const LOCALES: [&str; 8] = ["en", "fr", "ar", "ar-LB", "so", "es", "bn", "km"];
/// Numbers of subforms begin here.
const SUBFORMS: usize = 1000;

impl Sim {
    /// Every form of the site; only `record_type` of the parameters matters here.
    pub(super) fn forms(&self, request: &Request) -> Reply {
        let wanted = |(name, value): (String, String)| (name == "record_type").then_some(value);
        if request
            .query_pairs()
            .into_iter()
            .find_map(wanted)
            .is_some_and(|kind| kind != "case")
        {
            return ok(&json!({ "data": [] }));
        }
        let fields = &self.config.fields;
        let mut names: Vec<&str> = fields.iter().map(|field| field.form).collect();
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        names.dedup();
        let mut forms = Vec::new();
        let mut subforms = Vec::new();
        for (number, name) in names.into_iter().enumerate() {
            let of_form = fields.iter().filter(|field| field.form == name);
            let mut bodies = Vec::new();
            for field in of_form {
                let mut body = field_body(field);
                if let Kind::Subform(inner) = &field.kind {
                    let id = SUBFORMS + subforms.len();
                    body["subform_section_id"] = json!(id);
                    let inner = inner.iter().map(field_body).collect();
                    subforms.push(form_body(id, &format!("{}_subform", field.name), true, inner));
                }
                bodies.push(body);
            }
            forms.push(form_body(number + 1, name, false, bodies));
        }
        for number in 0..self.config.bulk {
            let name = format!("other_form_{number}");
            let fields = (0..15).map(|field| filler(&format!("other_{number}_{field}")));
            forms.push(form_body(2000 + number as usize, &name, false, fields.collect()));
        }
        forms.extend(subforms);
        ok(&json!({ "data": forms }))
    }

    /// Paged as lists of cases are: twenty at a time unless asked, a thousand at most.
    pub(super) fn lookups(&self, request: &Request) -> Reply {
        let (mut page, mut per) = (1, 20);
        for (name, value) in request.query_pairs() {
            match name.as_str() {
                "page" => page = to_i(&value).max(1),
                "per" => per = to_i(&value).clamp(1, PER_CAP),
                _ => {}
            }
        }
        let mut all: Vec<Value> = Vec::new();
        for (number, (name, ids)) in self.config.lookups.iter().enumerate() {
            let values = ids.iter().map(|id| json!({"id": id, "display_text": texts(id)}));
            all.push(
                json!({"id": number + 1, "unique_id": name, "name": texts(name), "locked": false,
                "values": values.collect::<Vec<_>>()}),
            );
        }
        for number in 0..self.config.bulk {
            let name = format!("lookup-other-{number}");
            let values = (0..20).map(|id| json!({"id": format!("other_{id}"), "display_text": texts(&name)}));
            all.push(
                json!({"id": 2000 + number, "unique_id": name, "name": texts(&name), "locked": false,
                "values": values.collect::<Vec<_>>()}),
            );
        }
        let total = all.len();
        let skip = usize::try_from((page - 1).saturating_mul(per)).unwrap_or(usize::MAX);
        let take = usize::try_from(per).unwrap_or(0);
        let rows: Vec<Value> = all.into_iter().skip(skip).take(take).collect();
        ok(&json!({"data": rows, "metadata": {"total": total, "per": per, "page": page}}))
    }

    /// A user's own record; of others, only a role with rights on users is told.
    pub(super) fn user(&self, id: &str, request: &Request, caller: &Caller) -> Result<Reply, Refusal> {
        let number = id.parse::<u64>().ok();
        let Some(user) = self.config.users.iter().find(|user| Some(user.id) == number) else {
            return Err(Refusal::not_found("User", id));
        };
        if user.user_name != caller.user.user_name {
            return Err(Refusal::forbidden());
        }
        let mut body = json!({"id": user.id, "user_name": user.user_name, "full_name": user.full_name,
            "role_unique_id": caller.role.name, "role_group_permission": caller.role.scope.name(),
            "module_unique_ids": [MODULE], "user_group_unique_ids": user.groups});
        let extended = ("extended".to_string(), "true".to_string());
        if request.query_pairs().contains(&extended) {
            let mut rights = Map::new();
            for field in self
                .config
                .fields
                .iter()
                .filter(|f| !f.form.is_empty() && caller.role.sees(f))
            {
                let right = if caller.role.writes(field) { "rw" } else { "r" };
                rights.insert(field.form.to_string(), right.into());
            }
            let names: Vec<&String> = rights.keys().collect();
            body["permitted_form_unique_ids"] = json!(names);
            body["permitted_form"] = Value::Object(rights);
        }
        Ok(ok(&json!({ "data": body })))
    }
}

/// A text in every locale.
fn texts(english: &str) -> Value {
    let pairs = LOCALES.iter().map(|locale| {
        let text = if *locale == "en" { english } else { "" };
        ((*locale).to_string(), Value::from(text))
    });
    Value::Object(pairs.collect())
}

fn form_body(id: usize, unique_id: &str, nested: bool, fields: Vec<Value>) -> Value {
    json!({
        "id": id, "unique_id": unique_id, "name": texts(unique_id), "description": texts(unique_id),
        "parent_form": "case", "visible": !nested, "order": 10, "order_form_group": 30, "order_subform": 0,
        "form_group_keyed": false, "form_group_id": unique_id, "editable": true, "core_form": false,
        "is_nested": nested, "is_first_tab": false, "initial_subforms": 0, "mobile_form": true,
        "fields": fields, "module_ids": [MODULE], "collapsed_field_names": [],
    })
}

fn filler(name: &str) -> Value {
    let text = Field::on("other", "other", Kind::Text);
    let mut body = field_body(&text);
    body["name"] = json!(name);
    body
}

fn field_body(field: &Field) -> Value {
    let (kind, source, multi) = match &field.kind {
        Kind::Text | Kind::Derived => ("text_field", None, false),
        Kind::Numeric => ("numeric_field", None, false),
        Kind::Tick => ("tick_box", None, false),
        Kind::Date | Kind::DateTime => ("date_field", None, false),
        Kind::Select(lookup) => ("select_box", Some(format!("lookup {lookup}")), false),
        Kind::Open => ("select_box", Some("Location".to_string()), false),
        Kind::Multi(lookup) => ("select_box", Some(format!("lookup {lookup}")), true),
        Kind::Subform(_) => ("subform", None, false),
    };
    let mut body = json!({
        "id": 1, "name": field.name, "type": kind, "multi_select": multi, "form_section_id": 1, "visible": true,
        "mobile_visible": true, "hide_on_view_page": false, "show_on_minify_form": false, "editable": true,
        "disabled": field.kind == Kind::Derived, "display_name": texts(field.name), "order": 0, "required": false,
        "date_validation": "default_date_validation", "date_include_time": field.kind == Kind::DateTime,
        "matchable": false,
    });
    // Null keys are left out, as everywhere in these answers.
    if let Some(source) = source {
        body["option_strings_source"] = json!(source);
    }
    body
}
