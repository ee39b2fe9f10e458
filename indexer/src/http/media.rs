//! Media types: which bodies are read, and as what an answer is labelled. Only JSON is spoken here; who sends or wants
//! another format is told so, as Elasticsearch tells it.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::query::error::EsError;

/// Formats that Elasticsearch speaks and we do not.
const UNSPOKEN: [&str; 6] = [
    "application/yaml",
    "application/cbor",
    "application/smile",
    "application/vnd.elasticsearch+yaml",
    "application/vnd.elasticsearch+cbor",
    "application/vnd.elasticsearch+smile",
];

/// A media type and the version of the API that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MediaType {
    name: String,
    compatible_with: Option<String>,
}

impl MediaType {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let compatible_with = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case("compatible-with").then(|| value.trim().to_owned())
        });
        Self { name, compatible_with }
    }

    fn is_versioned(&self) -> bool {
        self.name.starts_with("application/vnd.elasticsearch+")
    }

    fn is_json(&self) -> bool {
        matches!(
            self.name.as_str(),
            "application/json"
                | "application/x-ndjson"
                | "application/vnd.elasticsearch+json"
                | "application/vnd.elasticsearch+x-ndjson"
        )
    }
}

/// What a request says of formats, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Media {
    /// The label of a JSON answer, where it is not the usual one.
    pub(super) label: Option<HeaderValue>,
}

/// Checks what a request brings and wants; `has_body` says that it brings something.
pub(super) fn check(headers: &HeaderMap, has_body: bool) -> Result<Media, EsError> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("(not text)"));
    // Where it was one of ours, the body is unpacked by now and the header gone.
    if let Some(encoding) = text(&header::CONTENT_ENCODING).filter(|encoding| has_body && *encoding != "identity") {
        let reason =
            format!("Content-Encoding header [{encoding}] is not supported: send gzip, zstd, or nothing of it");
        return Err(EsError::new(415, "media_type_header_exception", reason));
    }
    let content_type = text(&header::CONTENT_TYPE);
    if let Some(content_type) = content_type.filter(|_| has_body)
        && !MediaType::parse(content_type).is_json()
    {
        let reason = format!("Content-Type header [{content_type}] is not supported: send application/json");
        return Err(EsError::new(406, "media_type_header_exception", reason));
    }
    let accepted: Vec<MediaType> =
        text(&header::ACCEPT).into_iter().flat_map(|accept| accept.split(',')).map(MediaType::parse).collect();
    if let Some(wanted) =
        accepted.first().filter(|_| accepted.iter().all(|media| UNSPOKEN.contains(&media.name.as_str())))
    {
        let reason = format!("Accept header [{}] is not supported: answers are application/json", wanted.name);
        return Err(EsError::new(406, "media_type_header_exception", reason));
    }
    let sent = content_type.map(MediaType::parse);
    let versioned = accepted.into_iter().find(MediaType::is_versioned).map(|media| ("Accept", media));
    let versioned = versioned.or_else(|| sent.filter(MediaType::is_versioned).map(|media| ("Content-Type", media)));
    let Some((header, MediaType { compatible_with, .. })) = versioned else { return Ok(Media { label: None }) };
    match compatible_with.as_deref() {
        Some(version @ ("8" | "9")) => {
            let label = format!("application/vnd.elasticsearch+json;compatible-with={version}");
            Ok(Media { label: HeaderValue::from_str(&label).ok() })
        }
        None => Ok(Media { label: None }),
        Some(other) => {
            let reason = format!("{header} version must be either version 8 or 9, but found {other}");
            Err(EsError::new(400, "media_type_header_exception", reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(accept: Option<&'static str>, content_type: Option<&'static str>) -> Result<Option<String>, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::ACCEPT, accept), (header::CONTENT_TYPE, content_type)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        let media = check(&headers, content_type.is_some()).map_err(|error| error.status)?;
        Ok(media.label.map(|label| label.to_str().unwrap().to_owned()))
    }

    #[test]
    fn answers_are_labelled_as_they_are_asked_for() {
        const V8: &str = "application/vnd.elasticsearch+json; compatible-with=8";
        const LABEL: &str = "application/vnd.elasticsearch+json;compatible-with=";
        for (accept, content_type, label) in [
            (None, None, Ok(None)),
            (Some("application/json"), Some("application/json; charset=utf-8"), Ok(None)),
            (Some(V8), None, Ok(Some(format!("{LABEL}8")))),
            (None, Some("application/vnd.elasticsearch+x-ndjson;compatible-with=9"), Ok(Some(format!("{LABEL}9")))),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), None, Ok(None)),
            (Some("text/plain, application/json"), None, Ok(None)),
            (Some("application/vnd.elasticsearch+json;compatible-with=6"), None, Err(400)),
            (Some("application/yaml"), None, Err(406)),
            (Some("application/cbor, application/json"), None, Ok(None)),
            (None, Some("application/x-www-form-urlencoded"), Err(406)),
            (None, Some("text/plain"), Err(406)),
        ] {
            assert_eq!(checked(accept, content_type), label, "{accept:?} {content_type:?}");
        }
    }
}
