//! `_analyze`: into which words a text is cut. There are two ways here, and no others are pretended.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;
use crate::query::error::EsError;
use crate::query::strict::Members;
use crate::schema::{MESSAGE, text_analyzer};
use crate::store::registry::FieldType;

/// As `index.analyze.max_token_count` of Elasticsearch.
const TOKENS_MAX: usize = 10_000;

/// How a text is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Runs of letters and digits in lower case, as in `message`.
    Words,
    /// Not at all.
    Whole,
}

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/_analyze", get(analyze_any).post(analyze_any))
        .route("/{index}/_analyze", get(analyze_in).post(analyze_in))
}

async fn analyze_any(State(api): State<Api>, query: RawQuery, body: Body) -> Answer {
    analyze(&api, None, query, body).await
}

async fn analyze_in(State(api): State<Api>, Path(index): Path<String>, query: RawQuery, body: Body) -> Answer {
    analyze(&api, Some(&index), query, body).await
}

async fn analyze(api: &Api, index: Option<&str>, query: RawQuery, body: Body) -> Answer {
    Params::new(query.0.as_deref()).end("/_analyze")?;
    let body = api.bodies.read_json(body).await?;
    let mut members = Members::new(body, "[_analyze]")?;
    let texts = match members.take("text") {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => texts
            .into_iter()
            .map(|text| text.as_str().map(str::to_owned).ok_or_else(|| EsError::argument("[text] holds strings")))
            .collect::<Result<_, _>>()?,
        _ => return Err(EsError::argument("text is missing")),
    };
    let mut name = |key: &str| match members.take(key) {
        None => Ok(None),
        Some(Value::String(name)) => Ok(Some(name)),
        Some(_) => Err(EsError::argument(format!("[{key}] is a name: analyzers of one's own are not supported"))),
    };
    let (analyzer, tokenizer, field) = (name("analyzer")?, name("tokenizer")?, name("field")?);
    members.end()?;
    let cut = match (analyzer.as_deref().or(tokenizer.as_deref()), field) {
        (None, None) => Cut::Words,
        (Some("standard" | "default" | "simple"), _) if analyzer.is_some() => Cut::Words,
        (Some("keyword"), _) => Cut::Whole,
        (Some(other), _) => {
            return Err(EsError::argument(format!(
                "failed to find global analyzer or tokenizer [{other}]: there are [standard] and [keyword]"
            )));
        }
        (None, Some(field)) => cut_of(api, index, &field)?,
    };
    let tokens: Vec<Value> = tokens(&texts, cut)?;
    Ok(answer::json(&json!({ "tokens": tokens })))
}

fn cut_of(api: &Api, index: Option<&str>, field: &str) -> Result<Cut, EsError> {
    let Some(index) = index else {
        return Err(EsError::argument("analysis based on a specific field requires an index"));
    };
    if field == MESSAGE {
        return Ok(Cut::Words);
    }
    let view = api.store.view(index, Some(&super::NO_PARTS))?;
    let types = view.mappings.values().filter_map(|mapping| mapping.get(field));
    Ok(if types.into_iter().any(|field_type| *field_type == FieldType::Text) { Cut::Words } else { Cut::Whole })
}

fn tokens(texts: &[String], cut: Cut) -> Result<Vec<Value>, EsError> {
    // Between the texts of a list Elasticsearch leaves a gap, so that no phrase reaches across.
    const GAP: usize = 100;
    let (mut shown, mut position, mut offset) = (Vec::new(), 0, 0);
    for text in texts {
        match cut {
            Cut::Whole => {
                let end = offset + text.encode_utf16().count();
                shown.push(token(text, offset, end, "word", position));
                position += 1;
            }
            Cut::Words => {
                let mut analyzer = text_analyzer();
                let mut stream = analyzer.token_stream(text);
                let mut last = None;
                // Offsets count UTF-16 units, as in Java; each stretch of the text is counted once.
                let (mut bytes, mut units) = (0, 0);
                while let Some(word) = stream.next() {
                    let count = |range| text.get(range).map_or(0, |text: &str| text.encode_utf16().count());
                    units += count(bytes..word.offset_from);
                    let length = count(word.offset_from..word.offset_to);
                    let kind = if word.text.bytes().all(|byte| byte.is_ascii_digit()) { "<NUM>" } else { "<ALPHANUM>" };
                    shown.push(token(
                        &word.text,
                        offset + units,
                        offset + units + length,
                        kind,
                        position + word.position,
                    ));
                    if shown.len() > TOKENS_MAX {
                        return Err(EsError::argument(format!(
                            "The number of tokens produced by calling _analyze has exceeded the allowed maximum of [{TOKENS_MAX}]."
                        )));
                    }
                    (bytes, units) = (word.offset_to, units + length);
                    last = Some(word.position);
                }
                position += last.map_or(0, |last| last + 1);
            }
        }
        position += GAP;
        offset += text.encode_utf16().count() + 1;
    }
    Ok(shown)
}

fn token(text: &str, start: usize, end: usize, kind: &str, position: usize) -> Value {
    json!({ "token": text, "start_offset": start, "end_offset": end, "type": kind, "position": position })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(texts: &[&str], cut: Cut) -> Vec<(String, u64, u64, u64)> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let number = |token: &Value, key: &str| token[key].as_u64().unwrap();
        tokens(&texts, cut)
            .unwrap()
            .iter()
            .map(|token| {
                let text = token["token"].as_str().unwrap().to_owned();
                (text, number(token, "start_offset"), number(token, "end_offset"), number(token, "position"))
            })
            .collect()
    }

    #[test]
    fn words_have_offsets_in_the_units_of_java() {
        let expected = [("été", 0, 3, 0), ("x1", 7, 9, 1), ("b", 10, 11, 102)]
            .map(|(text, from, to, at)| (text.to_owned(), from, to, at));
        assert_eq!(cut(&["Été 🦀 X1", "b"], Cut::Words), expected);
        assert_eq!(cut(&["A b"], Cut::Whole), [("A b".to_owned(), 0, 3, 0)]);
        assert!(tokens(&["x ".repeat(TOKENS_MAX + 1)], Cut::Words).is_err());
    }
}
