use std::sync::Arc;

use proptest::prelude::*;
use tantivy::schema::document::{Document, ReferenceValue, Value as _};

use super::*;

fn facts() -> RecordFacts {
    RecordFacts { time_ns: 5_000_000, seq: 7, id: None, version: 1 }
}

fn parse(json: &str, registry: &mut Registry) -> (LogDocument, Remarks) {
    document(&Bytes::copy_from_slice(json.as_bytes()), facts(), registry)
}

fn fresh() -> Registry {
    Registry::new(Arc::default(), 1000)
}

/// What tantivy is told, as text: `field path=value`.
fn told(document: &LogDocument) -> Vec<String> {
    let schema = &crate::schema::schema().0;
    let mut lines = Vec::new();
    for (field, value) in document.iter_fields_and_values() {
        let name = schema.get_field_name(field);
        match value.as_value() {
            ReferenceValue::Leaf(leaf) => lines.push(format!("{name}={leaf:?}")),
            ReferenceValue::Object(members) => {
                lines.extend(members.map(|(path, value)| format!("{name} {path}={:?}", value.as_leaf())));
            }
            ReferenceValue::Array(_) => unreachable!("documents are flat"),
        }
    }
    lines
}

#[test]
fn paths_are_flat_and_types_follow_the_registry() {
    let mut registry = fresh();
    let (document, remarks) = parse(
        r#"{"@timestamp":"2026-11-22T12:00:00.123456789Z","message":"Hello World","log":{"level":"info","file.path":"/a"},
           "n":1,"f":1.5,"yes":true,"tags":["a","b"],"nothing":null,"error":{"message":"boom"},"at":"2026-01-01T00:00:00+02:00"}"#,
        &mut registry,
    );
    assert_eq!(remarks, Remarks::default());
    assert_eq!(document.time_ns, 1_795_348_800_123_456_789);
    let lines = told(&document).join("\n");
    for line in [
        "seq=U64(7)",
        "message=Str(\"Hello World\")",
        "keyword log.level=Some(Str(\"info\"))",
        "keyword log.file.path=Some(Str(\"/a\"))",
        "keyword n=Some(I64(1))",
        "keyword f=Some(F64(1.5))",
        "keyword yes=Some(Bool(true))",
        "keyword tags=Some(Str(\"b\"))",
        "keyword at=Some(Date(",
        "text error.message=Some(Str(\"boom\"))",
        "present=Str(\"log.file.path\")",
        "present=Str(\"message\")",
    ] {
        assert!(lines.contains(line), "{line} is missing in\n{lines}");
    }
    assert!(!lines.contains("nothing"), "{lines}");
    assert_eq!(document.present.iter().filter(|path| path.as_ref() == "tags").count(), 1);
}

