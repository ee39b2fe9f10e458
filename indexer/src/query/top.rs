//! The best documents of one part, or the best of each group when a search collapses them.

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use tantivy::DocId;
use tantivy::columnar::Column;

use super::columns::{self, Values};
use super::error::EsError;
use super::sort::{Key, PartOrder, SortValue};
use crate::store::Part;
use crate::store::part::STRETCH_DOCS;

/// A hit on its way.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) order: Vec<SortValue>,
    pub(crate) part: usize,
    pub(crate) doc: DocId,
    pub(crate) score: f32,
    /// The value that it is collapsed by; `None` when nothing is collapsed.
    pub(crate) group: Option<SortValue>,
}

/// The best documents of one part.
pub(crate) struct Top<'t> {
    order: &'t PartOrder,
    /// Only what comes after this is wanted.
    after: Option<Key>,
    /// Only what comes before this has a chance.
    worst: Option<Key>,
    keep: usize,
    heap: BinaryHeap<(Key, DocId, u32)>,
    groups: Option<Groups>,
    /// The bounds of the first level in stretches of the part, once they were asked for.
    stretches: Vec<(u128, u128)>,
}

impl<'t> Top<'t> {
    pub(crate) fn new(order: &'t PartOrder, after: Option<Key>, worst: Option<Key>, keep: usize) -> Self {
        let (heap, groups, stretches) = (BinaryHeap::new(), None, Vec::new());
        Self { order, after, worst, keep, heap, groups, stretches }
    }

    /// Keeps only the best document of each value of a field.
    pub(crate) fn collapsing(mut self, groups: Groups) -> Self {
        self.groups = Some(groups);
        self
    }

    /// Whether no document of the part can be among the best, by the bounds of its first column.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.order.span().is_some_and(|span| !self.may_have_within(span))
    }

    fn may_have_within(&self, (least, greatest): (u128, u128)) -> bool {
        let is_beaten = self.worst.as_ref().and_then(|worst| worst.first()).is_some_and(|worst| *worst < least);
        let was_before = self.after.as_ref().and_then(|after| after.first()).is_some_and(|after| *after > greatest);
        !is_beaten && !was_before
    }

    /// Looks up which keys each stretch of the part may have. Gives the stretch that has the first of those that are
    /// wanted; `None` where hits are not in the order of time, or the part is too small for it to be worth it.
    pub(super) fn learn_stretches(&mut self, part: &Part) -> Option<usize> {
        if !self.order.is_by_time() || part.reader.max_doc() <= 2 * STRETCH_DOCS {
            return None;
        }
        self.stretches = self.order.stretches(part);
        let place = |stretch: &usize| (!self.may_have(*stretch), self.stretches.get(*stretch).map(|(least, _)| *least));
        (0..self.stretches.len()).min_by_key(place)
    }

    /// How many stretches are known.
    pub(super) const fn stretches(&self) -> usize {
        self.stretches.len()
    }

    /// Whether a document of a stretch can be among the best.
    pub(super) fn may_have(&self, stretch: usize) -> bool {
        self.stretches.get(stretch).is_none_or(|span| self.may_have_within(*span))
    }

    #[inline]
    pub(crate) fn offer(&mut self, doc: DocId, score: f32) {
        let first = self.order.first(doc, score);
        if self.worst.as_ref().is_some_and(|worst| worst.first().is_some_and(|worst| first > *worst)) {
            return;
        }
        if self.after.as_ref().is_some_and(|after| after.first().is_some_and(|after| first < *after)) {
            return;
        }
        let key = self.order.key(doc, score);
        if self.worst.as_ref().is_some_and(|worst| key >= *worst)
            || self.after.as_ref().is_some_and(|after| key <= *after)
        {
            return;
        }
        if let Some(groups) = &mut self.groups {
            if let Some(worst) = groups.offer(key, doc, score, self.keep) {
                self.worst = Some(worst);
            }
            return;
        }
        let found = (key, doc, score.to_bits());
        if self.heap.len() < self.keep {
            self.heap.push(found);
        } else if let Some(mut greatest) = self.heap.peek_mut() {
            // It is less than this one: events come in the order of time, and each is often the newest so far.
            *greatest = found;
        }
        if self.heap.len() == self.keep
            && let Some((greatest, ..)) = self.heap.peek()
        {
            self.worst = Some(*greatest);
        }
    }

    pub(crate) fn into_found(self, part: usize) -> Result<Vec<Found>, EsError> {
        let Self { order, heap, groups, .. } = self;
        if let Some(groups) = groups {
            return groups.into_found(order, part);
        }
        heap.into_iter()
            .map(|(key, doc, score)| {
                Ok(Found { order: order.values(&key)?, part, doc, score: f32::from_bits(score), group: None })
            })
            .collect()
    }
}

