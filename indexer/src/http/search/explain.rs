//! `_explain`: whether and why one document matches, and how its score comes about.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::count::query_in;
use super::{Asked, query_of, view};
use crate::http::Api;
use crate::http::answer::{self, Answer};
use crate::http::named::Call;
use crate::query::explain::explain as of_document;
use crate::query::limits::Allowance;

pub(in crate::http) async fn explain(
    State(api): State<Api>,
    Path((index, id)): Path<(String, String)>,
    mut call: Call,
) -> Answer {
    let asked = Asked { action: "indices:data/read/explain", ..Asked::read(&mut call)? };
    let Call { mut params, body, .. } = call;
    let from_address = query_of(&mut params)?;
    params.end("/_explain/{id}")?;
    let from_body = query_in(api.bodies.read_json(body).await?, "the request")?;
    let clause = from_address.unwrap_or(from_body);
    let shared = api.0.clone();
    let task = asked.begin(&api);
    let allowance = Allowance::new(None, task.cancel.clone());
    let name = id.clone();
    let found = api.searches.run(move || of_document(&view(&shared, &asked)?, &clause, &name, &allowance));
    let found = found.await.map_err(|error| error.in_phase("query"))?;
    drop(task);
    match found {
        None => Ok(answer::json_with(StatusCode::NOT_FOUND, &json!({ "_index": index, "_id": id, "matched": false }))),
        Some((index, None)) => {
            let nothing = json!({ "value": 0.0, "description": "no matching clause", "details": [] });
            Ok(answer::json(&json!({ "_index": index.as_ref(), "_id": id, "matched": false, "explanation": nothing })))
        }
        Some((index, Some(explanation))) => Ok(answer::json(
            &json!({ "_index": index.as_ref(), "_id": id, "matched": true, "explanation": with_details(&explanation) }),
        )),
    }
}

/// Every level of an explanation has details, if only none.
fn with_details(explanation: &Value) -> Value {
    let value = explanation.get("value").cloned().unwrap_or_default();
    let description = explanation.get("description").cloned().unwrap_or_default();
    let details = explanation.get("details").and_then(Value::as_array);
    let details: Vec<Value> = details.into_iter().flatten().map(with_details).collect();
    json!({ "value": value, "description": description, "details": details })
}
