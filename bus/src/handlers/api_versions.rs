//! Which APIs are served in which versions.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use logmill_bus_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use logmill_bus_protocol::{ApiKey, RequestHeader};

use super::{Answer, Call, Refused, SERVED, Served, text};
use crate::broker::Broker;

fn listed(served: &Served) -> ApiVersion {
    ApiVersion::default().with_api_key(served.api as i16).with_min_version(served.min).with_max_version(served.max)
}

/// Features that are in force: clients ask for the newer group protocol only where it is.
const GROUP_VERSION: &str = "group.version";
/// Features came with version 3 of the answer.
const FEATURES_SINCE: i16 = 3;

pub(super) async fn handle(_: &Arc<Broker>, call: &Call, _: ApiVersionsRequest) -> Result<Answer, Refused> {
    let mut response = ApiVersionsResponse::default().with_api_keys(SERVED.iter().map(listed).collect());
    if call.version() >= FEATURES_SINCE {
        let supported = SupportedFeatureKey::default().with_name(text(GROUP_VERSION)).with_max_version(1);
        // From 0 on, which versions before 4 can't say: they leave such features out.
        let supported = (call.version() > FEATURES_SINCE).then_some(supported);
        let in_force = FinalizedFeatureKey::default()
            .with_name(text(GROUP_VERSION))
            .with_max_version_level(1)
            .with_min_version_level(1);
        response = response
            .with_supported_features(supported.into_iter().collect())
            .with_finalized_features_epoch(1)
            .with_finalized_features(vec![in_force]);
    }
    Ok(Answer::Now(call.answer::<ApiVersionsRequest>(&response)?))
}

/// The answer to a version that is not known here: of version 0, which every client reads, and listing this API alone.
pub(super) fn unknown_version(call: &Call) -> Result<Answer, Refused> {
    let only = SERVED.iter().filter(|served| served.api == ApiKey::ApiVersions).map(listed).collect();
    let response =
        ApiVersionsResponse::default().with_error_code(ResponseError::UnsupportedVersion.code()).with_api_keys(only);
    let oldest = Call { header: RequestHeader { api_version: 0, ..call.header.clone() }, ..call.clone() };
    Ok(Answer::Now(oldest.answer::<ApiVersionsRequest>(&response)?))
}
