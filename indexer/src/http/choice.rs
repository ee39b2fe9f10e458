//! Which indexes an expression means when some that it names may not be there.

use super::params::Params;
use crate::query::error::EsError;
use crate::store::NoSuchIndex;
use crate::store::names;

/// How a request takes it that there is no such index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absent {
    /// `ignore_unavailable`: names that are none are passed over.
    pub(super) is_ignored: bool,
    /// `allow_no_indices`: a pattern may stand for nothing.
    pub(super) may_be_all: bool,
}

impl Absent {
    pub(super) fn read(params: &mut Params) -> Result<Self, EsError> {
        Ok(Self {
            is_ignored: params.flag("ignore_unavailable")?.unwrap_or(false),
            may_be_all: params.flag("allow_no_indices")?.unwrap_or(true),
        })
    }

    /// What `ask` answers for the names of an expression that are there.
    ///
    /// # Errors
    /// The name that is none, or the pattern that stands for nothing where that is not allowed: also beside others
    /// that stand for something.
    pub(super) fn choose<T: Default>(
        self,
        expression: &str,
        ask: impl Fn(&str) -> Result<T, NoSuchIndex>,
        is_empty: impl Fn(&T) -> bool,
    ) -> Result<T, EsError> {
        let mut kept = names::items(expression);
        if !self.may_be_all {
            let stands_for_nothing = |item: &&str| ask(item).is_ok_and(|found| is_empty(&found));
            let patterns = kept.iter().filter(|item| !item.starts_with('-') && item.contains(['*', '?']));
            if let Some(pattern) = patterns.copied().find(stands_for_nothing) {
                return Err(EsError::no_index(pattern));
            }
        }
        let found = loop {
            match ask(&kept.join(",")) {
                Ok(found) => break found,
                Err(missing) if self.is_ignored => {
                    let before = kept.len();
                    kept.retain(|name| *name != missing.0);
                    // Without a name an expression would mean all.
                    if kept.is_empty() || kept.len() == before {
                        break T::default();
                    }
                }
                Err(missing) => return Err(missing.into()),
            }
        };
        if !self.may_be_all && is_empty(&found) { Err(EsError::no_index(expression)) } else { Ok(found) }
    }
}
