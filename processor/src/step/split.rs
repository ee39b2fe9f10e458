//! `split`: a text becomes a list.

use logmill_core::{Event, FieldPath};
use serde_json::Value;

use super::{Compile, Failure, Scene, Step, put, step_config, text};
use crate::pipeline::Problems;

step_config! {
    /// Cuts a text into a list.
    SplitConfig {
        /// The text.
        field: String,
        /// What stands between the items.
        separator: String,
        /// Where the list goes; in place when absent.
        #[serde(default)]
        into: Option<String>,
    }
}

#[derive(Debug)]
struct Split {
    field: FieldPath,
    separator: String,
    into: Option<FieldPath>,
}

impl Compile for SplitConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field);
        let into = problems.optional_field("into", self.into.as_deref())?;
        if self.separator.is_empty() {
            problems.add("separator", "an empty separator parts nothing");
            return None;
        }
        Some(Box::new(Split { field: field?, separator: self.separator.clone(), into }))
    }
}

impl Step for Split {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        let items = text(event, &self.field)?.split(self.separator.as_str());
        let list = Value::Array(items.map(|item| Value::String(item.to_owned())).collect());
        put(event, self.into.as_ref().unwrap_or(&self.field), list)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, refused};
    use serde_json::json;

    #[test]
    fn texts_become_lists() {
        assert_eq!(
            changed("split: {field: a, separator: ', '}", json!({"a": "x, y, z"})),
            json!({"a": ["x", "y", "z"]})
        );
        refused("split: {field: a, separator: ''}");
    }
}
