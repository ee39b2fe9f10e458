//! `buckets_path`: which number of which aggregation, as `errors>took.max`, `levels['warn']>_count`, `p.99`.

use std::fmt;

use serde_json::{Map, Value};

use crate::query::error::EsError;

/// Longer paths lead nowhere.
const PATH_BYTES_MAX: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::aggregate) struct Path {
    text: String,
    steps: Vec<Step>,
}

/// The name of an aggregation, with a dot and one of its numbers at the end; in brackets a bucket's key, or the number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    name: String,
    key: Option<String>,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Path {
    pub(super) fn read(text: &str) -> Result<Self, EsError> {
        let refused = || EsError::new(400, "aggregation_execution_exception", format!("Invalid path [{text}]"));
        if text.is_empty() || text.len() > PATH_BYTES_MAX {
            return Err(refused());
        }
        let mut steps = Vec::new();
        for part in text.split('>') {
            let part = part.trim();
            let step = match part.split_once('[') {
                None => Step { name: part.to_owned(), key: None },
                Some((name, rest)) => {
                    let key = rest.strip_suffix(']').ok_or_else(refused)?;
                    let bare = key.strip_prefix(['\'', '"']).and_then(|key| key.strip_suffix(['\'', '"']));
                    Step { name: name.to_owned(), key: Some(bare.unwrap_or(key).to_owned()) }
                }
            };
            if step.name.is_empty() {
                return Err(refused());
            }
            steps.push(step);
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// The name of the aggregation that it begins with, when it is nothing but that.
    pub(super) fn only_name(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [Step { name, key: None }] => Some(name),
            _ => None,
        }
    }

    /// `_count`: never missing.
    pub(super) fn is_count(&self) -> bool {
        self.only_name() == Some("_count")
    }

    /// A number of the bucket itself.
    pub(super) fn is_of_bucket(&self) -> bool {
        matches!(self.only_name(), Some("_count" | "_key" | "doc_count"))
    }

    /// Whether it begins with the aggregation of this name.
    pub(super) fn starts_with(&self, name: &str) -> bool {
        self.steps.first().is_some_and(|step| step.name == name || property(&step.name, name).is_some())
    }

    /// The first step, and the rest of the path as one of its own: `None` when there is no rest.
    pub(super) fn split(&self) -> Option<(&str, Option<&str>, Self)> {
        let (first, rest) = self.steps.split_first()?;
        (!rest.is_empty()).then(|| {
            (first.name.as_str(), first.key.as_deref(), Self { text: self.text.clone(), steps: rest.to_vec() })
        })
    }

    /// The number that it leads to from a bucket; `None` when the bucket has nothing there.
    pub(super) fn number(&self, bucket: &Map<String, Value>) -> Result<Option<f64>, EsError> {
        let mut here = bucket;
        for (at, step) in self.steps.iter().enumerate() {
            let is_last = at + 1 == self.steps.len();
            if is_last {
                return self.last(here, step);
            }
            let Some(value) = here.get(&step.name).and_then(Value::as_object) else { return Ok(None) };
            here = match (&step.key, value.get("buckets")) {
                (None, None) => value,
                (Some(key), Some(buckets)) => match bucket_of(buckets, key) {
                    Some(bucket) => bucket,
                    None => return Ok(None),
                },
                _ => return Err(self.not_a_number("several buckets")),
            };
        }
        Ok(None)
    }

    fn last(&self, here: &Map<String, Value>, step: &Step) -> Result<Option<f64>, EsError> {
        match (step.name.as_str(), &step.key) {
            ("_count" | "doc_count", None) => return Ok(here.get("doc_count").and_then(Value::as_f64)),
            ("_key", None) => return Ok(here.get("key").and_then(Value::as_f64)),
            _ => {}
        }
        if let Some(value) = here.get(&step.name) {
            return self.number_of(value, step.key.as_deref());
        }
        // A name may have dots in it, and so may the number's.
        for (name, value) in here {
            if let Some(property) = property(&step.name, name) {
                return self.number_of(value, Some(property));
            }
        }
        Ok(None)
    }

    fn number_of(&self, value: &Value, property: Option<&str>) -> Result<Option<f64>, EsError> {
        let found = match property {
            None | Some("value") => value.get("value"),
            Some("_count" | "doc_count") => value.get("doc_count"),
            Some("_bucket_count") => {
                let buckets = value.get("buckets");
                let number = buckets.and_then(|buckets| match buckets {
                    Value::Array(buckets) => Some(buckets.len()),
                    Value::Object(buckets) => Some(buckets.len()),
                    _ => None,
                });
                return Ok(number.map(|number| number as f64));
            }
            Some(name) => named(value, name),
        };
        match found {
            Some(Value::Number(number)) => Ok(number.as_f64()),
            Some(Value::Null) => Ok(Some(f64::NAN)),
            Some(Value::String(text)) => Ok(Some(text.parse().unwrap_or(f64::NAN))),
            _ => Err(self.not_a_number("something else")),
        }
    }

    fn not_a_number(&self, what: &str) -> EsError {
        let reason = format!(
            "buckets_path must reference either a number value or a single value numeric metric aggregation, got: [{what}] at [{}]",
            self.text
        );
        EsError::new(400, "aggregation_execution_exception", reason)
    }
}

/// What comes after the name and a dot.
fn property<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name)?.strip_prefix('.').filter(|property| !property.is_empty())
}

