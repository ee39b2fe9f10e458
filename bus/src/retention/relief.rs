//! Making room over all partitions: the largest gives its oldest segment, again and again, until it is enough.
//! What a pinned group has not read is taken only when there is nothing else.

use std::sync::Arc;

use logmill_bus_log::{Oldest, Partition};

/// A partition, and from which offset on somebody pinned has not read it.
pub(crate) struct Holding {
    pub(crate) topic: Arc<str>,
    pub(crate) log: Arc<Partition>,
    pub(crate) pinned_from: i64,
}

impl Holding {
    fn oldest(&self, pinned_too: bool) -> Option<(&Self, Oldest)> {
        let oldest = self.log.oldest()?;
        (pinned_too || oldest.end_offset <= self.pinned_from).then_some((self, oldest))
    }
}

/// Bytes of all logs.
pub(crate) fn size(holdings: &[Holding]) -> u64 {
    holdings.iter().map(|holding| holding.log.size_bytes()).sum()
}

/// Removes at least `bytes`, if there is so much that can be removed. Returns how many records went that a pinned
/// group had not read.
pub(crate) fn make_room(holdings: &[Holding], bytes: u64) -> u64 {
    let mut left = take(holdings, bytes, false).0;
    if left > 0 {
        // What is still written can only go once it is closed.
        left = take_written(holdings, left, false).0;
    }
    if left == 0 {
        return 0;
    }
    let (left, dropped) = take(holdings, left, true);
    let (_, more) = if left > 0 { take_written(holdings, left, true) } else { (0, 0) };
    dropped + more
}

/// Removes closed segments. Returns the bytes that are still missing, and the pinned records that went.
fn take(holdings: &[Holding], mut bytes: u64, pinned_too: bool) -> (u64, u64) {
    let mut pinned = 0;
    while bytes > 0 {
        let largest = holdings
            .iter()
            .filter_map(|holding| holding.oldest(pinned_too))
            .max_by_key(|(holding, _)| holding.log.size_bytes());
        let Some((holding, oldest)) = largest else { break };
        let removed = match holding.log.drop_oldest(oldest) {
            Ok(removed) if removed.segments > 0 => removed,
            // Somebody else was faster; the next pass sees what is left.
            Ok(_) => break,
            Err(error) => {
                tracing::error!(topic = &*holding.topic, partition = holding.log.partition(), %error, "no room is won");
                break;
            }
        };
        bytes = bytes.saturating_sub(removed.bytes);
        let unread = oldest.end_offset - oldest.first_offset.max(holding.pinned_from).min(oldest.end_offset);
        pinned += u64::try_from(unread).unwrap_or(0);
        let (topic, partition, removed) = (&*holding.topic, holding.log.partition(), removed.bytes);
        if unread > 0 {
            tracing::error!(topic, partition, removed, unread, "removed records that a pinned group has not read");
        } else {
            tracing::info!(topic, partition, removed, "removed the oldest records to make room");
        }
    }
    (bytes, pinned)
}

/// The same with the segments that are written, the largest partitions' first.
fn take_written(holdings: &[Holding], mut bytes: u64, pinned_too: bool) -> (u64, u64) {
    let mut by_size: Vec<&Holding> =
        holdings.iter().filter(|holding| pinned_too || holding.log.log_end() <= holding.pinned_from).collect();
    by_size.sort_by_key(|holding| std::cmp::Reverse(holding.log.size_bytes()));
    let mut pinned = 0;
    for holding in by_size {
        if bytes == 0 {
            break;
        }
        match holding.log.close_segment() {
            Ok(true) => {
                let (left, dropped) = take(std::slice::from_ref(holding), bytes, pinned_too);
                (bytes, pinned) = (left, pinned + dropped);
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(topic = &*holding.topic, partition = holding.log.partition(), %error, "no room is won");
            }
        }
    }
    (bytes, pinned)
}

#[cfg(test)]
mod tests;
