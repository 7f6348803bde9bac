//! JSON Schema as far as `docs/openapi.json` uses it. A word it does not know fails the test: nothing is passed over.

use serde_json::Value;

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
    let number = |rule: &Value| rule.as_u64().unwrap();
    let length = |value: &Value| value.as_str().map(|text| text.chars().count() as u64);
    for (word, rule) in rules {
        let fits = match word.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                let target = document
                    .pointer(pointer)
                    .unwrap_or_else(|| panic!("{rule} leads nowhere"));
                fit(document, target, value, at, out);
                true
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| is(name, value)),
                name => is(name, value),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "oneOf" => {
                let fitting = |schema: &&Value| misfits(document, schema, value).is_empty();
                rule.as_array().unwrap().iter().filter(fitting).count() == 1
            }
            "allOf" => {
                rule.as_array()
                    .unwrap()
                    .iter()
                    .for_each(|part| fit(document, part, value, at, out));
                true
            }
            "required" => {
                let names = rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                value
                    .as_object()
                    .is_none_or(|object| names.into_iter().all(|name| object.contains_key(name)))
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        fit(document, schema, value, &format!("{at}/{name}"), out);
                    }
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(rule, &Value::Bool(false), "{at}");
                let known = rules["properties"].as_object().unwrap();
                value
                    .as_object()
                    .is_none_or(|object| object.keys().all(|key| known.contains_key(key)))
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    fit(document, rule, value, &format!("{at}/{index}"), out);
                }
                true
            }
            "minItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 >= number(rule)),
            "maxItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 <= number(rule)),
            "maxLength" => length(value).is_none_or(|length| length <= number(rule)),
            "minimum" => value.as_i64().is_none_or(|value| value >= rule.as_i64().unwrap()),
            word => {
                assert!(
                    DESCRIBING.contains(&word),
                    "{at}: this test does not know `{word}`"
                );
                true
            }
        };
        if !fits {
            out.push(format!("{at}: {value} against {word} {rule}"));
        }
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
