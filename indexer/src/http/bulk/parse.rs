//! The lines of a `_bulk` request: an action, then its document. What is wrong with the lines refuses the request;
//! what is wrong with one document refuses that document.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::query::error::EsError;
use crate::store::names;

/// Elasticsearch's bound on ids.
const ID_BYTES_MAX: usize = 512;
/// Documents nested deeper are refused, because no reader of JSON takes them.
const DEPTH_MAX: usize = 100;
/// Just below the largest record that the bus takes.
pub(super) const DOCUMENT_BYTES_MAX: usize = 15 << 20;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Op {
    Create,
    Index,
    Update,
    Delete,
}

impl Op {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Index => "index",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A document on its way.
#[derive(Debug)]
pub(in crate::http) struct Item<'b> {
    pub(in crate::http) op: Op,
    pub(in crate::http) index: Cow<'b, str>,
    pub(in crate::http) id: Option<String>,
    /// The document; for an update, what is to be changed.
    pub(in crate::http) document: &'b [u8],
    /// It is only done when the document's last write has this `_seq_no` and `_primary_term`.
    pub(in crate::http) condition: Option<(u64, u64)>,
    /// Its index must be named by an alias.
    pub(in crate::http) require_alias: bool,
    /// Why it is not taken.
    pub(in crate::http) refused: Option<EsError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum Action {
    Create(Target),
    Index(Target),
    Update(Target),
    Delete(Target),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_id", default, deserialize_with = "id")]
    id: Option<String>,
    /// Members that ask for nothing that a log store has several of.
    #[serde(rename = "_type")]
    _type: Option<IgnoredAny>,
    #[serde(rename = "routing", alias = "_routing")]
    _routing: Option<IgnoredAny>,
    require_alias: Option<bool>,
    #[serde(rename = "dynamic_templates")]
    _dynamic_templates: Option<IgnoredAny>,
    /// Requests with one id wait for each other, so none has to be tried again.
    #[serde(rename = "retry_on_conflict", alias = "_retry_on_conflict")]
    _retry_on_conflict: Option<IgnoredAny>,
    if_seq_no: Option<u64>,
    if_primary_term: Option<u64>,
    version: Option<IgnoredAny>,
    version_type: Option<IgnoredAny>,
    pipeline: Option<String>,
}

/// Ids may be written as numbers.
fn id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) => Ok(Some(text)),
        serde_json::Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(serde::de::Error::custom("_id must be a string")),
    }
}

/// Reads the lines.
pub(super) fn parse<'b>(bytes: &'b [u8], default_index: Option<&'b str>) -> Result<Vec<Item<'b>>, EsError> {
    let mut items = Vec::new();
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate();
    while let Some((number, line)) = lines.next() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let action: Action = serde_json::from_slice(line).map_err(|error| malformed(number, line, &error))?;
        let (op, target) = match action {
            Action::Create(target) => (Op::Create, target),
            Action::Index(target) => (Op::Index, target),
            Action::Update(target) => (Op::Update, target),
            Action::Delete(target) => (Op::Delete, target),
        };
        let document = if op == Op::Delete {
            &[]
        } else {
            match lines.next() {
                Some((_, document)) => document,
                None => {
                    return Err(EsError::argument(format!(
                        "The bulk request ends after the action in line [{}]: its document is missing",
                        number + 1
                    )));
                }
            }
        };
        let index = match (target.index, default_index) {
            (Some(index), _) => Cow::Owned(index),
            (None, Some(index)) => Cow::Borrowed(index),
            (None, None) => {
                return Err(EsError::new(
                    400,
                    "action_request_validation_exception",
                    format!("Validation Failed: 1: index is missing in line [{}];", number + 1),
                ));
            }
        };
        let mut item = item(op, index, target.id, document, target.pipeline.as_deref());
        if target.version.is_some() || target.version_type.is_some() {
            item.refuse(EsError::argument(
                "[version] and [version_type] are not supported: versions are counted here; use [if_seq_no] and [if_primary_term]",
            ));
        }
        item.require_alias = target.require_alias.unwrap_or(false);
        item.only_if(target.if_seq_no, target.if_primary_term);
        items.push(item);
    }
    if items.is_empty() {
        return Err(EsError::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: no requests added;",
        ));
    }
    Ok(items)
}

