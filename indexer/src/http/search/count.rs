//! `_count`.

use axum::extract::State;
use serde_json::{Value, json};

use super::{Asked, query_of, view};
use crate::http::Api;
use crate::http::answer::{self, Answer};
use crate::http::named::Call;
use crate::http::params::Params;
use crate::query::clause::Clause;
use crate::query::error::EsError;
use crate::query::execute;
use crate::query::limits::Allowance;
use crate::query::request::SearchRequest;
use crate::query::strict::Members;

pub(in crate::http) async fn count(State(api): State<Api>, mut call: Call) -> Answer {
    let asked = Asked::read(&mut call)?;
    let Call { mut params, body, .. } = call;
    let from_address = query_of(&mut params)?;
    let terminate_after = whole(&mut params, "terminate_after")?;
    let min_score = params.take("min_score").map(|text| {
        text.parse::<f32>().map_err(|_| EsError::argument(format!("[min_score] must be a number, not [{text}]")))
    });
    let min_score = min_score.transpose()?;
    params.end("/_count")?;
    let from_body = query_in(api.bodies.read_json(body).await?, "the count")?;
    let query = from_address.unwrap_or(from_body);
    let request = SearchRequest { query, size: 0, terminate_after, min_score, ..SearchRequest::default() };
    let shared = api.0.clone();
    let task = asked.begin(&api);
    let allowance = Allowance::new(None, task.cancel.clone());
    let found = api.searches.run(move || {
        let found = execute::count(&view(&shared, &asked)?, &request, &allowance)?;
        let total = found.hits.total.map_or(0, |total| total.value);
        let mut shown = json!({ "count": total, "_shards": found.shards });
        if let (Some(early), Some(map)) = (found.terminated_early, shown.as_object_mut()) {
            map.insert("terminated_early".to_owned(), early.into());
        }
        Ok(shown)
    });
    let found = found.await?;
    drop(task);
    Ok(answer::json(&found))
}

fn whole(params: &mut Params, key: &str) -> Result<Option<u64>, EsError> {
    let read = |text: String| {
        text.parse()
            .map_err(|_| EsError::argument(format!("Failed to parse int parameter [{key}] with value [{text}]")))
    };
    Ok(params.take(key).map(read).transpose()?.filter(|number| *number > 0))
}

/// The `query` of a body that has nothing else.
pub(super) fn query_in(body: Value, what: &str) -> Result<Clause, EsError> {
    if body.is_null() {
        return Ok(Clause::All);
    }
    let mut members = Members::new(body, what)?;
    let clause = members.take("query").map_or(Ok(Clause::All), Clause::from_dsl)?;
    members.end().map(|()| clause)
}
