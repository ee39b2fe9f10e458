//! The catalog: which indexes there are and which parts they have, as one immutable value that searches load
//! and changes replace. Pure: no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::ChangeError;
use super::directory::{Directory, FactsError};
use super::facts::{self, Facts};
use super::mapping::Declared;
use super::names::{self, Expand, NoSuchIndex};
use super::part::{Part, PartId, Place};
use super::registry::{Mapping, Registry};
use super::uuid::uuid;
use super::view::{Absent, IndexSummary, View};

/// An index.
#[derive(Clone, Debug)]
pub(crate) struct IndexState {
    /// Tells apart indexes that had one name after each other.
    pub(crate) uuid: Arc<str>,
    /// Milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// Its types.
    pub(crate) mapping: Arc<Mapping>,
    /// What was said about it.
    pub(crate) facts: Arc<Facts>,
    /// Its parts, oldest first.
    pub(crate) parts: Vec<Arc<Part>>,
    /// Cold splits that could not be opened.
    pub(crate) absent: Vec<Arc<Absent>>,
}

impl Default for IndexState {
    fn default() -> Self {
        Self {
            uuid: uuid(),
            created_ms: jiff::Timestamp::now().as_millisecond(),
            mapping: Registry::new(Arc::default(), 0).mapping(),
            facts: Arc::default(),
            parts: Vec::new(),
            absent: Vec::new(),
        }
    }
}

impl IndexState {
    /// An empty index, made now.
    ///
    /// # Errors
    /// When its mapping is none.
    pub(crate) fn born(facts: Facts) -> Result<Self, FactsError> {
        let declared = Arc::new(Declared::read(&facts.mappings)?);
        let mapping = Registry::new(Arc::new(Mapping::default().with_declared(declared)), 0).mapping();
        Ok(Self { mapping, facts: Arc::new(facts), ..Self::default() })
    }

    /// The parts whose documents clients may change by their ids: what is cold is only read and erased.
    pub(crate) fn changeable(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.parts.iter().filter(|part| part.place != Place::Cold)
    }

    /// Takes up what documents brought. What was declared meanwhile stays.
    pub(crate) fn take_up(&mut self, mapping: Arc<Mapping>) {
        self.mapping = if Arc::ptr_eq(mapping.declared(), self.mapping.declared()) {
            mapping
        } else {
            Arc::new(mapping.with_declared(self.mapping.declared().clone()))
        };
    }
}

/// Where documents for a name go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriteTarget {
    pub(crate) index: String,
    /// The name is an alias.
    pub(crate) by_alias: bool,
    /// The name is that of a data stream, which only grows.
    pub(crate) is_stream: bool,
    /// The name is that of a data stream's backing index.
    pub(crate) by_backing: bool,
}

/// All indexes by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) indexes: BTreeMap<Arc<str>, IndexState>,
    /// Templates and policies.
    pub(crate) directory: Arc<Directory>,
}

impl Catalog {
    /// The parts that a search over `expression` needs for events of the given time.
    ///
    /// # Errors
    /// When the expression names an index that does not exist.
    pub(crate) fn view(
        &self,
        expression: &str,
        expand: Expand,
        time_ns: Option<&RangeInclusive<i64>>,
    ) -> Result<View, NoSuchIndex> {
        let chosen = self.resolve_expanding(expression, expand)?;
        let mut view = View::default();
        for (name, index) in chosen.into_iter().filter_map(|name| self.indexes.get_key_value(name)) {
            view.mappings.insert(name.clone(), index.mapping.clone());
            let needed = |part: &&Arc<Part>| {
                time_ns.is_none_or(|asked| asked.start() <= part.time_ns.end() && part.time_ns.start() <= asked.end())
            };
            view.parts.extend(index.parts.iter().filter(needed).cloned());
            let is_missed = |absent: &&Arc<Absent>| {
                let (oldest, newest) = (absent.split.oldest_ns, absent.split.newest_ns);
                time_ns.is_none_or(|asked| *asked.start() <= newest && oldest <= *asked.end())
            };
            view.absent.extend(index.absent.iter().filter(is_missed).map(|absent| (name.clone(), absent.clone())));
        }
        view.parts.sort_by_key(|part| std::cmp::Reverse(*part.time_ns.end()));
        Ok(view)
    }

    /// The indexes that an expression names, also by their aliases and as backing indexes, in their order.
    ///
    /// # Errors
    /// When the expression names an index that does not exist.
    pub(crate) fn resolve(&self, expression: &str) -> Result<Vec<&Arc<str>>, NoSuchIndex> {
        self.resolve_expanding(expression, Expand::All)
    }

    /// As [`resolve`](Self::resolve), with wildcards that stand for some of the indexes only.
    ///
    /// # Errors
    /// When the expression names an index that does not exist.
    pub(crate) fn resolve_expanding(&self, expression: &str, expand: Expand) -> Result<Vec<&Arc<str>>, NoSuchIndex> {
        let backing = expression.contains(".ds-").then(|| self.without_backing_names(expression));
        let expression = backing.as_deref().unwrap_or(expression);
        let aliases: BTreeSet<&str> =
            self.indexes.values().flat_map(|index| index.facts.aliases.keys().map(String::as_str)).collect();
        let known = self.indexes.keys().map(AsRef::as_ref).chain(aliases.iter().copied());
        let is_hidden = |name: &str| match self.indexes.get(name) {
            Some(index) => index.facts.is_hidden(),
            None => self.aliased(name).any(|index| {
                let alias = self.indexes.get(index).and_then(|index| index.facts.aliases.get(name));
                alias.is_some_and(|alias| alias.is_hidden == Some(true))
            }),
        };
        let chosen = names::select_expanding(expression, &known, expand, is_hidden)?;
        let mut indexes: Vec<&Arc<str>> = Vec::with_capacity(chosen.len());
        for name in chosen {
            match self.indexes.get_key_value(name) {
                Some((name, _)) => indexes.push(name),
                None => indexes.extend(self.aliased(name)),
            }
        }
        indexes.sort_unstable();
        indexes.dedup();
        Ok(indexes)
    }

