//! What `status` says beyond the running program: how far each peer has been seen, by which tables, and what Primero
//! lacks. The ids of cases it fails on are for a person at the box alone ([`name_cases`]): the document itself is shown to
//! every station and goes into the support bundle.

use super::desk::locked;
use super::identity::sha256;
use super::office::LOCKED;
use super::reconcile;
use super::session::site_check::{KEPT, SiteCheck};
use super::session::{kept_cursors, kept_owed};
use crate::config::Config;
use crate::core::hex::short;
use crate::core::mapping::VERSION;
use crate::core::status::stamp;
use crate::store::{Store, StoreError};
use serde_json::{Value, json};

/// The tables this gateway goes by, told apart from others by a digest of the site's own file.
#[derive(Clone, Debug)]
pub struct Tables {
    about: Option<String>,
    digest: Option<String>,
}

impl Tables {
    pub fn of(config: &Config) -> Tables {
        let file = config.mapping.as_ref();
        Tables {
            about: file.and_then(|_| config.tables().about().map(str::to_owned)),
            digest: file.map(|file| short(&sha256(file.text.as_bytes()))),
        }
    }
}

/// Adds to the status document.
pub fn add(document: &mut Value, tables: &Tables, store: &Store) -> Result<(), StoreError> {
    document["mapping"] = json!({ "version": VERSION, "about": tables.about.as_deref().unwrap_or("built in"),
        "digest": tables.digest });
    store.read(|view| {
        document["locked"] = json!(locked(view)?);
        // Before the first session of this run, what the last one left on disk.
        for (peer, kept) in ["primero", "oscar"].into_iter().zip(kept_cursors(view)?) {
            let cursor = &mut document["peers"][peer]["cursor"];
            if cursor.is_null() {
                *cursor = json!(kept.and_then(stamp));
            }
        }
        document["peers"]["primero"]["failing_cases"] = json!(kept_owed(view)?.len());
        if let Some(check) = view.meta_get::<SiteCheck>(KEPT)? {
            let gaps: Vec<String> = check.gaps.iter().map(ToString::to_string).collect();
            document["site"] = json!({ "read": check.at.and_then(stamp), "role_known": check.role_known,
                "gaps": gaps });
        }
        document["reconciliation"] = json!(reconcile::summary(view)?);
        Ok(())
    })
}

/// Adds the record ids of the cases that Primero fails on, for a technician to tell its administrators.
pub fn name_cases(document: &mut Value, store: &Store) -> Result<(), StoreError> {
    document["peers"]["primero"]["failing_case_ids"] = json!(store.read(kept_owed)?);
    Ok(())
}

/// The same for people.
pub fn words(status: &Value) -> String {
    let mut out = String::new();
    if status["locked"] == true {
        out.push_str(&format!("locked    {LOCKED}\n"));
    }
    if let Some(about) = status["mapping"]["about"].as_str() {
        out.push_str(&format!("mapping   {about}\n"));
    }
    let failing = status["peers"]["primero"]["failing_case_ids"].as_array();
    let failing: Vec<&str> = failing.into_iter().flatten().filter_map(Value::as_str).collect();
    if !failing.is_empty() {
        out.push_str(&format!(
            "          primero fails on {} of its cases, which are asked for again at each session; tell its \
             administrators their ids:\n",
            failing.len()
        ));
        failing
            .iter()
            .for_each(|id| out.push_str(&format!("            {id}\n")));
    }
    let site = &status["site"];
    let gaps = site["gaps"].as_array();
    for gap in gaps.into_iter().flatten().filter_map(Value::as_str) {
        out.push_str(&format!("          primero lacks: {gap}\n"));
    }
    if site["role_known"] == false {
        out.push_str("          primero does not say what the gateway's role may write\n");
    }
    out.push_str(&reconcile::summary_words(&status["reconciliation"]));
    out
}
