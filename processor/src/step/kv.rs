//! `kv`: key=value pairs with any separators; values may be quoted.

use logmill_core::{Event, FieldPath};
use serde_json::Value;

use super::{Compile, Failure, Scene, Step, message, put, step_config, text};
use crate::pipeline::Problems;

fn blank() -> String {
    " ".to_owned()
}

fn equals() -> String {
    "=".to_owned()
}

step_config! {
    /// Reads key=value pairs.
    KvConfig {
        /// The text.
        #[serde(default = "message")]
        field: String,
        /// The characters that part one pair from the next.
        #[serde(default = "blank")]
        field_split: String,
        /// The characters that part a key from its value.
        #[serde(default = "equals")]
        value_split: String,
        /// The object that the pairs go into; the event's root when absent.
        #[serde(default)]
        into: Option<String>,
        /// Stands before each key.
        #[serde(default)]
        prefix: String,
        /// Only these keys, when there are any.
        #[serde(default)]
        include_keys: Vec<String>,
        /// Not these keys.
        #[serde(default)]
        exclude_keys: Vec<String>,
    }
}

#[derive(Debug)]
struct Kv {
    field: FieldPath,
    config: KvConfig,
}

impl Compile for KvConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field);
        let into = problems.optional_field("into", self.into.as_deref());
        for (key, set) in [("field_split", &self.field_split), ("value_split", &self.value_split)] {
            if set.is_empty() {
                problems.add(key, "name at least one character");
                return None;
            }
        }
        into.map(drop)?;
        Some(Box::new(Kv { field: field?, config: self.clone() }))
    }
}

impl Step for Kv {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        let config = &self.config;
        let pairs = pairs(text(event, &self.field)?, &config.field_split, &config.value_split);
        let wanted = |key: &str| {
            (config.include_keys.is_empty() || config.include_keys.iter().any(|known| known == key))
                && !config.exclude_keys.iter().any(|known| known == key)
        };
        let mut changed = event.clone();
        let (mut any, mut set) = (false, Vec::new());
        for (key, value) in pairs {
            any = true;
            if !wanted(key) {
                continue;
            }
            let name = match &config.into {
                Some(into) => format!("{into}.{}{key}", config.prefix),
                None => format!("{}{key}", config.prefix),
            };
            // A key that is no field name is left in the text.
            let Ok(path) = FieldPath::parse(&name) else { continue };
            if set.contains(&path)
                && let Some(known) = changed.get_mut(&path)
            {
                match known {
                    Value::Array(list) => list.push(Value::String(value)),
                    single => *single = Value::Array(vec![single.take(), Value::String(value)]),
                }
                continue;
            }
            put(&mut changed, &path, Value::String(value))?;
            set.push(path);
        }
        if !any {
            return Err(Failure::because("no key and value stand in the text"));
        }
        *event = changed;
        Ok(())
    }
}

fn pairs<'t>(text: &'t str, field_split: &str, value_split: &str) -> Vec<(&'t str, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|letter| field_split.contains(letter));
        let Some(end) = rest.find(|letter| value_split.contains(letter) || field_split.contains(letter)) else {
            return found;
        };
        let (key, tail) = rest.split_at(end);
        let mut letters = tail.chars();
        let sign = letters.next().unwrap_or_default();
        rest = letters.as_str();
        if !value_split.contains(sign) {
            continue;
        }
        let (value, after) = value(rest, field_split);
        rest = after;
        if !key.trim().is_empty() {
            found.push((key.trim(), value));
        }
    }
}

/// A value, and what follows: in quotes it may hold separators.
fn value<'t>(text: &'t str, field_split: &str) -> (String, &'t str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote)
            && let Some((value, after)) = quoted(inner, quote)
        {
            return (value, after);
        }
    }
    let end = text.find(|letter| field_split.contains(letter)).unwrap_or(text.len());
    let (value, after) = text.split_at(end);
    (value.to_owned(), after)
}

/// The text up to the closing quote, with backslashes undone. `None` when it is not closed.
pub(crate) fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                escaped if escaped == quote || escaped == '\\' => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            _ if letter == quote => return Some((value, letters.as_str())),
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed};
    use super::*;
    use serde_json::json;

    #[test]
    fn pairs_become_fields() {
        let after = changed("kv: {into: app}", json!({"message": r#"took=5 msg="a b\" c" x y= user.id='7' took=6"#}));
        let expected = json!({"took": ["5", "6"], "msg": "a b\" c", "y": "", "user": {"id": "7"}});
        assert_eq!(after["app"], expected);
        let step = "kv: {field: q, field_split: '&?', prefix: p_, exclude_keys: [b]}";
        assert_eq!(changed(step, json!({"q": "?a=1&b=2&c=3"})), json!({"q": "?a=1&b=2&c=3", "p_a": "1", "p_c": "3"}));
        failed("kv: {}", &json!({"message": "nothing here"}));
    }

    proptest::proptest! {
        #[test]
        fn junk_ends(text: String, fields in "[ ,;ü]{1,2}", values in "[=:ü]{1,2}") {
            let _ = pairs(&text, &fields, &values);
        }
    }
}
