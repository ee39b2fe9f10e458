//! One client's connection: requests are taken one after the other, answers go out in their order.
//!
//! A request waits for the one before it, except for records on their way to the disk: those are appended in order
//! and answered when they are durable, while the next request is read. Everything that gathers is bounded.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use logmill_bus_protocol::{FrameReader, RequestHeader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::budget::Budget;
use crate::handlers::{self, Answer, Call, Refused};
use crate::listener::Listener;
use crate::pace::{LOOK, Pace};
use crate::security::Principal;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) request_bytes_max: usize,
}

/// A request that carries no records: the largest are the assignments of large groups.
const PLAIN_REQUEST_BYTES_MAX: usize = 8 << 20;
/// Smaller requests come in without asking for room: a thousand connections with one each are 64 MiB.
const SMALL_REQUEST_BYTES: usize = 64 << 10;
/// Answers that wait to be written or for the disk. Clients pipeline up to five requests that way.
const ANSWERS_MAX: usize = 32;
/// Bytes of answers that wait to be written; one larger answer waits alone.
const ANSWER_BYTES_MAX: u32 = 4 << 20;
/// The rest of a request that has begun must come in this time, and an answer must be taken in this time.
const STALLED: Duration = Duration::from_secs(60);
/// A connection on which nothing is asked for so long is closed, as Kafka's `connections.max.idle.ms`.
const IDLE: Duration = Duration::from_secs(600);

/// Why a connection ends that could have gone on.
enum End {
    /// The client went, or was idle, or the broker stops.
    Quiet,
    /// What came in can't be answered.
    Refused(String),
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Quiet
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.to_string())
    }
}

/// An answer on its way, with the room that it takes.
struct Outgoing {
    answer: Answer,
    room: u32,
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    listener: &Arc<Listener>,
    broker: &Arc<Broker>,
    limits: Limits,
) {
    // Answers are written whole: there is nothing to gather.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(local) = stream.local_addr() else { return };
    let (reading, writing) = stream.split();
    let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
    let room = Semaphore::new(ANSWER_BYTES_MAX as usize);
    let principal = Principal::anonymous();
    let requests = Requests { reading, sender, room: &room, broker, listener, principal, local, peer };
    let outcome = tokio::try_join!(requests.run(limits), write_answers(writing, receiver, &room, &broker.answers));
    if let Err(End::Refused(reason)) = outcome {
        broker.meters.refused.add(1);
        tracing::warn!(%peer, reason, "closed a connection");
    }
}

/// The half that reads and asks the handlers.
struct Requests<'c> {
    reading: ReadHalf<'c>,
    sender: mpsc::Sender<Outgoing>,
    room: &'c Semaphore,
    broker: &'c Arc<Broker>,
    listener: &'c Arc<Listener>,
    principal: Principal,
    local: SocketAddr,
    peer: SocketAddr,
}

impl Requests<'_> {
    async fn run(mut self, limits: Limits) -> Result<(), End> {
        let mut frames = FrameReader::new(limits.request_bytes_max, PLAIN_REQUEST_BYTES_MAX);
        let mut held = None;
        loop {
            let frame = match frames.next_frame().map_err(|error| End::Refused(error.to_string()))? {
                Some(frame) => frame,
                None => {
                    // All of its room before the rest is read: two that are half read never wait for each other.
                    let announced = frames.announced_bytes();
                    if announced > SMALL_REQUEST_BYTES && held.is_none() {
                        let budget = self.broker.room_for_request(announced);
                        held = budget.hold(announced).await.map(|room| (room, Pace::start(budget)));
                    }
                    if !self.read_more(&mut frames, held.as_mut().map(|(_, pace)| pace)).await? {
                        return Ok(());
                    }
                    continue;
                }
            };
            let (header, body) = RequestHeader::take(&frame).map_err(|error| End::Refused(error.to_string()))?;
            drop(frame);
            let call = Call {
                header,
                principal: self.principal.clone(),
                listener: Arc::clone(self.listener),
                local: self.local,
                peer: self.peer,
            };
            self.broker.meters.requests.add(1);
            let answer = handlers::dispatch(self.broker, call, body).await?;
            held = None;
            self.send(answer).await?;
        }
    }

    /// False when the client has ended the stream, or the broker stops. With a pace the request holds room.
    async fn read_more(&mut self, frames: &mut FrameReader, mut pace: Option<&mut Pace<'_>>) -> Result<bool, End> {
        let wait = if frames.is_within() { STALLED } else { IDLE };
        let until = Instant::now() + wait;
        loop {
            let look = if pace.is_some() { Instant::now() + LOOK } else { until };
            let read = tokio::time::timeout_at(look.min(until), self.reading.read_buf(frames.space()));
            let bytes = match self.broker.shutdown.unless(read).await {
                None => return Ok(false),
                Some(Ok(outcome)) => Some(outcome?),
                Some(Err(_elapsed)) => None,
            };
            if pace.as_deref_mut().is_some_and(|pace| !pace.goes_on(bytes.unwrap_or(0))) {
                return Err(End::Refused("a request came in slowly while others waited for its room".to_owned()));
            }
            match bytes {
                Some(bytes) => return Ok(bytes > 0),
                None if Instant::now() < until => {}
                None if frames.is_within() => {
                    let message = format!("the rest of a request did not come within {} s", STALLED.as_secs());
                    return Err(End::Refused(message));
                }
                None => return Err(End::Quiet),
            }
        }
    }

    async fn send(&self, answer: Answer) -> Result<(), End> {
        let bytes = match &answer {
            Answer::None => return Ok(()),
            Answer::Now(pieces) | Answer::Held(pieces, _) => pieces.iter().map(Bytes::len).sum(),
            // Answers to Produce are small.
            Answer::Later(_) => 1024,
        };
        let room = u32::try_from(bytes).unwrap_or(u32::MAX).min(ANSWER_BYTES_MAX);
        self.room.acquire_many(room).await.map_err(|_| End::Quiet)?.forget();
        self.sender.send(Outgoing { answer, room }).await.map_err(|_| End::Quiet)
    }
}

