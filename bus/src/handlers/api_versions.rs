//! Which APIs are served in which versions.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::api_versions_response::ApiVersion;
use logmill_bus_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use logmill_bus_protocol::{ApiKey, RequestHeader};

use super::{Answer, Call, Refused, SERVED, Served};
use crate::broker::Broker;

fn listed(served: &Served) -> ApiVersion {
    ApiVersion::default().with_api_key(served.api as i16).with_min_version(served.min).with_max_version(served.max)
}

pub(super) async fn handle(_: &Arc<Broker>, call: &Call, _: ApiVersionsRequest) -> Result<Answer, Refused> {
    let response = ApiVersionsResponse::default().with_api_keys(SERVED.iter().map(listed).collect());
    Ok(Answer::Now(vec![call.answer::<ApiVersionsRequest>(&response)?]))
}

/// The answer to a version that is not known here: of version 0, which every client reads, and listing this API alone.
pub(super) fn unknown_version(call: &Call) -> Result<Answer, Refused> {
    let only = SERVED.iter().filter(|served| served.api == ApiKey::ApiVersions).map(listed).collect();
    let response =
        ApiVersionsResponse::default().with_error_code(ResponseError::UnsupportedVersion.code()).with_api_keys(only);
    let oldest = Call { header: RequestHeader { api_version: 0, ..call.header.clone() }, ..call.clone() };
    Ok(Answer::Now(vec![oldest.answer::<ApiVersionsRequest>(&response)?]))
}
