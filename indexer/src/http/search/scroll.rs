//! Scrolls: all pages of a search, one after the other, over what there was when it began.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Asked, going_on, invalid, written};
use crate::http::Api;
use crate::http::answer::{self, Answer};
use crate::http::named::Call;
use crate::http::params::Params;
use crate::query::error::EsError;
use crate::query::execute;
use crate::query::limits::Allowance;
use crate::query::request::{self, SearchRequest, TotalHits};
use crate::query::strict::Members;

/// What can't be scrolled.
pub(super) fn check(request: &SearchRequest) -> Result<(), EsError> {
    if request.from > 0 {
        return Err(invalid("using [from] is not allowed in a scroll context"));
    }
    if request.size == 0 {
        return Err(invalid("[size] cannot be [0] in a scroll context"));
    }
    if request.search_after.is_some() {
        return Err(invalid("`search_after` cannot be used in a scroll context."));
    }
    if request.collapse.is_some() {
        return Err(invalid("cannot use `collapse` in a scroll context"));
    }
    if request.terminate_after.is_some() {
        return Err(invalid("[terminate_after] cannot be used in a scroll context"));
    }
    if request.track_total != TotalHits::All {
        return Err(invalid("disabling [track_total_hits] is not allowed in a scroll context"));
    }
    Ok(())
}

/// The next page; the id may be in the address, its parameters, or the body.
pub(in crate::http) async fn next(State(api): State<Api>, id: Option<Path<String>>, mut call: Call) -> Answer {
    let asked = Asked { action: "indices:data/read/scroll", ..Asked::read(&mut call)? };
    let Call { mut params, body, .. } = call;
    let mut id = params.take("scroll_id").or(id.map(|Path(id)| id));
    let mut keep_alive = params.take("scroll");
    params.end("/_search/scroll")?;
    let body = api.bodies.read_json(body).await?;
    if !body.is_null() {
        let mut members = Members::new(body, "the scroll")?;
        id = members.string("scroll_id")?.or(id);
        keep_alive = members.string("scroll")?.or(keep_alive);
        members.end()?;
    }
    let id = id.ok_or_else(|| invalid("scrollId is missing"))?;
    let keep_alive = keep_alive.map(|text| request::duration(&text)).transpose()?;
    let shared = api.0.clone();
    let task = asked.begin(&api);
    let cancelled = task.cancel.clone();
    let found = api.searches.run(move || {
        let context = shared.contexts.get(&id, keep_alive).map_err(|error| error.in_phase("query"))?;
        let Some(request) = context.scroll else {
            return Err(EsError::argument("the id is of a point in time, not of a scroll"));
        };
        let allowance = Allowance::new(request.timeout, cancelled);
        let mut found = execute::search(&context.view, &request, &allowance)?;
        if found.timed_out {
            // Going on after hits of which some are missing would leave those out for good.
            return Err(EsError::new(504, "timeout_exception", "the page was not finished in time; ask for it again"));
        }
        if found.next.is_some() {
            shared.contexts.advance(&id, going_on(request.as_ref().clone(), &found));
        }
        found.scroll_id = Some(id);
        written(&found, &asked, &request)
    });
    let found = found.await?;
    drop(task);
    Ok(answer::json(&found))
}

/// Closes scrolls.
pub(in crate::http) async fn clear(
    State(api): State<Api>,
    id: Option<Path<String>>,
    query: RawQuery,
    body: Body,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let mut ids: Vec<String> = id.map(|Path(id)| id.split(',').map(str::to_owned).collect()).unwrap_or_default();
    ids.extend(params.list("scroll_id").unwrap_or_default());
    params.end("/_search/scroll")?;
    let body = api.bodies.read_json(body).await?;
    if !body.is_null() {
        let mut members = Members::new(body, "the request to clear scrolls")?;
        ids.extend(members.strings("scroll_id")?.unwrap_or_default());
        members.end()?;
    }
    if ids.is_empty() {
        return Err(invalid("no scroll ids specified"));
    }
    let freed = if ids.iter().any(|id| id == "_all") {
        return Ok(freed(api.contexts.close_all(true).len(), true));
    } else {
        ids.iter().filter(|id| api.contexts.close(id, true)).count()
    };
    Ok(self::freed(freed, false))
}

/// How many were closed; none at all is "not found", unless all were meant.
pub(super) fn freed(number: usize, all: bool) -> axum::response::Response {
    let status = if number == 0 && !all { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let shown: Value = json!({ "succeeded": true, "num_freed": number });
    answer::json_with(status, &shown)
}
