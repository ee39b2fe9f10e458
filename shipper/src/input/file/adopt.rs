//! Who an unknown file is: by content, because a copy or a compressed file has nothing else in common with its original.
//!
//! Two mistakes are to be avoided: reading a copy again (everything in it twice), and taking a file for a copy that is none
//! (its lines never sent). So a file goes on as another only when the bytes before the position are the same and
//! the other one is gone; while both are there, it is only held back.

use std::ops::Bound;
use std::os::unix::fs::MetadataExt;

use super::content::{Content, Ended};
use super::identity::{FileId, HEAD_BYTES, PREFIX_BYTES, Stamp, hash};
use super::source::{Place, Source};
use super::strangers::Stranger;
use super::tail::{Moment, RETRY_MS, Tail};
use crate::output::Output;

/// A file that vanished and one that begins with the same bytes are one only beyond so much content: short files
/// are alike too often.
const ALIKE_BYTES_MIN: u64 = 1024;
/// A copy that ends before the position has nothing but its head to be known by.
const SHORT_HEAD_MIN: u16 = 256;
/// A file that repeats another and is larger than this is never taken for a file of its own.
const TWIN_BYTES_MAX: u64 = 16 << 10;

/// A compressed file that did not grow for so long is not being written any more.
const STILL_MS: u64 = 10_000;

/// What an unknown file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Can't be told yet.
    Wait,
    /// It was removed before it had any content.
    Gone,
    /// A file of its own that begins so.
    New(Vec<u8>),
    /// The file in which `id` goes on; `short` when it ends before what was read of it.
    Heir { id: FileId, short: bool },
}

/// What the unknown file is to one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Other,
    /// A copy, while the original is still there.
    Twin,
    Heir {
        short: bool,
    },
    /// Can't be told yet.
    Unsure,
}

/// How a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its file is there and holds what was read.
    Intact,
    /// Its file has no name any more, and is still being read.
    Draining,
    Gone {
        truncated: bool,
    },
    Unsure,
}

impl<O: Output> Tail<O> {
    pub(super) fn judge(&mut self, stranger: &mut Stranger, stamp: Stamp, now: &Moment) -> std::io::Result<Verdict> {
        let hold_ms = self.inputs.get(stranger.input).map_or(0, |input| input.copy_hold_ms);
        let same = stamp == stranger.judged;
        let expired = now.ms >= stranger.still_since_ms + hold_ms;
        if let Some(twin) = stranger.twin
            && same
            && !self.released(twin, stranger, stamp, expired, now)
        {
            return Ok(Verdict::Wait);
        }
        let Some(content) = &mut stranger.content else { return Ok(Verdict::Wait) };
        let head = content.head()?;
        if head.is_empty() {
            return Ok(Verdict::Wait);
        }
        stranger.judged = stamp;
        stranger.twin = None;
        let mut heir: Option<(u64, FileId, bool)> = None;
        let mut wait = false;
        for id in self.alike(&head) {
            let Some(mut source) = self.sources.remove(&id) else { continue };
            let relation = self.relation(content, &head, &mut source, now);
            let place = source.sent;
            self.sources.insert(id, source);
            tracing::trace!(path = %stranger.path.display(), %id, ?relation, "judged");
            match relation? {
                Relation::Other => {}
                Relation::Twin => stranger.twin = Some(id),
                Relation::Unsure => wait = true,
                Relation::Heir { short } => {
                    if heir.is_none_or(|(most, ..)| place > most) {
                        heir = Some((place, id, short));
                    }
                }
            }
        }
        let independent = expired && same && stamp.size <= TWIN_BYTES_MAX && !content.is_gzip();
        match (heir, stranger.twin) {
            (Some((_, id, short)), _) => Ok(Verdict::Heir { id, short }),
            (None, None) if !wait => Ok(Verdict::New(head)),
            (None, Some(_)) if independent => Ok(Verdict::New(head)),
            _ => {
                if wait {
                    // Decompressing is dear: not at every look, and seldom when nothing comes.
                    let still = same && now.ms >= stranger.still_since_ms + STILL_MS;
                    stranger.retry_ms = now.ms + if still { 20 * RETRY_MS } else { RETRY_MS / 2 };
                    if still && content.is_gzip() {
                        let text = format!("{}: the compressed file ends too early", stranger.path.display());
                        self.board.set_problem("file", Some(text));
                    }
                }
                Ok(Verdict::Wait)
            }
        }
    }

    /// Whether a held-back file must be judged anew although it did not change.
    fn released(&mut self, twin: FileId, stranger: &Stranger, stamp: Stamp, expired: bool, now: &Moment) -> bool {
        let Some(mut source) = self.sources.remove(&twin) else { return true };
        let standing = self.standing(&mut source, now);
        self.sources.insert(twin, source);
        let gzip = stranger.content.as_ref().is_some_and(Content::is_gzip);
        match standing {
            Standing::Intact => expired && stamp.size <= TWIN_BYTES_MAX && !gzip,
            Standing::Draining | Standing::Unsure => false,
            Standing::Gone { .. } => true,
        }
    }

    /// The sources whose content may begin like `head`.
    fn alike(&self, head: &[u8]) -> Vec<FileId> {
        let start = head.get(..PREFIX_BYTES).unwrap_or(head);
        let from = (Bound::Included(start), Bound::Unbounded);
        let longer = self.by_prefix.range::<[u8], _>(from).take_while(|(prefix, _)| prefix.starts_with(start));
        let mut ids: Vec<_> = longer.flat_map(|(_, ids)| ids.iter().copied()).collect();
        for length in 1..start.len() {
            ids.extend(start.get(..length).and_then(|prefix| self.by_prefix.get(prefix)).into_iter().flatten());
        }
        ids
    }

