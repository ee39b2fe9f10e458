//! `_snapshot`: repositories, making snapshots, showing and deleting them, and restoring indexes from them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use jiff::Timestamp;
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;
use super::tasks::{self, Task};
use crate::query::error::EsError;
use crate::query::strict::Members;
use crate::store::Store;
use crate::store::manifest::Location;
use crate::store::objects::{Bucket, ObjectError};
use crate::store::snapshot::{Described, Repository, SnapshotError};

impl From<SnapshotError> for EsError {
    fn from(error: SnapshotError) -> Self {
        let reason = error.to_string();
        let (status, kind) = match error {
            SnapshotError::NoRepository(_) => (404, "repository_missing_exception"),
            SnapshotError::NoSnapshot { .. } => (404, "snapshot_missing_exception"),
            SnapshotError::Exists { .. } => (400, "invalid_snapshot_name_exception"),
            SnapshotError::Refused(_) => (400, "illegal_argument_exception"),
            SnapshotError::Busy => (503, "concurrent_snapshot_execution_exception"),
            SnapshotError::InTheWay(_) => (500, "snapshot_restore_exception"),
            SnapshotError::Cancelled => (400, "task_cancelled_exception"),
            SnapshotError::Objects(ObjectError::Refused(_)) => (400, "illegal_argument_exception"),
            SnapshotError::Objects(ObjectError::Cancelled) => (400, "task_cancelled_exception"),
            SnapshotError::Objects(ObjectError::Damaged(_)) => (500, "snapshot_exception"),
            SnapshotError::Objects(_) | SnapshotError::Absent(_) => (500, "repository_exception"),
            SnapshotError::Damaged(_) | SnapshotError::Split(_) => (500, "snapshot_exception"),
            SnapshotError::Io { .. } | SnapshotError::Flush(_) => (500, "repository_exception"),
        };
        Self::new(status, kind, reason)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, EsError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(EsError::internal)??)
}

/// `PUT _snapshot/<repository>`.
pub(super) async fn register(State(api): State<Api>, Path(name): Path<String>, query: RawQuery, body: Body) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    // A repository is tried out whenever it is registered.
    params.ignore(&["timeout", "verify"]);
    params.end("/_snapshot/{repository}")?;
    let mut members = Members::new(api.bodies.read_json(body).await?, "a repository")?;
    let kind = members.string("type")?.unwrap_or_default();
    let mut settings = Members::new(members.required("settings")?, "[settings] of a repository")?;
    let location = match kind.as_str() {
        "fs" => Location::Folder(needed(&mut settings, "location")?),
        "s3" => Location::Bucket(bucket(&mut settings)?),
        other => {
            let reason = format!("repository type [{other}] is not supported: [fs] and [s3] are");
            return Err(EsError::new(400, "repository_exception", format!("[{name}] {reason}")));
        }
    };
    // Files are compressed where that is worth it, and copied as fast as the disk goes.
    settings.ignore(&["compress", "chunk_size", "max_snapshot_bytes_per_sec", "max_restore_bytes_per_sec"]);
    settings.end()?;
    members.end()?;
    if name.is_empty() || name.contains([',', '*', '/', '#', ' ']) {
        return Err(EsError::argument(format!("[{name}] is no name for a repository")));
    }
    let (asked, is_remote) = (name.clone(), matches!(location, Location::Bucket(_)));
    let done = blocking(move || api.store.register_repository(&name, &location)).await;
    done.map_err(|error| match is_remote && error.status == 500 {
        true => EsError::new(500, "repository_verification_exception", format!("[{asked}] {}", error.reason)),
        false => error,
    })?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

fn needed(settings: &mut Members, name: &str) -> Result<String, EsError> {
    settings.string(name)?.ok_or_else(|| EsError::argument(format!("[settings] needs [{name}]")))
}

/// The settings of a repository on S3, as Elasticsearch has them. Credentials are none of them: those are of the
/// configuration.
fn bucket(settings: &mut Members) -> Result<Bucket, EsError> {
    let client = settings.string("client")?.unwrap_or_else(|| "default".to_owned());
    if client != "default" {
        return Err(EsError::argument(format!("Unknown s3 client name [{client}]: there is [default], indexer.s3")));
    }
    Ok(Bucket {
        bucket: needed(settings, "bucket")?,
        base_path: settings.string("base_path")?.unwrap_or_default(),
        endpoint: settings.string("endpoint")?,
        region: settings.string("region")?,
        path_style_access: settings.boolean("path_style_access")?,
    })
}

