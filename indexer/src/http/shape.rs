//! What every response has: the product header that clients check, the media type that they asked in, the id that they
//! gave the request, and on demand only the members that `filter_path` names or line breaks for people (`pretty`).

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value};

use super::media;
use super::params::Params;
use crate::config::Identity;
use crate::query::error::EsError;

/// Tells clients that this is Elasticsearch's API; they refuse to go on without it.
const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");
/// Whatever a client wrote there comes back, so that it can tell answers apart.
const OPAQUE_ID: HeaderName = HeaderName::from_static("x-opaque-id");
/// Larger answers are sent as they are: nobody reads them by eye.
const RESHAPED_BYTES_MAX: usize = 512 << 20;

pub(super) async fn shape(State(identity): State<Identity>, request: Request, next: Next) -> Response {
    let opaque_id = request.headers().get(OPAQUE_ID).cloned();
    let mut params = Params::new(request.uri().query());
    let pretty = params.take("pretty").is_some_and(|value| value != "false");
    let paths = params.list("filter_path").unwrap_or_default();
    let has_body = !request.body().is_end_stream();
    let checked = format(&mut params).and_then(|()| media::check(request.headers(), has_body));
    let (mut response, label) = match checked {
        Ok(media) => (next.run(request).await, media.label),
        Err(error) => (error.into_response(), None),
    };
    // What is wrong is always told whole.
    let paths = if response.status().is_success() { paths } else { Vec::new() };
    if pretty || !paths.is_empty() {
        response = reshape(response, pretty, &paths).await;
    }
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let headers = response.headers_mut();
    if identity == Identity::Elasticsearch {
        headers.insert(PRODUCT, HeaderValue::from_static("Elasticsearch"));
    }
    if let Some(opaque_id) = opaque_id {
        headers.insert(OPAQUE_ID, opaque_id);
    }
    if let (true, Some(label)) = (is_json, label) {
        headers.insert(header::CONTENT_TYPE, label);
    }
    response
}

/// What has no body must not be called compressed: there are clients that unpack the nothing.
pub(super) async fn plain_head(mut request: Request) -> Request {
    if request.method() == Method::HEAD {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    request
}

/// Tables may be asked for as text; everything is to be had as JSON.
fn format(params: &mut Params) -> Result<(), EsError> {
    match params.take("format").as_deref() {
        None | Some("" | "json" | "text" | "txt") => Ok(()),
        Some(other) => Err(EsError::argument(format!(
            "the format [{other}] is not supported: leave [format] out, or set it to json"
        ))),
    }
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
    fn formats_that_are_not_spoken_are_refused() {
        assert!(format(&mut Params::new(Some("format=yaml"))).unwrap_err().reason.contains("[yaml]"));
        assert!(format(&mut Params::new(Some("format=json"))).is_ok());
    }
}
