//! One turn at one file: look, read, cut, encode, send.

use std::io;
use std::os::unix::fs::MetadataExt;

use super::content::Ended;
use super::identity::{HEAD_BYTES, Head, Stamp};
use super::source::{Place, Source, TURN_BYTES};
use super::tail::{FileInput, Moment, RETRY_MS, Tail};
use crate::checkpoint::CUTS_MAX;
use crate::encode::{Turn, message_bytes_max};
use crate::output::{Batch, Encoded, Output};
use crate::split::{Cut, Piece, Then};

/// A batch is sent when it holds so many bytes of events: short lines grow twentyfold as events.
const BATCH_BYTES: usize = 1 << 20;
/// An event is not larger: the bus takes records of 16 MiB, headers included.
const EVENT_BYTES_MAX: usize = 15 << 20;
/// Texts up to this size can't become larger events, whatever is in them (sixfold escapes and the original beside).
const TEXT_BYTES_SURE: usize = 1 << 20;
/// Beyond the longest record, so that its end can be told.
const VIEW_BYTES_SPARE: usize = 64 << 10;
/// What comes to a file after its rotation comes soon; then a last line without an end is taken for a line.
const ROTATED_IDLE_MS: u64 = 5000;
/// A file without a name is let go this long after its last change, when all of it was read.
const DELETED_IDLE_MS: u64 = 2000;
/// Buffers that grew beyond this for a long record are given back.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// There is more to read.
    More,
    Idle,
    /// The program stops.
    Stopping,
}

/// Used by every turn, kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    view: Vec<u8>,
    pieces: Vec<Piece>,
    events: Vec<u8>,
    records: Vec<Encoded>,
}

impl Buffers {
    pub(super) fn shrink(&mut self) {
        for buffer in [&mut self.view, &mut self.events] {
            if buffer.capacity() > BUFFER_BYTES_KEPT {
                *buffer = Vec::new();
            }
        }
        if self.pieces.capacity() > 1 << 16 {
            self.pieces = Vec::new();
            self.records = Vec::new();
        }
    }
}

#[cfg(test)]
impl<O: Output> Tail<O> {
    pub(super) fn buffers_bytes(&self) -> usize {
        self.buffers.view.capacity() + self.buffers.events.capacity()
    }
}

/// What lies in view after a read.
#[derive(Clone, Copy, Debug)]
struct View {
    stamp: Stamp,
    ended: Ended,
    /// Bytes in view that were read before.
    known: usize,
    then: Then,
    /// Bytes in view, up to the next boundary.
    end: usize,
}

impl<O: Output> Tail<O> {
    /// Reads the next bytes of a file, if there are any, and sends them.
    pub(super) fn turn(&mut self, source: &mut Source, now: &Moment) -> Turned {
        if now.ms < source.retry_ms {
            return Turned::Idle;
        }
        let mut buffers = std::mem::take(&mut self.buffers);
        let turned = self.try_turn(source, &mut buffers, now);
        self.buffers = buffers;
        turned.unwrap_or_else(|error| {
            if matches!(&source.place, Place::Open(content) if content.in_the_making()) {
                source.retry_ms = now.ms + RETRY_MS;
                return Turned::Idle;
            }
            self.report(&source.path, &error);
            // What is wrong with a compressed file seldom heals soon, and finding out is dear.
            source.retry_ms = now.ms + if source.entry.gzip { 10 * RETRY_MS } else { RETRY_MS };
            Turned::Idle
        })
    }

    fn try_turn(&mut self, source: &mut Source, buffers: &mut Buffers, now: &Moment) -> io::Result<Turned> {
        if matches!(source.place, Place::Closed) && (!self.may_open() || !self.resume(source, now)?) {
            return Ok(Turned::Idle);
        }
        let Some(view) = self.view(source, buffers, now)? else { return Ok(Turned::Idle) };
        let Some(input) = self.inputs.get(source.input) else { return Ok(Turned::Idle) };
        let data = buffers.view.get(view.known..view.end).unwrap_or_default();
        buffers.pieces.clear();
        let cut = input.rules.cut(data, view.then, &mut buffers.pieces);
        source.lines_end = source.sent + cut.lines_end as u64;
        if cut.consumed == 0 {
            let most = input.rules.bytes_max + VIEW_BYTES_SPARE;
            if view.ended == Ended::No && source.view < most {
                source.view = (source.view * 4).min(most);
                return Ok(Turned::More);
            }
            source.seen = view.stamp;
            return Ok(self.idle(source, view.ended, now));
        }
        if !source.saved {
            self.introduce(source, data);
            return Ok(Turned::More);
        }
        Ok(self.ship(source, buffers, view, cut, now))
    }

