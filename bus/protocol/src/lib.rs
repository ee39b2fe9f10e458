//! Kafka's wire format for a broker, apart from any I/O: frames, headers, request bodies, answers.
//!
//! The message types come from the `kafka-protocol` crate. Its decoders reserve memory for whatever count
//! stands on the wire, so no body reaches them before [`schema`] has walked it to its end.

mod fetch_answer;
mod frame;
mod header;
mod legacy;
mod request;
mod schema;
mod schemas;
mod subscription;
mod wire;

pub use fetch_answer::{FetchAnswer, PartitionAnswer, Piece};
pub use frame::{FrameError, FrameReader};
pub use header::{HEADER_BYTES_MIN, HeaderError, RequestHeader, peek_api};
pub use kafka_protocol::error::ResponseError;
pub use kafka_protocol::messages;
pub use kafka_protocol::messages::ApiKey;
pub use kafka_protocol::protocol::StrBytes;
pub use request::{BodyError, EncodeError, Versioned, decode, encode_answer};
pub use schema::ShapeError;
pub use subscription::subscribed_topics;
pub use wire::WireError;

/// The client's side of the messages, for tests that speak to a broker as clients do.
#[doc(hidden)]
pub mod client_side {
    pub use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};
}
