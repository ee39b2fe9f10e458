//! `dissect`: cuts a text at fixed separators; faster than any pattern, for lines of one shape.

use logmill_core::{Event, FieldPath};
use memchr::memmem::Finder;
use serde_json::{Map, Value};

use super::{Compile, Failure, Scene, Step, message, step_config, text};
use crate::pipeline::Problems;

step_config! {
    /// Cuts a text at fixed separators.
    DissectConfig {
        /// The text.
        #[serde(default = "message")]
        field: String,
        /// Fields in `%{…}` between separators: `%{name}`, `%{}` and `%{?name}` to skip, `%{+name}` and `%{+name/2}`
        /// to join, `%{name->}` to swallow repeated separators, `%{*key}` and `%{&key}` for a name and its value.
        pattern: String,
        /// What stands between joined parts; the separator that stood before the part when absent.
        #[serde(default)]
        append_separator: Option<String>,
    }
}

#[derive(Debug)]
struct Dissect {
    field: FieldPath,
    before: String,
    parts: Vec<Part>,
    append_separator: Option<String>,
}

#[derive(Debug)]
struct Part {
    target: Target,
    /// Swallows repetitions of the separator behind it.
    padded: bool,
    separator: String,
    finder: Finder<'static>,
}

#[derive(Debug, PartialEq)]
enum Target {
    Skip,
    Field(FieldPath),
    Append(FieldPath, usize),
    Name(String),
    Value(String),
}

impl Compile for DissectConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field);
        let parsed = parse(&self.pattern);
        if let Err(message) = &parsed {
            problems.add("pattern", message.clone());
        }
        let (before, parts) = parsed.ok()?;
        Some(Box::new(Dissect { field: field?, before, parts, append_separator: self.append_separator.clone() }))
    }
}

fn parse(pattern: &str) -> Result<(String, Vec<Part>), String> {
    let mut pieces = pattern.split("%{");
    let before = pieces.next().unwrap_or_default().to_owned();
    let mut parts: Vec<Part> = Vec::new();
    for piece in pieces {
        let (name, separator) = piece.split_once('}').ok_or("a %{ without its closing }")?;
        if parts.last().is_some_and(|previous| previous.separator.is_empty()) {
            return Err(format!("nothing separates %{{{name}}} from what stands before it"));
        }
        let (name, padded) = name.strip_suffix("->").map_or((name, false), |name| (name, true));
        let finder = Finder::new(separator).into_owned();
        parts.push(Part { target: target(name)?, padded, separator: separator.to_owned(), finder });
    }
    if parts.is_empty() {
        return Err("no field stands in it; write %{name}".to_owned());
    }
    for part in &parts {
        if let Target::Name(name) = &part.target
            && !parts.iter().any(|other| matches!(&other.target, Target::Value(value) if value == name))
        {
            return Err(format!("%{{*{name}}} has no %{{&{name}}}"));
        }
    }
    Ok((before, parts))
}

fn target(name: &str) -> Result<Target, String> {
    let path = |name: &str| FieldPath::parse(name).map_err(|error| error.to_string());
    Ok(match name.split_at_checked(1) {
        None => Target::Skip,
        Some(("?", _)) => Target::Skip,
        Some(("+", name)) => {
            let (name, order) = name.split_once('/').unwrap_or((name, "0"));
            let order = order.parse().map_err(|_| format!("`{order}` is no order; write %{{+name/2}}"))?;
            Target::Append(path(name)?, order)
        }
        Some(("*", name)) => Target::Name(name.to_owned()),
        Some(("&", name)) => Target::Value(name.to_owned()),
        Some(_) => Target::Field(path(name)?),
    })
}

impl Dissect {
    /// The text of each part.
    fn cut<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let mut rest = text.strip_prefix(self.before.as_str())?;
        let mut texts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            if part.separator.is_empty() {
                texts.push(rest);
                rest = "";
                continue;
            }
            let end = part.finder.find(rest.as_bytes())?;
            let text = rest.get(..end)?;
            // Columns are filled up with the first sign of what separates them.
            let padding = part.separator.chars().next().filter(|_| part.padded);
            texts.push(padding.map_or(text, |padding| text.trim_end_matches(padding)));
            rest = rest.get(end + part.separator.len()..)?;
            while part.padded
                && let Some(tail) = rest.strip_prefix(part.separator.as_str())
            {
                rest = tail;
            }
        }
        // Text behind a last separator fits no part.
        rest.is_empty().then_some(texts)
    }
}

