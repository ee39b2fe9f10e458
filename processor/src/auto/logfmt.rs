//! logfmt: `level=info msg="it works" took=5`, the whole line of it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::fields::Fields;
use super::{Rest, json};
use crate::step::scalar;

/// Reads a line that is logfmt from its first to its last byte.
pub(super) fn recognise<'t>(text: &'t str, fields: &mut Fields<'_>) -> Option<Rest<'t>> {
    if text.contains('\n') {
        return None;
    }
    let pairs = logfmt_pairs(text)?;
    // One pair may stand in any text.
    if pairs.iter().filter(|(_, value)| value.is_some()).count() < 2 {
        return None;
    }
    let mut map = Map::with_capacity(pairs.len());
    for (key, value) in pairs {
        let text_wanted = matches!(key, "msg" | "message" | "level" | "lvl" | "severity" | "ts" | "time" | "timestamp");
        let value = match value {
            None => Value::Bool(true),
            Some(text) if text_wanted && !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
                Value::String(text.into_owned())
            }
            Some(text) if key.starts_with("msg") || key == "message" => Value::String(text.into_owned()),
            Some(text) => scalar(&text),
        };
        map.insert(key.to_owned(), value);
    }
    Some(match json::take(map, fields) {
        Some((message, _)) => Rest::Message(Cow::Owned(message)),
        None => Rest::Whole,
    })
}

/// A key, and its value where it has one.
type Pair<'t> = (&'t str, Option<Cow<'t, str>>);

/// Keys, and their values where they have one; `None` when the text is not logfmt.
pub(crate) fn logfmt_pairs(text: &str) -> Option<Vec<Pair<'_>>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    // The first word decides for most lines that are not logfmt.
    let first = key_length(rest);
    if first == 0 || rest.as_bytes().get(first) != Some(&b'=') {
        return None;
    }
    while !rest.is_empty() {
        let (key, tail) = rest.split_at_checked(key_length(rest)).filter(|(key, _)| !key.is_empty())?;
        let after = match tail.strip_prefix('=') {
            None => {
                pairs.push((key, None));
                tail
            }
            Some(value) => {
                let (value, after) = value_of(value)?;
                pairs.push((key, Some(value)));
                after
            }
        };
        if !after.is_empty() && !after.starts_with([' ', '\t']) {
            return None;
        }
        rest = after.trim_start_matches([' ', '\t']);
    }
    Some(pairs)
}

fn key_length(text: &str) -> usize {
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b'@' | b':');
    text.bytes().position(|byte| !is_key(byte)).unwrap_or(text.len())
}

fn value_of(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return (!value.contains('"')).then_some((Cow::Borrowed(value), after));
    };
    let stop = memchr::memchr2(b'"', b'\\', inner.as_bytes())?;
    if inner.as_bytes().get(stop) == Some(&b'"') {
        return Some((Cow::Borrowed(inner.get(..stop)?), inner.get(stop + 1..)?));
    }
    let (value, after) = crate::step::quoted(inner, '"')?;
    Some((Cow::Owned(value), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_logfmt_whole_or_not_at_all() {
        let pairs = logfmt_pairs(r#"a=1 b="x \"y\"" c d= e.f=g"#).expect("logfmt");
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, value.as_deref())).collect();
        let expected = [("a", Some("1")), ("b", Some("x \"y\"")), ("c", None), ("d", Some("")), ("e.f", Some("g"))];
        assert_eq!(pairs, expected);
        for text in ["plain words", "a=\"open", "a=1, b=2; (c)", "=x", "", "a=b\"c\""] {
            assert!(logfmt_pairs(text).is_none(), "{text}");
        }
    }
}
