//! `set`: a field gets a value: fixed, or made of other fields.

use logmill_core::{Event, FieldPath};
use serde_json::Value;

use super::{Compile, Failure, Scene, Step, put, required, step_config};
use crate::pipeline::{Problems, Template};

step_config! {
    /// Sets a field to a fixed `value`, to what another field holds (`copy_from`), or to a text made of fields
    /// (`template`).
    SetConfig {
        /// The field.
        field: String,
        /// The value.
        #[serde(default)]
        value: Option<Value>,
        /// The field whose value is taken.
        #[serde(default)]
        copy_from: Option<String>,
        /// A text with fields in braces: `{host.name}:{service.name}`.
        #[serde(default)]
        template: Option<String>,
        /// Replaces a value that is there.
        #[serde(default = "super::yes")]
        overwrite: bool,
    }
}

#[derive(Debug)]
struct Set {
    field: FieldPath,
    source: Source,
    overwrite: bool,
}

#[derive(Debug)]
enum Source {
    Value(Value),
    Field(FieldPath),
    Template(Template),
}

impl Compile for SetConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field);
        let source = match (&self.value, &self.copy_from, &self.template) {
            (Some(value), None, None) => Source::Value(value.clone()),
            (None, Some(from), None) => Source::Field(problems.field("copy_from", from)?),
            (None, None, Some(template)) => Source::Template(problems.template("template", template)?),
            _ => {
                problems.add("", "give exactly one of `value`, `copy_from` and `template`");
                return None;
            }
        };
        Some(Box::new(Set { field: field?, source, overwrite: self.overwrite }))
    }
}

impl Step for Set {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        if !self.overwrite && event.get(&self.field).is_some_and(|value| !value.is_null()) {
            return Ok(());
        }
        let value = match &self.source {
            Source::Value(value) => value.clone(),
            Source::Field(from) => required(event, from)?.clone(),
            Source::Template(template) => Value::String(template.fill(event)),
        };
        put(event, &self.field, value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed, refused};
    use serde_json::json;

    #[test]
    fn fields_get_values() {
        assert_eq!(changed("set: {field: a.b, value: {x: [1, y]}}", json!({}))["a"]["b"], json!({"x": [1, "y"]}));
        assert_eq!(changed("set: {field: b, copy_from: a}", json!({"a": 1})), json!({"a": 1, "b": 1}));
        let made = changed("set: {field: id, template: '{h.n}:{x|y}'}", json!({"h": {"n": "web"}, "y": 7}));
        assert_eq!(made["id"], "web:7");
        assert_eq!(changed("set: {field: a, value: 2, overwrite: false}", json!({"a": 1})), json!({"a": 1}));
        failed("set: {field: b, copy_from: a}", &json!({}));
        assert!(refused("set: {field: a, value: 1, copy_from: b}").contains("exactly one"));
    }
}
