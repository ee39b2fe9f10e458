//! Fewer and larger parts in memory, by level. Each document stays in exactly one part that searches see: sources
//! leave the catalog in the same step in which their merge enters it.

use std::sync::Arc;

use tantivy::directory::RamDirectory;

use super::Store;
use super::part::{self, Label, Part, PartId, Place};

/// Parts of one level that become one of the next: measured best at 8 to 16.
const FAN_IN: usize = 10;
/// The same for parts that were merged before. Ten of those are as many as come between two flushes: to merge them
/// just before they go to disk would be a third pass over every event for nothing.
const LATER_FAN_IN: usize = 20;

impl Store {
    /// Merges some parts in memory; false when there is nothing to merge.
    ///
    /// # Errors
    /// When a part can't be merged.
    pub(crate) fn merge_memory(&self) -> tantivy::Result<bool> {
        let _whole = self.memory_merges.lock();
        let (parts, ticket) = {
            let mut pending = self.changes.lock();
            let catalog = self.catalog.load();
            let picked = pending.free(&catalog, Place::Memory).find_map(|(_, mut parts)| {
                // These go to the disk as they are.
                parts.retain(|part| part.ready_made.is_none());
                of_one_level(&parts)
            });
            let Some(parts) = picked else { return Ok(false) };
            let ticket = pending.take(&parts);
            (parts, ticket)
        };
        let merged = self.merged_in_memory(&parts);
        let outcome = match merged {
            Err(error) => Err(error),
            Ok(part) => self.change(|catalog, pending| {
                let part = pending.up_to_date(part, &ticket)?;
                let removed: Vec<PartId> = parts.iter().map(|part| part.id).collect();
                // False when the index was deleted meanwhile: then the merge is dropped with it.
                let _ = catalog.replace(&part.index.clone(), &removed, Some(Arc::new(part)));
                Ok(())
            }),
        };
        self.changes.lock().give_back(parts.iter(), &ticket);
        outcome.map(|()| true)
    }

    fn merged_in_memory(&self, parts: &[Arc<Part>]) -> tantivy::Result<Part> {
        let directory = RamDirectory::create();
        let index = part::merge(parts, part::memory_settings(), directory.clone())?;
        let first = parts.first().ok_or_else(|| tantivy::TantivyError::InvalidArgument("nothing to merge".into()))?;
        let level = first.level.saturating_add(1);
        let label = Label::in_memory(self.next_part(), first.index.clone(), part::time_of(parts), level);
        Part::in_memory(label, index, &directory, Arc::from([]))
    }
}

/// Parts in memory that are to be merged.
fn of_one_level(parts: &[Arc<Part>]) -> Option<Vec<Arc<Part>>> {
    let levels = parts.iter().map(|part| part.level).max()?;
    (0..=levels).find_map(|level| {
        let wanted = if level == 0 { FAN_IN } else { LATER_FAN_IN };
        let same: Vec<_> = parts.iter().filter(|part| part.level == level).take(wanted).cloned().collect();
        (same.len() == wanted).then_some(same)
    })
}
