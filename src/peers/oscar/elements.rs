//! Reading a pull's body as it arrives, one child at a time.

use crate::core::element::{Element, Item, Latest, Shape};
use crate::core::event::Private;
use crate::core::intake::REASON_CHARS_MAX;
use crate::core::link::Shown;
use crate::peers::rows::read_rows;
use serde_json::Value;
use std::io::Read;

/// Largest single element of a pull that is read, in bytes of compact JSON.
pub const ELEMENT_BYTES_MAX: usize = 512 * 1024;

/// Longest name, number or service that is kept of an element: OSCaR sets no limit (oscar.md §2.5), a stored row has one.
const TEXT_CHARS_MAX: usize = 255;

/// How reading a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PullRead {
    /// Elements read, wanted or not.
    pub elements: u64,
    /// Elements without the keys every element has: skipped.
    pub unreadable: u64,
    /// Elements larger than [`ELEMENT_BYTES_MAX`]: skipped.
    pub too_large: u64,
    /// The answer was whole and of the right shape.
    pub whole: bool,
}

/// Reads a pull's body element by element, so that memory holds one child at a time. `digest` hashes an element's
/// canonical text; `each` is given every readable element.
pub fn read_pull(
    body: &mut dyn Read,
    digest: &dyn Fn(&[u8]) -> [u8; 32],
    each: &mut dyn FnMut(Element),
) -> PullRead {
    let mut read = PullRead::default();
    let whole = read_rows(body, &mut |row| {
        read.elements += 1;
        let canonical = serde_json::to_vec(&row).expect("JSON is written as JSON");
        if canonical.len() > ELEMENT_BYTES_MAX {
            read.too_large += 1;
            return;
        }
        match element(&row, digest(&canonical)) {
            Some(element) => each(element),
            None => read.unreadable += 1,
        }
    });
    read.whole = whole.is_some();
    read
}

/// One element in either of its two shapes: every key but two may be missing, null or blank (oscar.md §2.5).
fn element(value: &Value, digest: [u8; 32]) -> Option<Element> {
    let text = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let cut =
        |name: &str, chars: usize| Private(text(name).unwrap_or_default().chars().take(chars).collect());
    let private = |name: &str| cut(name, TEXT_CHARS_MAX);
    // Null and blank are the same word of OSCaR's; only an absent key says nothing.
    let shown = |name: &str| value.get(name).map(|_| private(name));
    let referred = ["organization_id", "level_of_risk", "reason_for_referral"];
    let shape = if referred.iter().any(|name| value.get(*name).is_some()) {
        Shape::Referred
    } else {
        Shape::Shared
    };
    let files = value.get("referral_consent_form").and_then(Value::as_array);
    Some(Element {
        organization: text("organization_name")?.to_owned(),
        global_id: text("global_id")?.to_owned(),
        external_id: text("external_id").map(str::to_owned),
        slug: text("slug").unwrap_or_default().to_owned(),
        shape,
        shown: Shown {
            given_name: shown("given_name"),
            family_name: shown("family_name"),
            local_given_name: shown("local_given_name"),
            local_family_name: shown("local_family_name"),
            gender: shown("gender"),
            date_of_birth: shown("date_of_birth"),
            location_code: shown("location_current_village_code"),
            mosvy_number: shown("mosvy_number"),
        },
        items: items(value),
        latest: Latest {
            reason: cut("reason_for_referral", REASON_CHARS_MAX),
            level_of_risk: private("level_of_risk"),
            consent_form: files.into_iter().flatten().any(filed),
        },
        status: text("status").unwrap_or_default().to_owned(),
        worker_name: private("case_worker_name"),
        worker_phone: private("case_worker_mobile"),
        office_code: text("organization_address_code").map(str::to_owned),
        digest,
    })
}

/// An uploaded file shows as its address, in one of two forms; an empty place is none.
fn filed(file: &Value) -> bool {
    let url = file.as_str().or_else(|| file.get("url").and_then(Value::as_str));
    url.is_some_and(|url| !url.is_empty())
}

/// The referrals among a child's services; a programme the child is enrolled in has no number (oscar.md §2.7).
fn items(value: &Value) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let list = value.get("services").and_then(Value::as_array);
    for entry in list.into_iter().flatten() {
        let Some(number) = entry.get("referral_id").and_then(Value::as_i64) else {
            continue;
        };
        let text = |name: &str| {
            entry
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .chars()
                .take(TEXT_CHARS_MAX)
                .collect()
        };
        let item = Item {
            number,
            service: text("name"),
            status: text("referral_status"),
        };
        if !items.contains(&item) {
            items.push(item);
        }
    }
    items
}