/// A repository as Elasticsearch shows it, whose settings are text.
fn repository(location: &Location) -> Value {
    match location {
        Location::Folder(path) => json!({ "type": "fs", "settings": { "location": path } }),
        Location::Bucket(bucket) => {
            let mut settings = Map::new();
            let by_path = bucket.path_style_access.map(|by_path| by_path.to_string());
            let base_path = (!bucket.base_path.is_empty()).then(|| bucket.base_path.clone());
            for (name, value) in [
                ("bucket", Some(bucket.bucket.clone())),
                ("base_path", base_path),
                ("endpoint", bucket.endpoint.clone()),
                ("region", bucket.region.clone()),
                ("path_style_access", by_path),
            ] {
                if let Some(value) = value {
                    settings.insert(name.to_owned(), value.into());
                }
            }
            json!({ "type": "s3", "settings": settings })
        }
    }
}

/// `GET _snapshot` and `GET _snapshot/<repository>`.
pub(super) async fn repositories(State(api): State<Api>, name: Option<Path<String>>, query: RawQuery) -> Answer {
    Params::new(query.0.as_deref()).end("/_snapshot")?;
    let asked = name.map_or_else(|| "_all".to_owned(), |name| name.0);
    let known = api.store.repositories();
    let mut shown = Map::new();
    for part in asked.split(',') {
        let pattern = Wildcard::new(if part == "_all" { "*" } else { part });
        let found: Vec<&Repository> = known.iter().filter(|known| pattern.matches(&known.name)).collect();
        if found.is_empty() && part != "_all" && !part.contains('*') {
            return Err(SnapshotError::NoRepository(part.to_owned()).into());
        }
        for known in found {
            shown.insert(known.name.clone(), repository(&known.location));
        }
    }
    Ok(answer::json(&Value::Object(shown)))
}

