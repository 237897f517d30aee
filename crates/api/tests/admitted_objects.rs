//! Whatever the schema admits can be decoded: no object a user can store stops a watch.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dynamo_api::crds;
use serde_json::{Map, Value, json};

const OBJECTS_PER_KIND: u64 = 1000;

#[test]
fn every_object_the_schema_admits_decodes() {
    for crd in crds::all().expect("definitions") {
        for seed in 1..=OBJECTS_PER_KIND {
            let mut draw = Draw(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let mut object = draw.value(crd.schema(), true);
            object["kind"] = json!(crd.kind);
            let result = support::rewritten(&object);
            if let Err(error) = result {
                panic!("{} of seed {seed}: {error}\n{object:#}", crd.kind);
            }
        }
    }
}

/// Draws admitted values, the odd ones more often than a user would.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap_or_default()
    }

    fn one(&mut self, choices: &[Value]) -> Value {
        choices[self.below(choices.len())].clone()
    }

    fn value(&mut self, schema: &Value, root: bool) -> Value {
        if let Some(choices) = schema["enum"].as_array() {
            return self.one(choices);
        }
        if schema["x-kubernetes-int-or-string"] == true {
            let text = if schema["pattern"].is_string() { json!("1.5Gi") } else { json!("http") };
            return self.one(&[json!(0), json!(8080), json!(-1), json!(i64::MAX), json!(i64::MIN), text]);
        }
        match schema["type"].as_str() {
            Some("object") => self.object(schema, root),
            Some("array") => {
                let length = self.below(3);
                Value::Array((0..length).map(|_| self.value(&schema["items"], false)).collect())
            }
            Some("string") => match schema["format"].as_str() {
                Some("date-time") => self.one(&[
                    json!("2026-02-11T10:00:00Z"),
                    json!("2026-02-11t10:00:00.123456789+05:30"),
                    json!("0001-01-01T00:00:00Z"),
                    json!("9999-12-31T23:59:59Z"),
                ]),
                Some("byte") => json!("YQ=="),
                _ if schema["pattern"].is_string() => json!("Ready"),
                _ => self.one(&[json!("x"), json!(""), json!("1"), json!("0")]),
            },
            Some("integer") => {
                let least = schema["minimum"].as_i64();
                match schema["format"].as_str() {
                    Some("int32") => {
                        self.one(&[json!(least.unwrap_or(i64::from(i32::MIN))), json!(i32::MAX)])
                    }
                    Some("int64") => self.one(&[json!(least.unwrap_or(i64::MIN)), json!(i64::MAX)]),
                    _ => self.one(&[json!(i64::MIN), json!(u64::MAX), json!(1e30), json!(3)]),
                }
            }
            Some("number") => self.one(&[json!(0.5), json!(3), json!(-1e300)]),
            Some("boolean") => self.one(&[json!(true), json!(false)]),
            other => panic!("no value for {other:?} in {schema}"),
        }
    }

    fn object(&mut self, schema: &Value, root: bool) -> Value {
        let mut fields = Map::new();
        let required: Vec<_> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if root || required.contains(&name.as_str()) || self.below(4) == 0 {
                fields.insert(name.clone(), self.value(property, false));
            }
        }
        if schema["additionalProperties"].is_object() {
            for key in ["a", "B.c/d"].iter().take(self.below(3)) {
                fields.insert((*key).to_owned(), self.value(&schema["additionalProperties"], false));
            }
        }
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            fields.insert("unknownKey".to_owned(), json!({ "deep": [1, null, "x"] }));
        }
        Value::Object(fields)
    }
}
