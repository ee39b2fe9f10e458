//! `_forcemerge`: seals now what would be sealed when its time is over.

use axum::extract::{RawQuery, State};
use serde_json::json;

use super::Api;
use super::answer::{self, Answer};
use super::choice::Absent;
use super::named::Indices;
use super::params::Params;
use crate::query::error::EsError;
use crate::query::execute::Shards;
use crate::store::View;
use crate::store::names::Expand;
use crate::store::seal::Force;

/// Seals the chosen indexes, one after the other, and answers when that is done.
pub(super) async fn force_merge(State(api): State<Api>, Indices(index): Indices, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let absent = Absent::read(&mut params)?;
    let splits_max = match params.take("max_num_segments") {
        None => None,
        Some(text) => Some(text.parse().ok().filter(|number: &usize| *number > 0).ok_or_else(|| {
            EsError::argument(format!("Failed to parse value [{text}] for [max_num_segments]: must be at least 1"))
        })?),
    };
    let expunge_only = params.flag("only_expunge_deletes")?.unwrap_or(false);
    let waits = params.flag("wait_for_completion")?.unwrap_or(true);
    // Memory always goes to disk first: sealed is what is on disk.
    params.ignore(&["flush"]);
    let expand = params.expand(Expand::Visible)?;
    params.end("/{index}/_forcemerge")?;
    if splits_max.is_some() && expunge_only {
        return Err(EsError::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: cannot set only_expunge_deletes and max_num_segments at the same time, those two \
             parameters are mutually exclusive;",
        ));
    }
    if !waits {
        return Err(EsError::argument("[wait_for_completion=false] is not supported: there are no tasks to ask for"));
    }
    let ask = |expression: &str| api.store.view_expanding(expression, expand, Some(&super::NO_PARTS));
    let view = absent.choose(&index, ask, |view: &View| view.mappings.is_empty())?;
    let names: Vec<_> = view.mappings.keys().cloned().collect();
    let (store, force, total) = (api.store.clone(), Force { splits_max, expunge_only }, names.len());
    let work = move || names.iter().try_for_each(|name| store.force_merge(name, force).map(drop));
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => Ok(answer::json(&json!({ "_shards": Shards::of(total) }))),
        Ok(Err(error)) => Err(EsError::internal(format!("not everything is sealed: {error}"))),
        Err(error) => Err(EsError::internal(error.to_string())),
    }
}
