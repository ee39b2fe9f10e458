//! `grok`: cuts a text by named patterns.

use std::collections::BTreeMap;

use logmill_core::{Event, FieldPath};
use serde_json::Value;

use super::{Compile, Failure, Scene, Step, message, step_config};
use crate::grok::Grok;
use crate::pipeline::Problems;

step_config! {
    /// Cuts a text by named patterns.
    GrokConfig {
        /// The text.
        #[serde(default = "message")]
        field: String,
        /// Patterns, tried in their order until one matches: `%{IP:source.ip} %{NUMBER:took:float}`.
        patterns: Vec<String>,
        /// Patterns of your own by name.
        #[serde(default)]
        pattern_definitions: BTreeMap<String, String>,
    }
}

#[derive(Debug)]
struct GrokStep {
    field: FieldPath,
    grok: Grok,
}

impl Compile for GrokConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field);
        if self.patterns.is_empty() {
            problems.add("patterns", "name at least one pattern");
            return None;
        }
        match Grok::compile(&self.patterns, &self.pattern_definitions) {
            Ok(grok) => {
                for lint in grok.lints() {
                    problems.lint("patterns", lint);
                }
                Some(Box::new(GrokStep { field: field?, grok }))
            }
            Err((index, error)) => {
                problems.add(&format!("patterns.{index}"), error.to_string());
                None
            }
        }
    }
}

impl Step for GrokStep {
    fn run(&self, event: &mut Event, scene: &mut Scene) -> Result<(), Failure> {
        // The text is taken out while its parts are put in, so that it need not be copied.
        let Some(place) = event.get_mut(&self.field).filter(|value| !value.is_null()) else {
            return Err(Failure::Missing(self.field.to_string()));
        };
        if !place.is_string() {
            return Err(Failure::because(format!("the field {} holds no text", self.field)));
        }
        let Value::String(text) = place.take() else { return Ok(()) };
        let outcome = self.cut(&text, event, scene);
        // A capture may have replaced the text; then it is not put back.
        if let Some(place) = event.get_mut(&self.field).filter(|value| value.is_null()) {
            *place = Value::String(text);
        }
        outcome
    }
}

impl GrokStep {
    fn cut(&self, text: &str, event: &mut Event, scene: &mut Scene) -> Result<(), Failure> {
        let Some(found) = self.grok.find(text, &mut scene.grok) else {
            return Err(Failure::because("no pattern matches"));
        };
        let mut set: Vec<&FieldPath> = Vec::with_capacity(16);
        for (capture, text) in found.iter() {
            let Some(value) = capture.kind.value(text) else { continue };
            // A field that is captured twice becomes a list.
            if set.contains(&&capture.path)
                && let Some(known) = event.get_mut(&capture.path)
            {
                match known {
                    Value::Array(list) => list.push(value),
                    single => *single = Value::Array(vec![single.take(), value]),
                }
                continue;
            }
            if let Err(conflict) = event.set(&capture.path, value) {
                for path in set {
                    event.remove(path);
                }
                return Err(Failure::because(conflict.to_string()));
            }
            set.push(&capture.path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed, refused};
    use serde_json::json;

    #[test]
    fn captures_become_fields() {
        let step = r"grok: {patterns: ['^%{WORD:a} %{INT:n:int}$', '%{WORD:w}-%{WORD:w}']}";
        assert_eq!(changed(step, json!({"message": "x 5"})), json!({"message": "x 5", "a": "x", "n": 5}));
        assert_eq!(changed(step, json!({"message": "x-y"}))["w"], json!(["x", "y"]));
        assert_eq!(failed(step, &json!({"message": "?"})), "no pattern matches");
        assert_eq!(failed(step, &json!({"message": 5})), "the field message holds no text");
        let own = "grok: {field: line, patterns: ['%{ID:id}'], pattern_definitions: {ID: '[A-Z]{3}'}}";
        assert_eq!(changed(own, json!({"line": "id ABC"}))["id"], "ABC");
    }

    #[test]
    fn a_capture_may_replace_the_text_and_a_conflict_changes_nothing() {
        let step = "grok: {patterns: ['%{WORD:level}: %{GREEDYDATA:message}']}";
        assert_eq!(changed(step, json!({"message": "warn: x"})), json!({"message": "x", "level": "warn"}));
        failed("grok: {patterns: ['%{WORD:a} %{WORD:b.c}']}", &json!({"message": "x y", "b": 1}));
    }

    #[test]
    fn bad_patterns_are_told_with_their_place() {
        let said = refused("grok: {patterns: ['%{WORD:a}', '%{WROD:b}']}");
        assert!(said.contains("test.yml:1:"), "{said}");
        assert!(
            said.contains("steps.0.grok.patterns.1: the pattern %{WROD} is not known; did you mean %{WORD}?"),
            "{said}"
        );
    }
}
