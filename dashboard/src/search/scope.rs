//! Which events are asked about. Queries are parsed here and nowhere else, so search, tail, export and alerts
//! mean the same by the same words.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use logmill_indexer_api::{Ast, QueryError, datemath, kql, lucene};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The grammar of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    /// Kibana's.
    #[default]
    Kql,
    /// Lucene's.
    Lucene,
}

/// What a filter pill says of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FilterOp {
    Is,
    IsNot,
    Exists,
    NotExists,
}

/// A filter pill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) field: String,
    pub(crate) op: FilterOp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Value>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) disabled: bool,
}

/// Events of any time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Selection {
    /// Index pattern; the configured one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<String>,
    #[serde(default)]
    pub(crate) query: String,
    #[serde(default)]
    pub(crate) language: Language,
    #[serde(default)]
    pub(crate) filters: Vec<Filter>,
}

/// Events of a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scope {
    #[serde(flatten)]
    pub(crate) selection: Selection,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// A resolved time range: milliseconds since 1970, both ends within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
}

/// What is wrong with a question.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScopeError {
    #[error("{error}")]
    Query {
        error: QueryError,
        /// The faulty part in UTF-16 units, as the browser counts.
        span: (usize, usize),
    },
    #[error("`{which}`: {message}")]
    Time { which: &'static str, message: String },
    #[error("the time range ends before it begins")]
    Backwards,
    #[error("`{0}` is not an index pattern: write names like logs-*, joined by commas")]
    Index(String),
    #[error("a filter has no field, or a value that is a list or an object")]
    Filter,
    #[error("the query is longer than {QUERY_BYTES_MAX} bytes")]
    TooLong,
}

/// Generated lists of ids are pasted into queries; this holds a thousand UUIDs.
const QUERY_BYTES_MAX: usize = 64 << 10;
/// More pills than anybody could look through.
const FILTERS_MAX: usize = 200;

impl Selection {
    /// Query and filters as one tree.
    pub(crate) fn ast(&self) -> Result<Ast, ScopeError> {
        if self.query.len() > QUERY_BYTES_MAX || self.filters.len() > FILTERS_MAX {
            return Err(ScopeError::TooLong);
        }
        let parsed = match self.language {
            Language::Kql => kql::parse(&self.query),
            Language::Lucene => lucene::parse(&self.query),
        };
        let query = parsed.map_err(|error| {
            let span = (utf16(&self.query, error.span.start), utf16(&self.query, error.span.end));
            ScopeError::Query { error, span }
        })?;
        let mut members = vec![query];
        for filter in self.filters.iter().filter(|filter| !filter.disabled) {
            members.push(filter.ast()?);
        }
        members.retain(|member| *member != Ast::All);
        Ok(Ast::and(members))
    }

    /// The index pattern, or `default`.
    pub(crate) fn index<'a>(&'a self, default: &'a str) -> Result<&'a str, ScopeError> {
        let index = self.index.as_deref().filter(|index| !index.is_empty()).unwrap_or(default);
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.*,".contains(&byte);
        let well_formed = |name: &str| !name.is_empty() && !name.starts_with(['_', '.']) && name.bytes().all(allowed);
        if index.len() > 1024 || !index.split(',').all(|name| well_formed(name.strip_prefix('-').unwrap_or(name))) {
            return Err(ScopeError::Index(index.chars().take(200).collect()));
        }
        Ok(index)
    }
}

impl Filter {
    fn ast(&self) -> Result<Ast, ScopeError> {
        if self.field.is_empty() || self.field.len() > 512 {
            return Err(ScopeError::Filter);
        }
        let is = || match &self.value {
            Some(Value::String(text)) => Ok(Ast::is(&self.field, text)),
            Some(Value::Number(number)) => Ok(Ast::is(&self.field, &number.to_string())),
            Some(Value::Bool(truth)) => Ok(Ast::is(&self.field, &truth.to_string())),
            None | Some(Value::Null) => Ok(Ast::not(Ast::exists(&self.field))),
            Some(Value::Array(_) | Value::Object(_)) => Err(ScopeError::Filter),
        };
        Ok(match self.op {
            FilterOp::Is => is()?,
            FilterOp::IsNot => Ast::not(is()?),
            FilterOp::Exists => Ast::exists(&self.field),
            FilterOp::NotExists => Ast::not(Ast::exists(&self.field)),
        })
    }
}

