//! Damaged splits: put aside, so that they are never searched, and told in words.

use std::path::Path;

use super::manifest::Quarantined;
use super::manifest::SplitMeta;
use super::split;

/// What a damaged split means, for whoever looks after the store.
pub(super) fn in_words(damaged: &Quarantined) -> String {
    let docs = counting(&damaged.split);
    format!(
        "{docs} documents of {} can't be searched: {}; the split is in quarantine, and `logmill index repair` reads them again from the bus",
        damaged.index, damaged.reason
    )
}

/// The documents that were counted.
pub(super) fn counting(split: &SplitMeta) -> u64 {
    split.docs.saturating_sub(split.deleted.len() as u64)
}

/// Moves a split's folder away, if it is there at all.
pub(super) fn put_aside(folder: &Path, id: u64) {
    let aside = folder.join("quarantine");
    let from = split::folder_of(&folder.join("splits"), id);
    let to = split::folder_of(&aside, id);
    let moved = std::fs::create_dir_all(&aside).and_then(|()| std::fs::rename(&from, &to));
    if let Err(error) = moved {
        tracing::error!(from = %from.display(), %error, "can't put a damaged split aside");
    }
}