/// One of several numbers of a metric.
fn named<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(bound) =
        name.strip_prefix("std_").filter(|bound| bound.starts_with("upper") || bound.starts_with("lower"))
    {
        return value.get("std_deviation_bounds")?.get(bound);
    }
    if let Some(found) = value.get(name) {
        return Some(found);
    }
    let wanted: Option<f64> = name.parse().ok();
    match value.get("values") {
        Some(Value::Object(values)) => {
            return values
                .iter()
                .find(|(key, _)| wanted.is_some() && key.parse().ok() == wanted)
                .map(|(_, value)| value);
        }
        Some(Value::Array(values)) => {
            let found =
                values.iter().find(|item| wanted.is_some() && item.get("key").and_then(Value::as_f64) == wanted);
            return found.and_then(|item| item.get("value"));
        }
        _ => {}
    }
    let top = value.get("top")?;
    // Where no document was found there is no number either.
    top.get(0).map_or(Some(&Value::Null), |first| first.get("metrics")?.get(name))
}

/// A bucket by its key.
pub(super) fn bucket_of<'a>(buckets: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    match buckets {
        Value::Object(buckets) => buckets.get(key)?.as_object(),
        Value::Array(buckets) => {
            let has_key = |bucket: &&Value| {
                let text = bucket.get("key").map(|key| key.as_str().map_or_else(|| key.to_string(), str::to_owned));
                text.as_deref() == Some(key) || bucket.get("key_as_string").and_then(Value::as_str) == Some(key)
            };
            buckets.iter().find(has_key)?.as_object()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_to_numbers() {
        let bucket = json!({
            "key": 7, "doc_count": 3, "m": {"value": 1.5}, "none": {"value": null}, "s": {"max": 2.0, "std_deviation_bounds": {"upper": 9.0}},
            "p": {"values": {"50.0": 4.0, "99.9": 5.0}}, "f": {"doc_count": 2, "m.n": {"value": 6}},
            "t": {"buckets": [{"key": "a", "doc_count": 1, "m": {"value": 8}}]},
            "top": {"top": [{"sort": [1], "metrics": {"took": 3}}]},
        });
        let bucket = bucket.as_object().unwrap();
        for (path, number) in [
            ("_count", 3.0),
            ("_key", 7.0),
            ("m", 1.5),
            ("m.value", 1.5),
            ("s.max", 2.0),
            ("s.std_upper", 9.0),
            ("p.50", 4.0),
            ("p[99.9]", 5.0),
            ("p.99.9", 5.0),
            ("f>m.n", 6.0),
            ("f>_count", 2.0),
            ("t['a']>m", 8.0),
            ("t._bucket_count", 1.0),
            ("top[took]", 3.0),
        ] {
            assert_eq!(Path::read(path).unwrap().number(bucket), Ok(Some(number)), "{path}");
        }
        assert_eq!(Path::read("gone").unwrap().number(bucket), Ok(None));
        assert!(Path::read("none").unwrap().number(bucket).unwrap().unwrap().is_nan());
        assert!(Path::read("t>m").unwrap().number(bucket).is_err());
        assert!(Path::read("s").unwrap().number(bucket).is_err());
        assert!(Path::read("a[b").is_err());
    }
}
