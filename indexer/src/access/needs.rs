//! What a request needs, by its method and path alone, or by its body where that names the indexes. What is not known
//! here needs the most, so that an endpoint that somebody adds is not open by mistake.

use axum::http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::settings::Privilege;
use super::settings::Privilege::{Manage, Read, Write};

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// To be known is enough.
    Login,
    /// A right on all that an expression means.
    On(Privilege, String),
    /// A right on one of two: whoever writes may also wait for it.
    ReadOrWrite(String),
    /// A right on some index: what is asked for goes by an id that only its maker was told.
    Somewhere(Privilege),
    /// A right on the indexes that the body names; where it names none, on these.
    InBody(Bodies, Option<String>),
}

/// How a body names indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    Bulk,
    Msearch,
    Mget,
    /// A point in time in place of an index.
    Search,
}

impl Bodies {
    pub(super) const fn privilege(self) -> Privilege {
        match self {
            Self::Bulk => Write,
            Self::Msearch | Self::Mget | Self::Search => Read,
        }
    }
}

/// Endpoints behind an index that only look.
const READING: [&str; 16] = [
    "_search",
    "_count",
    "_field_caps",
    "_validate",
    "_mapping",
    "_mappings",
    "_settings",
    "_alias",
    "_aliases",
    "_source",
    "_stats",
    "_segments",
    "_analyze",
    "_async_search",
    "_pit",
    "_explain",
];
/// Endpoints behind an index that only look when nothing but looking is asked for by the method.
const READING_BY_GET: [&str; 5] = ["_mapping", "_mappings", "_settings", "_alias", "_aliases"];
const WRITING: [&str; 5] = ["_create", "_update", "_update_by_query", "_delete_by_query", "_doc"];