    /// Brings the bytes after the position into view, with those before it, which must still be the same.
    fn view(&mut self, source: &mut Source, buffers: &mut Buffers, now: &Moment) -> io::Result<Option<View>> {
        let Place::Open(content) = &mut source.place else { return Ok(None) };
        let meta = content.file().metadata()?;
        let stamp = Stamp::of(&meta);
        if stamp == source.seen {
            self.idle(source, Ended::ForNow, now);
            return Ok(None);
        }
        if stamp.size != source.size && !content.is_gzip() {
            source.grew_ms = now.ms;
        }
        source.size = if content.is_gzip() { source.size.max(source.sent) } else { stamp.size };
        let known = source.tail.len();
        let from = source.sent - known as u64;
        let ended = content.read(from, known + source.view, &mut buffers.view)?;
        let begins_anew = source.saved && source.sent == 0 && !source.entry.head.begins(&buffers.view);
        if !buffers.view.starts_with(&source.tail) || begins_anew {
            self.lose(source, now);
            return Ok(None);
        }
        let length = buffers.view.len();
        let cut = source.next_cut().and_then(|at| usize::try_from(at - source.sent).ok()).map(|at| known + at);
        let (then, end) = match cut {
            Some(at) if at <= length => (Then::Boundary, at),
            None if ended == Ended::ForGood => (Then::Boundary, length),
            _ => (Then::More, length),
        };
        Ok(Some(View { stamp, ended, known, then, end }))
    }

    /// Gives a new source its head, and has it put into the checkpoint before anything is sent.
    fn introduce(&mut self, source: &mut Source, data: &[u8]) {
        let id = source.entry.id;
        if source.sent == 0 {
            self.set_head(source, data);
        }
        self.unsaved.push(id);
    }

    pub(super) fn set_head(&mut self, source: &mut Source, start: &[u8]) {
        let head = Head::of(start);
        let id = source.entry.id;
        if head.prefix != source.entry.head.prefix {
            self.unindex(&source.entry.head.prefix, id);
            self.index(&head.prefix, id);
        }
        source.entry.head = head;
    }

    fn ship(&mut self, source: &mut Source, buffers: &mut Buffers, view: View, cut: Cut, now: &Moment) -> Turned {
        let Some(input) = self.inputs.get(source.input) else { return Turned::Idle };
        let data = buffers.view.get(view.known..view.end).unwrap_or_default();
        let (events, records) = (&mut buffers.events, &mut buffers.records);
        events.clear();
        records.clear();
        let time = format!("{:.3}", now.wall);
        let turn = Turn { time: &time, path: &source.json_path };
        let (mut consumed, mut filtered, mut parts) = (cut.consumed, 0, 0);
        for piece in &buffers.pieces {
            let text = data.get(piece.start..piece.text_end).unwrap_or_default();
            if !input.passes(text) {
                filtered += 1;
                continue;
            }
            parts += u64::from(piece.continues);
            encode(input, &turn, data, source.sent, *piece, events, records);
            if events.len() >= BATCH_BYTES {
                consumed = piece.end;
                break;
            }
        }
        let number = if records.is_empty() { 0 } else { self.batches + 1 };
        if number > 0 {
            let (source, generation) = (source.entry.id, source.entry.generation);
            if !self.output.send(&Batch { number, source, generation, records, bytes: events }) {
                return Turned::Stopping;
            }
            self.batches = number;
            self.counts.batches.add(1);
        }
        self.counts.events.add(records.len() as u64);
        self.counts.bytes.add(consumed as u64);
        self.counts.filtered.add(filtered);
        self.counts.parts.add(parts);
        if consumed == cut.consumed {
            self.counts.empty.add(cut.empty_lines as u64);
            self.counts.nul_bytes.add(cut.nul_bytes as u64);
        }
        let known = buffers.view.get(..view.known + consumed).unwrap_or_default();
        source.read(number, consumed, known, now.ms);
        source.view = TURN_BYTES;
        self.grow_head(source);
        // The rest in view may be read up: one more look tells.
        Turned::More
    }

