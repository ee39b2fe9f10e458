//! `gsub`: replaces all that a regular expression matches.

use logmill_core::{Event, FieldPath};
use regex::Regex;

use super::{Compile, Failure, Scene, Step, map_text, step_config};
use crate::grok::translate;
use crate::pipeline::Problems;

step_config! {
    /// Replaces all that a regular expression matches.
    GsubConfig {
        /// The text, or a list of texts.
        field: String,
        /// The regular expression.
        pattern: String,
        /// What stands there afterwards; `${1}` and `${name}` are the groups.
        replacement: String,
        /// Where the result goes; in place when absent.
        #[serde(default)]
        into: Option<String>,
    }
}

#[derive(Debug)]
struct Gsub {
    field: FieldPath,
    into: Option<FieldPath>,
    regex: Regex,
    replacement: String,
}

impl Compile for GsubConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field);
        let into = problems.optional_field("into", self.into.as_deref())?;
        let regex = regex::RegexBuilder::new(&translate(&self.pattern)).multi_line(true).build();
        if let Err(error) = &regex {
            let reason = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            problems.add("pattern", format!("not a regular expression: {reason}"));
        }
        Some(Box::new(Gsub { field: field?, into, regex: regex.ok()?, replacement: self.replacement.clone() }))
    }
}

impl Step for Gsub {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        let change = |text: &str| self.regex.replace_all(text, self.replacement.as_str()).into_owned();
        map_text(event, &self.field, self.into.as_ref(), change)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, refused};
    use serde_json::json;

    #[test]
    fn matches_are_replaced() {
        let step = r"gsub: {field: a, pattern: '(\d)\d+', replacement: '${1}*'}";
        assert_eq!(changed(step, json!({"a": "12 345 6"})), json!({"a": "1* 3* 6"}));
        assert!(refused("gsub: {field: a, pattern: '(', replacement: ''}").contains("gsub.pattern"));
    }
}
