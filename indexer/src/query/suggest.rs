//! Values of a keyword field by their beginnings, read from the dictionaries of terms.

use std::collections::BTreeSet;

use logmill_indexer_api::text;

use super::compile::text_path;
use super::error::EsError;
use super::fields::{Place, place};
use super::limits::{Allowance, Stopped};
use super::pattern::successor;
use crate::schema::schema;
use crate::store::View;
use crate::store::registry::FieldType;

/// Terms between two looks at the clock.
const TERMS_BETWEEN_CHECKS: usize = 1 << 12;

/// What is looked for.
pub(crate) struct Wanted {
    pub(crate) field: String,
    pub(crate) prefix: String,
    /// Only values after this one.
    pub(crate) after: Option<String>,
    pub(crate) any_case: bool,
    pub(crate) size: usize,
}

/// Collects the first values in their order; says whether all parts were read in time.
pub(crate) fn values(
    view: &View,
    wanted: &Wanted,
    allowance: &Allowance,
    found: &mut BTreeSet<String>,
) -> Result<bool, EsError> {
    let prefix = if wanted.any_case { text::lower(&wanted.prefix) } else { wanted.prefix.clone() };
    let mut looked_at = 0usize;
    for part in &view.parts {
        let Some(mapping) = view.mappings.get(&part.index) else { continue };
        let path = match place(mapping, &wanted.field) {
            Place::Value(path, FieldType::Keyword) => path,
            Place::Nowhere => continue,
            _ => {
                let reason = format!("[{}] is no keyword field: only those have values to enumerate", wanted.field);
                return Err(EsError::argument(reason));
            }
        };
        let field = schema().1.keyword;

        let start = text_path(field, Some(&path));
        let lower = if wanted.any_case { start.clone() } else { [&start, prefix.as_bytes()].concat() };
        let inverted = part.reader.inverted_index(field)?;
        let mut range = inverted.terms().range().ge(&lower);
        let upper = successor(lower.clone());
        if let Some(upper) = &upper {
            range = range.lt(upper);
        }
        let mut terms = range.into_stream()?;
        while terms.advance() {
            looked_at += 1;
            if looked_at.is_multiple_of(TERMS_BETWEEN_CHECKS)
                && let Some(stopped) = allowance.stopped()
            {
                return if stopped == Stopped::Cancelled { Err(EsError::cancelled()) } else { Ok(false) };
            }
            let value = terms.key().get(start.len()..).and_then(|bytes| std::str::from_utf8(bytes).ok());
            let Some(value) = value else { continue };
            if found.len() >= wanted.size && found.last().is_none_or(|last| value > last.as_str()) {
                break;
            }
            let fits = !wanted.any_case || text::lower(value).starts_with(&prefix);
            if fits && wanted.after.as_ref().is_none_or(|after| value > after.as_str()) {
                found.insert(value.to_owned());
                if found.len() > wanted.size {
                    found.pop_last();
                }
            }
        }
    }
    Ok(true)
}
