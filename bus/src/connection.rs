//! One client's connection: requests are taken one after the other, answers go out in their order.
//!
//! A request waits for the one before it, except for records on their way to the disk: those are appended in order
//! and answered when they are durable, while the next request is read. Everything that gathers is bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use logmill_bus_protocol::{FrameReader, RequestHeader};
use logmill_core::tls::Tls;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::answers::{self, Answers, Outlet};
use crate::broker::Broker;
use crate::call::{Answer, Call};
use crate::end::{End, STALLED};
use crate::handlers::{self, sasl_authenticate};
use crate::listener::Listener;
use crate::pace::{LOOK, Pace};
use crate::security::tls::principal_of;
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
/// A request of somebody who is not known yet: names, proofs and tokens.
const LOGIN_REQUEST_BYTES_MAX: usize = 64 << 10;

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
        let accepting = tokio::time::timeout_at(self.known_by, TlsAcceptor::from(tls.current()).accept(stream));
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
        writing: impl Outlet,
        known: Option<Principal>,
    ) -> Result<(), End> {
        let room = answers::room();
        let (answers, written) = answers::channel(&room);
        let session = Arc::new(Session::new(Arc::clone(self.listener), known));
        let requests = Requests { reading, answers, connection: self, session, is_waiting: true };
        tokio::try_join!(requests.run(), written.run(writing)).map(drop)
    }
}

/// The half that reads and asks the handlers.
struct Requests<'c, R> {
    reading: R,
    answers: Answers<'c>,
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
            self.answers.send(answer).await?;
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
        Ok(Answer::Now([&length.to_be_bytes()[..], &answered.token].concat().into()))
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
}
