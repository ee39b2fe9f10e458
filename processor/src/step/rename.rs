//! `rename`: a field gets another name.

use logmill_core::{Event, FieldPath};

use super::{Compile, Failure, Scene, Step, put, required, step_config};
use crate::pipeline::Problems;

step_config! {
    /// Renames a field.
    RenameConfig {
        /// The old name.
        field: String,
        /// The new name.
        to: String,
        /// Replaces a field of the new name; otherwise such a field is a failure.
        #[serde(default = "super::yes")]
        overwrite: bool,
    }
}

#[derive(Debug)]
struct Rename {
    field: FieldPath,
    to: FieldPath,
    overwrite: bool,
}

impl Compile for RenameConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let (field, to) = (problems.field("field", &self.field), problems.field("to", &self.to));
        Some(Box::new(Rename { field: field?, to: to?, overwrite: self.overwrite }))
    }
}

impl Step for Rename {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        required(event, &self.field)?;
        if !self.overwrite && event.get(&self.to).is_some() {
            return Err(Failure::because(format!("the field {} is there already", self.to)));
        }
        let Some(value) = event.remove(&self.field) else { return Ok(()) };
        let kept = value.clone();
        put(event, &self.to, value).inspect_err(|_| {
            // It stood there a moment ago, so it can stand there again.
            let _ = event.set(&self.field, kept);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed};
    use serde_json::json;

    #[test]
    fn names_change() {
        assert_eq!(changed("rename: {field: a.b, to: c.d}", json!({"a": {"b": 1}})), json!({"c": {"d": 1}}));
        assert_eq!(changed("rename: {field: a, to: a.b}", json!({"a": 1})), json!({"a": {"b": 1}}));
        failed("rename: {field: a, to: b, overwrite: false}", &json!({"a": 1, "b": 2}));
        failed("rename: {field: a, to: b.c}", &json!({"b": 2, "a": 1}));
    }
}
