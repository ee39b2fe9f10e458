//! `_msearch`: several searches in one request, each answered for itself.

use std::time::Instant;

use axum::extract::State;
use futures::StreamExt;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Asked, millis, run};
use crate::http::Api;
use crate::http::answer::{self, Answer};
use crate::http::body::{self, SEARCH_BYTES_MAX};
use crate::http::named::Call;
use crate::http::params;
use crate::query::error::EsError;
use crate::query::request::SearchRequest;
use crate::query::strict::Members;

/// Searches of one request; Elasticsearch runs as many as it is sent.
const SEARCHES_MAX: usize = 1000;
/// How many of them run or wait for their turn at once: others want to search too.
const CONCURRENT_MAX: usize = 4;

#[derive(Serialize)]
struct Responses {
    took: u64,
    responses: Vec<Box<RawValue>>,
}

pub(in crate::http) async fn msearch(State(api): State<Api>, mut call: Call) -> Answer {
    let started = Instant::now();
    let asked = Asked { action: "indices:data/read/msearch", ..Asked::read(&mut call)? };
    let Call { mut params, body, .. } = call;
    let at_once = params.take("max_concurrent_searches").map(|text| match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number.min(CONCURRENT_MAX)),
        _ => Err(EsError::argument(format!("[max_concurrent_searches] must be a number above 0, not [{text}]"))),
    });
    let at_once = at_once.transpose()?.unwrap_or(CONCURRENT_MAX);
    params.end("/_msearch")?;
    let payload = api.bodies.read(body, SEARCH_BYTES_MAX).await?;
    let mut searches = Vec::new();
    for (header, body) in pairs(&payload.bytes)? {
        let own = header_of(header, &asked)?;
        searches.push((own, body::parse(body).and_then(SearchRequest::read)));
    }
    drop(payload);
    let api = &api;
    let one = |(asked, request): (Asked, Result<SearchRequest, EsError>)| async move {
        let found = match request {
            Ok(request) => run(api, asked, request).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => with_status(&found),
            Err(error) => serde_json::value::to_raw_value(&error.to_json()).map_err(EsError::internal),
        }
    };
    let responses: Vec<_> = futures::stream::iter(searches).map(one).buffered(at_once).collect().await;
    let responses = responses.into_iter().collect::<Result<_, _>>()?;
    Ok(answer::json(&Responses { took: millis(started), responses }))
}

/// The line of a header and that of its body.
type Pair<'b> = (&'b [u8], &'b [u8]);

/// Headers and bodies, line by line.
fn pairs(bytes: &[u8]) -> Result<Vec<Pair<'_>>, EsError> {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    // A line feed ends the last line: nothing follows it.
    let lines = match lines.split_last() {
        Some((last, rest)) if last.iter().all(u8::is_ascii_whitespace) => rest,
        _ => lines.as_slice(),
    };
    if lines.len() % 2 != 0 {
        return Err(EsError::argument(
            "The msearch request must be pairs of lines, a header and a body, terminated by a newline [\\n]",
        ));
    }
    if lines.is_empty() {
        return Err(super::invalid("no requests added"));
    }
    if lines.len() / 2 > SEARCHES_MAX {
        return Err(EsError::argument(format!("the msearch request has more than {SEARCHES_MAX} searches")));
    }
    Ok(lines.chunks_exact(2).filter_map(|pair| pair.first().copied().zip(pair.get(1).copied())).collect())
}

/// An answer with its status in it; as text, for answers are large.
fn with_status(found: &RawValue) -> Result<Box<RawValue>, EsError> {
    let members = found.get().strip_prefix('{').unwrap_or("}");
    RawValue::from_string(format!("{{\"status\":200,{members}")).map_err(EsError::internal)
}

fn header_of(line: &[u8], of_all: &Asked) -> Result<Asked, EsError> {
    let mut asked = of_all.clone();
    let value = body::parse(line)?;
    if value.is_null() {
        return Ok(asked);
    }
    let mut members = Members::new(value, "the header of a search")?;
    // Which copies are asked and how a cluster goes about it: there is one of each here, and results are not cached.
    members.ignore(&[
        "preference",
        "routing",
        "search_type",
        "request_cache",
        "ccs_minimize_roundtrips",
        "allow_partial_search_results",
        "max_concurrent_shard_requests",
    ]);
    let names = members.strings("index")?.or(members.strings("indices")?);
    if let Some(names) = names.filter(|names| !names.is_empty()) {
        asked.index = names.join(",");
    }
    asked.ignore_unavailable = members.boolean("ignore_unavailable")?.unwrap_or(asked.ignore_unavailable);
    asked.allow_no_indices = members.boolean("allow_no_indices")?.unwrap_or(asked.allow_no_indices);
    if let Some(words) = members.strings("expand_wildcards")? {
        asked.expand = params::expand(&words.join(","))?;
    }
    members.end().map(|()| asked)
}
