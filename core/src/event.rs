//! The event: a JSON object with ECS names, nested on the wire, addressed by dotted paths.

use serde_json::{Map, Value};

/// A dotted path such as `log.file.path`, split once so that events can be asked often.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath {
    dotted: Box<str>,
    parts: Box<[Box<str>]>,
}

/// The text is not a path.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a field name: write names joined by single dots, like log.file.path")]
pub struct FieldPathError(String);

impl FieldPath {
    /// Paths deeper than this are refused: JSON from the network is parsed no deeper than 128 either.
    const PARTS_MAX: usize = 64;

    /// Splits a dotted path; a leading dot (as expressions write it) is accepted.
    ///
    /// # Errors
    /// When a part is empty or there are more than 64 parts.
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        let dotted = text.strip_prefix('.').unwrap_or(text);
        let parts: Box<[Box<str>]> = dotted.split('.').map(Box::from).collect();
        if parts.len() > Self::PARTS_MAX || parts.iter().any(|part| part.is_empty()) {
            return Err(FieldPathError(text.chars().take(200).collect()));
        }
        Ok(Self { dotted: dotted.into(), parts })
    }

    /// The path as text, without a leading dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.dotted
    }
}

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.dotted)
    }
}

/// A value stands where the path needs an object.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("can't set {path}: {at} is not an object")]
pub struct PathConflict {
    /// The path that was to be set.
    pub path: String,
    /// The part of it that holds a plain value.
    pub at: String,
}

/// The bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON at all.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but not an object.
    #[error("an event is a JSON object, not {0}")]
    NotAnObject(&'static str),
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event(pub Map<String, Value>);

impl Event {
    /// Parses one event.
    ///
    /// # Errors
    /// When the bytes are not JSON or not an object.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, EventError> {
        Self::from_value(serde_json::from_slice(bytes)?)
    }

    /// Takes a JSON value that is an object.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_value(value: Value) -> Result<Self, EventError> {
        match value {
            Value::Object(map) => Ok(Self(map)),
            Value::Null => Err(EventError::NotAnObject("null")),
            Value::Bool(_) => Err(EventError::NotAnObject("a boolean")),
            Value::Number(_) => Err(EventError::NotAnObject("a number")),
            Value::String(_) => Err(EventError::NotAnObject("a string")),
            Value::Array(_) => Err(EventError::NotAnObject("an array")),
        }
    }

    /// The event as one line of JSON.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        // Maps with string keys always serialise; an empty vector can't happen.
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// The value at the path: nested objects first, then a key spelled with dots at any level
    /// (some programs log `{"log.level": "info"}`).
    #[must_use]
    pub fn get(&self, path: &FieldPath) -> Option<&Value> {
        get_in(&self.0, &path.parts)
    }

    /// The string at the path, when there is one.
    #[must_use]
    pub fn get_str(&self, path: &FieldPath) -> Option<&str> {
        self.get(path).and_then(Value::as_str)
    }

    /// The value at the path, to be changed in place.
    pub fn get_mut(&mut self, path: &FieldPath) -> Option<&mut Value> {
        let mut map = &mut self.0;
        let (last, parents) = path.parts.split_last()?;
        if path.parts.len() > 1 && map.contains_key(path.as_str()) {
            return map.get_mut(path.as_str());
        }
        for part in parents {
            map = map.get_mut(part.as_ref())?.as_object_mut()?;
        }
        map.get_mut(last.as_ref())
    }

    /// Sets the value at the path, making the objects on the way.
    ///
    /// # Errors
    /// When a plain value stands where an object is needed; the event is then unchanged.
    pub fn set(&mut self, path: &FieldPath, value: Value) -> Result<(), PathConflict> {
        if let Some(at) = self.blocked_at(path) {
            return Err(PathConflict { path: path.to_string(), at });
        }
        if path.parts.len() > 1 && self.0.contains_key(path.as_str()) {
            self.0.shift_remove(path.as_str());
        }
        let Some((last, parents)) = path.parts.split_last() else { return Ok(()) };
        let mut map = &mut self.0;
        for part in parents {
            let next = map.entry(part.as_ref()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(inner) = next else { return Ok(()) };
            map = inner;
        }
        map.insert(last.to_string(), value);
        Ok(())
    }

    /// Takes the value at the path out; objects that this empties go too.
    pub fn remove(&mut self, path: &FieldPath) -> Option<Value> {
        if path.parts.len() > 1 && self.0.contains_key(path.as_str()) {
            return self.0.shift_remove(path.as_str());
        }
        remove_in(&mut self.0, &path.parts)
    }

    /// Adds a tag to `tags` unless it is there.
    pub fn add_tag(&mut self, tag: &str) {
        let tags = self.0.entry("tags").or_insert_with(|| Value::Array(Vec::new()));
        if !tags.is_array() {
            let single = tags.take();
            *tags = Value::Array(vec![single]);
        }
        if let Value::Array(list) = tags
            && !list.iter().any(|known| known.as_str() == Some(tag))
        {
            list.push(Value::String(tag.to_owned()));
        }
    }

    fn blocked_at(&self, path: &FieldPath) -> Option<String> {
        let (_, parents) = path.parts.split_last()?;
        let mut map = &self.0;
        for (depth, part) in parents.iter().enumerate() {
            match map.get(part.as_ref()) {
                None => return None,
                Some(Value::Object(inner)) => map = inner,
                Some(_) => return Some(path.parts[..=depth].join(".")),
            }
        }
        None
    }
}

