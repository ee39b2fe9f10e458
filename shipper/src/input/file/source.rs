//! One file that is being read: how far, what of it is under way, and what was acknowledged.
//!
//! Here is the one rule that the checkpoint rests on: `acked` moves over contiguous acknowledged stretches only.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::content::Content;
use super::identity::{FileId, FileKey, Head, Stamp, TAIL_BYTES, hash};
use crate::checkpoint::Entry;

/// A turn at one file: large enough for the system call not to matter, small enough for every file to get its turn.
pub(crate) const TURN_BYTES: usize = 256 << 10;

/// Where a source's bytes are.
#[derive(Debug)]
pub(crate) enum Place {
    /// In the file `key`, which is not open.
    Closed,
    Open(Content),
    /// In no file that is known.
    Lost {
        /// Its file was emptied in place: a copy of it may be somewhere.
        truncated: bool,
    },
}

/// A stretch that was read.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// The batch that carries it; 0 when there was nothing in it to send.
    number: u64,
    end: u64,
    /// Hash of the last bytes before `end`.
    tail: u64,
    since_ms: u64,
    acked: bool,
}

#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) entry: Entry,
    pub(crate) input: usize,
    /// Its name now.
    pub(crate) path: PathBuf,
    pub(crate) place: Place,
    /// The entry is in the checkpoint, so that records may be sent under its id.
    pub(crate) saved: bool,
    /// `acked` moved since it was written to the checkpoint.
    pub(crate) moved: bool,
    /// More than `acked` changed since.
    pub(crate) changed: bool,
    /// Everything before this was read.
    pub(crate) sent: u64,
    /// The bytes before `sent`.
    pub(crate) tail: Vec<u8>,
    waiting: VecDeque<Stretch>,
    /// The file as it was when all of it had been looked at; default when there is more to look at.
    pub(crate) seen: Stamp,
    /// The file as it was when its head was taken, as long as nothing was sent.
    pub(crate) headed: Stamp,
    /// Its size when last looked at: for the lag.
    pub(crate) size: u64,
    /// Scans in a row that did not find it.
    pub(crate) missing: u32,
    /// It got another name, or none: nothing more is expected to be written to it.
    pub(crate) rotated: bool,
    /// When it last grew.
    pub(crate) grew_ms: u64,
    /// After an error, when to try again.
    pub(crate) retry_ms: u64,
    /// Bytes to look at in the next turn: more than usual when a record is longer.
    pub(crate) view: usize,
    /// Where the last whole line in view ended.
    pub(crate) lines_end: u64,
    /// `entry.path` as a JSON string.
    pub(crate) json_path: Vec<u8>,
}

impl Source {
    pub(crate) fn new(entry: Entry, input: usize, path: PathBuf, now_ms: u64) -> Self {
        let json_path = serde_json::to_vec(&entry.path.to_string_lossy()).unwrap_or_default();
        let sent = entry.acked;
        Self {
            input,
            path,
            place: Place::Closed,
            saved: false,
            moved: false,
            changed: false,
            sent,
            tail: Vec::new(),
            waiting: VecDeque::new(),
            seen: Stamp::default(),
            headed: Stamp::default(),
            size: sent,
            missing: 0,
            rotated: false,
            grew_ms: now_ms,
            retry_ms: 0,
            view: TURN_BYTES,
            lines_end: 0,
            json_path,
            entry,
        }
    }

    /// A file that was never seen before.
    pub(crate) fn stranger(key: FileKey, path: PathBuf, head: &[u8], input: usize, now_ms: u64) -> Self {
        let entry = Entry {
            id: FileId::random(),
            generation: 0,
            key,
            path: path.clone(),
            head: Head::of(head),
            acked: 0,
            tail: hash(b""),
            cuts: Vec::new(),
            gzip: false,
            whole: 0,
            short: false,
            seen_s: 0,
        };
        Self::new(entry, input, path, now_ms)
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.place, Place::Open(_))
    }

    /// Whether everything that was read is acknowledged.
    pub(crate) fn settled(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next boundary that the content does not show.
    pub(crate) fn next_cut(&self) -> Option<u64> {
        self.entry.cuts.iter().copied().find(|at| *at > self.sent)
    }

    /// Moves `sent` over bytes that were read. `known` ends with them and may begin with what was before.
    pub(crate) fn read(&mut self, number: u64, length: usize, known: &[u8], now_ms: u64) {
        self.sent += length as u64;
        self.tail.clear();
        self.tail.extend(known.get(known.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default());
        let tail = hash(&self.tail);
        self.waiting.push_back(Stretch { number, end: self.sent, tail, since_ms: now_ms, acked: number == 0 });
        self.advance();
    }

    /// Takes an acknowledgement.
    pub(crate) fn acked(&mut self, number: u64) {
        if let Some(stretch) = self.waiting.iter_mut().find(|stretch| stretch.number == number) {
            stretch.acked = true;
        }
        self.advance();
    }

    fn advance(&mut self) {
        while let Some(stretch) = self.waiting.pop_front_if(|stretch| stretch.acked) {
            self.entry.acked = stretch.end;
            self.entry.tail = stretch.tail;
            self.moved = true;
        }
        let acked = self.entry.acked;
        self.entry.cuts.retain(|at| *at > acked);
    }

    /// Forgets what is under way. The caller reads again from `sent`, and must load `tail`.
    pub(crate) fn rewind(&mut self) {
        self.waiting.clear();
        self.sent = self.entry.acked;
        self.tail.clear();
        self.seen = Stamp::default();
        self.view = TURN_BYTES;
    }

    /// How long the oldest bytes under way have been so.
    pub(crate) fn oldest_ms(&self, now_ms: u64) -> u64 {
        self.waiting.front().map_or(0, |stretch| now_ms.saturating_sub(stretch.since_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// In whatever order acknowledgements come, `acked` is the end of the longest acknowledged beginning.
        #[test]
        fn acked_moves_over_contiguous_stretches_only(
            lengths in prop::collection::vec((1usize..50, any::<bool>()), 1..20), order in any::<prop::sample::Index>(),
            shuffle in Just(()).prop_perturb(|(), mut rng| rng.next_u64()),
        ) {
            let mut source = Source::stranger(FileKey::default(), "/a".into(), b"", 0, 0);
            let content: Vec<u8> = (0..2000u32).map(|n| (n % 251) as u8).collect();
            let mut ends = Vec::new();
            for (index, (length, empty)) in lengths.iter().enumerate() {
                let number = if *empty { 0 } else { index as u64 + 1 };
                let end = source.sent as usize + length;
                source.read(number, *length, &content[..end], 0);
                ends.push((number, end));
            }
            let mut open: Vec<u64> = ends.iter().map(|end| end.0).filter(|number| *number > 0).collect();
            let mut state = shuffle ^ order.index(usize::MAX) as u64;
            loop {
                let expected = ends.iter().take_while(|end| end.0 == 0 || !open.contains(&end.0)).last();
                let expected = expected.map_or(0, |end| end.1);
                prop_assert_eq!(source.entry.acked as usize, expected);
                let tail = &content[expected.saturating_sub(TAIL_BYTES)..expected];
                prop_assert_eq!(source.entry.tail, hash(tail));
                if open.is_empty() { break }
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let next = open.swap_remove((state >> 33) as usize % open.len());
                source.acked(next);
            }
            prop_assert!(source.settled());
        }
    }
}