/// The best document of each value.
pub(crate) struct Groups {
    values: Values,
    best: HashMap<Option<u64>, Key>,
    ordered: BTreeMap<Key, (DocId, f32, Option<u64>)>,
    /// A document had several values: nobody could say which group it is in.
    several: bool,
}

impl Groups {
    pub(crate) fn new(values: Values) -> Self {
        Self { values, best: HashMap::new(), ordered: BTreeMap::new(), several: false }
    }

    fn column(&self) -> Option<&Column<u64>> {
        match &self.values {
            Values::Numbers(column, _) => Some(column),
            Values::Strings(column) => Some(column.ords()),
            Values::Constant(_) | Values::Nothing => None,
        }
    }

    /// The key that later documents must beat, once there are enough groups.
    fn offer(&mut self, key: Key, doc: DocId, score: f32, keep: usize) -> Option<Key> {
        let mut group = None;
        let mut number = 0;
        if let Some(column) = self.column() {
            columns::each_value(column, doc, |bits| {
                group = Some(bits);
                number += 1;
            });
        }
        self.several |= number > 1;
        match self.best.get(&group).copied() {
            Some(known) if known <= key => {}
            known => {
                if let Some(known) = known {
                    self.ordered.remove(&known);
                }
                self.best.insert(group, key);
                self.ordered.insert(key, (doc, score, group));
            }
        }
        if self.ordered.len() > keep
            && let Some((_, (_, _, group))) = self.ordered.pop_last()
        {
            // Should a better document of it come, it comes back.
            self.best.remove(&group);
        }
        if self.ordered.len() == keep { self.ordered.last_key_value().map(|(key, _)| *key) } else { None }
    }

    fn into_found(self, order: &PartOrder, part: usize) -> Result<Vec<Found>, EsError> {
        if self.several {
            return Err(EsError::new(
                400,
                "illegal_state_exception",
                "failed to collapse, the collapse field must be single valued",
            ));
        }
        let values = self.values;
        let shown = |group: Option<u64>| -> Result<SortValue, EsError> {
            Ok(match (&values, group) {
                (Values::Strings(column), Some(ord)) => {
                    let mut text = String::new();
                    column.ord_to_str(ord, &mut text)?;
                    SortValue::Text(text)
                }
                (Values::Numbers(_, kind), Some(bits)) => SortValue::of_bits(*kind, bits),
                (Values::Constant(text), _) => SortValue::Text(text.to_string()),
                _ => SortValue::Last,
            })
        };
        self.ordered
            .into_iter()
            .map(|(key, (doc, score, group))| {
                Ok(Found { order: order.values(&key)?, part, doc, score, group: Some(shown(group)?) })
            })
            .collect()
    }
}

/// Keeps the first of each group; the list is in order.
pub(crate) fn first_of_each_group(found: &mut Vec<Found>) {
    let mut seen = std::collections::HashSet::new();
    found.retain(|hit| hit.group.as_ref().is_none_or(|group| seen.insert(format!("{group:?}"))));
}
