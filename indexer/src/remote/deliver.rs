//! Gets a batch into another engine, however often that has to be tried: what it has no room for is sent again, what is
//! too large is sent in halves, and what it refuses for good becomes a dead letter.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use logmill_bus_client::Message;
use logmill_core::retry::Backoff;
use logmill_core::stage::Counter;
use logmill_core::{Shutdown, StatusBoard};
use logmill_indexer_api::Client;

use super::answer::{self, Outcome, Reason, Verdict};
use super::letter::Letters;
use super::record::Item;

/// Only what is looked at is answered: the rest would be as large as the documents.
const PATH: &str = "_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";
/// A busy engine says how long it wants to be left alone; longer than this it is not believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// From the time of a hiccup to the longest that a recovered engine should have to wait for us.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));
/// However little an engine takes at once, requests are not made smaller than this: single documents are larger.
const REQUEST_BYTES_MIN: usize = 64 << 10;
/// Whoever compresses more spends more time on it than a local network saves.
const GZIP_LEVEL: u32 = 1;

/// Stopping was asked for before everything was accepted: it is read again at the next start.
#[derive(Debug)]
pub(super) struct Stopped;

/// Sends batches. Shared by all that are under way.
pub(super) struct Delivery {
    client: Client,
    letters: Letters,
    gzip: bool,
    /// Bytes that a request may have: less than configured once a request was too large.
    pub(super) request_bytes: AtomicUsize,
    /// The engine has accepted something: what it then refuses alone is to blame itself.
    is_proven: AtomicBool,
    board: Arc<StatusBoard>,
    meters: Meters,
}

struct Meters {
    events: Counter,
    bytes: Counter,
    known: Counter,
    dead: Counter,
    retries: Counter,
}

impl Delivery {
    pub(super) fn new(
        client: Client,
        letters: Letters,
        gzip: bool,
        request_bytes: usize,
        board: Arc<StatusBoard>,
    ) -> Self {
        let meters = Meters {
            events: board.counter("events"),
            bytes: board.counter("bytes"),
            known: board.counter("dropped_duplicates"),
            dead: board.counter("dead_letters"),
            retries: board.counter("retries"),
        };
        let request_bytes = AtomicUsize::new(request_bytes);
        Self { client, letters, gzip, request_bytes, is_proven: AtomicBool::new(false), board, meters }
    }

