//! Lifecycle policies. Rollover is implicit here, and there is one kind of disk: what acts of a policy is its delete
//! phase, whose `min_age` becomes how long the events of an index are kept. Other phases are kept and shown.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;
use crate::query::error::EsError;
use crate::query::strict::Members;
use crate::store::directory::{Directory, ENTRIES_MAX, Policy, duration_ms};
use crate::store::facts::{Facts, backing_name};
use crate::store::names::Expand;
use crate::store::settings::LIFECYCLE_NAME;

const PHASES: [&str; 5] = ["hot", "warm", "cold", "frozen", "delete"];

pub(super) async fn get_all(state: State<Api>) -> Answer {
    get(state, Path("*".to_owned())).await
}

pub(super) async fn get(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    let directory = api.store.directory();
    let mut shown = Map::new();
    for wanted in name.split(',') {
        let pattern = Wildcard::new(wanted);
        let found: Vec<_> = directory.policies.iter().filter(|(known, _)| pattern.matches(known)).collect();
        if found.is_empty() && !wanted.contains('*') {
            return Err(not_found(wanted));
        }
        shown.extend(
            found.into_iter().map(|(name, policy)| (name.clone(), shown_policy(&api, &directory, name, policy))),
        );
    }
    Ok(answer::json(&Value::Object(shown)))
}

fn not_found(name: &str) -> EsError {
    EsError::new(404, "resource_not_found_exception", format!("Lifecycle policy not found: {name}"))
}

fn shown_policy(api: &Api, directory: &Directory, name: &str, policy: &Policy) -> Value {
    let using: Vec<_> = api.store.facts("_all").unwrap_or_default();
    let using = using.iter().filter(|index| index.facts.settings.get(LIFECYCLE_NAME) == Some(name));
    let (streams, indices): (Vec<_>, Vec<_>) = using.partition(|index| index.facts.data_stream.is_some());
    let names =
        |list: Vec<&crate::store::IndexFacts>| list.iter().map(|index| index.name.to_string()).collect::<Vec<_>>();
    let templates: Vec<&String> = directory
        .index_templates
        .iter()
        .filter(|(_, template)| {
            directory.composed(template).is_ok_and(|body| body.settings.get(LIFECYCLE_NAME) == Some(name))
        })
        .map(|(name, _)| name)
        .collect();
    let modified = jiff::Timestamp::from_millisecond(policy.modified_ms).unwrap_or_default();
    json!({
        "version": policy.version,
        "modified_date": format!("{modified:.3}"),
        "policy": policy.policy,
        "in_use_by": { "indices": names(indices), "data_streams": names(streams), "composable_templates": templates },
    })
}