    fn relation(
        &mut self,
        content: &mut Content,
        head: &[u8],
        source: &mut Source,
        now: &Moment,
    ) -> std::io::Result<Relation> {
        let full = head.len() >= usize::from(source.entry.head.length);
        if full && !source.entry.head.begins(head) && source.saved {
            return Ok(Relation::Other);
        }
        match self.standing(source, now) {
            Standing::Unsure => Ok(Relation::Unsure),
            Standing::Gone { truncated } if full => like_gone(content, source, truncated),
            Standing::Gone { .. } => Ok(Relation::Other),
            Standing::Draining if source.saved => match like_gone(content, source, false)? {
                Relation::Other if !content.is_gzip() => Ok(Relation::Other),
                _ => Ok(Relation::Twin),
            },
            Standing::Intact | Standing::Draining => self.like_intact(content, source),
        }
    }

    /// Whether both begin with the same bytes, as far as both go.
    fn like_intact(&mut self, content: &mut Content, source: &mut Source) -> std::io::Result<Relation> {
        let mut opened = None;
        let other = match &mut source.place {
            Place::Open(other) => other,
            _ => match self.opened(source)? {
                Some(other) => opened.insert(other),
                None => return Ok(Relation::Unsure),
            },
        };
        let most = if other.is_gzip() { source.sent.max(HEAD_BYTES as u64) } else { u64::MAX };
        let (there, _) = other.reach(most)?;
        let (common, _) = content.reach(there)?;
        let head = usize::try_from(common).unwrap_or(usize::MAX).min(HEAD_BYTES);
        let (one, two) = (content.head()?, other.head()?);
        let alike = one.get(..head) == two.get(..head) && content.before(common)? == other.before(common)?;
        Ok(if alike && common > 0 { Relation::Twin } else { Relation::Other })
    }

    fn standing(&mut self, source: &mut Source, now: &Moment) -> Standing {
        match &mut source.place {
            Place::Lost { truncated } => return Standing::Gone { truncated: *truncated },
            Place::Closed if source.missing > 1 => return Standing::Gone { truncated: false },
            Place::Closed if source.missing == 1 => return Standing::Unsure,
            Place::Closed if source.entry.short || source.entry.whole > 0 => return Standing::Intact,
            Place::Closed => return self.standing_of_closed(source, now),
            Place::Open(content) => {
                let Ok(meta) = content.file().metadata() else { return Standing::Unsure };
                if meta.nlink() == 0 {
                    let drained = source.seen == Stamp::of(&meta);
                    return if drained { Standing::Gone { truncated: false } } else { Standing::Draining };
                }
                if content.is_gzip() {
                    return Standing::Intact;
                }
                // Where nothing was sent yet, only the head can tell.
                let begun = source.sent > 0 || !source.saved;
                let same_head = begun || content.head().is_ok_and(|head| source.entry.head.begins(&head));
                let same_tail = content.before(source.sent).is_ok_and(|tail| tail == source.tail);
                if meta.len() >= source.sent && same_head && same_tail {
                    return Standing::Intact;
                }
            }
        }
        self.lose(source, now);
        Standing::Gone { truncated: true }
    }

    fn standing_of_closed(&mut self, source: &mut Source, now: &Moment) -> Standing {
        if self.scans == 0 || !self.may_open() {
            return Standing::Unsure;
        }
        match self.resume(source, now) {
            Ok(true) => Standing::Intact,
            Ok(false) => match source.place {
                Place::Lost { truncated } => Standing::Gone { truncated },
                _ => Standing::Unsure,
            },
            Err(error) => {
                self.report(&source.path, &error);
                Standing::Unsure
            }
        }
    }

    /// Opens a source's file and goes on where it was acknowledged, if the bytes before still are the same.
    pub(super) fn resume(&mut self, source: &mut Source, now: &Moment) -> std::io::Result<bool> {
        let Some(mut content) = self.opened(source)? else {
            if std::fs::metadata(&source.path)
                .is_ok_and(|meta| meta.len() == 0 && super::identity::FileKey::of(&meta) == source.entry.key)
            {
                self.lose(source, now);
            } else {
                self.active.remove(&source.entry.id);
                self.scan_soon(now);
            }
            return Ok(false);
        };
        let same = source.entry.head.begins(&content.head()?);
        let (there, ended) = content.reach(source.entry.acked)?;
        if same && there < source.entry.acked && content.is_gzip() && ended == Ended::ForNow {
            return Err(std::io::Error::other("the compressed file ends too early"));
        }
        let tail = content.before(source.entry.acked)?;
        source.rewind();
        self.open_files += 1;
        let whole = there == source.entry.acked && hash(&tail) == source.entry.tail;
        source.place = Place::Open(content);
        if same && whole {
            source.tail = tail;
            source.grew_ms = now.ms;
            self.active.insert(source.entry.id);
            return Ok(true);
        }
        self.lose(source, now);
        Ok(false)
    }
}

/// Whether the content goes on where a source ended whose file is gone.
fn like_gone(content: &mut Content, source: &Source, truncated: bool) -> std::io::Result<Relation> {
    let place = source.sent;
    let (there, ended) = content.reach(place)?;
    if there < place {
        let known_short = (truncated || source.entry.short) && source.entry.head.length >= SHORT_HEAD_MIN;
        return Ok(match (content.is_gzip(), ended) {
            (true, Ended::ForNow) => Relation::Unsure,
            _ if known_short => Relation::Heir { short: true },
            _ => Relation::Other,
        });
    }
    let before = content.before(place)?;
    let same = if place == source.entry.acked { hash(&before) == source.entry.tail } else { before == source.tail };
    let enough = truncated || content.is_gzip() || place >= ALIKE_BYTES_MIN;
    Ok(if same && enough { Relation::Heir { short: false } } else { Relation::Other })
}
