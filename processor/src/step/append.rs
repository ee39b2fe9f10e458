//! `append`: adds values to a list, which is made when it is missing.

use logmill_core::{Event, FieldPath};
use serde_json::Value;

use super::{Compile, Failure, Scene, Step, put, step_config};
use crate::pipeline::Problems;

step_config! {
    /// Adds values to a list.
    AppendConfig {
        /// The list.
        field: String,
        /// What is added.
        values: Vec<Value>,
        /// Adds what the list holds already a second time.
        #[serde(default)]
        allow_duplicates: bool,
    }
}

#[derive(Debug)]
struct Append {
    field: FieldPath,
    values: Vec<Value>,
    allow_duplicates: bool,
}

impl Compile for AppendConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field)?;
        Some(Box::new(Append { field, values: self.values.clone(), allow_duplicates: self.allow_duplicates }))
    }
}

impl Step for Append {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        let mut list = match event.get(&self.field) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => list.clone(),
            Some(single) => vec![single.clone()],
        };
        for value in &self.values {
            if self.allow_duplicates || !list.contains(value) {
                list.push(value.clone());
            }
        }
        put(event, &self.field, Value::Array(list))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::changed;
    use serde_json::json;

    #[test]
    fn lists_grow_without_doubles() {
        let step = "append: {field: tags, values: [a, b]}";
        assert_eq!(changed(step, json!({})), json!({"tags": ["a", "b"]}));
        assert_eq!(changed(step, json!({"tags": "a"})), json!({"tags": ["a", "b"]}));
    }
}
