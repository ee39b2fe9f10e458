//! `remove`: fields go; those that are not there are no failure.

use logmill_core::{Event, FieldPath};

use super::{Compile, Failure, Scene, Step, step_config};
use crate::pipeline::Problems;

step_config! {
    /// Removes fields.
    RemoveConfig {
        /// The fields.
        fields: Vec<String>,
    }
}

#[derive(Debug)]
struct Remove(Vec<FieldPath>);

impl Compile for RemoveConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let paths: Vec<_> = self
            .fields
            .iter()
            .enumerate()
            .map(|(index, field)| problems.field(&format!("fields.{index}"), field))
            .collect();
        Some(Box::new(Remove(paths.into_iter().collect::<Option<_>>()?)))
    }
}

impl Step for Remove {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        for path in &self.0 {
            event.remove(path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::changed;
    use serde_json::json;

    #[test]
    fn fields_go_with_the_objects_they_empty() {
        let step = "remove: {fields: [a.b, c, none]}";
        assert_eq!(changed(step, json!({"a": {"b": 1}, "c": 2, "d": 3})), json!({"d": 3}));
    }
}