#[test]
fn a_value_of_another_type_is_fitted_or_named_in_ignored() {
    let mut registry = fresh();
    parse(r#"{"n":1,"k":"text","b":true,"d":"2026-01-01T00:00:00Z"}"#, &mut registry);
    let (document, _) = parse(r#"{"n":"12","k":7,"b":"false","d":1000}"#, &mut registry);
    let lines = told(&document).join("\n");
    for line in ["n=Some(I64(12))", "k=Some(Str(\"7\"))", "b=Some(Bool(false))", "d=Some(Date("] {
        assert!(lines.contains(line), "{line} is missing in\n{lines}");
    }
    let (document, _) = parse(r#"{"n":"twelve","b":3,"d":"soon"}"#, &mut registry);
    let lines = told(&document);
    for path in ["n", "b", "d"] {
        assert!(lines.contains(&format!("keyword _ignored=Some(Str(\"{path}\"))")), "{lines:?}");
    }
}

#[test]
fn what_is_no_object_is_kept_as_a_message() {
    for text in ["plain text", "[1,2]", "7", "{\"a\":1", "{\"a\":1} trailing", "", "nul", "{\"a\":01}"] {
        let (document, remarks) = parse(text, &mut fresh());
        assert!(remarks.not_json, "{text}");
        let source: serde_json::Value = serde_json::from_slice(&document.source).unwrap();
        assert_eq!(source.get("message").and_then(|value| value.as_str()), Some(text));
        assert!(told(&document).contains(&format!("keyword tags=Some(Str(\"{NOT_JSON_TAG}\"))")));
        assert!(!told(&document).iter().any(|line| line.starts_with("keyword a=")));
    }
    let (document, _) = super::document(&Bytes::from_static(b"\xff\xfe"), facts(), &mut fresh());
    let source: serde_json::Value = serde_json::from_slice(&document.source).unwrap();
    assert_eq!(source.pointer("/event/original").and_then(|value| value.as_str()), Some("//4="));
}

#[test]
fn too_many_paths_and_too_deep_objects_do_no_harm() {
    let mut registry = Registry::new(Arc::default(), 10);
    let wide: String = (0..50).map(|n| format!("\"f{n}\":{n},")).collect();
    let (_, remarks) = parse(&format!("{{{wide}\"z\":1}}"), &mut registry);
    assert_eq!(remarks.paths_refused, 43);
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    assert!(parse(&deep, &mut registry).1.not_json);
}

proptest! {
    #[test]
    fn any_bytes_make_a_document(bytes: Vec<u8>) {
        let (document, _) = super::document(&Bytes::from(bytes), facts(), &mut fresh());
        prop_assert!(serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&document.source).is_ok());
        told(&document);
    }

    #[test]
    fn any_json_object_makes_a_document_of_its_own_bytes(keys in prop::collection::vec(("[a-z.]{0,6}", "\\PC{0,8}"), 0..8)) {
        let map: serde_json::Map<_, _> = keys.into_iter().map(|(key, text)| (key, serde_json::json!([text, 1, {"x": 2.5}]))).collect();
        let json = serde_json::to_string(&map).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let (document, remarks) = parse(&json, &mut fresh());
        prop_assert!(!remarks.not_json);
        prop_assert_eq!(document.source.as_ref(), json.as_bytes());
        told(&document);
    }
}

#[test]
fn an_attack_with_names_is_bounded_and_what_has_no_room_is_found_by_its_value() {
    let mut registry = Registry::new(Arc::default(), 100);
    let wide: Vec<String> = (0..100_000).map(|n| format!("\"k{n}\":\"v{n}\"")).collect();
    let (document, remarks) = parse(&format!("{{{}}}", wide.join(",")), &mut registry);
    assert!(remarks.paths_refused > 99_000 && document.keywords.len() <= 100);
    assert!(document.present.len() <= 100 + OVERFLOW_MAX + 2, "{}", document.present.len());
    assert!(document.present.iter().any(|term| term.as_ref() == "k200\u{0}v200"));
    assert_eq!(registry.mapping().len(), 100);
    // Ten thousand documents with names of their own leave nothing behind.
    for n in 0..10_000 {
        parse(&format!("{{\"only{n}\":{{\"in\":{n}}}}}"), &mut registry);
    }
    assert_eq!(registry.mapping().len(), 100);
    let long = "x".repeat(100_000);
    let (document, _) = parse(&format!("{{\"{long}\":1,\"y\":\"{long}\"}}"), &mut Registry::new(Arc::default(), 100));
    assert!(document.present.iter().all(|term| term.len() <= PATH_BYTES_MAX + OVERFLOW_BYTES_MAX + 1));
    let deep = format!("{}1{}", "{\"abcdefgh\":".repeat(90), "}".repeat(90));
    let (document, remarks) = parse(&deep, &mut Registry::new(Arc::default(), 100));
    assert!((remarks.not_json, document.keywords.len()) == (false, 0));
}

#[test]
fn misfits_have_a_twin() {
    let mut registry = fresh();
    parse(r#"{"n":1}"#, &mut registry);
    let (document, _) = parse(r#"{"n":"twelve"}"#, &mut registry);
    let lines = told(&document).join("\n");
    assert!(
        lines.contains("keyword n.str=Some(Str(\"twelve\"))") && lines.contains("_ignored=Some(Str(\"n\"))"),
        "{lines}"
    );
}