/// What a request of this method and path needs.
pub(super) fn need(method: &Method, path: &str) -> Need {
    let segments: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(logmill_indexer_api::percent::decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let looks = matches!(*method, Method::GET | Method::HEAD);
    match segments.split_first() {
        None => Need::Login,
        Some((first, rest)) if first.starts_with('_') && *first != "_all" => of_cluster(first, rest, looks),
        Some((index, rest)) => of_index(index, rest, looks),
    }
}

fn of_index(index: &str, rest: &[&str], looks: bool) -> Need {
    let on = |privilege| Need::On(privilege, index.to_owned());
    match rest.first().copied() {
        None => on(if looks { Read } else { Manage }),
        Some("_bulk") => Need::InBody(Bodies::Bulk, Some(index.to_owned())),
        Some("_msearch") => Need::InBody(Bodies::Msearch, Some(index.to_owned())),
        Some("_mget") => Need::InBody(Bodies::Mget, Some(index.to_owned())),
        Some("_refresh" | "_flush") => Need::ReadOrWrite(index.to_owned()),
        Some("_doc") if looks => on(Read),
        Some(verb) if WRITING.contains(&verb) => on(Write),
        Some(verb) if READING_BY_GET.contains(&verb) && !looks => on(Manage),
        Some(verb) if READING.contains(&verb) => on(Read),
        Some(_) => on(if looks { Read } else { Manage }),
    }
}

fn of_cluster(first: &str, rest: &[&str], looks: bool) -> Need {
    let all = |privilege| Need::On(privilege, "*".to_owned());
    let second = rest.first().copied();
    let named = |at: usize, privilege| Need::On(privilege, rest.get(at).map_or("*", |name| *name).to_owned());
    match (first, second) {
        ("_bulk", _) => Need::InBody(Bodies::Bulk, None),
        ("_msearch", _) => Need::InBody(Bodies::Msearch, None),
        ("_mget", _) => Need::InBody(Bodies::Mget, None),
        ("_search", None) => Need::InBody(Bodies::Search, None),
        ("_search", Some("scroll")) | ("_pit", _) => Need::Somewhere(Read),
        ("_async_search", Some(_)) => Need::Somewhere(Read),
        ("_search" | "_count" | "_validate" | "_field_caps" | "_async_search", _) => all(Read),
        ("_refresh" | "_flush", _) => Need::ReadOrWrite("*".to_owned()),
        ("_analyze" | "_security", _) => Need::Login,
        ("_cluster", Some("health")) if looks => Need::Login,
        ("_cluster", Some("pending_tasks" | "settings")) if looks => Need::Login,
        ("_nodes" | "_license" | "_xpack" | "_logmill", _) if looks && second != Some("store") => Need::Login,
        // What shippers look for before they send.
        ("_ilm" | "_index_template" | "_component_template" | "_template" | "_ingest", _) if looks => Need::Login,
        ("_cat", None | Some("health" | "nodes" | "master" | "cluster_manager" | "plugins" | "pending_tasks"))
            if looks =>
        {
            Need::Login
        }
        ("_cat", _) if looks => named(1, Read),
        ("_resolve", Some("index")) if looks => named(1, Read),
        ("_data_stream", _) => named(0, if looks { Read } else { Manage }),
        _ => all(if looks { Read } else { Manage }),
    }
}

/// The indexes that a body names; `default` stands where it names none. `None` says that the body can't be read: then the
/// handler says what is wrong with it, and nothing is done.
pub(super) fn targets(bodies: Bodies, body: &[u8], default: Option<&str>) -> Option<Vec<String>> {
    let or_default =
        |named: Option<String>| named.or_else(|| default.map(str::to_owned)).unwrap_or_else(|| "*".to_owned());
    match bodies {
        Bodies::Bulk => bulk_targets(body).map(|named| distinct(named.into_iter().map(or_default))),
        Bodies::Msearch => {
            let mut lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
            let is_blank = |line: &[u8]| line.iter().all(u8::is_ascii_whitespace);
            // A line feed ends the last line: nothing follows it.
            lines.pop_if(|last| is_blank(last));
            let mut named = Vec::new();
            for head in lines.into_iter().step_by(2) {
                // A blank head stands for the indexes of the path.
                if is_blank(head) {
                    named.push(or_default(None));
                    continue;
                }
                let head: Value = serde_json::from_slice(head).ok()?;
                let both = [index_of(&head, "index")?, index_of(&head, "indices")?];
                let is_default = both.iter().all(Option::is_none);
                named.extend(both.into_iter().flatten());
                named.extend(is_default.then(|| or_default(None)));
            }
            Some(distinct(named.into_iter()))
        }
        Bodies::Mget => {
            let body: Value = serde_json::from_slice(body).ok()?;
            let docs = body.get("docs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let name = |doc: &Value| match doc.get("_index") {
                None | Some(Value::Null) => None,
                Some(Value::String(name)) => Some(name.clone()),
                Some(other) => Some(other.to_string()),
            };
            let named: Vec<_> = docs.iter().map(name).collect();
            let with_ids = body.get("ids").is_some().then_some(None);
            Some(distinct(named.into_iter().chain(with_ids).map(or_default)))
        }
        Bodies::Search => {
            if body.iter().all(u8::is_ascii_whitespace) {
                return Some(vec![or_default(None)]);
            }
            let body: Value = serde_json::from_slice(body).ok()?;
            // The view was opened by somebody who could.
            Some(if body.get("pit").is_some_and(Value::is_object) { Vec::new() } else { vec![or_default(None)] })
        }
    }
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: std::collections::BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

/// An index in the head of a search: a name, or a list of names.
fn index_of(head: &Value, key: &str) -> Option<Option<String>> {
    match head.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(name)) => Some(Some(name.clone())),
        Some(Value::Array(names)) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            Some(Some(names?.join(",")))
        }
        Some(_) => None,
    }
}

#[derive(Deserialize)]
struct Target {
    #[serde(rename = "_index")]
    index: Option<String>,
}

