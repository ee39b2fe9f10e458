//! `lowercase` and `uppercase`.

use logmill_core::{Event, FieldPath};

use super::{Compile, Failure, Scene, Step, map_text, step_config};
use crate::pipeline::Problems;

step_config! {
    /// Turns a text, or each text of a list, into small letters.
    LowercaseConfig {
        /// The text.
        field: String,
        /// Where the result goes; in place when absent.
        #[serde(default)]
        into: Option<String>,
    }
}

step_config! {
    /// Turns a text, or each text of a list, into capital letters.
    UppercaseConfig {
        /// The text.
        field: String,
        /// Where the result goes; in place when absent.
        #[serde(default)]
        into: Option<String>,
    }
}

#[derive(Debug)]
struct Case {
    field: FieldPath,
    into: Option<FieldPath>,
    upper: bool,
}

impl Case {
    fn compile(field: &str, into: Option<&str>, upper: bool, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", field);
        let into = problems.optional_field("into", into)?;
        Some(Box::new(Self { field: field?, into, upper }))
    }
}

impl Compile for LowercaseConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        Case::compile(&self.field, self.into.as_deref(), false, problems)
    }
}

impl Compile for UppercaseConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        Case::compile(&self.field, self.into.as_deref(), true, problems)
    }
}

impl Step for Case {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        let change = |text: &str| if self.upper { text.to_uppercase() } else { text.to_lowercase() };
        map_text(event, &self.field, self.into.as_ref(), change)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed};
    use serde_json::json;

    #[test]
    fn letters_change_in_place_or_elsewhere() {
        assert_eq!(changed("lowercase: {field: a}", json!({"a": ["X", "É"]})), json!({"a": ["x", "é"]}));
        assert_eq!(changed("uppercase: {field: a, into: b.c}", json!({"a": "x"})), json!({"a": "x", "b": {"c": "X"}}));
        assert_eq!(failed("lowercase: {field: a}", &json!({"a": 1})), "the field a holds no text");
        assert_eq!(failed("lowercase: {field: a}", &json!({})), "the field a is missing");
    }
}
