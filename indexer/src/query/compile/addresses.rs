//! Conditions on addresses: single ones, networks, and ranges.

use std::sync::Arc;

use serde_json::Value;
use tantivy::query::Query;

use super::terms::keyword_pattern;
use super::{Compiled, any, term_query, unsupported, whole_values};
use crate::query::clause::Condition;
use crate::query::compile::terms::json_term;
use crate::query::error::EsError;
use crate::query::parse::plain_text;
use crate::schema::schema;
use crate::store::mapping::ip;

pub(super) fn on_ip(test: &Condition, path: &str, field: &str) -> Compiled {
    if let Some(values) = whole_values(test) {
        let queries = values.iter().map(|value| on_network(&plain_text(value), path)).collect::<Result<_, _>>()?;
        return any(queries);
    }
    let Condition::Range(bounds) = test else { return Err(unsupported(test, field, "ip")) };
    let bound = |side: &Option<(Value, bool)>| -> Result<Option<(String, bool)>, EsError> {
        let Some((value, inclusive)) = side else { return Ok(None) };
        let text = plain_text(value);
        ip::parse(&text).map(|term| Some((term, *inclusive))).ok_or_else(|| no_address(&text))
    };
    let (lower, upper) = (bound(&bounds.lower)?, bound(&bounds.upper)?);
    Ok(between(path, move |term| {
        lower.as_ref().is_none_or(|(bound, inclusive)| term > bound.as_str() || *inclusive && term == bound)
            && upper.as_ref().is_none_or(|(bound, inclusive)| term < bound.as_str() || *inclusive && term == bound)
    }))
}

/// An address, or a network of them.
fn on_network(text: &str, path: &str) -> Compiled {
    let network = ip::network(text).ok_or_else(|| no_address(text))?;
    if network.start() == network.end() {
        let mut term = json_term(schema().1.keyword, path);
        term.append_type_and_str(network.start());
        return Ok(term_query(term));
    }
    Ok(between(path, move |term| network.contains_str(term)))
}

fn between(path: &str, test: impl Fn(&str) -> bool + Send + Sync + 'static) -> Box<dyn Query> {
    keyword_pattern(path, Arc::new(test))
}

fn no_address(text: &str) -> EsError {
    let shown: String = text.chars().take(100).collect();
    EsError::argument(format!("'{shown}' is not an IP string literal."))
}

trait ContainsStr {
    fn contains_str(&self, text: &str) -> bool;
}

impl ContainsStr for std::ops::RangeInclusive<String> {
    fn contains_str(&self, text: &str) -> bool {
        self.start().as_str() <= text && text <= self.end().as_str()
    }
}