    /// As [`resolve`](Self::resolve), by their own names alone.
    ///
    /// # Errors
    /// When the expression names an index that does not exist.
    pub(crate) fn resolve_indexes(&self, expression: &str) -> Result<Vec<&Arc<str>>, NoSuchIndex> {
        let chosen = names::select(expression, &self.indexes.keys().map(AsRef::as_ref))?;
        Ok(chosen.into_iter().filter_map(|name| Some(self.indexes.get_key_value(name)?.0)).collect())
    }

    /// The indexes of an alias.
    pub(crate) fn aliased(&self, alias: &str) -> impl Iterator<Item = &Arc<str>> {
        self.indexes.iter().filter(move |(_, index)| index.facts.aliases.contains_key(alias)).map(|(name, _)| name)
    }

    /// Writes streams in the place of their backing indexes.
    fn without_backing_names(&self, expression: &str) -> String {
        let item = |item: &str| match (self.stream_of(item), item.strip_prefix(".ds-")) {
            (Some(stream), _) => stream.to_string(),
            (None, Some(rest)) if rest.contains('*') => rest.to_owned(),
            _ => item.to_owned(),
        };
        expression.split(',').map(item).collect::<Vec<_>>().join(",")
    }

    /// The data stream that has a backing index of this name.
    fn stream_of(&self, backing: &str) -> Option<&Arc<str>> {
        let (name, state) = self.indexes.get_key_value(facts::stream_of(backing)?)?;
        (facts::backing_name(name, state.created_ms) == backing).then_some(name)
    }

    /// Where documents for a name go; `None` when an alias has no index to write to.
    pub(crate) fn write_target(&self, name: &str) -> Option<WriteTarget> {
        let target =
            |index: &str| WriteTarget { index: index.to_owned(), by_alias: false, is_stream: false, by_backing: false };
        if let Some(state) = self.indexes.get(name) {
            return Some(WriteTarget { is_stream: state.facts.data_stream.is_some(), ..target(name) });
        }
        if let Some(stream) = self.stream_of(name) {
            return Some(WriteTarget { by_backing: true, ..target(stream) });
        }
        let aliased: Vec<&Arc<str>> = self.aliased(name).collect();
        let wants = |index: &Arc<str>| self.indexes.get(index)?.facts.aliases.get(name)?.is_write_index;
        let writer = match aliased.as_slice() {
            [] => {
                let stream =
                    self.directory.template_for(name).is_some_and(|(_, template)| template.data_stream.is_some());
                return Some(WriteTarget { is_stream: stream, ..target(name) });
            }
            [only] if wants(only) != Some(false) => Some(*only),
            several => several.iter().copied().find(|index| wants(index) == Some(true)),
        };
        let is_stream =
            |index: &Arc<str>| self.indexes.get(index).is_some_and(|state| state.facts.data_stream.is_some());
        writer.map(|index| WriteTarget { by_alias: true, is_stream: is_stream(index), ..target(index) })
    }

    /// Whether an index's aliases may be called so.
    ///
    /// # Errors
    /// When there is an index of one of these names.
    pub(crate) fn check_aliases(&self, index: &str, facts: &Facts) -> Result<(), ChangeError> {
        match facts.aliases.keys().find(|alias| *alias == index || self.indexes.contains_key(alias.as_str())) {
            None => Ok(()),
            Some(alias) => Err(ChangeError::Facts(FactsError::Invalid(format!(
                "Invalid alias name [{alias}]: an index or data stream exists with the same name as the alias"
            )))),
        }
    }

    /// What there is, for `_cat/indices`.
    pub(crate) fn summaries(&self) -> Vec<IndexSummary> {
        let summary = |(name, index): (&Arc<str>, &IndexState)| IndexSummary {
            name: name.clone(),
            docs: index.parts.iter().map(|part| part.docs()).sum(),
            bytes: index.parts.iter().map(|part| part.bytes).sum(),
            oldest_ns: index.parts.iter().map(|part| *part.time_ns.start()).min(),
            newest_ns: index.parts.iter().map(|part| *part.time_ns.end()).max(),
            created_ms: index.created_ms,
            uuid: index.uuid.clone(),
        };
        self.indexes.iter().map(summary).collect()
    }

    /// Every part.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.indexes.values().flat_map(|index| &index.parts)
    }

    /// Puts `added` in the place of `removed` in an index, also of what can't be searched for now; says whether all of
    /// `removed` were still there, and changes nothing otherwise.
    #[must_use]
    pub(crate) fn replace(&mut self, index: &str, removed: &[PartId], added: Option<Arc<Part>>) -> bool {
        let Some(state) = self.indexes.get_mut(index) else { return false };
        let there = |id: &PartId| {
            state.parts.iter().any(|part| part.id == *id) || state.absent.iter().any(|absent| absent.split.id == *id)
        };
        if !removed.iter().all(there) {
            return false;
        }
        let place = state.parts.iter().position(|part| removed.contains(&part.id)).unwrap_or(state.parts.len());
        state.parts.retain(|part| !removed.contains(&part.id));
        state.absent.retain(|absent| !removed.contains(&absent.split.id));
        if let Some(part) = added {
            state.parts.insert(place.min(state.parts.len()), part);
        }
        true
    }
}
