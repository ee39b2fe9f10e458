//! From a request's body to its message, and from an answer to its bytes.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages as m;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request};

use crate::schema::ShapeError;
use crate::schemas::schema_of;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It does not have the shape of its API and version.
    #[error("the body of a {api:?} request of version {version} is broken: {source}")]
    Shape {
        /// Which API.
        api: ApiKey,
        /// Which version.
        version: i16,
        /// How it is broken.
        source: ShapeError,
    },
    /// It has the shape, and yet a value is refused (text that is not UTF-8, none where something must be).
    #[error("the body of a {api:?} request of version {version} is refused: {reason}")]
    Value {
        /// Which API.
        api: ApiKey,
        /// Which version.
        version: i16,
        /// Why.
        reason: String,
    },
    /// There is no such API here.
    #[error("there is no API with key {0}")]
    UnknownApi(i16),
}

/// An answer could not be written in the version that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the answer to a {api} request can't be written in version {version}: {reason}")]
pub struct EncodeError {
    pub(crate) api: i16,
    pub(crate) version: i16,
    pub(crate) reason: String,
}

/// A request whose bodies are read and whose answers are written in every version that is served: the versions
/// that the message crate knows, and for some APIs older ones.
pub trait Versioned: Request {
    /// Reads a body that has the shape of `version`.
    #[doc(hidden)]
    fn read(mut body: Bytes, version: i16) -> Result<Self, String> {
        Self::decode(&mut body, version).map_err(|error| error.to_string())
    }

    /// Writes the answer's body.
    #[doc(hidden)]
    fn write(answer: &Self::Response, out: &mut BytesMut, version: i16) -> Result<(), String> {
        answer.encode(out, version).map_err(|error| error.to_string())
    }
}

macro_rules! in_the_crates_versions {
    ($($request:ident),* $(,)?) => { $(impl Versioned for m::$request {})* };
}
in_the_crates_versions!(
    AlterConfigsRequest,
    ApiVersionsRequest,
    AlterUserScramCredentialsRequest,
    CreateAclsRequest,
    ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest,
    CreatePartitionsRequest,
    DeleteAclsRequest,
    DeleteGroupsRequest,
    DeleteRecordsRequest,
    DescribeAclsRequest,
    DescribeClusterRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
    DescribeProducersRequest,
    DescribeTransactionsRequest,
    ListTransactionsRequest,
    DescribeConfigsRequest,
    DescribeGroupsRequest,
    DescribeLogDirsRequest,
    DescribeUserScramCredentialsRequest,
    FetchRequest,
    FindCoordinatorRequest,
    HeartbeatRequest,
    IncrementalAlterConfigsRequest,
    InitProducerIdRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    ListGroupsRequest,
    ListOffsetsRequest,
    MetadataRequest,
    OffsetDeleteRequest,
    OffsetFetchRequest,
    OffsetForLeaderEpochRequest,
    SaslAuthenticateRequest,
    SaslHandshakeRequest,
    SyncGroupRequest,
);

/// Reads a body. Memory taken is at most a small multiple of the body, however it lies about its counts.
///
/// # Errors
/// When the body is not one of this API and version.
pub fn decode<R: Versioned>(version: i16, body: Bytes) -> Result<R, BodyError> {
    let api = ApiKey::try_from(R::KEY).map_err(|()| BodyError::UnknownApi(R::KEY))?;
    let schema = schema_of(api).ok_or(BodyError::UnknownApi(R::KEY))?;
    // The schema has no field before version 0, where the older decoders would still read what 0 has.
    if version < 0 {
        return Err(BodyError::Value { api, version, reason: "there are no versions below 0".to_owned() });
    }
    schema.check(version, &body).map_err(|source| BodyError::Shape { api, version, source })?;
    R::read(body, version).map_err(|reason| BodyError::Value { api, version, reason })
}

/// The whole answer to a request of type `R`: length, header and body.
///
/// # Errors
/// When a field is set that the version does not have.
pub fn encode_answer<R: Versioned>(
    correlation_id: i32,
    version: i16,
    answer: &R::Response,
) -> Result<Bytes, EncodeError> {
    let failed = |reason| EncodeError { api: R::KEY, version, reason };
    let mut out = begin(correlation_id, <R::Response as HeaderVersion>::header_version(version) >= 1);
    R::write(answer, &mut out, version).map_err(failed)?;
    finish(&mut out, 0).ok_or_else(|| failed("it is longer than 2 GiB".to_owned()))?;
    Ok(out.freeze())
}

/// Room for the length, and the answer's header.
pub(crate) fn begin(correlation_id: i32, tagged: bool) -> BytesMut {
    let mut out = BytesMut::with_capacity(256);
    out.put_i32(0);
    out.put_i32(correlation_id);
    if tagged {
        out.put_u8(0);
    }
    out
}

/// Writes the length: what stands in `out` and `elsewhere` bytes more.
pub(crate) fn finish(out: &mut BytesMut, elsewhere: usize) -> Option<()> {
    let length = i32::try_from(out.len() + elsewhere - 4).ok()?;
    out.first_chunk_mut::<4>().map(|place| *place = length.to_be_bytes())
}
