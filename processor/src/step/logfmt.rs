//! `logfmt`: `level=info msg="it works" took=5ms`.

use logmill_core::{Event, FieldPath};
use serde_json::Value;

use super::{Compile, Failure, Scene, Step, message, put, step_config, text};
use crate::auto::logfmt_pairs;
use crate::pipeline::Problems;

step_config! {
    /// Reads logfmt.
    LogfmtConfig {
        /// The text.
        #[serde(default = "message")]
        field: String,
        /// The object that the pairs go into; the event's root when absent.
        #[serde(default)]
        into: Option<String>,
        /// Turns values that look like numbers or booleans into them.
        #[serde(default = "super::yes")]
        convert: bool,
    }
}

#[derive(Debug)]
struct Logfmt {
    field: FieldPath,
    into: Option<String>,
    convert: bool,
}

impl Compile for LogfmtConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field);
        problems.optional_field("into", self.into.as_deref())?;
        Some(Box::new(Logfmt { field: field?, into: self.into.clone(), convert: self.convert }))
    }
}

impl Step for Logfmt {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        let pairs = logfmt_pairs(text(event, &self.field)?)
            .ok_or_else(|| Failure::because("the text is not logfmt: key=value pairs, blanks between them"))?;
        let mut changed = event.clone();
        for (key, value) in pairs {
            let name = self.into.as_ref().map_or_else(|| key.to_owned(), |into| format!("{into}.{key}"));
            let Ok(path) = FieldPath::parse(&name) else { continue };
            let value = match value {
                None => Value::Bool(true),
                Some(text) if self.convert => super::convert::scalar(&text),
                Some(text) => Value::String(text.into_owned()),
            };
            put(&mut changed, &path, value)?;
        }
        *event = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed};
    use serde_json::json;

    #[test]
    fn pairs_become_typed_fields() {
        let line = json!({"message": r#"level=info msg="a \"b\"" took=5 ok=true debug"#});
        let after = changed("logfmt: {into: app}", line);
        assert_eq!(after["app"], json!({"level": "info", "msg": "a \"b\"", "took": 5, "ok": true, "debug": true}));
        failed("logfmt: {}", &json!({"message": "plain text"}));
    }
}