fn malformed(number: usize, line: &[u8], error: &serde_json::Error) -> EsError {
    let shown: String = String::from_utf8_lossy(line).chars().take(100).collect();
    EsError::argument(format!(
        "Malformed action/metadata line [{}], expected {{\"index\":{{...}}}} or {{\"create\":{{...}}}} but found [{shown}]: {error}",
        number + 1
    ))
}

/// Checks a document.
pub(in crate::http) fn item<'b>(
    op: Op,
    index: Cow<'b, str>,
    id: Option<String>,
    document: &'b [u8],
    pipeline: Option<&str>,
) -> Item<'b> {
    let refused = refusal(op, &index, id.as_deref(), document, pipeline);
    Item { op, index, id, document, condition: None, require_alias: false, refused }
}

impl Item<'_> {
    /// Refuses it, unless it is refused already.
    fn refuse(&mut self, error: EsError) {
        self.refused.get_or_insert(error);
    }

    /// Makes it depend on the document's last write.
    pub(in crate::http) fn only_if(&mut self, seq_no: Option<u64>, primary_term: Option<u64>) {
        let invalid = |reason: &str| {
            EsError::new(400, "action_request_validation_exception", format!("Validation Failed: 1: {reason};"))
        };
        match (seq_no, primary_term) {
            (None, None) => {}
            (Some(_), Some(_)) if self.op == Op::Create || self.id.is_none() => {
                self.refuse(invalid("[if_seq_no] needs an [_id], and an operation on a document that there is"));
            }
            (Some(seq_no), Some(term)) => self.condition = Some((seq_no, term)),
            _ => self.refuse(invalid("[if_seq_no] and [if_primary_term] go together")),
        }
    }
}

/// No index may be called so.
pub(super) fn invalid_name(index: &str) -> EsError {
    let reason = format!(
        "Invalid index name [{index}]: lower case, no spaces or any of \\ / * ? \" < > | , # : and none of - _ + . first"
    );
    EsError::new(400, "invalid_index_name_exception", reason)
}

/// A document beyond what the bus takes.
pub(super) fn too_large(bytes: usize) -> EsError {
    let reason = format!("the document has {bytes} bytes; at most {DOCUMENT_BYTES_MAX} are taken");
    EsError::new(413, "content_too_long_exception", reason)
}

fn refusal(op: Op, index: &str, id: Option<&str>, document: &[u8], pipeline: Option<&str>) -> Option<EsError> {
    // An alias may be in upper case, and a backing index begins with a dot; where they lead is looked up later.
    if !names::is_valid(&index.strip_prefix(".ds-").unwrap_or(index).to_lowercase()) {
        return Some(invalid_name(index));
    }
    if let Some(id) = id {
        if id.len() > ID_BYTES_MAX {
            let reason = format!("id is too long, must be no longer than {ID_BYTES_MAX} bytes but was: {}", id.len());
            return Some(EsError::argument(reason));
        }
        if id.is_empty() {
            return Some(EsError::argument("if _id is specified it must not be empty"));
        }
    } else if matches!(op, Op::Update | Op::Delete) {
        let reason = "Validation Failed: 1: id is missing;";
        return Some(EsError::new(400, "action_request_validation_exception", reason));
    }
    if let Some(name) = pipeline.filter(|name| *name != "_none") {
        return Some(EsError::argument(format!(
            "pipeline with id [{name}] does not exist: pipelines run before the index"
        )));
    }
    if document.len() > DOCUMENT_BYTES_MAX {
        return Some(too_large(document.len()));
    }
    if op == Op::Delete {
        return None;
    }
    not_an_object(document)
        .map(|reason| EsError::new(400, "document_parsing_exception", format!("failed to parse: {reason}")))
}