/// The half that writes, in the order of the requests.
async fn write_answers(
    mut writing: WriteHalf<'_>,
    mut answers: mpsc::Receiver<Outgoing>,
    room: &Semaphore,
    budget: &Budget,
) -> Result<(), End> {
    while let Some(Outgoing { answer, room: taken }) = answers.recv().await {
        let mut held = None;
        let pieces = match answer {
            Answer::Now(pieces) => pieces,
            Answer::Held(pieces, room) => {
                held = Some(room);
                pieces
            }
            Answer::Later(later) => later.await?,
            Answer::None => Vec::new(),
        };
        write(&mut writing, Pieces::new(pieces), held.as_ref().map(|_| budget)).await?;
        drop(held);
        room.add_permits(taken as usize);
    }
    Ok(())
}

/// Writes an answer; with a budget it holds room of that.
async fn write(writing: &mut WriteHalf<'_>, mut pieces: Pieces, budget: Option<&Budget>) -> Result<(), End> {
    let bytes = pieces.remaining();
    // A slow reader has longer for more: 60 s and another for each 4 MiB.
    let patience = STALLED * (1 + u32::try_from(bytes / ANSWER_BYTES_MAX as usize).unwrap_or(u32::MAX));
    let until = Instant::now() + patience;
    let mut pace = budget.map(Pace::start);
    while pieces.has_remaining() {
        let written = match tokio::time::timeout(LOOK, writing.write_buf(&mut pieces)).await {
            Ok(outcome) => outcome?,
            Err(_elapsed) if Instant::now() < until => 0,
            Err(_elapsed) => return Err(End::Refused(format!("an answer of {bytes} bytes was not taken"))),
        };
        if pace.as_mut().is_some_and(|pace| !pace.goes_on(written)) {
            return Err(End::Refused(format!("an answer of {bytes} bytes was taken slowly while others waited")));
        }
    }
    Ok(())
}

/// An answer's pieces as one buffer, written by as few calls as the system allows and without a copy.
struct Pieces {
    pieces: VecDeque<Bytes>,
    left: usize,
}

impl Pieces {
    fn new(pieces: Vec<Bytes>) -> Self {
        let left = pieces.iter().map(Bytes::len).sum();
        Self { pieces: pieces.into_iter().filter(|piece| !piece.is_empty()).collect(), left }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        self.left = self.left.saturating_sub(count);
        while let Some(front) = self.pieces.front_mut() {
            if front.len() > count {
                return front.advance(count);
            }
            count -= front.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_read_as_one(pieces: Vec<Vec<u8>>, steps in proptest::collection::vec(1usize..9, 1..50)) {
            let whole = pieces.concat();
            let mut buffer = Pieces::new(pieces.into_iter().map(Bytes::from).collect());
            let mut seen = Vec::new();
            for step in steps.iter().cycle() {
                if !buffer.has_remaining() {
                    break;
                }
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = buffer.chunks_vectored(&mut slices);
                let joined: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                let count = (*step).min(joined.len());
                seen.extend_from_slice(&joined[..count]);
                buffer.advance(count);
            }
            prop_assert_eq!(seen, whole);
        }
    }
}
