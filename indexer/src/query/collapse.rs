//! `collapse`: of all hits with one value of a field only the first is shown, with others of the group inside it.

use serde_json::Value;

use super::clause::{Clause, Condition};
use super::error::EsError;
use super::request::{Collapse, SearchRequest};
use super::sort::SortValue;
use super::strict::Members;
use crate::dates;

/// Groups of hits shown inside others, over the whole page: each is a search of its own.
const INNER_SEARCHES_MAX: usize = 1000;
/// Elasticsearch's `index.max_inner_result_window`.
const INNER_WINDOW_MAX: usize = 100;

impl Collapse {
    pub(crate) fn read(value: Value) -> Result<Self, EsError> {
        let mut members = Members::new(value, "[collapse]")?;
        let field = members.string("field")?.ok_or_else(|| EsError::parsing("[collapse] needs [field]"))?;
        // How many of the inner searches run at once; here one after the other.
        members.ignore(&["max_concurrent_group_searches"]);
        let inner = match members.take("inner_hits") {
            None => Vec::new(),
            Some(Value::Array(several)) => several.into_iter().map(read_inner).collect::<Result<_, _>>()?,
            Some(single) => vec![read_inner(single)?],
        };
        members.end()?;
        let mut names: Vec<&str> = inner.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(EsError::argument("[inner_hits] of [collapse] must have different names"));
        }
        Ok(Self { field, inner })
    }

    /// What must hold between this and the rest of the search.
    pub(crate) fn check(&self, request: &SearchRequest) -> Result<(), EsError> {
        if request.search_after.is_some() && request.sort.iter().any(|sort| sort.field != self.field) {
            return Err(EsError::argument(
                "collapse field and sort field must be the same when use `collapse` in conjunction with `search_after`",
            ));
        }
        if self.inner.len().saturating_mul(request.size) > INNER_SEARCHES_MAX {
            return Err(EsError::argument(format!(
                "[inner_hits] of [collapse] for {} hits would be more than {INNER_SEARCHES_MAX} searches; ask for a smaller [size]",
                request.size
            )));
        }
        Ok(())
    }

    /// The search for the hits of one group.
    pub(crate) fn inner_search(
        &self,
        outer: &SearchRequest,
        inner: &SearchRequest,
        group: &SortValue,
    ) -> SearchRequest {
        let condition = match group {
            SortValue::First | SortValue::Last => {
                Clause::not(Clause::On { field: self.field.clone(), test: Condition::Exists })
            }
            SortValue::Date(nanos) => {
                let value = dates::rfc3339(*nanos).into();
                Clause::On { field: self.field.clone(), test: Condition::Term { value, case_insensitive: false } }
            }
            SortValue::Boolean(flag) => {
                let value = (*flag).into();
                Clause::On { field: self.field.clone(), test: Condition::Term { value, case_insensitive: false } }
            }
            other => {
                let value = other.to_json(None);
                Clause::On { field: self.field.clone(), test: Condition::Term { value, case_insensitive: false } }
            }
        };
        SearchRequest { query: outer.query.clone().within(condition), timeout: outer.timeout, ..inner.clone() }
    }
}

fn read_inner(value: Value) -> Result<(String, SearchRequest), EsError> {
    let Value::Object(mut body) = value else {
        return Err(EsError::parsing("[inner_hits] of [collapse] must be an object"));
    };
    let Some(Value::String(name)) = body.shift_remove("name") else {
        return Err(EsError::argument("[inner_hits] of [collapse] must have a [name]"));
    };
    for key in ["query", "aggs", "aggregations", "pit", "search_after", "slice", "rescore", "post_filter", "min_score"]
    {
        if body.contains_key(key) {
            return Err(EsError::parsing(format!("[inner_hits] does not support [{key}]")));
        }
    }
    body.shift_remove("ignore_unmapped");
    body.entry("size").or_insert_with(|| 3.into());
    let request = SearchRequest::read_hits(Value::Object(body))?;
    if request.from.saturating_add(request.size) > INNER_WINDOW_MAX {
        return Err(EsError::argument(format!(
            "Inner result window is too large, the inner hit definition's [{name}]'s from + size must be less than or equal to: [{INNER_WINDOW_MAX}] but was [{}]",
            request.from.saturating_add(request.size)
        )));
    }
    Ok((name, request))
}