    /// A longer head tells files apart better.
    fn grow_head(&mut self, source: &mut Source) {
        let length = usize::from(source.entry.head.length);
        let wanted = usize::try_from(source.sent).unwrap_or(usize::MAX).min(HEAD_BYTES);
        if wanted <= length {
            return;
        }
        let Place::Open(content) = &mut source.place else { return };
        if let Ok(mut head) = content.head()
            && head.len() >= wanted
            && source.entry.head.begins(&head)
        {
            head.truncate(wanted);
            self.set_head(source, &head);
            source.changed = true;
        }
    }

    /// All of the file was looked at: what is to be done with what remains, and with the file?
    fn idle(&mut self, source: &mut Source, ended: Ended, now: &Moment) -> Turned {
        let Some(input) = self.inputs.get(source.input) else { return Turned::Idle };
        let Place::Open(content) = &source.place else { return Turned::Idle };
        let deleted = content.file().metadata().is_ok_and(|meta| meta.nlink() == 0);
        let idle_ms = now.ms.saturating_sub(source.grew_ms);
        let close_ms = input.close_inactive_ms;
        if content.is_gzip() {
            if ended == Ended::ForGood && source.settled() {
                source.entry.whole = source.seen.size;
                source.changed = true;
                self.close(source);
            } else if ended == Ended::ForGood || !source.settled() {
                // Look again when all of it is acknowledged.
                source.seen = Stamp::default();
            } else if deleted && idle_ms >= DELETED_IDLE_MS {
                self.let_go(source);
            }
            return Turned::Idle;
        }
        if source.size > source.sent {
            let joined = input.join_timeout_ms.filter(|_| source.lines_end > source.sent);
            let rotated = source.rotated || deleted;
            let incomplete = Some(input.incomplete_ms).filter(|ms| *ms > 0);
            let incomplete = if rotated { Some(ROTATED_IDLE_MS) } else { incomplete };
            let cut = match (joined, incomplete) {
                (Some(ms), _) if idle_ms >= ms => Some(source.lines_end),
                (_, Some(ms)) if idle_ms >= ms => Some(source.size),
                _ => None,
            };
            if let Some(at) = cut
                && source.entry.cuts.len() < CUTS_MAX
                && source.next_cut().is_none()
                && self.save_cut(source, at)
            {
                source.seen = Stamp::default();
                return Turned::More;
            }
        } else if source.settled() && deleted && idle_ms >= DELETED_IDLE_MS {
            self.let_go(source);
        } else if source.settled() && !deleted && idle_ms >= close_ms {
            self.close(source);
        }
        Turned::Idle
    }

    /// A file without a name was read up.
    fn let_go(&mut self, source: &mut Source) {
        self.close(source);
        if self.by_key.get(&source.entry.key) == Some(&source.entry.id) {
            self.by_key.remove(&source.entry.key);
        }
        source.place = Place::Lost { truncated: false };
    }
}

impl FileInput {
    fn passes(&self, text: &[u8]) -> bool {
        let any = |patterns: &[regex::bytes::Regex]| patterns.iter().any(|pattern| self.rules.matches(pattern, text));
        (self.include_lines.is_empty() || any(&self.include_lines)) && !any(&self.exclude_lines)
    }
}

/// Encodes one record; as several when its event would be too large.
fn encode(
    input: &FileInput,
    turn: &Turn<'_>,
    data: &[u8],
    base: u64,
    piece: Piece,
    events: &mut Vec<u8>,
    records: &mut Vec<Encoded>,
) {
    let text = data.get(piece.start..piece.text_end).unwrap_or_default();
    if text.len() > TEXT_BYTES_SURE && message_bytes_max(text, input.rules.encoding) > EVENT_BYTES_MAX {
        let middle = middle(data, piece);
        let first = Piece { end: middle, text_end: middle, continues: true, ..piece };
        encode(input, turn, data, base, first, events, records);
        return encode(input, turn, data, base, Piece { start: middle, ..piece }, events, records);
    }
    let begin = events.len();
    let start = base + piece.start as u64;
    input.shape.write(turn, text, start, piece, events);
    records.push(Encoded { value: begin..events.len(), start, end: base + piece.end as u64 });
}

/// The middle of a text, at an even place (UTF-16) and not within a UTF-8 character.
fn middle(data: &[u8], piece: Piece) -> usize {
    let mut middle = piece.start + (piece.text_end - piece.start) / 4 * 2;
    for _ in 0..2 {
        if data.get(middle).is_some_and(|byte| byte & 0xC0 == 0x80) {
            middle -= 2;
        }
    }
    middle
}