pub(super) async fn put(State(api): State<Api>, Path(name): Path<String>, query: RawQuery, body: Body) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout"]);
    params.end("/_ilm/policy")?;
    let mut members = Members::new(api.bodies.read_json(body).await?, "[put_lifecycle]")?;
    let policy = members.required("policy")?;
    members.end()?;
    let delete_after_ms = delete_after(&policy)?;
    super::changing(&api, move |store| {
        store.amend_directory(|directory, _| {
            if directory.policies.len() >= ENTRIES_MAX {
                return Err(EsError::argument(format!("there are {ENTRIES_MAX} policies already; delete some")));
            }
            let version = directory.policies.get(&name).map_or(1, |known| known.version + 1);
            let modified_ms = jiff::Timestamp::now().as_millisecond();
            directory.policies.insert(name, Policy { version, modified_ms, policy, delete_after_ms });
            Ok(())
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

/// When a policy deletes, in milliseconds; checks the phases on the way.
fn delete_after(policy: &Value) -> Result<Option<u64>, EsError> {
    let mut members = Members::new(policy.clone(), "[policy]")?;
    members.ignore(&["_meta", "deprecated"]);
    let phases = members.take("phases").unwrap_or_else(|| json!({}));
    members.end()?;
    let Value::Object(phases) = phases else { return Err(EsError::parsing("[phases] must be an object")) };
    let mut after = None;
    for (name, phase) in phases {
        if !PHASES.contains(&name.as_str()) {
            return Err(EsError::argument(format!("Timeseries lifecycle does not support phase [{name}]")));
        }
        let mut phase = Members::new(phase, format!("[{name}]"))?;
        let min_age = phase.string("min_age")?.unwrap_or_else(|| "0ms".to_owned());
        let min_age_ms = duration_ms(&min_age).ok_or_else(|| {
            EsError::argument(format!("[min_age] of phase [{name}] can't be [{min_age}]: a time like 30d"))
        })?;
        let actions = phase.take("actions").unwrap_or_else(|| json!({}));
        phase.end()?;
        let deletes = actions.as_object().is_some_and(|actions| actions.contains_key("delete"));
        if name == "delete" && deletes {
            after = Some(min_age_ms);
        }
    }
    Ok(after)
}

pub(super) async fn delete(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    super::changing(&api, move |store| {
        store.amend_directory(|directory, catalog| {
            let user =
                catalog.indexes.iter().find(|(_, state)| state.facts.settings.get(LIFECYCLE_NAME) == Some(&name));
            if let Some((index, _)) = user {
                let reason = format!("Cannot delete policy [{name}]. It is in use by one or more indices: [{index}]");
                return Err(EsError::argument(reason));
            }
            directory.policies.remove(&name).map(drop).ok_or_else(|| not_found(&name))
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

pub(super) async fn status() -> Answer {
    Ok(answer::json(&json!({ "operation_mode": "RUNNING" })))
}

/// `<index>/_ilm/explain`.
pub(super) async fn explain(State(api): State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["only_errors"]);
    let only_managed = params.flag("only_managed")?.unwrap_or(false);
    let found = super::chosen_facts(&api, &index, Expand::Visible, &mut params)?;
    params.end("/_ilm/explain")?;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let mut shown = Map::new();
    for index in found {
        let name = match index.facts.data_stream {
            Some(_) => backing_name(&index.name, index.created_ms),
            None => index.name.to_string(),
        };
        let Some(policy) = index.facts.settings.get(LIFECYCLE_NAME) else {
            if !only_managed {
                shown.insert(name.clone(), json!({ "index": name, "managed": false }));
            }
            continue;
        };
        let since_ms = index.created_ms;
        let age_days = (now_ms - since_ms) as f64 / 86_400_000.0;
        // Events are written to it for as long as it is there, so it is always hot; old events leave it one by one.
        let mut one = json!({ "index": name, "managed": true, "policy": policy, "index_creation_date_millis": since_ms,
            "time_since_index_creation": format!("{age_days:.2}d"), "lifecycle_date_millis": since_ms, "age": format!("{age_days:.2}d"),
            "phase": "hot", "phase_time_millis": since_ms, "action": "complete", "action_time_millis": since_ms,
            "step": "complete", "step_time_millis": since_ms });
        let known = api.store.directory().policies.get(policy).map(|policy| policy.version);
        if let Some(one) = one.as_object_mut() {
            match known {
                Some(version) => one.extend([(
                    "phase_execution".to_owned(),
                    json!({ "policy": policy, "version": version, "modified_date_in_millis": since_ms }),
                )]),
                None => one.extend([
                    ("step".to_owned(), "ERROR".into()),
                    ("step_info".to_owned(), json!({ "type": "illegal_argument_exception", "reason": format!("policy [{policy}] does not exist") })),
                ]),
            }
        }
        shown.insert(name, one);
    }
    Ok(answer::json(&json!({ "indices": shown })))
}

/// `<index>/_ilm/remove`.
pub(super) async fn remove(State(api): State<Api>, Path(index): Path<String>) -> Answer {
    super::changing(&api, move |store| {
        store.amend(|catalog| {
            let mut changed = std::collections::BTreeMap::new();
            for name in catalog.resolve(&index)? {
                if let Some(state) = catalog.indexes.get(name) {
                    let mut facts = Facts::clone(&state.facts);
                    facts.settings.remove(LIFECYCLE_NAME);
                    changed.insert(name.clone(), facts);
                }
            }
            Ok::<_, EsError>(changed)
        })
    })
    .await?;
    Ok(answer::json(&json!({ "has_failures": false, "failed_indexes": [] })))
}
