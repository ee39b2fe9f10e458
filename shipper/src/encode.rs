//! Writes a record as the JSON event that Filebeat would write, straight into the batch.

use std::io::Write;

use base64::Engine as _;
use logmill_core::{Event, FieldPath};
use serde_json::{Map, Value, json};

use crate::config::Filestream;
use crate::split::Piece;

/// The tag of events whose text was not in the declared encoding. What could not be decoded stands as U+FFFD in
/// `message`, and all the bytes in `log.original_base64`.
const INVALID_TAG: &str = "_invalid_encoding";
/// The tag of events that are only a part of a line or of a group of lines.
const PART_TAG: &str = "_partial";

/// What is the same in all events of an input.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// From the `log` object's end on: `,"host":{...},...`.
    rest: Vec<u8>,
    /// The configured tags, each quoted.
    tags: Vec<u8>,
    encoding: &'static encoding_rs::Encoding,
}

/// What is the same in all events of one turn at one file.
#[derive(Clone, Debug)]
pub(crate) struct Turn<'t> {
    /// When it was read.
    pub(crate) time: &'t str,
    /// The file's path as a JSON string, quotes included.
    pub(crate) path: &'t [u8],
}

impl Shape {
    pub(crate) fn new(input: &Filestream, host: &str, encoding: &'static encoding_rs::Encoding) -> Self {
        let mut event = Event::default();
        let mut set = |name: &str, value: Value| {
            // Names were checked with the configuration; two fields that need the same place keep the first.
            if let Ok(path) = FieldPath::parse(name) {
                let _ = event.set(&path, value);
            }
        };
        set("host.name", json!(host));
        set("agent", json!({ "type": "logmill", "version": env!("CARGO_PKG_VERSION") }));
        set("input.type", json!("filestream"));
        if let Some(service) = &input.service {
            set("service.name", json!(service));
        }
        if let Some(dataset) = &input.dataset {
            set("event.dataset", json!(dataset));
        }
        if input.fields_under_root {
            for (name, value) in &input.fields {
                set(name, value.clone());
            }
        } else if !input.fields.is_empty() {
            set("fields", Value::Object(input.fields.clone().into_iter().collect::<Map<_, _>>()));
        }
        let mut rest = event.to_vec();
        // `{...}` becomes `,...`; the closing brace is written after the tags.
        rest.pop();
        if let Some(first) = rest.first_mut() {
            *first = b',';
        }
        let quoted: Vec<_> = input.tags.iter().map(|tag| json!(tag).to_string()).collect();
        Self { rest, tags: quoted.join(",").into_bytes(), encoding }
    }

    /// Appends the event of `text`, which begins at `offset` of its file.
    pub(crate) fn write(&self, turn: &Turn<'_>, text: &[u8], offset: u64, piece: Piece, out: &mut Vec<u8>) {
        out.extend(b"{\"@timestamp\":\"");
        out.extend(turn.time.as_bytes());
        out.extend(b"\",\"message\":\"");
        let whole = self.message(text, offset, out);
        out.extend(b"\",\"log\":{\"file\":{\"path\":");
        out.extend(turn.path);
        out.extend(b"},\"offset\":");
        // Writing to a vector can't fail.
        let _ = write!(out, "{offset}");
        match (piece.continues, piece.joined) {
            (true, true) => out.extend(b",\"flags\":[\"multiline\",\"truncated\"]"),
            (true, false) => out.extend(b",\"flags\":[\"truncated\"]"),
            (false, true) => out.extend(b",\"flags\":[\"multiline\"]"),
            (false, false) => {}
        }
        if !whole {
            out.extend(b",\"original_base64\":\"");
            out.extend(base64::engine::general_purpose::STANDARD.encode(text).as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
        out.extend(&self.rest);
        self.write_tags(!whole, piece.continues, out);
        out.push(b'}');
    }

    fn write_tags(&self, invalid: bool, part: bool, out: &mut Vec<u8>) {
        if self.tags.is_empty() && !invalid && !part {
            return;
        }
        out.extend(b",\"tags\":[");
        out.extend(&self.tags);
        for (wanted, tag) in [(invalid, INVALID_TAG), (part, PART_TAG)] {
            if wanted {
                if out.last() != Some(&b'[') {
                    out.push(b',');
                }
                let _ = write!(out, "\"{tag}\"");
            }
        }
        out.push(b']');
    }

    /// Writes the text, decoded and escaped; says whether all of it could be decoded.
    fn message(&self, text: &[u8], offset: u64, out: &mut Vec<u8>) -> bool {
        if self.encoding == encoding_rs::UTF_8 {
            let text = if offset == 0 { text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text) } else { text };
            if let Ok(text) = std::str::from_utf8(text) {
                escape(text, out);
                return true;
            }
            escape(&String::from_utf8_lossy(text), out);
            return false;
        }
        let (decoded, bad) = if offset == 0 {
            self.encoding.decode_with_bom_removal(text)
        } else {
            self.encoding.decode_without_bom_handling(text)
        };
        escape(&decoded, out);
        !bad
    }
}

/// What JSON wants escaped: 0 for nothing, the letter after the backslash, or `u` for the long form.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = b'u';
        control += 1;
    }
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[b'\t' as usize] = b't';
    table[0x08] = b'b';
    table[0x0C] = b'f';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Appends the inside of a JSON string.
fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0) {
        let (plain, special) = rest.split_at(at);
        out.extend(plain);
        if let Some((byte, after)) = special.split_first() {
            match ESCAPES[usize::from(*byte)] {
                b'u' => drop(write!(out, "\\u{byte:04x}")),
                letter => out.extend([b'\\', letter]),
            }
            rest = after;
        }
    }
    out.extend(rest);
}

/// So many bytes at most will the event of `text` have beside what is the same in all.
pub(crate) fn message_bytes_max(text: &[u8], encoding: &'static encoding_rs::Encoding) -> usize {
    let clean = encoding == encoding_rs::UTF_8 && std::str::from_utf8(text).is_ok();
    // At worst every byte becomes a replacement character of three, and all of them are kept beside.
    let (other, beside) = if clean { (1, 0) } else { (3, text.len() / 3 * 4 + 4) };
    let size = |byte: &u8| match ESCAPES[usize::from(*byte)] {
        0 if byte.is_ascii() => 1,
        0 => other,
        b'u' => 6,
        _ => 2,
    };
    text.iter().map(size).sum::<usize>() + beside
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(input: &Filestream, encoding: &'static encoding_rs::Encoding, text: &[u8], piece: Piece) -> Value {
        let shape = Shape::new(input, "web-1", encoding);
        let turn = Turn { time: "2026-11-22T13:00:00.000Z", path: b"\"/var/log/a.log\"" };
        let mut out = Vec::new();
        shape.write(&turn, text, 7, piece, &mut out);
        serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
    }

    #[test]
    fn an_event_has_filebeats_shape() {
        let fields = [("env".to_owned(), json!("prod"))].into();
        let input =
            Filestream { fields, tags: vec!["a\"b".into()], dataset: Some("app".into()), ..Filestream::default() };
        let event = event(&input, encoding_rs::UTF_8, b"hello", Piece::default());
        let expected = json!({
            "@timestamp": "2026-11-22T13:00:00.000Z",
            "message": "hello",
            "log": { "file": { "path": "/var/log/a.log" }, "offset": 7 },
            "host": { "name": "web-1" },
            "agent": { "type": "logmill", "version": env!("CARGO_PKG_VERSION") },
            "input": { "type": "filestream" },
            "event": { "dataset": "app" },
            "fields": { "env": "prod" },
            "tags": ["a\"b"],
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn fields_at_the_root_are_nested_by_their_dots() {
        let fields = [("service.name".to_owned(), json!("shop")), ("env".to_owned(), json!("prod"))].into();
        let input = Filestream { fields, fields_under_root: true, ..Filestream::default() };
        let event =
            event(&input, encoding_rs::UTF_8, b"x", Piece { continues: true, joined: true, ..Piece::default() });
        assert_eq!(event["service"]["name"], "shop");
        assert_eq!(event["env"], "prod");
        assert_eq!(event["log"]["flags"], json!(["multiline", "truncated"]));
        assert_eq!(event["tags"], json!(["_partial"]));
    }

    #[test]
    fn a_declared_encoding_is_decoded() {
        for (label, text) in [("gbk", "日志"), ("shift_jis", "ログ"), ("big5", "日誌"), ("latin1", "é")] {
            let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
            let (bytes, ..) = encoding.encode(text);
            assert_eq!(event(&Filestream::default(), encoding, &bytes, Piece::default())["message"], text);
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text: String) {
            prop_assert_eq!(
                &event(&Filestream::default(), encoding_rs::UTF_8, text.as_bytes(), Piece::default())["message"], &text
            );
        }

        #[test]
        fn any_bytes_come_back_one_way_or_the_other(text: Vec<u8>) {
            let event = event(&Filestream::default(), encoding_rs::UTF_8, &text, Piece::default());
            let bytes = match event["log"]["original_base64"].as_str() {
                Some(original) => base64::engine::general_purpose::STANDARD.decode(original).unwrap(),
                None => event["message"].as_str().unwrap().as_bytes().to_vec(),
            };
            prop_assert_eq!(&bytes, &text);
            let written = event["message"].as_str().unwrap().len();
            prop_assert!(written <= message_bytes_max(&text, encoding_rs::UTF_8));
        }
    }
}
