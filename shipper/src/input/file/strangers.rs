//! Files that are not known to be anyone yet: new ones, copies, and what is left after a truncation.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::adopt::Verdict;
use super::content::{Content, open};
use super::identity::{FileId, FileKey, Stamp};
use super::source::{Place, Source};
use super::tail::{Moment, RETRY_MS, Tail};
use crate::output::Output;

/// A file without content, or a copy in the making, is looked at again after this.
const LOOK_AGAIN_MS: u64 = 50;

/// A copy that was removed again while its original stayed is forgotten after this.
const COPY_GONE_MS: u64 = 60_000;

/// A file, and what was found out about it so far.
#[derive(Debug)]
pub(crate) struct Stranger {
    pub(super) path: PathBuf,
    pub(super) input: usize,
    pub(super) content: Option<Content>,
    pub(super) missing: u32,
    pub(super) retry_ms: u64,
    /// The file as it was when it was last judged.
    pub(super) judged: Stamp,
    pub(super) still_since_ms: u64,
    /// Whose content it repeats.
    pub(super) twin: Option<FileId>,
    /// It was there when the shipper was started for the first time.
    pub(super) at_first_start: bool,
}

impl Stranger {
    pub(super) fn new(path: PathBuf, input: usize, content: Option<Content>, now_ms: u64) -> Self {
        Self {
            path,
            input,
            content,
            missing: 0,
            retry_ms: 0,
            judged: Stamp::default(),
            still_since_ms: now_ms,
            twin: None,
            at_first_start: false,
        }
    }
}

impl<O: Output> Tail<O> {
    /// Judges all strangers that are due. The shortest names first: of a log and its copy, the log is the original.
    pub(super) fn judge_strangers(&mut self, now: &Moment) {
        let due = |(_, stranger): &(&FileKey, &Stranger)| stranger.retry_ms <= now.ms;
        let mut due: Vec<_> = self.strangers.iter().filter(due).map(|(key, s)| (s.path.clone(), *key)).collect();
        if !due.is_empty() {
            self.refresh_heads();
        }
        due.sort_by(|(one, _), (other, _)| one.as_os_str().len().cmp(&other.as_os_str().len()).then(one.cmp(other)));
        for (_, key) in due {
            let Some(mut stranger) = self.strangers.remove(&key) else { continue };
            stranger.retry_ms = now.ms + LOOK_AGAIN_MS;
            match self.look(key, &mut stranger, now) {
                Ok(Verdict::Wait) => drop(self.strangers.insert(key, stranger)),
                Ok(Verdict::Gone) => {}
                Ok(Verdict::New(head)) => self.welcome(key, stranger, &head, now),
                Ok(Verdict::Heir { id, short }) => self.inherit(key, stranger, id, short, now),
                Err(_) if stranger.content.as_ref().is_some_and(Content::in_the_making) => {
                    stranger.retry_ms = now.ms + RETRY_MS;
                    self.strangers.insert(key, stranger);
                }
                Err(error) => {
                    self.report(&stranger.path, &error);
                    let packed = stranger.content.as_ref().is_some_and(Content::is_gzip);
                    stranger.retry_ms = now.ms + if packed { 10 * RETRY_MS } else { RETRY_MS };
                    self.strangers.insert(key, stranger);
                }
            }
        }
    }

    /// Files that sent nothing yet, while the bus is away, may have become others since they were met.
    fn refresh_heads(&mut self) {
        let unsaved = self.sources.values().filter(|source| !source.saved && source.is_open());
        let unsaved: Vec<_> = unsaved.map(|source| source.entry.id).collect();
        for id in unsaved {
            let Some(mut source) = self.sources.remove(&id) else { continue };
            if let Place::Open(content) = &mut source.place
                && let Ok(stamp) = content.file().metadata().map(|meta| Stamp::of(&meta))
                && stamp != source.headed
                && let Ok(head) = content.head()
            {
                source.headed = stamp;
                self.set_head(&mut source, &head);
            }
            self.sources.insert(id, source);
        }
    }

