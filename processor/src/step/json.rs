//! `json`: reads a text as JSON.

use logmill_core::{Event, FieldPath};
use serde_json::{Map, Value};

use super::{Compile, Failure, Scene, Step, message, put, step_config, text};
use crate::pipeline::Problems;

step_config! {
    /// Reads a text as JSON.
    JsonConfig {
        /// The text.
        #[serde(default = "message")]
        field: String,
        /// Where the value goes; in place of the text when absent.
        #[serde(default)]
        into: Option<String>,
        /// Adds the keys of an object to the event itself; keys that are there are merged or replaced.
        #[serde(default)]
        root: bool,
    }
}

#[derive(Debug)]
struct Json {
    field: FieldPath,
    into: Option<FieldPath>,
}

impl Compile for JsonConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field);
        let into = problems.optional_field("into", self.into.as_deref())?;
        if self.root && into.is_some() {
            problems.add("into", "`root: true` puts the keys at the event's root; leave one of the two out");
            return None;
        }
        let field = field?;
        let into = if self.root { None } else { Some(into.unwrap_or_else(|| field.clone())) };
        Some(Box::new(Json { field, into }))
    }
}

impl Step for Json {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        let text = text(event, &self.field)?;
        let value: Value =
            serde_json::from_str(text).map_err(|error| Failure::because(format!("not JSON: {error}")))?;
        match (&self.into, value) {
            (Some(into), value) => put(event, into, value),
            (None, Value::Object(map)) => {
                merge(&mut event.0, map);
                Ok(())
            }
            (None, _) => Err(Failure::because("the JSON is no object, so it has no keys for the event's root")),
        }
    }
}

/// Adds keys to a map; objects on both sides are merged.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => merge(inner, more),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed, refused};
    use serde_json::json;

    #[test]
    fn json_goes_where_it_is_told() {
        let line = json!({"message": r#"{"a":{"b":1},"c":[2]}"#, "a": {"x": 0}});
        assert_eq!(changed("json: {into: app}", line.clone())["app"], json!({"a": {"b": 1}, "c": [2]}));
        assert_eq!(changed("json: {}", line.clone())["message"]["c"], json!([2]));
        assert_eq!(changed("json: {root: true}", line)["a"], json!({"x": 0, "b": 1}));
    }

    #[test]
    fn what_is_no_json_fails() {
        assert!(failed("json: {}", &json!({"message": "{"})).starts_with("not JSON"));
        assert!(failed("json: {root: true}", &json!({"message": "5"})).contains("no object"));
        assert!(failed("json: {}", &json!({"message": "[".repeat(500)})).starts_with("not JSON"));
        assert!(refused("json: {root: true, into: x}").contains("leave one of the two out"));
    }
}
