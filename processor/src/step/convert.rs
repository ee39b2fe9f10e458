//! `convert`: a value becomes another type.

use logmill_core::{Event, FieldPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::{Compile, Failure, Scene, Step, put, required, step_config};
use crate::pipeline::Problems;

/// A type that a value can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// A whole number; a hexadecimal text begins with `0x`.
    Integer,
    /// The same as `integer`.
    Int,
    /// The same as `integer`.
    Long,
    /// A number with a fraction.
    Float,
    /// The same as `float`.
    Double,
    /// `true` or `false`; also from `yes`, `no`, `on`, `off`, `1` and `0`.
    Boolean,
    /// The same as `boolean`.
    Bool,
    /// Text.
    String,
    /// A number or a boolean when the text looks like one.
    Auto,
}

step_config! {
    /// Turns a value, or each value of a list, into another type.
    ConvertConfig {
        /// The value.
        field: String,
        /// What it becomes.
        #[serde(rename = "type")]
        target: Target,
        /// Where the result goes; in place when absent.
        #[serde(default)]
        into: Option<String>,
    }
}

#[derive(Debug)]
struct Convert {
    field: FieldPath,
    into: Option<FieldPath>,
    target: Target,
}

impl Compile for ConvertConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let field = problems.field("field", &self.field);
        let into = problems.optional_field("into", self.into.as_deref())?;
        let target = match self.target {
            Target::Int | Target::Long => Target::Integer,
            Target::Double => Target::Float,
            Target::Bool => Target::Boolean,
            other => other,
        };
        Some(Box::new(Convert { field: field?, into, target }))
    }
}

impl Step for Convert {
    fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        let refused = |value: &Value| {
            let text: String = value.to_string().chars().take(100).collect();
            Failure::because(format!("{text} in {} is no {}", self.field, name(self.target)))
        };
        let converted = match required(event, &self.field)? {
            Value::Array(items) => {
                let convert = |item| converted(item, self.target).ok_or_else(|| refused(item));
                Value::Array(items.iter().map(convert).collect::<Result<_, _>>()?)
            }
            single => converted(single, self.target).ok_or_else(|| refused(single))?,
        };
        put(event, self.into.as_ref().unwrap_or(&self.field), converted)
    }
}

const fn name(target: Target) -> &'static str {
    match target {
        Target::Integer | Target::Int | Target::Long => "whole number",
        Target::Float | Target::Double => "number",
        Target::Boolean | Target::Bool => "boolean",
        Target::String => "text",
        Target::Auto => "value",
    }
}

fn converted(value: &Value, target: Target) -> Option<Value> {
    match (target, value) {
        (Target::Integer, Value::Number(number)) if !number.is_f64() => Some(value.clone()),
        (Target::Integer, Value::Number(number)) => whole(number.as_f64()?),
        (Target::Integer, Value::String(text)) => {
            let text = text.trim();
            let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
            match hexadecimal {
                Some(digits) => i64::from_str_radix(digits, 16).ok().map(Value::from),
                None => text.parse::<i64>().ok().map(Value::from).or_else(|| whole(text.parse().ok()?)),
            }
        }
        (Target::Integer, Value::Bool(flag)) => Some(Value::from(i64::from(*flag))),
        (Target::Float, Value::Number(number)) => Number::from_f64(number.as_f64()?).map(Value::Number),
        (Target::Float, Value::String(text)) => Number::from_f64(text.trim().parse().ok()?).map(Value::Number),
        (Target::Boolean, Value::Bool(_)) => Some(value.clone()),
        (Target::Boolean, Value::Number(number)) => match number.as_i64()? {
            0 => Some(Value::Bool(false)),
            1 => Some(Value::Bool(true)),
            _ => None,
        },
        (Target::Boolean, Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(Value::Bool(true)),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        (Target::String | Target::Auto, Value::String(text)) if target == Target::Auto => Some(scalar(text)),
        (Target::String, Value::String(_)) | (Target::Auto, _) => Some(value.clone()),
        (Target::String, Value::Number(_) | Value::Bool(_) | Value::Object(_)) => Some(value.to_string().into()),
        _ => None,
    }
}

fn whole(number: f64) -> Option<Value> {
    // Beyond this a double no longer tells neighbouring whole numbers apart.
    (number.abs() <= 9_007_199_254_740_992.0).then(|| Value::from(number as i64))
}

/// A number or boolean if the text is written like one, the text otherwise. Digits with a leading zero stay text:
/// they are codes.
pub(crate) fn scalar(text: &str) -> Value {
    match text {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let starts_like_a_number = digits.starts_with(|first: char| first.is_ascii_digit());
    let is_code = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if !starts_like_a_number || is_code || digits.len() > 20 {
        return Value::String(text.to_owned());
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Value::from(whole);
    }
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse::<f64>().ok().filter(|_| is_plain).and_then(Number::from_f64) {
        // `1.10` as a number would lose its last digit: it is a version as often as not.
        Some(number) if number.to_string() == text => Value::Number(number),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed, refused};
    use super::*;
    use serde_json::json;

    #[test]
    fn values_become_what_is_asked_for() {
        for (target, from, to) in [
            ("integer", json!("42"), json!(42)),
            ("integer", json!("0x1F"), json!(31)),
            ("integer", json!("3.9"), json!(3)),
            ("int", json!([1.0, "2"]), json!([1, 2])),
            ("float", json!("1e3"), json!(1000.0)),
            ("boolean", json!("Yes"), json!(true)),
            ("string", json!(5), json!("5")),
            ("auto", json!("007"), json!("007")),
            ("auto", json!("-1.5"), json!(-1.5)),
        ] {
            let step = format!("convert: {{field: a, type: {target}}}");
            assert_eq!(changed(&step, json!({"a": from})), json!({"a": to}), "{target}");
        }
        assert_eq!(failed("convert: {field: a, type: integer}", &json!({"a": "x"})), "\"x\" in a is no whole number");
        assert!(refused("convert: {field: a, type: colour}").contains("colour"));
    }

    #[test]
    fn scalars_keep_what_is_no_number() {
        for (text, value) in [("12", json!(12)), ("1.2.3", json!("1.2.3")), ("1e5", json!("1e5")), ("", json!(""))] {
            assert_eq!(scalar(text), value);
        }
    }
}
