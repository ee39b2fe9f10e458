//! `_logmill/store`, `_logmill/verify`, `_logmill/repair`: what is on disk, whether it is whole, and mending it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{RawQuery, State};
use serde_json::json;

use super::Api;
use super::answer::{self, Answer};
use super::named::Indices;
use super::params::Params;
use super::tasks::{self, Task};
use crate::ingest::repair::{RepairError, repair as mend};
use crate::query::error::EsError;

/// `GET _logmill/store/<index>`: the splits of indexes.
pub(super) async fn store(State(api): State<Api>, Indices(index): Indices, query: RawQuery) -> Answer {
    Params::new(query.0.as_deref()).end("/_logmill/store")?;
    let chosen = api.store.view(&index, Some(&super::NO_PARTS))?;
    let found = blocking(move || Ok(api.store.inventory(|index| chosen.mappings.contains_key(index)))).await?;
    Ok(answer::json(&found))
}

/// `POST _logmill/verify/<index>`: reads every split and compares it with what was written.
pub(super) async fn verify(State(api): State<Api>, Indices(index): Indices, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let wait = params.flag("wait_for_completion")?.unwrap_or(true);
    params.end("/_logmill/verify")?;
    let chosen = api.store.view(&index, Some(&super::NO_PARTS))?;
    let work = move |api: Api, task: Arc<Task>| {
        blocking(move || {
            let wanted = |index: &str| chosen.mappings.contains_key(index);
            let found = api.store.verify(wanted, || !task.cancelled.load(Ordering::Relaxed));
            serde_json::to_value(found).map_err(EsError::internal)
        })
    };
    Ok(answer::json(&tasks::run(&api, "logmill:verify", format!("verify [{index}]"), wait, work).await?))
}

/// `POST _logmill/repair`: rebuilds what is damaged from the bus.
pub(super) async fn repair(State(api): State<Api>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let wait = params.flag("wait_for_completion")?.unwrap_or(true);
    params.end("/_logmill/repair")?;
    let work = move |api: Api, _| {
        blocking(move || {
            let repaired = mend(&api.store, &api.bus, &api.config.topic, api.config.fields_max)?;
            if api.store.damages().is_empty() {
                api.board.set_problem("damage", None);
                for number in 0..10 {
                    api.board.set_problem(&format!("damage-{number}"), None);
                }
            }
            Ok(json!({ "repaired": repaired }))
        })
    };
    Ok(answer::json(&tasks::run(&api, "logmill:repair", "repair".to_owned(), wait, work).await?))
}

impl From<RepairError> for EsError {
    fn from(error: RepairError) -> Self {
        let reason = format!("nothing was changed: {error}");
        match error {
            RepairError::Index(_) => Self::internal(reason),
            _ => Self::new(503, "unavailable_shards_exception", reason),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, EsError> + Send + 'static) -> Result<T, EsError> {
    tokio::task::spawn_blocking(work).await.map_err(EsError::internal)?
}
