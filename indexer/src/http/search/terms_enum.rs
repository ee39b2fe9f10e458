//! `_terms_enum`: values of a keyword field that begin with what somebody types.

use axum::extract::State;
use serde_json::json;

use super::{Asked, view};
use crate::http::Api;
use crate::http::answer::{self, Answer};
use crate::http::named::Call;
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::query::request;
use crate::query::strict::Members;
use crate::query::suggest::{Values, Wanted, values};

/// Values of one answer: Elasticsearch's bound.
const SIZE_MAX: i64 = 10_000;

pub(in crate::http) async fn terms_enum(State(api): State<Api>, mut call: Call) -> Answer {
    let asked = Asked { action: "indices:data/read/terms_enum", ..Asked::read(&mut call)? };
    let Call { params, body, .. } = call;
    params.end("/_terms_enum")?;
    let mut members = Members::new(api.bodies.read_json(body).await?, "[_terms_enum]")?;
    let field = members.string("field")?.ok_or_else(|| EsError::parsing("[_terms_enum] needs [field]"))?;
    let size = members.whole("size")?.unwrap_or(10);
    let timeout = members.string("timeout")?.map(|text| request::duration(&text)).transpose()?;
    let wanted = Wanted {
        field,
        prefix: members.string("string")?.unwrap_or_default(),
        after: members.string("search_after")?,
        any_case: members.boolean("case_insensitive")?.unwrap_or(false),
        size: usize::try_from(size.clamp(0, SIZE_MAX)).unwrap_or(0),
    };
    if members.take("index_filter").is_some_and(|filter| filter != json!({}) && filter.get("match_all").is_none()) {
        return Err(EsError::parsing("[_terms_enum] does not support [index_filter]"));
    }
    members.end()?;
    let shared = api.0.clone();
    let task = asked.begin(&api);
    // People wait for it while they type: Elasticsearch gives it a second.
    let allowance = Allowance::new(timeout.or(Some(std::time::Duration::from_secs(1))), task.cancel.clone());
    let found = api.searches.run(move || {
        let view = view(&shared, &asked)?;
        let Values { found, complete, shards } = values(&view, &wanted, &allowance)?;
        Ok(json!({ "_shards": shards, "terms": found, "complete": complete }))
    });
    let found = found.await?;
    drop(task);
    Ok(answer::json(&found))
}