impl Scope {
    /// What the times mean now, to people in `zone`.
    pub(crate) fn range(&self, now: Timestamp, zone: &TimeZone) -> Result<Range, ScopeError> {
        let resolve = |which: &'static str, text: &str, up: bool| {
            datemath::parse_rounded(text, now, zone, up)
                .map(Timestamp::as_millisecond)
                .map_err(|error| ScopeError::Time { which, message: error.to_string() })
        };
        let range = Range { from_ms: resolve("from", &self.from, false)?, to_ms: resolve("to", &self.to, true)? };
        if range.from_ms > range.to_ms { Err(ScopeError::Backwards) } else { Ok(range) }
    }
}

impl Range {
    /// The condition in query DSL.
    pub(crate) fn dsl(self) -> Value {
        json!({ "range": { "@timestamp": { "gte": self.from_ms, "lte": self.to_ms, "format": "epoch_millis" } } })
    }
}

/// Query DSL for the events that match `ast` and every further condition.
pub(crate) fn dsl(ast: &Ast, conditions: impl IntoIterator<Item = Value>) -> Value {
    let mut filter: Vec<Value> = conditions.into_iter().collect();
    if *ast != Ast::All {
        filter.push(ast.to_dsl());
    }
    json!({ "bool": { "filter": filter } })
}

/// A place in a text, counted in UTF-16 units.
fn utf16(text: &str, byte: usize) -> usize {
    let before = text.get(..byte).unwrap_or(text);
    before.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(value: Value) -> Selection {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn filters_and_query_are_one_tree_for_search_and_tail() {
        let asked = selection(json!({"query": "status >= 500", "language": "kql", "filters": [
            {"field": "service.name", "op": "is", "value": "shop"},
            {"field": "tags", "op": "is_not", "value": "noise"},
            {"field": "user.id", "op": "exists"},
            {"field": "x", "op": "is", "value": 1, "disabled": true}]}));
        let ast = asked.ast().unwrap();
        let event = json!({"status": 503, "service": {"name": "shop"}, "user": {"id": 7}});
        assert!(ast.matches(&event));
        assert!(!ast.matches(&json!({"status": 503, "service": {"name": "shop"}})));
        assert!(
            !ast.matches(&json!({"status": 503, "service": {"name": "shop"}, "user": {"id": 7}, "tags": ["noise"]}))
        );
    }

    #[test]
    fn faults_are_marked_as_the_browser_counts() {
        let asked = selection(json!({"query": "\"😀\" and (", "language": "kql"}));
        match asked.ast() {
            Err(ScopeError::Query { span, error }) => {
                assert!(span.0 <= asked.query.encode_utf16().count() && span.0 + 2 <= error.span.start, "{span:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(utf16("a😀b", 5), 3);
    }

    #[test]
    fn times_resolve_and_must_run_forwards() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let scope = |from: &str, to: &str| Scope { selection: Selection::default(), from: from.into(), to: to.into() };
        let range = scope("now-15m", "now").range(now, &TimeZone::UTC).unwrap();
        assert_eq!(range.to_ms - range.from_ms, 15 * 60_000);
        assert!(matches!(scope("now", "now-1h").range(now, &TimeZone::UTC), Err(ScopeError::Backwards)));
        assert!(matches!(scope("then", "now").range(now, &TimeZone::UTC), Err(ScopeError::Time { which: "from", .. })));
    }

    #[test]
    fn index_patterns_can_name_indices_only() {
        let index = |name: &str| Selection { index: Some(name.to_owned()), ..Selection::default() };
        for name in ["logs-*", "logs-a,logs-b-2026.11", "*", "logs-*,-logs-old"] {
            assert_eq!(index(name).index("x").unwrap(), name);
        }
        for name in ["../_cluster", "_all", ".kibana", "a/b", "a b", "A", "a,", "?x"] {
            assert!(index(name).index("x").is_err(), "{name}");
        }
        assert_eq!(Selection::default().index("logs-*").unwrap(), "logs-*");
    }
}
