//! `trim`: takes blanks off both ends of a text.

use logmill_core::{Event, FieldPath};

use super::{Compile, Failure, Scene, Step, map_text, step_config};
use crate::pipeline::Problems;

step_config! {
    /// Takes blanks off both ends of a text, or of each text of a list.
    TrimConfig {
        /// The text.
        field: String,
        /// Where the result goes; in place when absent.
        #[serde(default)]
        into: Option<String>,
    }
}

#[derive(Debug)]
struct Trim {
    field: FieldPath,
    into: Option<FieldPath>,
}

impl Compile for TrimConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field);
        let into = problems.optional_field("into", self.into.as_deref())?;
        Some(Box::new(Trim { field: field?, into }))
    }
}

impl Step for Trim {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        map_text(event, &self.field, self.into.as_ref(), |text| text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::changed;
    use serde_json::json;

    #[test]
    fn blanks_go() {
        assert_eq!(changed("trim: {field: a}", json!({"a": "\t x y \n"})), json!({"a": "x y"}));
    }
}
