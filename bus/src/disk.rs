//! How full the disk is, and what follows from that: a flag that produce asks, with a distance between on and off so
//! that it does not flutter. Looking is one cheap system call.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use logmill_core::StatusBoard;
use tokio::sync::Notify;

use crate::config::{DiskPolicy, Watermark};

/// What is known of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) total: u64,
    /// What we may still take.
    pub(crate) free: u64,
}

/// Watches the file system of the logs.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    low_watermark: Watermark,
    policy: DiskPolicy,
    low: AtomicBool,
    /// A write found the disk full before we looked.
    full: Notify,
}

impl Disk {
    pub(crate) fn new(folder: PathBuf, low_watermark: Watermark, policy: DiskPolicy) -> Self {
        Self { folder, low_watermark, policy, low: AtomicBool::new(false), full: Notify::new() }
    }

    /// Whether producers are to be told to come again later.
    pub(crate) fn refuses(&self) -> bool {
        self.policy == DiskPolicy::BackPressure && self.low.load(Ordering::Relaxed)
    }

    /// Says that there was no room for a write.
    pub(crate) fn found_full(&self) {
        self.full.notify_one();
    }

    /// Resolves when a write has found no room.
    pub(crate) async fn full(&self) {
        self.full.notified().await;
    }

    /// Looks, says what it saw, and returns how many bytes are to be removed now.
    pub(crate) fn look(&self, board: &StatusBoard) -> u64 {
        let space = match self.space() {
            Ok(space) => space,
            Err(error) => {
                tracing::warn!(folder = %self.folder.display(), %error, "can't tell how full the disk is");
                return 0;
            }
        };
        let lowest = self.low_watermark.of(space.total);
        let enough = lowest.saturating_add(lowest / 4);
        board.set_gauge("disk_free_bytes", space.free as f64);
        board.set_gauge("disk_total_bytes", space.total as f64);
        board.set_gauge("disk_low_watermark_bytes", lowest as f64);
        let before = self.low.load(Ordering::Relaxed);
        let low = is_low(before, space.free, lowest, enough);
        self.low.store(low, Ordering::Relaxed);
        board.set_gauge("disk_low", f64::from(u8::from(low)));
        if low != before {
            self.tell(low, space, lowest, board);
        }
        match self.policy {
            DiskPolicy::DropOldest if low => enough.saturating_sub(space.free),
            _ => 0,
        }
    }

    fn tell(&self, low: bool, space: Space, lowest: u64, board: &StatusBoard) {
        if !low {
            tracing::info!(free = space.free, "the disk has room again");
            return board.set_problem("disk space", None);
        }
        let done = match self.policy {
            DiskPolicy::BackPressure => "producers are told to wait",
            DiskPolicy::DropOldest => "the oldest records are removed",
        };
        tracing::error!(free = space.free, lowest, folder = %self.folder.display(), "the disk is low: {done}");
        let free = logmill_core::config::ByteSize(space.free);
        board.set_problem("disk space", Some(format!("only {free} are free in {}: {done}", self.folder.display())));
    }

    fn space(&self) -> io::Result<Space> {
        let found = rustix::fs::statvfs(&self.folder)?;
        Ok(Space {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

/// Low from below `lowest` until `enough` is free.
fn is_low(before: bool, free: u64, lowest: u64, enough: u64) -> bool {
    if before { free < enough } else { free < lowest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_the_two_marks_nothing_changes() {
        let seen = [120, 99, 110, 124, 125, 110, 100, 99];
        let mut low = false;
        let states: Vec<bool> = seen
            .into_iter()
            .map(|free| {
                low = is_low(low, free, 100, 125);
                low
            })
            .collect();
        assert_eq!(states, [false, true, true, true, false, false, false, true]);
    }

    #[test]
    fn a_disk_can_be_low_by_definition_and_never() {
        let folder = tempfile::tempdir().unwrap();
        let board = StatusBoard::new("bus");
        let low = Disk::new(folder.path().to_owned(), Watermark::Bytes(1 << 60), DiskPolicy::BackPressure);
        assert_eq!((low.refuses(), low.look(&board), low.refuses()), (false, 0, true));
        assert_eq!(board.snapshot().problems.len(), 1);
        let dropping = Disk::new(folder.path().to_owned(), Watermark::Bytes(1 << 60), DiskPolicy::DropOldest);
        assert!(dropping.look(&board) > 1 << 59 && !dropping.refuses());
        let never = Disk::new(folder.path().to_owned(), Watermark::Percent(0.0), DiskPolicy::BackPressure);
        assert_eq!((never.look(&board), never.refuses()), (0, false));
    }
}
