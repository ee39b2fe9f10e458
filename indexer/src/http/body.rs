//! Reads request bodies: no larger than their kind may be, and all together no more than there is room for.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::query::error::EsError;

/// Elasticsearch's `http.max_content_length`.
pub(crate) const BULK_BYTES_MAX: usize = 100 << 20;
/// A search is written by people or made by programs for them.
pub(super) const SEARCH_BYTES_MAX: usize = 10 << 20;
/// Bytes of bodies and of documents on their way to the bus, in all.
const ROOM_BYTES: usize = 256 << 20;
/// Room is given out in units of so many bytes, because a semaphore counts no higher than 2^29.
const UNIT: usize = 1 << 10;

/// Room for request bodies.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

/// A body, and the room that it takes until it is dropped.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Bytes,
    _room: Vec<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_BYTES / UNIT)))
    }

    /// Reads a body of at most `bytes_max`, whatever it was compressed to.
    pub(crate) async fn read(&self, body: Body, bytes_max: usize) -> Result<Payload, EsError> {
        let mut stream = body.into_data_stream();
        let mut bytes = BytesMut::new();
        let mut room = Vec::new();
        let mut taken = 0;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| EsError::parsing(format!("the request body can't be read: {error}")))?;
            let length = bytes.len() + chunk.len();
            if length > bytes_max {
                let reason =
                    format!("entity content is too large: more than {bytes_max} bytes; send it in smaller pieces");
                return Err(EsError::new(413, "content_too_long_exception", reason));
            }
            if length > taken {
                // A buffer grows by doubling; so does the room.
                let more = (length.max(taken * 2).min(bytes_max) - taken).div_ceil(UNIT);
                let units = u32::try_from(more).unwrap_or(u32::MAX);
                let permit = self.0.clone().try_acquire_many_owned(units).map_err(|_| overloaded())?;
                room.push(permit);
                taken += more * UNIT;
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Payload { bytes: bytes.freeze(), _room: room })
    }

    /// Reads a body of JSON; null when there is none.
    pub(super) async fn read_json(&self, body: Body) -> Result<Value, EsError> {
        let payload = self.read(body, SEARCH_BYTES_MAX).await?;
        parse(&payload.bytes)
    }
}

/// Parses JSON; nothing at all is null.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, EsError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    let refused = |error: serde_json::Error| {
        let what = if error.to_string().contains("recursion limit") { "is nested too deep" } else { "is not JSON" };
        EsError::parsing(format!("the request body {what}: {error}"))
    };
    serde_json::from_slice(bytes).map_err(refused)
}

fn overloaded() -> EsError {
    EsError::new(
        429,
        "es_rejected_execution_exception",
        "too many bytes are on their way already; try again in a second",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_are_bounded_one_by_one_and_all_together() {
        let room = Room::new();
        let fits = room.read(Body::from(vec![b' '; 1000]), 1000).await;
        assert!(fits.is_ok_and(|payload| payload.bytes.len() == 1000));
        let error = room.read(Body::from(vec![b' '; 1001]), 1000).await.unwrap_err();
        assert_eq!(error.status, 413);
        let mut held = Vec::new();
        let refused = loop {
            match room.read(Body::from(vec![0; BULK_BYTES_MAX]), BULK_BYTES_MAX).await {
                Ok(payload) => held.push(payload),
                Err(error) => break error,
            }
        };
        assert_eq!((held.len(), refused.status), (2, 429));
        held.clear();
        assert_eq!(room.0.available_permits(), ROOM_BYTES / UNIT);
    }

    #[test]
    fn broken_and_deep_json_is_refused() {
        assert!(parse(b"{\"a\":").unwrap_err().reason.contains("not JSON"));
        assert!(parse("[".repeat(100_000).as_bytes()).unwrap_err().reason.contains("too deep"));
        assert_eq!(parse(b" \n"), Ok(Value::Null));
    }
}
