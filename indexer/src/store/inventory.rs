//! What the store has on disk, split by split, and whether it is as it was written.

use serde::Serialize;

use super::{Store, part::Place};
use crate::dates::instant;

/// What there is, as `_logmill/store` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Inventory {
    splits: Vec<SplitFacts>,
    damaged: Vec<DamageFacts>,
    memory: MemoryFacts,
}

#[derive(Debug, Serialize)]
struct SplitFacts {
    split: String,
    index: String,
    docs: u64,
    /// Documents that no longer count and are still in it.
    deleted: usize,
    bytes: u64,
    /// `disk` or `cold`.
    place: &'static str,
    oldest: String,
    newest: String,
}

#[derive(Debug, Serialize)]
struct DamageFacts {
    split: String,
    index: String,
    docs: u64,
    reason: String,
    /// Whether it is known which records of the bus it held.
    repairable: bool,
}

#[derive(Debug, Default, Serialize)]
struct MemoryFacts {
    parts: usize,
    docs: u64,
    bytes: u64,
}

/// What a verification found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Verified {
    pub(crate) checked: usize,
    /// In words; the splits are in quarantine now.
    pub(crate) damaged: Vec<String>,
    /// Cold splits that can't be read now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) away: Vec<String>,
}

fn name_of(id: u64) -> String {
    format!("{id:016x}")
}

/// What is the matter with a split, in words.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// It is in quarantine now.
    Damaged(String),
    /// It is on an object store that can't be read.
    Away(String),
}

impl Store {
    /// The splits of the indexes that `wanted` says yes to.
    pub(crate) fn inventory(&self, wanted: impl Fn(&str) -> bool) -> Inventory {
        let mut splits = Vec::new();
        {
            let manifest = self.manifest.lock();
            for (index, meta) in manifest.state().indexes.iter().filter(|(index, _)| wanted(index)) {
                splits.extend(meta.splits.values().map(|split| SplitFacts {
                    split: name_of(split.id),
                    index: index.to_string(),
                    docs: split.docs.saturating_sub(split.deleted.len() as u64),
                    deleted: split.deleted.len(),
                    bytes: split.bytes,
                    place: if split.cold.is_some() { "cold" } else { "disk" },
                    oldest: instant::to_rfc3339(split.oldest_ns),
                    newest: instant::to_rfc3339(split.newest_ns),
                }));
            }
        }
        let damaged = self.damages().into_iter().filter(|damage| wanted(&damage.index)).map(|damage| DamageFacts {
            split: name_of(damage.split),
            index: damage.index.to_string(),
            docs: damage.docs,
            reason: damage.reason,
            repairable: damage.held.is_some(),
        });
        let catalog = self.catalog.load();
        let mut memory = MemoryFacts::default();
        for part in catalog.parts().filter(|part| part.place == Place::Memory && wanted(&part.index)) {
            memory.parts += 1;
            memory.docs += part.docs();
            memory.bytes += part.bytes;
        }
        Inventory { splits, damaged: damaged.collect(), memory }
    }

    /// Reads every split of the chosen indexes and compares it with what was written; damaged ones are put aside, so
    /// that the others stay searchable. `go_on` is asked before each.
    pub(crate) fn verify(&self, wanted: impl Fn(&str) -> bool, go_on: impl Fn() -> bool) -> Verified {
        let ids: Vec<u64> = {
            let manifest = self.manifest.lock();
            let chosen = manifest.state().indexes.iter().filter(|(index, _)| wanted(index));
            chosen.flat_map(|(_, meta)| meta.splits.keys().copied()).collect()
        };
        let mut found = Verified::default();
        for id in ids.into_iter().take_while(|_| go_on()) {
            match self.verify_split(id) {
                Some(Found::Damaged(damage)) => found.damaged.push(damage),
                Some(Found::Away(reason)) => found.away.push(reason),
                None => {}
            }
            found.checked += 1;
        }
        found
    }
}