fn bulk_targets(body: &[u8]) -> Option<Vec<Option<String>>> {
    let mut named = Vec::new();
    let mut lines = body.split(|byte| *byte == b'\n');
    while let Some(line) = lines.next() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let action: std::collections::HashMap<String, Target> = serde_json::from_slice(line).ok()?;
        if action.len() > 1 {
            return None;
        }
        let (op, target) = action.into_iter().next()?;
        named.push(target.index);
        if op != "delete" {
            lines.next();
        }
    }
    Some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_need_what_they_do() {
        let on = |privilege, index: &str| Need::On(privilege, index.to_owned());
        for (method, path, expected) in [
            (Method::GET, "/", Need::Login),
            (Method::HEAD, "/", Need::Login),
            (Method::POST, "/logs-a/_search", on(Read, "logs-a")),
            (Method::POST, "/logs%2Da,b/_search", on(Read, "logs-a,b")),
            (Method::POST, "/_all/_count", on(Read, "_all")),
            (Method::PUT, "/logs-a", on(Manage, "logs-a")),
            (Method::DELETE, "/logs-a", on(Manage, "logs-a")),
            (Method::GET, "/logs-a/_doc/1", on(Read, "logs-a")),
            (Method::DELETE, "/logs-a/_doc/1", on(Write, "logs-a")),
            (Method::PUT, "/logs-a/_mapping", on(Manage, "logs-a")),
            (Method::GET, "/logs-a/_mapping", on(Read, "logs-a")),
            (Method::POST, "/logs-a/_bulk", Need::InBody(Bodies::Bulk, Some("logs-a".into()))),
            (Method::POST, "/_bulk", Need::InBody(Bodies::Bulk, None)),
            (Method::POST, "/_search", Need::InBody(Bodies::Search, None)),
            (Method::POST, "/_search/scroll", Need::Somewhere(Read)),
            (Method::DELETE, "/_pit", Need::Somewhere(Read)),
            (Method::HEAD, "/_index_template/filebeat", Need::Login),
            (Method::PUT, "/_index_template/filebeat", on(Manage, "*")),
            (Method::GET, "/_cat/indices/logs-a", on(Read, "logs-a")),
            (Method::GET, "/_cat/indices", on(Read, "*")),
            (Method::GET, "/_cat/health", Need::Login),
            (Method::PUT, "/_data_stream/logs-a", on(Manage, "logs-a")),
            (Method::GET, "/_cluster/state", on(Read, "*")),
            (Method::GET, "/_something/new", on(Read, "*")),
            (Method::POST, "/_something/new", on(Manage, "*")),
            (Method::POST, "/logs-a/_something", on(Manage, "logs-a")),
        ] {
            assert_eq!(need(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn bodies_name_their_indexes() {
        let bulk = b"{\"create\":{\"_index\":\"b\"}}\n{\"index\":{\"_index\":\"decoy\"}}\n{\"delete\":{\"_index\":\"c\",\"_id\":\"1\"}}\n{\"index\":{}}\n{}\n";
        assert_eq!(targets(Bodies::Bulk, bulk, Some("a")).unwrap(), ["a", "b", "c"]);
        assert_eq!(targets(Bodies::Bulk, b"{\"index\":{}}\n{}\n", None).unwrap(), ["*"]);
        assert_eq!(targets(Bodies::Bulk, b"nonsense", None), None);
        let msearch =
            b"{\"index\":[\"a\",\"b\"]}\n{\"index\":\"decoy\"}\n{}\n{}\n{\"index\":null,\"indices\":\"c\"}\n{}\n";
        assert_eq!(targets(Bodies::Msearch, msearch, Some("x")).unwrap(), ["a,b", "c", "x"]);
        assert_eq!(targets(Bodies::Msearch, b"\n{}\n", Some("x")).unwrap(), ["x"]);
        assert_eq!(targets(Bodies::Search, b"{\"pit\":null}", None).unwrap(), ["*"]);
        let mget = b"{\"docs\":[{\"_index\":\"a\",\"_id\":\"1\"},{\"_id\":\"2\"}]}";
        assert_eq!(targets(Bodies::Mget, mget, Some("x")).unwrap(), ["a", "x"]);
        assert_eq!(targets(Bodies::Search, b"{\"pit\":{\"id\":\"x\"}}", None).unwrap(), Vec::<String>::new());
        assert_eq!(targets(Bodies::Search, b" ", None).unwrap(), ["*"]);
    }

    proptest::proptest! {
        #[test]
        fn any_path_and_body_is_judged(path: String, body: Vec<u8>) {
            let _ = need(&Method::POST, &path);
            for bodies in [Bodies::Bulk, Bodies::Msearch, Bodies::Mget, Bodies::Search] {
                let _ = targets(bodies, &body, None);
            }
        }
    }
}
