//! Reads JSON objects so that no member is overlooked: what was not taken is an error that names it.

use serde_json::{Map, Value};

use super::error::EsError;

/// The members of an object that are still to be taken.
#[derive(Debug)]
pub(crate) struct Members {
    map: Map<String, Value>,
    /// What the object is, for messages: `[range] query`.
    what: String,
}

impl Members {
    pub(crate) fn new(value: Value, what: impl Into<String>) -> Result<Self, EsError> {
        let what = what.into();
        match value {
            Value::Object(map) => Ok(Self { map, what }),
            other => Err(EsError::parsing(format!("{what} must be an object, not {}", kind(&other)))),
        }
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.shift_remove(key).filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// Puts back what more than one wants.
    pub(crate) fn put(&mut self, key: &str, value: Value) {
        self.map.insert(key.to_owned(), value);
    }

    pub(crate) fn take_one(&mut self) -> Option<(String, Value)> {
        let key = self.map.keys().next()?.clone();
        let value = self.map.shift_remove(&key)?;
        Some((key, value))
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    pub(crate) fn required(&mut self, key: &str) -> Result<Value, EsError> {
        self.take(key).ok_or_else(|| EsError::parsing(format!("{} needs [{key}]", self.what)))
    }

    pub(crate) fn string(&mut self, key: &str) -> Result<Option<String>, EsError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(self.wrong(key, "a string", &other)),
        }
    }

    pub(crate) fn boolean(&mut self, key: &str) -> Result<Option<bool>, EsError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(Some(text == "true")),
            Some(other) => Err(self.wrong(key, "true or false", &other)),
        }
    }

    pub(crate) fn whole(&mut self, key: &str) -> Result<Option<i64>, EsError> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                number.map(Some).ok_or_else(|| self.wrong(key, "a whole number", &value))
            }
        }
    }

    pub(crate) fn float(&mut self, key: &str) -> Result<Option<f64>, EsError> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                number.filter(|number| number.is_finite()).map(Some).ok_or_else(|| self.wrong(key, "a number", &value))
            }
        }
    }

    /// A string or an array of strings.
    pub(crate) fn strings(&mut self, key: &str) -> Result<Option<Vec<String>>, EsError> {
        self.take(key).map(|value| strings(value, &format!("{} [{key}]", self.what))).transpose()
    }

    /// Drops members that change nothing about which events match or what is answered.
    pub(crate) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.map.shift_remove(*key);
        }
    }

    /// Everything must have been taken.
    pub(crate) fn end(self) -> Result<(), EsError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(key) => Err(EsError::parsing(format!("{} does not support [{key}]", self.what))),
        }
    }

    pub(crate) fn wrong(&self, key: &str, expected: &str, found: &Value) -> EsError {
        EsError::parsing(format!("{} needs {expected} in [{key}], not {}", self.what, kind(found)))
    }
}

pub(crate) fn strings(value: Value, what: &str) -> Result<Vec<String>, EsError> {
    let one = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(EsError::parsing(format!("{what} needs strings, not {}", kind(&other)))),
    };
    match value {
        Value::Array(values) => values.into_iter().map(one).collect(),
        other => one(other).map(|only| vec![only]),
    }
}

/// A JSON value in words; short, because values come from outside.
pub(crate) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        plain => format!("[{}]", plain.to_string().chars().take(80).collect::<String>()),
    }
}