    /// Returns once every item is stored, was stored before, or is a dead letter that the bus has on disk.
    pub(super) async fn deliver(&self, items: Vec<Item>, shutdown: &Shutdown) -> Result<(), Stopped> {
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let mut pieces = VecDeque::from([items]);
        while let Some(piece) = pieces.pop_front() {
            if piece.is_empty() {
                continue;
            }
            let (later, why, after) = match self.post(&piece).await {
                Outcome::Answered(verdicts) => {
                    // Whoever takes a part is not asked less and less often for the rest.
                    if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Stored)) {
                        backoff.reset();
                    }
                    let (later, why) = self.settle(piece, verdicts, shutdown).await?;
                    (later, why, None)
                }
                Outcome::TooLarge(_) | Outcome::Malformed(_) if piece.len() > 1 => {
                    let (first, second) = halves(piece);
                    let bytes = first.iter().map(Item::bytes).sum::<usize>().max(REQUEST_BYTES_MIN);
                    self.request_bytes.fetch_min(bytes, Ordering::Relaxed);
                    pieces.push_front(second);
                    pieces.push_front(first);
                    continue;
                }
                Outcome::Malformed(why) if !self.is_proven.load(Ordering::Relaxed) => {
                    // It may be that this engine reads no request of ours at all.
                    (piece, format!("{} {}", why.kind, why.reason), None)
                }
                Outcome::TooLarge(why) | Outcome::Malformed(why) => {
                    let dead = piece.into_iter().map(|item| (item.message, why.clone())).collect();
                    self.bury(dead, shutdown).await?;
                    continue;
                }
                Outcome::Later { reason, after } => (piece, reason, after),
            };
            if later.is_empty() {
                self.board.set_problem("remote", None);
                self.board.set_ready(true);
                backoff.reset();
                continue;
            }
            self.meters.retries.add(1);
            let delay = backoff.next_delay().max(after.unwrap_or_default().min(RETRY_AFTER_MAX));
            tracing::warn!(items = later.len(), why, ?delay, "the index does not take events and is asked again");
            self.board.set_problem("remote", Some(format!("{} does not take events: {why}", self.client.shown())));
            self.board.set_ready(false);
            pieces.push_front(later);
            shutdown.unless(tokio::time::sleep(delay)).await.ok_or(Stopped)?;
        }
        Ok(())
    }

    async fn post(&self, items: &[Item]) -> Outcome {
        let body = match body(items, self.gzip) {
            Ok(body) => body,
            Err(error) => return Outcome::Later { reason: error.to_string(), after: None },
        };
        match self.client.post_lines(PATH, body, self.gzip).await {
            Ok(answer) => answer::read(&answer, items),
            Err(error) => Outcome::Later { reason: error.to_string(), after: None },
        }
    }

    /// Counts what is settled; gives back what is to be sent again, and why.
    async fn settle(
        &self,
        items: Vec<Item>,
        verdicts: Vec<Verdict>,
        shutdown: &Shutdown,
    ) -> Result<(Vec<Item>, String), Stopped> {
        let (mut later, mut why, mut dead) = (Vec::new(), String::new(), Vec::new());
        let (mut events, mut bytes, mut known) = (0, 0, 0);
        for (item, verdict) in items.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Stored => {
                    events += 1;
                    bytes += item.message.value.len() as u64;
                }
                Verdict::Known => known += 1,
                Verdict::Later(reason) => {
                    why = reason;
                    later.push(item);
                }
                Verdict::Refused(reason) => dead.push((item.message, reason)),
            }
        }
        if events + known > 0 {
            self.is_proven.store(true, Ordering::Relaxed);
        }
        self.meters.events.add(events);
        self.meters.bytes.add(bytes);
        self.meters.known.add(known);
        self.bury(dead, shutdown).await?;
        Ok((later, why))
    }

    /// Dead letters count when the bus has them; a bus that is away is waited for.
    pub(super) async fn bury(&self, dead: Vec<(Message, Reason)>, shutdown: &Shutdown) -> Result<(), Stopped> {
        let Some((_, first)) = dead.first() else { return Ok(()) };
        tracing::warn!(count = dead.len(), kind = first.kind, reason = first.reason, "the index refuses events");
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        loop {
            match shutdown.unless(self.letters.bury(&dead)).await.ok_or(Stopped)? {
                Ok(()) => break,
                Err(error) => tracing::warn!(%error, "dead letters are not written and are tried again"),
            }
            shutdown.unless(tokio::time::sleep(backoff.next_delay())).await.ok_or(Stopped)?;
        }
        self.meters.dead.add(dead.len() as u64);
        Ok(())
    }
}

/// Halves by count: halving again finds what is too large wherever it is.
fn halves(mut items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
    let second = items.split_off(items.len() / 2);
    (items, second)
}

/// The lines of a request.
fn body(items: &[Item], gzip: bool) -> std::io::Result<Bytes> {
    let bytes: usize = items.iter().map(Item::bytes).sum();
    if !gzip {
        let mut plain = Vec::with_capacity(bytes);
        write(items, &mut plain)?;
        return Ok(plain.into());
    }
    // Logs shrink to a tenth.
    let mut packed = GzEncoder::new(Vec::with_capacity(bytes / 8), Compression::new(GZIP_LEVEL));
    write(items, &mut packed)?;
    Ok(packed.finish()?.into())
}

fn write(items: &[Item], out: &mut impl std::io::Write) -> std::io::Result<()> {
    for item in items {
        out.write_all(item.action.as_bytes())?;
        out.write_all(b"\n")?;
        if let Some(source) = &item.source {
            out.write_all(source)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
