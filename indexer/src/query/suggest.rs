//! Values of a keyword field by their beginnings, read from the dictionaries of terms.

use std::collections::BTreeSet;

use logmill_indexer_api::text;

use super::answer::Shards;
use super::compile::{ALL_TIMES, text_path};
use super::error::EsError;
use super::failures::Failures;
use super::fields::{Place, place};
use super::limits::{Allowance, Stopped};
use super::pattern::successor;
use crate::schema::schema;
use crate::store::registry::FieldType;
use crate::store::{Part, View};

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

/// Values in their order, whether all of them were looked at in time, and what could not be read.
pub(crate) struct Values {
    pub(crate) found: BTreeSet<String>,
    pub(crate) complete: bool,
    pub(crate) shards: Shards,
}

/// Collects the first values in their order.
pub(crate) fn values(view: &View, wanted: &Wanted, allowance: &Allowance) -> Result<Values, EsError> {
    let prefix = if wanted.any_case { text::lower(&wanted.prefix) } else { wanted.prefix.clone() };
    let failures = Failures::of(view, ALL_TIMES);
    let mut collecting = Collecting { wanted, prefix, allowance, found: BTreeSet::new(), looked_at: 0 };
    let _entered = allowance.enter();
    let mut complete = true;
    for part in &view.parts {
        match allowance.stopped() {
            None => {}
            Some(Stopped::Cancelled) => return Err(EsError::cancelled()),
            Some(_) => {
                complete = false;
                break;
            }
        }
        let Some(mapping) = view.mappings.get(&part.index) else { continue };
        let path = match place(mapping, &wanted.field) {
            Place::Value(path, FieldType::Keyword) => path,
            Place::Nowhere => continue,
            _ => {
                let reason = format!("[{}] is no keyword field: only those have values to enumerate", wanted.field);
                return Err(EsError::argument(reason));
            }
        };
        let read = match collecting.read(part, &path) {
            // What is made of an interruption is an error.
            Err(error) if error.status == 500 && allowance.stopped() == Some(Stopped::Timeout) => Ok(false),
            read => read,
        };
        complete = failures.pass(part, read, allowance)?.unwrap_or(true);
        if !complete {
            break;
        }
    }
    let shards = failures.shards(view.mappings.len(), true)?;
    complete &= shards.failed == 0;
    Ok(Values { found: collecting.found, complete, shards })
}

struct Collecting<'w> {
    wanted: &'w Wanted,
    prefix: String,
    allowance: &'w Allowance,
    found: BTreeSet<String>,
    looked_at: usize,
}

impl Collecting<'_> {
    /// Takes the values of a path in one part; false when there was no time for all of them.
    fn read(&mut self, part: &Part, path: &str) -> Result<bool, EsError> {
        let field = schema().1.keyword;
        let (wanted, found) = (self.wanted, &mut self.found);
        let start = text_path(field, Some(path));
        let lower = if wanted.any_case { start.clone() } else { [&start, self.prefix.as_bytes()].concat() };
        let inverted = part.reader.inverted_index(field)?;
        let mut range = inverted.terms().range().ge(&lower);
        let upper = successor(lower.clone());
        if let Some(upper) = &upper {
            range = range.lt(upper);
        }
        let mut terms = range.into_stream()?;
        while terms.advance() {
            self.looked_at += 1;
            if self.looked_at.is_multiple_of(TERMS_BETWEEN_CHECKS)
                && let Some(stopped) = self.allowance.stopped()
            {
                return if stopped == Stopped::Cancelled { Err(EsError::cancelled()) } else { Ok(false) };
            }
            let value = terms.key().get(start.len()..).and_then(|bytes| std::str::from_utf8(bytes).ok());
            let Some(value) = value else { continue };
            if found.len() >= wanted.size && found.last().is_none_or(|last| value > last.as_str()) {
                break;
            }
            let fits = !wanted.any_case || text::lower(value).starts_with(&self.prefix);
            if fits && wanted.after.as_ref().is_none_or(|after| value > after.as_str()) {
                found.insert(value.to_owned());
                if found.len() > wanted.size {
                    found.pop_last();
                }
            }
        }
        Ok(true)
    }
}
