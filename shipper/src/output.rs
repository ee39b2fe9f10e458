//! Where batches go. The reader needs little of it, so that its tests can be the bus.

use crate::input::file::identity::FileId;

/// Some consecutive records of one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'b> {
    pub(crate) number: u64,
    pub(crate) source: FileId,
    pub(crate) generation: u32,
    pub(crate) records: &'b [Encoded],
    /// What the records' `value` ranges lie in.
    pub(crate) bytes: &'b [u8],
}

/// One record: its event, and the stretch of the file that it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) value: std::ops::Range<usize>,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// What the bus said to a batch.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) source: FileId,
    /// Why it was not stored. Nothing of the same output that was sent after it counts then.
    pub(crate) refused: Option<String>,
}

/// The bus, or what stands for it.
pub(crate) trait Output {
    /// Whether a batch would be taken now.
    fn has_room(&self) -> bool;
    /// Takes a batch; `false` when the program stops first.
    fn send(&mut self, batch: &Batch<'_>) -> bool;
    /// Moves the answers that came to `answers`.
    fn answers(&mut self, answers: &mut Vec<Answer>);
    /// Forgets everything that is under way: it will be sent again. No answer to it comes any more.
    fn restart(&mut self, reason: &str);
}

mod bus;

pub(crate) use bus::BusOutput;