    fn look(&mut self, key: FileKey, stranger: &mut Stranger, now: &Moment) -> std::io::Result<Verdict> {
        if stranger.content.is_none() {
            match std::fs::metadata(&stranger.path) {
                Ok(meta) if meta.len() == 0 => return Ok(Verdict::Wait),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    // Renamed or removed: a scan knows more.
                    self.scan_soon(now);
                    return Ok(if stranger.missing > 1 { Verdict::Gone } else { Verdict::Wait });
                }
                Err(error) => return Err(error),
            }
            if !self.may_open() {
                return Ok(Verdict::Wait);
            }
            let (file, meta) = open(&stranger.path)?;
            if FileKey::of(&meta) != key {
                self.scan_soon(now);
                return Ok(if stranger.missing > 1 { Verdict::Gone } else { Verdict::Wait });
            }
            stranger.content = Content::new(file, &stranger.path)?;
        }
        let Some(content) = &mut stranger.content else { return Ok(Verdict::Wait) };
        let meta = content.file().metadata()?;
        let stamp = Stamp::of(&meta);
        if stamp.size == 0 {
            if meta.nlink() == 0 {
                return Ok(Verdict::Gone);
            }
            // Empty again: what it will be is open again too.
            stranger.content = None;
            stranger.twin = None;
            return Ok(Verdict::Wait);
        }
        if stamp != stranger.judged {
            stranger.still_since_ms = now.ms;
        } else if meta.nlink() == 0 && stranger.twin.is_some() && now.ms > stranger.still_since_ms + COPY_GONE_MS {
            return Ok(Verdict::Gone);
        }
        self.judge(stranger, stamp, now)
    }

    /// A file of its own.
    fn welcome(&mut self, key: FileKey, stranger: Stranger, head: &[u8], now: &Moment) {
        let Some(mut content) = stranger.content else { return };
        let Some(input) = self.inputs.get(stranger.input) else { return };
        let meta = content.file().metadata();
        let mut source = Source::stranger(key, stranger.path, head, stranger.input, now.ms);
        source.entry.gzip = content.is_gzip();
        source.entry.seen_s = super::tail::seconds(now);
        if let (Ok(meta), true) = (&meta, input.ignore_older_ms > 0) {
            let age_ms = now.wall.as_millisecond().saturating_sub(meta.mtime() * 1000);
            if u64::try_from(age_ms).is_ok_and(|age| age > input.ignore_older_ms) {
                // Left alone until it is written to.
                let mut stranger = Stranger::new(source.path, stranger.input, None, now.ms);
                stranger.retry_ms = now.ms + self.settings.scan_ms;
                self.strangers.insert(key, stranger);
                return;
            }
        }
        if input.from_end && stranger.at_first_start {
            skip_to_end(&mut source, &mut content);
        }
        tracing::debug!(id = %source.entry.id, path = %source.path.display(), "a new file");
        let id = source.entry.id;
        source.place = Place::Open(content);
        self.open_files += 1;
        self.index(&source.entry.head.prefix, id);
        self.by_key.insert(key, id);
        self.active.insert(id);
        self.sources.insert(id, source);
    }

    /// Goes on with a known source in this file.
    fn inherit(&mut self, key: FileKey, stranger: Stranger, id: FileId, short: bool, now: &Moment) {
        let Some(mut source) = self.sources.remove(&id) else { return };
        let path = stranger.path.display();
        tracing::debug!(%id, %path, was = %source.path.display(), sent = source.sent, short, "a file goes on in a copy");
        self.counts.copies.add(1);
        self.close(&mut source);
        let old = source.entry.key;
        if self.by_key.get(&old) == Some(&id) {
            self.by_key.remove(&old);
        }
        self.by_key.insert(key, id);
        source.entry.key = key;
        source.entry.short = short;
        source.entry.whole = 0;
        source.entry.seen_s = super::tail::seconds(now);
        source.changed = true;
        source.rotated = true;
        source.path = stranger.path;
        source.input = stranger.input;
        source.missing = 0;
        source.seen = Stamp::default();
        source.grew_ms = now.ms;
        if let (Some(mut content), false) = (stranger.content, short) {
            source.entry.gzip = content.is_gzip();
            match content.before(source.sent) {
                Ok(tail) => {
                    source.tail = tail;
                    source.place = Place::Open(content);
                    self.open_files += 1;
                }
                Err(error) => self.report(&source.path, &error),
            }
            self.active.insert(id);
        }
        self.sources.insert(id, source);
    }
}

/// Begins after the last line.
fn skip_to_end(source: &mut Source, content: &mut Content) {
    let Ok((end, _)) = content.reach(u64::MAX) else { return };
    // A last line that is being written is read whole when it is not too long.
    let from = end.saturating_sub(64 << 10);
    let mut bytes = Vec::new();
    if content.read(from, 64 << 10, &mut bytes).is_ok() {
        let whole = memchr::memrchr(b'\n', &bytes).map_or(end, |at| from + at as u64 + 1);
        source.sent = whole.min(end);
        source.entry.acked = source.sent;
        source.tail = content.before(source.sent).unwrap_or_default();
        source.entry.tail = super::identity::hash(&source.tail);
    }
}
