//! `_validate/query`: whether a query can be understood, and why not.

use axum::extract::State;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::count::query_in;
use super::{Asked, query_of, view};
use crate::http::Api;
use crate::http::answer::{self, Answer};
use crate::http::named::Call;
use crate::query::answer::Shards;
use crate::query::clause::Clause;
use crate::query::compile;
use crate::query::error::EsError;

pub(in crate::http) async fn validate(State(api): State<Api>, mut call: Call) -> Answer {
    let asked = Asked::read(&mut call)?;
    let Call { mut params, body, .. } = call;
    // `rewrite` asks for the query as it is run, which `explain` shows here too; there is one shard of each index.
    let explain = params.flag("explain")?.unwrap_or(false) | params.flag("rewrite")?.unwrap_or(false);
    params.ignore(&["all_shards"]);
    let body = api.bodies.read_json(body).await?;
    let read = query_of(&mut params).and_then(|clause| clause.map_or_else(|| query_in(body, "the request"), Ok));
    params.end("/_validate/query")?;
    let view = view(&api, &asked)?;
    let now = Timestamp::now();
    let check = |clause: &Clause, index: &str| -> Result<String, EsError> {
        let mapping = view.mappings.get(index).cloned().unwrap_or_default();
        let compiled = compile::compile(clause, compile::Target { index, mapping: &mapping, now })?;
        Ok(format!("{compiled:?}").chars().take(EXPLANATION_LETTERS_MAX).collect())
    };
    let mut explanations: Vec<Value> = Vec::new();
    let mut failure = read.as_ref().err().cloned();
    if let Ok(clause) = &read {
        for index in view.mappings.keys() {
            match check(clause, index) {
                Ok(text) => explanations.push(json!({ "index": index.as_ref(), "valid": true, "explanation": text })),
                Err(error) => {
                    let text = error.to_string();
                    explanations.push(json!({ "index": index.as_ref(), "valid": false, "error": text }));
                    failure = Some(error);
                }
            }
        }
    }
    let mut shown = json!({ "_shards": Shards::of(1), "valid": failure.is_none() });
    if let (true, Some(map)) = (explain, shown.as_object_mut()) {
        if let Some(error) = failure {
            map.insert("error".to_owned(), error.to_string().into());
        }
        if !explanations.is_empty() {
            map.insert("explanations".to_owned(), explanations.into());
        }
    }
    Ok(answer::json(&shown))
}

/// A compiled query may be long; whoever reads it wants its beginning.
const EXPLANATION_LETTERS_MAX: usize = 10_000;
