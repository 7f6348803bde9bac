//! GET /api/v2/forms: enough of a form's shape for a client to check its mapping against (primero.md 6).

use serde_json::{Value, json};

use super::config::{Field, Kind, MODULE};
use super::errors::ok;
use super::state::Sim;
use crate::wire::Reply;

impl Sim {
    pub(super) fn forms(&self) -> Reply {
        let mut names: Vec<&str> = self.config.fields.iter().map(|field| field.form).collect();
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        names.dedup();
        let forms: Vec<Value> = names
            .into_iter()
            .map(|name| {
                let of_form = self.config.fields.iter().filter(|field| field.form == name);
                json!({
                    "unique_id": name,
                    "name": {"en": name},
                    "parent_form": "case",
                    "module_ids": [MODULE],
                    "visible": true,
                    "fields": of_form.map(field_body).collect::<Vec<_>>(),
                })
            })
            .collect();
        ok(&json!({ "data": forms }))
    }
}

fn field_body(field: &Field) -> Value {
    let (kind, options, multi) = match &field.kind {
        Kind::Text | Kind::Derived => ("text_field", None, false),
        Kind::Numeric => ("numeric_field", None, false),
        Kind::Tick => ("tick_box", None, false),
        Kind::Date | Kind::DateTime => ("date_field", None, false),
        Kind::Select(lookup) => ("select_box", Some(*lookup), false),
        Kind::Open => ("select_box", None, false),
        Kind::Multi(lookup) => ("select_box", Some(*lookup), true),
        Kind::Subform(_) => ("subform", None, false),
    };
    let mut body = json!({
        "name": field.name,
        "type": kind,
        "multi_select": multi,
        "option_strings_source": options.map(|lookup| format!("lookup {lookup}")),
        "date_include_time": field.kind == Kind::DateTime,
        "disabled": field.kind == Kind::Derived,
        "visible": true,
    });
    if let Kind::Subform(fields) = &field.kind {
        let fields: Vec<Value> = fields.iter().map(field_body).collect();
        body["subform"] = json!({"unique_id": field.name, "is_nested": true, "fields": fields});
    }
    body
}