/// `DELETE _snapshot/<repository>`: its files stay.
pub(super) async fn unregister(State(api): State<Api>, Path(name): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout"]);
    params.end("/_snapshot/{repository}")?;
    blocking(move || api.store.forget_repository(&name)).await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

/// `PUT _snapshot/<repository>/<snapshot>`.
pub(super) async fn create(
    State(api): State<Api>,
    Path((repository, name)): Path<(String, String)>,
    query: RawQuery,
    body: Body,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let wait = params.flag("wait_for_completion")?.unwrap_or(false);
    params.end("/_snapshot/{repository}/{snapshot}")?;
    let body = api.bodies.read_json(body).await?;
    let mut members = Members::new(if body.is_null() { json!({}) } else { body }, "a snapshot")?;
    let indices = members.strings("indices")?.map(|names| names.join(","));
    let ignore_unavailable = members.boolean("ignore_unavailable")?.unwrap_or(false);
    let metadata = members.take("metadata").unwrap_or_default();
    // There is no state beside the indexes, and a snapshot is whole or none.
    members.ignore(&["include_global_state", "partial", "expand_wildcards", "feature_states"]);
    members.end()?;
    let chosen = match api.store.view(indices.as_deref().unwrap_or("_all"), Some(&super::NO_PARTS)) {
        Err(_) if ignore_unavailable => crate::store::View::default(),
        found => found?,
    };
    let place = api.store.repository(&repository)?;
    let action = "cluster:admin/snapshot/create";
    let description = format!("snapshot [{repository}:{name}]");
    let work = move |api: Api, task: Arc<Task>| async move {
        let made = blocking(move || {
            let wanted = |index: &str| chosen.mappings.contains_key(index);
            let go_on = || !task.cancelled.load(Ordering::Relaxed);
            api.store.create_snapshot(&place, &name, metadata, &wanted, &go_on)
        })
        .await?;
        tracing::info!(
            repository,
            snapshot = made.described.name,
            copied_splits = made.copied_splits,
            copied_bytes = made.copied_bytes,
            "a snapshot was made"
        );
        Ok(json!({ "snapshot": shown(&repository, &made.described) }))
    };
    let done = tasks::run(&api, action, description, wait, work).await?;
    Ok(answer::json(&if wait { done } else { json!({ "accepted": true }) }))
}

/// A snapshot as Elasticsearch shows it.
fn shown(repository: &str, described: &Described) -> Value {
    let time = |ms: i64| Timestamp::from_millisecond(ms).map(|at| at.to_string()).unwrap_or_default();
    let indices: Vec<&String> = described.indexes.keys().collect();
    let mut shown = json!({
        "snapshot": described.name,
        "uuid": described.uuid,
        "repository": repository,
        "version": described.program,
        "indices": indices,
        "data_streams": [],
        "include_global_state": false,
        "state": "SUCCESS",
        "start_time": time(described.started_ms),
        "start_time_in_millis": described.started_ms,
        "end_time": time(described.ended_ms),
        "end_time_in_millis": described.ended_ms,
        "duration_in_millis": described.ended_ms.saturating_sub(described.started_ms),
        "failures": [],
        "shards": { "total": indices.len(), "failed": 0, "successful": indices.len() },
        "feature_states": [],
    });
    if let (false, Some(map)) = (described.metadata.is_null(), shown.as_object_mut()) {
        map.insert("metadata".to_owned(), described.metadata.clone());
    }
    shown
}

/// The snapshots that an expression names.
fn chosen(store: &Store, repository: &str, expression: &str, lenient: bool) -> Result<Vec<Described>, SnapshotError> {
    let place = store.repository(repository)?;
    let names = place.names()?;
    let mut found = Vec::new();
    for part in expression.split(',') {
        let many = part == "_all" || part.contains('*');
        let pattern = Wildcard::new(if part == "_all" { "*" } else { part });
        for name in names.iter().filter(|name| many && pattern.matches(name)) {
            found.push(place.read(name)?);
        }
        if !many {
            match place.read(part) {
                Err(SnapshotError::NoSnapshot { .. }) if lenient => {}
                read => found.push(read?),
            }
        }
    }
    Ok(found)
}

/// `GET _snapshot/<repository>/<snapshot>`.
pub(super) async fn show(
    State(api): State<Api>,
    Path((repository, name)): Path<(String, String)>,
    query: RawQuery,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let lenient = params.flag("ignore_unavailable")?.unwrap_or(false);
    params.ignore(&["verbose", "index_names", "include_repository"]);
    params.end("/_snapshot/{repository}/{snapshot}")?;
    let (store, place) = (api.store.clone(), repository.clone());
    let found = blocking(move || chosen(&store, &place, &name, lenient)).await?;
    let snapshots: Vec<Value> = found.iter().map(|described| shown(&repository, described)).collect();
    let total = snapshots.len();
    Ok(answer::json(&json!({ "snapshots": snapshots, "total": total, "remaining": 0 })))
}

/// `GET _snapshot/<repository>/<snapshot>/_status`.
pub(super) async fn status(
    State(api): State<Api>,
    Path((repository, name)): Path<(String, String)>,
    query: RawQuery,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let lenient = params.flag("ignore_unavailable")?.unwrap_or(false);
    params.end("/_snapshot/{repository}/{snapshot}/_status")?;
    let (store, place) = (api.store.clone(), repository.clone());
    let found = blocking(move || chosen(&store, &place, &name, lenient)).await?;
    let one = |described: &Described| {
        let files = described.indexes.values().flat_map(|meta| meta.splits.values()).flat_map(|split| &split.files);
        let (count, bytes) = files.fold((0u64, 0u64), |(count, bytes), file| (count + 1, bytes + file.bytes));
        let total = described.indexes.len();
        json!({
            "snapshot": described.name, "repository": repository, "uuid": described.uuid, "state": "SUCCESS",
            "include_global_state": false,
            "shards_stats": { "initializing": 0, "started": 0, "finalizing": 0, "done": total, "failed": 0, "total": total },
            "stats": {
                "total": { "file_count": count, "size_in_bytes": bytes },
                "start_time_in_millis": described.started_ms,
                "time_in_millis": described.ended_ms.saturating_sub(described.started_ms),
            },
        })
    };
    Ok(answer::json(&json!({ "snapshots": found.iter().map(one).collect::<Vec<_>>() })))
}

/// `DELETE _snapshot/<repository>/<snapshot>`.
pub(super) async fn delete(
    State(api): State<Api>,
    Path((repository, name)): Path<(String, String)>,
    query: RawQuery,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["wait_for_completion"]);
    params.end("/_snapshot/{repository}/{snapshot}")?;
    let done = blocking(move || {
        let place = api.store.repository(&repository)?;
        name.split(',').try_for_each(|name| api.store.delete_snapshot(&place, name))
    });
    done.await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

/// `POST _snapshot/<repository>/<snapshot>/_restore`.
pub(super) async fn restore(
    State(api): State<Api>,
    Path((repository, name)): Path<(String, String)>,
    query: RawQuery,
    body: Body,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let wait = params.flag("wait_for_completion")?.unwrap_or(false);
    params.end("/_snapshot/{repository}/{snapshot}/_restore")?;
    let body = api.bodies.read_json(body).await?;
    let mut members = Members::new(if body.is_null() { json!({}) } else { body }, "a restore")?;
    let indices = members.strings("indices")?.map(|names| names.join(",")).unwrap_or_else(|| "_all".to_owned());
    let rename = Rename::read(members.string("rename_pattern")?, members.string("rename_replacement")?)?;
    let ignore_unavailable = members.boolean("ignore_unavailable")?.unwrap_or(false);
    members.ignore(&["include_global_state", "include_aliases", "partial", "feature_states", "expand_wildcards"]);
    members.end()?;
    let (store, place, asked) = (api.store.clone(), api.store.repository(&repository)?, name.clone());
    let described = tokio::task::spawn_blocking(move || place.read(&asked)).await.map_err(EsError::internal)??;
    let known = described.indexes.keys().map(String::as_str);
    let wanted = match crate::store::names::select(&indices, &known) {
        Err(_) if ignore_unavailable => Vec::new(),
        found => found?,
    };
    let wanted: Vec<(String, String)> = wanted.into_iter().map(|from| (from.to_owned(), rename.apply(from))).collect();
    store.check_names(&wanted)?;
    let place = store.repository(&repository)?;
    let work = move |api: Api, task: Arc<Task>| async move {
        let restored = blocking(move || {
            let go_on = || !task.cancelled.load(Ordering::Relaxed);
            api.store.restore_snapshot(&place, &described, &wanted, &go_on)
        })
        .await?;
        tracing::info!(repository, snapshot = name, ?restored, "a snapshot was restored");
        let shards = restored.indexes.len();
        let shards = json!({ "total": shards, "failed": 0, "successful": shards });
        Ok(json!({ "snapshot": { "snapshot": name, "indices": restored.indexes, "shards": shards } }))
    };
    let done = tasks::run(&api, "cluster:admin/snapshot/restore", "restore".to_owned(), wait, work).await?;
    Ok(answer::json(&if wait { done } else { json!({ "accepted": true }) }))
}

/// New names for restored indexes.
struct Rename(Option<(regex::Regex, String)>);

impl Rename {
    fn read(pattern: Option<String>, replacement: Option<String>) -> Result<Self, EsError> {
        let (Some(pattern), Some(replacement)) = (pattern, replacement) else { return Ok(Self(None)) };
        let pattern = regex::RegexBuilder::new(&pattern).size_limit(1 << 20).build();
        let pattern = pattern
            .map_err(|error| EsError::argument(format!("[rename_pattern] is no regular expression: {error}")))?;
        // Java's `$1x` is the first group and an x.
        let mut braced = String::new();
        let mut letters = replacement.chars().peekable();
        while let Some(letter) = letters.next() {
            braced.push(letter);
            if letter == '$' && letters.peek().is_some_and(char::is_ascii_digit) {
                braced.push('{');
                braced.extend(letters.next());
                braced.push('}');
            }
        }
        Ok(Self(Some((pattern, braced))))
    }

    fn apply(&self, name: &str) -> String {
        match &self.0 {
            None => name.to_owned(),
            Some((pattern, replacement)) => pattern.replace_all(name, replacement.as_str()).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_as_in_java() {
        let rename = |pattern: &str, replacement: &str, name: &str| {
            Rename::read(Some(pattern.into()), Some(replacement.into())).unwrap().apply(name)
        };
        assert_eq!(rename("logs-(.+)", "restored-$1x", "logs-a"), "restored-ax");
        assert_eq!(rename("(.+)", "$1-old", "logs"), "logs-old");
        assert_eq!(Rename::read(None, Some("x".into())).unwrap().apply("logs"), "logs");
        assert!(Rename::read(Some("(".into()), Some("x".into())).is_err());
    }
}
