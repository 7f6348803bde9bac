//! JSON Schema as far as `docs/openapi.json` uses it. A word it does not know fails the test: nothing is passed over.

use serde_json::{Map, Value};

/// Words that only describe.
const DESCRIBING: [&str; 2] = ["description", "format"];

/// Every way in which a value does not fit a schema, with its place.
pub fn misfits(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    fit(document, schema, value, "", &mut out);
    out
}

fn fit(document: &Value, schema: &Value, value: &Value, at: &str, out: &mut Vec<String>) {
    let rules = schema
        .as_object()
        .unwrap_or_else(|| panic!("{at}: no schema: {schema}"));
    for (word, rule) in rules {
        match word.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                let target = document
                    .pointer(pointer)
                    .unwrap_or_else(|| panic!("{rule} leads nowhere"));
                fit(document, target, value, at, out);
            }
            "allOf" => rule
                .as_array()
                .unwrap()
                .iter()
                .for_each(|part| fit(document, part, value, at, out)),
            "oneOf" => {
                let fitting = |schema: &&Value| misfits(document, schema, value).is_empty();
                if rule.as_array().unwrap().iter().filter(fitting).count() != 1 {
                    out.push(format!("{at}: {value} against one of {rule}"));
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        fit(document, schema, value, &format!("{at}/{name}"), out);
                    }
                }
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    fit(document, rule, value, &format!("{at}/{index}"), out);
                }
            }
            word if DESCRIBING.contains(&word) => {}
            word if keeps(rules, word, rule, value) => {}
            word => out.push(format!("{at}: {value} against {word} {rule}")),
        }
    }
}

/// Whether a value keeps a rule that looks at nothing inside it. Rules about one kind of value let the others pass.
fn keeps(rules: &Map<String, Value>, word: &str, rule: &Value, value: &Value) -> bool {
    let number = || rule.as_u64().unwrap();
    let items = || value.as_array().map(|items| items.len() as u64);
    match word {
        "type" => match rule {
            Value::Array(types) => types.iter().any(|name| is(name, value)),
            name => is(name, value),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "const" => rule == value,
        "required" => {
            let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
            !value.is_object() || rule.as_array().unwrap().iter().all(has)
        }
        "additionalProperties" => {
            assert_eq!(rule, &Value::Bool(false));
            let known = rules["properties"].as_object().unwrap();
            value
                .as_object()
                .is_none_or(|object| object.keys().all(|key| known.contains_key(key)))
        }
        "minItems" => items().is_none_or(|items| items >= number()),
        "maxItems" => items().is_none_or(|items| items <= number()),
        "maxLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() as u64 <= number()),
        "minimum" => value.as_i64().is_none_or(|value| value >= rule.as_i64().unwrap()),
        word => panic!("this test does not know `{word}`"),
    }
}

fn is(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        name => panic!("this test does not know the type {name}"),
    }
}

#[test]
fn the_test_itself_finds_what_does_not_fit() {
    let schema = serde_json::json!({"type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {"a": {"type": ["string", "null"], "maxLength": 2},
            "b": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"enum": [1, 2]}},
            "c": {"oneOf": [{"const": 1}, {"type": "integer", "minimum": 1}]}}});
    let fits = |text: &str| {
        let value = serde_json::from_str(text).unwrap();
        misfits(&schema, &schema, &value).is_empty()
    };
    for good in [r#"{"a":"xy"}"#, r#"{"a":null,"b":[1,2]}"#, r#"{"a":"","c":2}"#] {
        assert!(fits(good), "{good}");
    }
    for bad in [
        "[]",
        "{}",
        r#"{"a":7}"#,
        r#"{"a":"xyz"}"#,
        r#"{"a":"","d":1}"#,
        r#"{"a":"","b":[]}"#,
        r#"{"a":"","b":[1,1,1]}"#,
        r#"{"a":"","b":[3]}"#,
        r#"{"a":"","c":1}"#,
        r#"{"a":"","c":0}"#,
    ] {
        assert!(!fits(bad), "{bad}");
    }
}
