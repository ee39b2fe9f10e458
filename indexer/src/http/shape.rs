//! What every response has: the product header that clients check, the media type that they asked in, and on demand
//! only the members that `filter_path` names or line breaks for people (`pretty`).

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value};

use super::params::Params;

const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");
/// Larger answers are sent as they are: nobody reads them by eye.
const RESHAPED_BYTES_MAX: usize = 512 << 20;

pub(super) async fn shape(request: Request, next: Next) -> Response {
    let mut params = Params::new(request.uri().query());
    let pretty = params.take("pretty").is_some_and(|value| value != "false");
    let paths = params.list("filter_path").unwrap_or_default();
    let media_type = media_type(request.headers());
    let mut response = next.run(request).await;
    if pretty || !paths.is_empty() {
        response = reshape(response, pretty, &paths).await;
    }
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let headers = response.headers_mut();
    headers.insert(PRODUCT, HeaderValue::from_static("Elasticsearch"));
    if let (true, Some(media_type)) = (is_json, media_type) {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    response
}

/// `application/vnd.elasticsearch+json;compatible-with=8` is answered in kind.
fn media_type(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get(header::ACCEPT).or_else(|| headers.get(header::CONTENT_TYPE))?.to_str().ok()?;
    if !asked.contains("vnd.elasticsearch+") {
        return None;
    }
    let version = asked.split("compatible-with=").nth(1).and_then(|rest| rest.chars().next())?;
    HeaderValue::from_str(&format!("application/vnd.elasticsearch+json;compatible-with={version}")).ok()
}

async fn reshape(response: Response, pretty: bool, paths: &[String]) -> Response {
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, RESHAPED_BYTES_MAX).await else {
        return Response::from_parts(head, Body::empty());
    };
    let Ok(value) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(head, Body::from(bytes));
    };
    let value = if paths.is_empty() { value } else { filtered(value, paths) };
    let written = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(written.unwrap_or_else(|_| bytes.to_vec())))
}

/// Keeps the members that the paths name: `hits.hits._id`, `items.*.error`, `**.buckets`, `-_shards`.
fn filtered(value: Value, paths: &[String]) -> Value {
    let split = |path: &str| -> Vec<String> { path.split('.').map(str::to_owned).collect() };
    let excluded: Vec<_> = paths.iter().filter_map(|path| path.strip_prefix('-')).map(split).collect();
    let included: Vec<_> = paths.iter().filter(|path| !path.starts_with('-')).map(|path| split(path)).collect();
    let value = if included.is_empty() { Some(value) } else { keep(value, &refs(&included)) };
    let value = value.unwrap_or_else(|| Value::Object(Map::new()));
    if excluded.is_empty() { value } else { without(value, &refs(&excluded)) }
}

fn refs(paths: &[Vec<String>]) -> Vec<&[String]> {
    paths.iter().map(Vec::as_slice).collect()
}

/// What remains of the paths one level further in; an empty rest says that everything below is meant.
fn below<'p>(paths: &[&'p [String]], key: &str) -> Vec<&'p [String]> {
    let mut rest = Vec::new();
    for path in paths {
        let Some((first, tail)) = path.split_first() else { continue };
        if first == "**" {
            rest.push(*path);
            rest.extend(below(&[tail], key));
        } else if Wildcard::new(first).matches(key) {
            rest.push(tail);
        }
    }
    rest
}

fn keep(value: Value, paths: &[&[String]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value);
    }
    match value {
        Value::Object(map) => {
            let kept: Map<String, Value> = map
                .into_iter()
                .filter_map(|(key, value)| {
                    let rest = below(paths, &key);
                    if rest.is_empty() { None } else { keep(value, &rest).map(|value| (key, value)) }
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept: Vec<Value> = items.into_iter().filter_map(|item| keep(item, paths)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

fn without(value: Value, paths: &[&[String]]) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter_map(|(key, value)| {
                let rest = below(paths, &key);
                let dropped = rest.iter().any(|path| path.is_empty());
                (!dropped).then(|| (key, without(value, &rest)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| without(item, paths)).collect()),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_choose_members() {
        let value = json!({"took": 1, "hits": {"total": 2, "hits": [{"_id": "a", "_source": {"x": 1}}, {"_id": "b"}]}, "errors": false});
        for (paths, expected) in [
            (vec!["hits.hits._id", "took"], json!({"took": 1, "hits": {"hits": [{"_id": "a"}, {"_id": "b"}]}})),
            (vec!["errors", "items.*.error"], json!({"errors": false})),
            (vec!["**.x"], json!({"hits": {"hits": [{"_source": {"x": 1}}]}})),
            (vec!["-hits.hits", "-took"], json!({"hits": {"total": 2}, "errors": false})),
            (vec!["nothing"], json!({})),
        ] {
            let paths: Vec<String> = paths.into_iter().map(str::to_owned).collect();
            assert_eq!(filtered(value.clone(), &paths), expected, "{paths:?}");
        }
    }

    #[test]
    fn media_types_are_answered_in_kind() {
        let headers = |text: &'static str| HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(text))]);
        let answered = media_type(&headers("application/vnd.elasticsearch+json; compatible-with=9"));
        assert_eq!(answered, Some(HeaderValue::from_static("application/vnd.elasticsearch+json;compatible-with=9")));
        assert_eq!(media_type(&headers("application/json")), None);
    }
}
