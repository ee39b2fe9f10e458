//! The body of an update: a partial document that is merged into what there is, and what to do when there is nothing.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::query::error::EsError;
use crate::query::strict::Members;

/// Objects nested deeper are not taken apart but replaced; documents can't be deeper anyway.
const DEPTH_MAX: usize = 100;

/// A change of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Update {
    doc: Option<Map<String, Value>>,
    upsert: Option<Map<String, Value>>,
    doc_as_upsert: bool,
    detect_noop: bool,
}

/// What an update comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Updated {
    /// There was nothing, and now there is this.
    Created(Bytes),
    /// There was something, and now it is this.
    Changed(Bytes),
    /// It is already as it should be.
    Noop,
    /// There is nothing to change.
    Missing,
}

impl Update {
    /// Reads the body of an update.
    pub(super) fn read(body: &[u8]) -> Result<Self, EsError> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| EsError::new(400, "x_content_parse_exception", format!("failed to parse: {error}")))?;
        let mut members = Members::new(body, "[UpdateRequest]")?;
        for key in ["script", "scripted_upsert"] {
            if members.take(key).is_some_and(|value| value != false) {
                let reason =
                    format!("[{key}] is not supported: there are no scripts; send the changed members as [doc]");
                return Err(EsError::argument(reason));
            }
        }
        let mut object = |key: &str| match members.take(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(EsError::parsing(format!("[UpdateRequest] [{key}] must be an object"))),
        };
        let (doc, upsert) = (object("doc")?, object("upsert")?);
        let update = Self {
            doc_as_upsert: members.boolean("doc_as_upsert")?.unwrap_or(false),
            detect_noop: members.boolean("detect_noop")?.unwrap_or(true),
            doc,
            upsert,
        };
        members.end()?;
        if update.doc.is_none() {
            let missing = if update.doc_as_upsert {
                "doc must be specified if doc_as_upsert is enabled"
            } else {
                "script or doc is missing"
            };
            let reason = format!("Validation Failed: 1: {missing};");
            return Err(EsError::new(400, "action_request_validation_exception", reason));
        }
        Ok(update)
    }

    /// What becomes of the document.
    pub(super) fn apply(&self, source: Option<&[u8]>) -> Result<Updated, EsError> {
        let doc = self.doc.clone().unwrap_or_default();
        let Some(source) = source else {
            let made = if self.doc_as_upsert { Some(doc) } else { self.upsert.clone() };
            return made.map_or(Ok(Updated::Missing), |made| Ok(Updated::Created(written(&made)?)));
        };
        let mut merged: Map<String, Value> = serde_json::from_slice(source).map_err(EsError::internal)?;
        let changed = merge(&mut merged, doc, 0);
        Ok(if changed || !self.detect_noop { Updated::Changed(written(&merged)?) } else { Updated::Noop })
    }
}

fn written(map: &Map<String, Value>) -> Result<Bytes, EsError> {
    serde_json::to_vec(map).map(Bytes::from).map_err(EsError::internal)
}

/// Objects are merged member by member, everything else is replaced; says whether anything is another than before.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>, depth: usize) -> bool {
    let mut changed = false;
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) if depth < DEPTH_MAX => {
                changed |= merge(inner, value, depth + 1);
            }
            (Some(known), value) => {
                changed |= *known != value;
                *known = value;
            }
            (None, value) => {
                changed = true;
                into.insert(key, value);
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn apply(body: &Value, source: Option<Value>) -> (Updated, Option<Value>) {
        let update = Update::read(body.to_string().as_bytes()).unwrap();
        let source = source.map(|source| source.to_string());
        let done = update.apply(source.as_deref().map(str::as_bytes)).unwrap();
        let made = match &done {
            Updated::Created(bytes) | Updated::Changed(bytes) => Some(serde_json::from_slice(bytes).unwrap()),
            _ => None,
        };
        (done, made)
    }

    #[test]
    fn documents_are_merged_object_by_object() {
        let source = json!({"a": {"b": 1, "c": [1]}, "x": "y"});
        let (_, made) = apply(&json!({"doc": {"a": {"c": [2], "d": null}, "x": {"z": 1}}}), Some(source.clone()));
        assert_eq!(made, Some(json!({"a": {"b": 1, "c": [2], "d": null}, "x": {"z": 1}})));
        assert_eq!(apply(&json!({"doc": {"a": {"b": 1}}}), Some(source.clone())).0, Updated::Noop);
        let forced = apply(&json!({"doc": {}, "detect_noop": false}), Some(source.clone()));
        assert_eq!(forced.1, Some(source));
    }

    #[test]
    fn what_is_not_there_is_made_when_asked_for() {
        assert_eq!(apply(&json!({"doc": {"a": 1}}), None).0, Updated::Missing);
        assert_eq!(apply(&json!({"doc": {"a": 1}, "upsert": {"b": 2}}), None).1, Some(json!({"b": 2})));
        assert_eq!(apply(&json!({"doc": {"a": 1}, "doc_as_upsert": true}), None).1, Some(json!({"a": 1})));
    }

    #[test]
    fn scripts_and_nonsense_are_refused_by_name() {
        for (body, named) in [
            (json!({"script": "ctx._source.n++"}), "[script]"),
            (json!({"doc": [1]}), "[doc]"),
            (json!({"doc": {}, "odd": 1}), "[odd]"),
            (json!({"upsert": {}}), "script or doc is missing"),
        ] {
            let error = Update::read(body.to_string().as_bytes()).unwrap_err();
            assert!(error.status == 400 && error.reason.contains(named), "{body}: {error}");
        }
    }
}