fn get_in<'a>(map: &'a Map<String, Value>, parts: &[Box<str>]) -> Option<&'a Value> {
    let (first, rest) = parts.split_first()?;
    if rest.is_empty() {
        return map.get(first.as_ref());
    }
    if let Some(Value::Object(inner)) = map.get(first.as_ref())
        && let Some(found) = get_in(inner, rest)
    {
        return Some(found);
    }
    map.get(&parts.join("."))
}

fn remove_in(map: &mut Map<String, Value>, parts: &[Box<str>]) -> Option<Value> {
    let (first, rest) = parts.split_first()?;
    if rest.is_empty() {
        return map.shift_remove(first.as_ref());
    }
    let inner = map.get_mut(first.as_ref())?.as_object_mut()?;
    let removed = remove_in(inner, rest);
    if inner.is_empty() {
        map.shift_remove(first.as_ref());
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn path(text: &str) -> FieldPath {
        FieldPath::parse(text).unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn event(value: Value) -> Event {
        Event::from_value(value).unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn reads_nested_and_dotted_spellings() {
        let event = event(json!({"log": {"level": "info"}, "host.name": "a", "x": {"y.z": 1}}));
        assert_eq!(event.get_str(&path("log.level")), Some("info"));
        assert_eq!(event.get_str(&path(".host.name")), Some("a"));
        assert_eq!(event.get(&path("x.y.z")), Some(&json!(1)));
        assert_eq!(event.get(&path("log.missing")), None);
    }

    #[test]
    fn setting_through_a_plain_value_changes_nothing() {
        let mut event = event(json!({"log": "text"}));
        let refused = event.set(&path("log.level"), json!("info"));
        assert_eq!(refused, Err(PathConflict { path: "log.level".into(), at: "log".into() }));
        assert_eq!(event.0.get("log"), Some(&json!("text")));
    }

    #[test]
    fn removing_the_last_key_removes_its_objects() {
        let mut event = event(json!({"a": {"b": {"c": 1}}, "d": 2}));
        assert_eq!(event.remove(&path("a.b.c")), Some(json!(1)));
        assert_eq!(Value::Object(event.0), json!({"d": 2}));
    }

    #[test]
    fn tags_are_a_set_in_order() {
        let mut event = event(json!({"tags": "one"}));
        for tag in ["two", "one", "two"] {
            event.add_tag(tag);
        }
        assert_eq!(event.0.get("tags"), Some(&json!(["one", "two"])));
    }

    #[test]
    fn paths_with_empty_parts_are_refused() {
        for text in ["", ".", "a..b", "a.", "..a"] {
            assert!(FieldPath::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_set_is_found_and_removed(parts in prop::collection::vec("[a-z@_]{1,5}", 1..6), number: i64) {
            let path = path(&parts.join("."));
            let mut event = Event::default();
            event.set(&path, json!(number)).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(event.get(&path), Some(&json!(number)));
            prop_assert_eq!(event.remove(&path), Some(json!(number)));
            prop_assert!(event.0.is_empty());
        }
    }
}
