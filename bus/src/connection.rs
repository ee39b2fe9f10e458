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
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::budget::Budget;
use crate::handlers::{self, Answer, Call, Refused, sasl_authenticate};
use crate::listener::Listener;
use crate::pace::{LOOK, Pace};
use crate::security::tls::{Tls, principal_of};
use crate::security::{Principal, Session};

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) request_bytes_max: usize,
    /// For TLS, a login and the first request.
    pub(crate) handshake: Duration,
    /// A connection on which nothing is asked for so long is closed.
    pub(crate) idle: Duration,
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
/// A request of somebody who is not known yet: names, proofs and tokens.
const LOGIN_REQUEST_BYTES_MAX: usize = 64 << 10;
/// For the last bytes of a connection.
const GOODBYE: Duration = Duration::from_secs(1);

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
    let known_by = Instant::now() + limits.handshake;
    let connection = Connection { broker, listener, local, peer, limits, known_by };
    let outcome = match &listener.tls {
        None => {
            let (reading, writing) = stream.split();
            connection.exchange(reading, writing, None).await
        }
        Some(tls) => Box::pin(connection.secured(tls, stream)).await,
    };
    if let Err(End::Refused(reason)) = outcome {
        broker.meters.refused.add(1);
        tracing::warn!(%peer, listener = listener.name, reason, "closed a connection");
    }
}

/// What does not change while a connection lives.
struct Connection<'c> {
    broker: &'c Arc<Broker>,
    listener: &'c Arc<Listener>,
    local: SocketAddr,
    peer: SocketAddr,
    limits: Limits,
    /// When it must be known who the client is, and what it wants first.
    known_by: Instant,
}

impl Connection<'_> {
    async fn secured(&self, tls: &Tls, stream: TcpStream) -> Result<(), End> {
        let accepting = tokio::time::timeout_at(self.known_by, tls.acceptor().accept(stream));
        let stream = match self.broker.shutdown.unless(accepting).await {
            Some(Ok(Ok(stream))) => stream,
            Some(Ok(Err(error))) => return Err(End::Refused(format!("no TLS: {error}"))),
            Some(Err(_elapsed)) => return Err(End::Quiet),
            None => return Ok(()),
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let known =
            match certificate {
                Some(certificate) => Some(principal_of(certificate).ok_or_else(|| {
                    End::Refused("the subject of the client's certificate is not understood".to_owned())
                })?),
                None => None,
            };
        let (reading, writing) = tokio::io::split(stream);
        self.exchange(reading, writing, known).await
    }

    /// Reads requests and writes answers until either ends.
    async fn exchange(
        &self,
        reading: impl AsyncRead + Unpin,
        writing: impl AsyncWrite + Unpin,
        known: Option<Principal>,
    ) -> Result<(), End> {
        let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
        let room = Semaphore::new(ANSWER_BYTES_MAX as usize);
        let session = Arc::new(Session::new(Arc::clone(self.listener), known));
        let requests = Requests { reading, sender, room: &room, connection: self, session, is_waiting: true };
        tokio::try_join!(requests.run(), write_answers(writing, receiver, &room, &self.broker.answers)).map(drop)
    }
}

/// The half that reads and asks the handlers.
struct Requests<'c, R> {
    reading: R,
    sender: mpsc::Sender<Outgoing>,
    room: &'c Semaphore,
    connection: &'c Connection<'c>,
    session: Arc<Session>,
    /// Whether nothing was asked for yet by a client that may ask.
    is_waiting: bool,
}

impl<R: AsyncRead + Unpin> Requests<'_, R> {
    async fn run(mut self) -> Result<(), End> {
        let Connection { broker, limits, local, peer, .. } = *self.connection;
        let mut frames = FrameReader::new(LOGIN_REQUEST_BYTES_MAX, LOGIN_REQUEST_BYTES_MAX);
        let mut held = None;
        loop {
            if self.session.is_in() {
                frames.set_limits(limits.request_bytes_max, PLAIN_REQUEST_BYTES_MAX);
            }
            let is_raw = self.session.is_raw();
            let next = if is_raw { frames.next_token() } else { frames.next_frame() };
            let Some(frame) = next.map_err(|error| End::Refused(error.to_string()))? else {
                // All of its room before the rest is read: two that are half read never wait for each other.
                let announced = frames.announced_bytes();
                if announced > SMALL_REQUEST_BYTES && held.is_none() {
                    let budget = broker.room_for_request(announced);
                    held = budget.hold(announced).await.map(|room| (room, Pace::start(budget)));
                }
                if !self.read_more(&mut frames, held.as_mut().map(|(_, pace)| pace)).await? {
                    return Ok(());
                }
                continue;
            };
            broker.meters.requests.add(1);
            let answer = if is_raw {
                self.take_token(frame).await?
            } else {
                let (header, body) = RequestHeader::take(&frame).map_err(|error| End::Refused(error.to_string()))?;
                drop(frame);
                if !self.session.admits(header.api_key) {
                    return Err(End::Refused("it must log in first, or again".to_owned()));
                }
                let principal = self.session.principal();
                let call = Call { header, principal, session: Arc::clone(&self.session), local, peer };
                handlers::dispatch(broker, call, body).await?
            };
            self.is_waiting = self.is_waiting && !self.session.is_in();
            held = None;
            self.send(answer).await?;
            if self.session.has_failed() {
                return Ok(());
            }
        }
    }

    /// A step of a login without a request around it.
    async fn take_token(&self, token: Bytes) -> Result<Answer, End> {
        let Connection { broker, peer, .. } = *self.connection;
        // There is no way to tell an error but to hang up.
        let answered = sasl_authenticate::step(broker, &self.session, peer, token).await.map_err(|_| End::Quiet)?;
        let length = i32::try_from(answered.token.len()).unwrap_or(i32::MAX);
        Ok(Answer::Now(vec![Bytes::copy_from_slice(&length.to_be_bytes()), answered.token.into()]))
    }

    /// False when the client has ended the stream, or the broker stops. With a pace the request holds room.
    async fn read_more(&mut self, frames: &mut FrameReader, mut pace: Option<&mut Pace<'_>>) -> Result<bool, End> {
        let Connection { broker, limits, known_by, .. } = *self.connection;
        let until = Instant::now() + if frames.is_within() { STALLED } else { limits.idle };
        let until = if self.is_waiting { until.min(known_by) } else { until };
        loop {
            let look = if pace.is_some() { Instant::now() + LOOK } else { until };
            let read = tokio::time::timeout_at(look.min(until), self.reading.read_buf(frames.space()));
            let bytes = match broker.shutdown.unless(read).await {
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
                None if frames.is_within() && !self.is_waiting => {
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
    mut writing: impl AsyncWrite + Unpin,
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
    // A clean end, for TLS; who does not take it is not waited for.
    let _ = tokio::time::timeout(GOODBYE, writing.shutdown()).await;
    Ok(())
}

/// Writes an answer; with a budget it holds room of that.
async fn write(
    writing: &mut (impl AsyncWrite + Unpin),
    mut pieces: Pieces,
    budget: Option<&Budget>,
) -> Result<(), End> {
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
    // TLS may still hold the end of it.
    match tokio::time::timeout_at(until, writing.flush()).await {
        Ok(outcome) => Ok(outcome?),
        Err(_elapsed) => Err(End::Refused(format!("an answer of {bytes} bytes was not taken"))),
    }
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
