//! Where each item of a request goes: aliases to their write index, data streams only growing, and what the mapping
//! of the index forbids.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::parse::{Item, Op};
use crate::http::params::Params;
use crate::query::error::EsError;
use crate::store::mapping::Declared;
use crate::store::mapping::declared::Dynamic;
use crate::store::{Store, WriteTarget, names};

/// What a whole request asks of its targets.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::http) struct Demands {
    alias: bool,
    stream: bool,
    /// A single document without an id: into a data stream it is created.
    may_create: bool,
}

impl Demands {
    pub(in crate::http) fn read(params: &mut Params) -> Result<Self, EsError> {
        Ok(Self {
            alias: params.flag("require_alias")?.unwrap_or(false),
            stream: params.flag("require_data_stream")?.unwrap_or(false),
            may_create: false,
        })
    }

    pub(in crate::http) const fn single(self) -> Self {
        Self { may_create: true, ..self }
    }
}

/// An index, and its mapping where that forbids something.
type Aim = Option<(WriteTarget, Option<Arc<Declared>>)>;

/// Puts the real indexes in the place of the names, and refuses what can't go there.
pub(in crate::http) fn aim(store: &Store, items: &mut [Item<'_>], demands: Demands) {
    let mut known: HashMap<String, Aim> = HashMap::new();
    for item in items.iter_mut().filter(|item| item.refused.is_none()) {
        let aim = known.entry(item.index.to_string()).or_insert_with(|| look(store, &item.index));
        match check(item, aim.as_ref(), demands) {
            Ok(index) => item.index = Cow::Owned(index),
            Err(error) => item.refused = Some(error),
        }
    }
}

fn look(store: &Store, name: &str) -> Aim {
    let target = store.write_target(name)?;
    let declared = match store.index_types(&target.index) {
        Some((_, mapping)) => mapping.declared().clone(),
        None => Arc::new(Declared::read(&store.birth(&target.index).mappings).unwrap_or_default()),
    };
    Some((target, declared.is_strict().then_some(declared)))
}

fn check(
    item: &mut Item<'_>,
    aim: Option<&(WriteTarget, Option<Arc<Declared>>)>,
    demands: Demands,
) -> Result<String, EsError> {
    let name = item.index.as_ref();
    let Some((target, strict)) = aim else {
        return Err(EsError::argument(format!(
            "no write index is defined for alias [{name}]. The write index may be explicitly disabled using is_write_index=false or the alias points to multiple indices without one being designated as a write index"
        )));
    };
    if (demands.alias || item.require_alias) && !target.by_alias {
        let reason =
            format!("no such index [{name}] and [require_alias] request flag is [true] and [{name}] is not an alias");
        return Err(EsError { reason, ..EsError::no_index(name) });
    }
    if demands.stream && !target.is_stream {
        let reason = format!(
            "no such index [{name}] and the index creation request requires a data stream, but no matching index template with data stream template was found for it"
        );
        return Err(EsError { reason, ..EsError::no_index(name) });
    }
    if !names::is_valid(&target.index) {
        return Err(super::parse::invalid_name(&target.index));
    }
    if target.is_stream {
        if demands.may_create && item.op == Op::Index && item.id.is_none() {
            item.op = Op::Create;
        }
        if item.op != Op::Create {
            return Err(EsError::argument("only write ops with an op_type of create are allowed in data streams"));
        }
    }
    if (target.is_stream || target.by_backing) && matches!(item.op, Op::Create | Op::Index) && !has_time(item.document)
    {
        let reason = "data stream timestamp field [@timestamp] is missing";
        return Err(EsError::new(400, "document_parsing_exception", reason));
    }
    if let Some(declared) = strict {
        forbid_unknown(declared, item)?;
    }
    Ok(target.index.clone())
}

fn has_time(document: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Timed {
        #[serde(rename = "@timestamp")]
        _time: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Timed>(document).is_ok_and(|timed| timed._time.is_some())
}

/// Refuses a document that has fields which its mapping does not know, where that is strict.
fn forbid_unknown(declared: &Declared, item: &Item<'_>) -> Result<(), EsError> {
    if item.op == Op::Delete {
        return Ok(());
    }
    // What is wrong with the JSON was told before, or is told when an update is read.
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(item.document) else { return Ok(()) };
    if item.op == Op::Update {
        let mut parts = ["doc", "upsert"].into_iter().filter_map(|key| body.get(key)?.as_object());
        return parts.try_for_each(|part| walk(declared, part, ""));
    }
    walk(declared, &body, "")
}

fn walk(declared: &Declared, object: &Map<String, Value>, outer: &str) -> Result<(), EsError> {
    for (key, value) in object {
        let path = if outer.is_empty() { key.clone() } else { format!("{outer}.{key}") };
        if declared.is_opaque(&path) || declared.field(&path).is_some() {
            continue;
        }
        match value {
            Value::Object(inner) if declared.knows_object(&path) => walk(declared, inner, &path)?,
            Value::Array(members) if declared.knows_object(&path) => {
                members.iter().filter_map(Value::as_object).try_for_each(|inner| walk(declared, inner, &path))?;
            }
            Value::Null => {}
            _ if declared.dynamic_for(&path) == Dynamic::Strict => {
                let within = if outer.is_empty() { "_doc" } else { outer };
                let reason =
                    format!("mapping set to strict, dynamic introduction of [{key}] within [{within}] is not allowed");
                return Err(EsError::new(400, "strict_dynamic_mapping_exception", reason));
            }
            _ => {}
        }
    }
    Ok(())
}