impl Step for Dissect {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        let text = text(event, &self.field)?;
        let Some(texts) = self.cut(text) else {
            return Err(Failure::because("the text does not fit the dissect pattern"));
        };
        let mut found: Vec<(FieldPath, String)> = Vec::with_capacity(texts.len());
        let mut joined: Vec<(&FieldPath, usize, &str, &str)> = Vec::new();
        let mut named = Map::new();
        for (index, (part, text)) in self.parts.iter().zip(&texts).enumerate() {
            match &part.target {
                Target::Field(path) => found.push((path.clone(), (*text).to_owned())),
                Target::Append(path, order) => {
                    let before = index.checked_sub(1).and_then(|index| self.parts.get(index));
                    // Parts that change places leave their separators behind.
                    let separator = if *order > 0 { " " } else { before.map_or("", |part| part.separator.as_str()) };
                    joined.push((path, *order, self.append_separator.as_deref().unwrap_or(separator), text));
                }
                Target::Value(name) => {
                    let key = self.parts.iter().zip(&texts).find(|(part, _)| part.target == Target::Name(name.clone()));
                    if let Some((_, key)) = key {
                        named.insert((*key).to_owned(), Value::String((*text).to_owned()));
                    }
                }
                Target::Skip | Target::Name(_) => {}
            }
        }
        joined.sort_by_key(|(_, order, ..)| *order);
        for (path, _, separator, text) in joined {
            match found.iter_mut().find(|(known, _)| known == path) {
                Some((_, whole)) => whole.extend([separator, text]),
                None => found.push((path.clone(), text.to_owned())),
            }
        }
        let mut changed = event.clone();
        for (path, text) in found {
            super::put(&mut changed, &path, Value::String(text))?;
        }
        for (key, value) in named {
            let path = FieldPath::parse(&key).map_err(|error| Failure::because(error.to_string()))?;
            super::put(&mut changed, &path, value)?;
        }
        *event = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed, refused};
    use serde_json::json;

    #[test]
    fn cuts_joins_skips_and_pads() {
        let step = "dissect: {pattern: '%{ts} %{+ts} %{log.level->} [%{thread}] %{} - %{msg}'}";
        let after = changed(step, json!({"message": "2026-11-22 13:10:24 WARN   [main] x.Y - hello - world"}));
        assert_eq!(after["ts"], "2026-11-22 13:10:24");
        assert_eq!(after["log"]["level"], "WARN");
        assert_eq!((&after["thread"], &after["msg"]), (&json!("main"), &json!("hello - world")));
    }

    #[test]
    fn names_values_and_orders_parts() {
        let after =
            changed("dissect: {pattern: '[%{*k}=%{&k}] %{+n/2} %{+n/1}'}", json!({"message": "[user=ann] b a"}));
        assert_eq!((&after["user"], &after["n"]), (&json!("ann"), &json!("a b")));
        let fixed = "dissect: {pattern: '%{a},%{+a}', append_separator: '+'}";
        assert_eq!(changed(fixed, json!({"message": "1,2"}))["a"], "1+2");
    }

    #[test]
    fn what_does_not_fit_fails_and_bad_patterns_are_refused() {
        let said = failed("dissect: {pattern: '%{a}|%{b}'}", &json!({"message": "no bar"}));
        assert!(said.contains("does not fit"), "{said}");
        failed("dissect: {pattern: '[%{a}]'}", &json!({"message": "[x] y"}));
        failed("dissect: {pattern: '%{a} %{b.c}'}", &json!({"message": "1 2", "b": 1}));
        for pattern in ["none", "%{a}%{b}", "%{a", "%{*k} %{v}", "%{+a/x}"] {
            refused(&format!("dissect: {{pattern: '{pattern}'}}"));
        }
    }
}