/// Why the bytes are no JSON object that can be stored.
fn not_an_object(document: &[u8]) -> Option<String> {
    let first = document.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Some("a document is a JSON object".to_owned());
    }
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(document) {
        return Some(error.to_string());
    }
    if std::str::from_utf8(document).is_err() {
        return Some("it is not UTF-8".to_owned());
    }
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0usize, false, false);
    for byte in document {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (deepest > DEPTH_MAX).then(|| format!("it is nested more than {DEPTH_MAX} levels deep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Result<Vec<Item<'_>>, EsError> {
        parse(lines.as_bytes(), Some("logs-a"))
    }

    #[test]
    fn actions_and_documents() {
        let items =
            read("{\"create\":{}}\n{\"a\":1}\n{\"index\":{\"_index\":\"logs-b\",\"_id\":7}}\n{\"b\":2}\n\n").unwrap();
        let shown: Vec<_> =
            items.iter().map(|item| (item.op.name(), item.index.as_ref(), item.id.as_deref(), item.document)).collect();
        assert_eq!(
            shown,
            [
                ("create", "logs-a", None, b"{\"a\":1}".as_slice()),
                ("index", "logs-b", Some("7"), b"{\"b\":2}".as_slice()),
            ]
        );
        assert!(items.iter().all(|item| item.refused.is_none()));
    }

    #[test]
    fn a_bad_document_is_refused_alone() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        let lines = format!(
            "{{\"create\":{{}}}}\n{{\"a\":\n{{\"create\":{{}}}}\n[1]\n{{\"create\":{{}}}}\n{deep}\n{{\"delete\":{{\"_id\":\"1\"}}}}\n\
             {{\"index\":{{\"_index\":\"Bad Name\"}}}}\n{{}}\n{{\"create\":{{}}}}\n{{\"fine\":\"}}]\"}}\n"
        );
        let items = read(&lines).unwrap();
        let refused: Vec<_> = items.iter().map(|item| item.refused.as_ref().map(|error| error.kind)).collect();
        let parsing = Some("document_parsing_exception");
        assert_eq!(refused, [parsing, parsing, parsing, None, Some("invalid_index_name_exception"), None]);
    }

    #[test]
    fn conditions_need_both_halves_and_an_id() {
        let items = read(
            "{\"index\":{\"_id\":\"1\",\"if_seq_no\":3,\"if_primary_term\":1}}\n{}\n{\"index\":{\"_id\":\"1\",\"if_seq_no\":3}}\n{}\n\
             {\"create\":{\"_id\":\"1\",\"if_seq_no\":3,\"if_primary_term\":1}}\n{}\n{\"delete\":{}}\n{\"index\":{\"version\":3}}\n{}\n",
        )
        .unwrap();
        assert_eq!(items[0].condition, Some((3, 1)));
        let refused: Vec<_> = items.iter().map(|item| item.refused.is_some()).collect();
        assert_eq!(refused, [false, true, true, true, true]);
    }

    #[test]
    fn bad_lines_refuse_the_request() {
        for (lines, named) in [
            ("", "no requests"),
            ("{\"create\":{}}", "document is missing"),
            ("{\"crate\":{}}\n{}\n", "Malformed action"),
            ("nonsense\n{}\n", "line [1]"),
            ("{\"create\":{}}\n{}\n{\"index\":{\"_odd\":1}}\n{}\n", "_odd"),
        ] {
            let error = read(lines).unwrap_err();
            assert!(error.status == 400 && error.reason.contains(named), "{lines:?}: {error}");
        }
        let nowhere = parse(b"{\"create\":{}}\n{}\n", None).unwrap_err();
        assert!(nowhere.reason.contains("index is missing"), "{nowhere}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = parse(&bytes, Some("logs-a"));
        }
    }
}
