//! `copy`: a field's value, whatever it is, stands in a second place too.

use logmill_core::{Event, FieldPath};

use super::{Compile, Failure, Scene, Step, put, required, step_config};
use crate::pipeline::Problems;

step_config! {
    /// Copies a field.
    CopyConfig {
        /// What is copied.
        field: String,
        /// Where it is copied to.
        to: String,
    }
}

#[derive(Debug)]
struct Copy {
    field: FieldPath,
    to: FieldPath,
}

impl Compile for CopyConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let (field, to) = (problems.field("field", &self.field), problems.field("to", &self.to));
        Some(Box::new(Copy { field: field?, to: to? }))
    }
}

impl Step for Copy {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        let value = required(event, &self.field)?.clone();
        put(event, &self.to, value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed};
    use serde_json::json;

    #[test]
    fn values_are_doubled() {
        assert_eq!(changed("copy: {field: a, to: b}", json!({"a": {"x": 1}})), json!({"a": {"x": 1}, "b": {"x": 1}}));
        assert_eq!(failed("copy: {field: a, to: b.c}", &json!({"a": 1, "b": 2})), "can't set b.c: b is not an object");
    }
}
