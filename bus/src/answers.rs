//! The writing half of a connection: answers go out in the order of their requests. Records go from the log's file to
//! a plain connection without passing through this process, and to TLS piece by piece, so that an answer of any size
//! takes little memory however slowly it is taken.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, Bytes};
use logmill_bus_log::FileSlice;
use logmill_bus_protocol::Piece;
use tokio::io::{AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::server::TlsStream;

use crate::call::Answer;
use crate::end::{End, STALLED};

/// Answers that wait to be written or for the disk. Clients pipeline up to five requests that way.
const ANSWERS_MAX: usize = 32;
/// Bytes of answers that wait to be written; one larger answer waits alone.
const ANSWER_BYTES_MAX: u32 = 4 << 20;
/// For the last bytes of a connection.
const GOODBYE: Duration = Duration::from_secs(1);
/// Fewer records are copied, to go out with what stands around them in one call.
const COPIED_BYTES_MAX: usize = 16 << 10;
/// Sent from a file by one call: while it runs no other connection of this thread gets on.
const SENT_BYTES_MAX: usize = 1 << 20;
/// Read from a file at a time to be encrypted: four records of TLS.
const ENCRYPTED_BYTES_MAX: usize = 64 << 10;

/// An answer on its way, with the room that it takes.
struct Outgoing {
    answer: Answer,
    room: u32,
}

/// Where the reading half puts answers.
pub(crate) struct Answers<'r> {
    sender: mpsc::Sender<Outgoing>,
    room: &'r Semaphore,
}

/// Where the writing half finds them.
pub(crate) struct Written<'r> {
    receiver: mpsc::Receiver<Outgoing>,
    room: &'r Semaphore,
}

/// Room for the answers of one connection that wait.
pub(crate) fn room() -> Semaphore {
    Semaphore::new(ANSWER_BYTES_MAX as usize)
}

/// The way from one half to the other.
pub(crate) fn channel(room: &Semaphore) -> (Answers<'_>, Written<'_>) {
    let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
    (Answers { sender, room }, Written { receiver, room })
}

impl Answers<'_> {
    /// Waits while too much waits to be written.
    pub(crate) async fn send(&self, answer: Answer) -> Result<(), End> {
        let bytes = match &answer {
            Answer::None => return Ok(()),
            Answer::Now(bytes) => bytes.len(),
            Answer::Fetched(pieces) => bytes_of(pieces),
            // Answers to Produce are small.
            Answer::Later(_) => 1024,
        };
        let room = u32::try_from(bytes).unwrap_or(u32::MAX).min(ANSWER_BYTES_MAX);
        self.room.acquire_many(room).await.map_err(|_| End::Quiet)?.forget();
        self.sender.send(Outgoing { answer, room }).await.map_err(|_| End::Quiet)
    }
}

impl Written<'_> {
    /// Writes what is sent until nothing more can come.
    pub(crate) async fn run(mut self, mut outlet: impl Outlet) -> Result<(), End> {
        while let Some(Outgoing { answer, room }) = self.receiver.recv().await {
            let pieces = match answer {
                Answer::Now(bytes) => vec![Piece::Bytes(bytes)],
                Answer::Fetched(pieces) => pieces,
                Answer::Later(later) => vec![Piece::Bytes(later.await?)],
                Answer::None => Vec::new(),
            };
            let bytes = bytes_of(&pieces);
            // A slow reader has longer for more: 60 s and another for each 4 MiB.
            let patience = STALLED * (1 + u32::try_from(bytes / ANSWER_BYTES_MAX as usize).unwrap_or(u32::MAX));
            match tokio::time::timeout(patience, write(&mut outlet, pieces)).await {
                Ok(outcome) => outcome?,
                Err(_elapsed) => return Err(End::Refused(format!("an answer of {bytes} bytes was not taken"))),
            }
            self.room.add_permits(room as usize);
        }
        // A clean end, for TLS; who does not take it is not waited for.
        let _ = tokio::time::timeout(GOODBYE, outlet.shutdown()).await;
        Ok(())
    }
}

fn bytes_of(pieces: &[Piece<FileSlice>]) -> usize {
    let bytes = |piece: &Piece<FileSlice>| match piece {
        Piece::Bytes(bytes) => bytes.len(),
        Piece::Records(slice) => slice.len(),
    };
    pieces.iter().map(bytes).sum()
}

/// The way to a client.
pub(crate) trait Outlet: AsyncWrite + Unpin + Send {
    /// Sends some of a slice from `skip` on, as soon as the client takes any; says how much.
    fn send_file(&mut self, slice: &FileSlice, skip: usize) -> impl Future<Output = io::Result<usize>> + Send;
}

impl Outlet for WriteHalf<'_> {
    async fn send_file(&mut self, slice: &FileSlice, skip: usize) -> io::Result<usize> {
        let stream: &TcpStream = (*self).as_ref();
        let Some((file, position)) = slice.file() else { return Ok(0) };
        let wanted = (slice.len() - skip).min(SENT_BYTES_MAX);
        let send = || {
            let mut from = position + skip as u64;
            rustix::fs::sendfile(stream, file, Some(&mut from), wanted).map_err(io::Error::from)
        };
        match stream.async_io(Interest::WRITABLE, send).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }
}

impl Outlet for tokio::io::WriteHalf<TlsStream<TcpStream>> {
    async fn send_file(&mut self, slice: &FileSlice, skip: usize) -> io::Result<usize> {
        let mut chunk = vec![0; (slice.len() - skip).min(ENCRYPTED_BYTES_MAX)];
        slice.read_at(skip, &mut chunk)?;
        self.write_all(&chunk).await?;
        Ok(chunk.len())
    }
}

async fn write(outlet: &mut impl Outlet, pieces: Vec<Piece<FileSlice>>) -> io::Result<()> {
    let mut gathered = Gathered::default();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => gathered.push(bytes),
            Piece::Records(slice) if slice.len() <= COPIED_BYTES_MAX => {
                let mut copy = vec![0; slice.len()];
                slice.read_at(0, &mut copy)?;
                gathered.push(copy.into());
            }
            Piece::Records(slice) => {
                outlet.write_all_buf(&mut gathered).await?;
                let mut sent = 0;
                while sent < slice.len() {
                    sent += outlet.send_file(&slice, sent).await?;
                }
            }
        }
    }
    outlet.write_all_buf(&mut gathered).await?;
    // TLS may still hold the end of it.
    outlet.flush().await
}

/// Pieces as one buffer, written by as few calls as the system allows and without a copy.
#[derive(Default)]
struct Gathered {
    pieces: VecDeque<Bytes>,
    left: usize,
}

impl Gathered {
    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.left += piece.len();
            self.pieces.push_back(piece);
        }
    }
}

impl Buf for Gathered {
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
            let mut buffer = Gathered::default();
            pieces.into_iter().for_each(|piece| buffer.push(piece.into()));
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
