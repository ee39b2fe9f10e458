//! What is served: one table, from which requests are dispatched and ApiVersions is answered. One file an API.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod alter_user_scram_credentials;
mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_transactions;
mod describe_user_scram_credentials;
mod end_txn;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
pub(crate) mod sasl_authenticate;
mod sasl_handshake;
mod sync_group;
mod txn_offset_commit;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use logmill_bus_protocol::messages as m;
use logmill_bus_protocol::{ApiKey, ResponseError, StrBytes, Versioned, decode};

use crate::broker::Broker;
use crate::call::{Answer, Call, Refused};

/// One API and the versions of it that are advertised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub(crate) api: ApiKey,
    pub(crate) min: i16,
    pub(crate) max: i16,
}

/// Makes the table and the dispatcher from one list. A handler takes the broker, the call and the decoded request, and
/// returns the response; those marked `raw` make the answer themselves.
macro_rules! serve {
    ($($api:ident $min:literal to $max:literal: $module:ident $($raw:ident)?,)*) => {
        /// Everything that is served.
        pub(crate) const SERVED: &[Served] = &[$(Served { api: ApiKey::$api, min: $min, max: $max }),*];

        async fn handle(broker: &Arc<Broker>, api: ApiKey, call: &Call, body: Bytes) -> Result<Answer, Refused> {
            match api {
                $(ApiKey::$api => serve!(@call $module $($raw)? (broker, call, body)),)*
                _ => Err(Refused::UnknownApi(api as i16)),
            }
        }
    };
    (@call $module:ident raw ($broker:ident, $call:ident, $body:ident)) => {
        Box::pin($module::handle($broker, $call, decode($call.version(), $body)?)).await
    };
    (@call $module:ident ($broker:ident, $call:ident, $body:ident)) => {{
        let request = decode($call.version(), $body)?;
        let response = Box::pin($module::handle($broker, $call, request)).await;
        respond($broker, $call, &response)
    }};
}

/// Which request a response belongs to, for the encoder.
trait ResponseTo {
    type Request: Versioned<Response = Self>;

    /// Whether all of it is refused, for those that can say so.
    fn is_refusal(&self) -> bool {
        false
    }
}

macro_rules! responses {
    ($($request:ident $response:ident),* $(,)?) => {
        $(impl ResponseTo for m::$response { type Request = m::$request; })*
    };
    (coded: $($request:ident $response:ident),* $(,)?) => {
        $(impl ResponseTo for m::$response {
            type Request = m::$request;

            fn is_refusal(&self) -> bool {
                self.error_code != 0
            }
        })*
    };
}
responses!(
    AddOffsetsToTxnRequest AddOffsetsToTxnResponse,
    AddPartitionsToTxnRequest AddPartitionsToTxnResponse,
    AlterConfigsRequest AlterConfigsResponse,
    AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse,
    CreateAclsRequest CreateAclsResponse,
    ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse,
    CreatePartitionsRequest CreatePartitionsResponse,
    CreateTopicsRequest CreateTopicsResponse,
    DeleteAclsRequest DeleteAclsResponse,
    DeleteGroupsRequest DeleteGroupsResponse,
    DeleteRecordsRequest DeleteRecordsResponse,
    DeleteTopicsRequest DeleteTopicsResponse,
    DescribeAclsRequest DescribeAclsResponse,
    DescribeClusterRequest DescribeClusterResponse,
    DescribeConfigsRequest DescribeConfigsResponse,
    DescribeGroupsRequest DescribeGroupsResponse,
    DescribeLogDirsRequest DescribeLogDirsResponse,
    DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse,
    DescribeProducersRequest DescribeProducersResponse,
    DescribeTransactionsRequest DescribeTransactionsResponse,
    IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse,
    ListGroupsRequest ListGroupsResponse,
    ListOffsetsRequest ListOffsetsResponse,
    ListTransactionsRequest ListTransactionsResponse,
    MetadataRequest MetadataResponse,
    OffsetCommitRequest OffsetCommitResponse,
    OffsetFetchRequest OffsetFetchResponse,
    OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse,
    SaslAuthenticateRequest SaslAuthenticateResponse,
    SaslHandshakeRequest SaslHandshakeResponse,
    TxnOffsetCommitRequest TxnOffsetCommitResponse,
);

// Those that have a code for the whole answer.
responses!(coded:
    HeartbeatRequest HeartbeatResponse,
    JoinGroupRequest JoinGroupResponse,
    SyncGroupRequest SyncGroupResponse,
    LeaveGroupRequest LeaveGroupResponse,
    ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse,
    InitProducerIdRequest InitProducerIdResponse,
    FindCoordinatorRequest FindCoordinatorResponse,
    OffsetDeleteRequest OffsetDeleteResponse,
    EndTxnRequest EndTxnResponse,
);

fn respond<T: ResponseTo>(broker: &Broker, call: &Call, response: &T) -> Result<Answer, Refused> {
    if response.is_refusal()
        && let Some(meter) = broker.meters.api(call.header.api_key)
    {
        meter.failed();
    }
    Ok(Answer::Now(call.answer::<T::Request>(response)?))
}

serve! {
    // Bodies below 3 are refused partition by partition; librdkafka takes a higher minimum for a broker without zstd.
    Produce 0 to 13: produce raw,
    Fetch 4 to 18: fetch raw,
    ListOffsets 1 to 10: list_offsets,
    Metadata 0 to 13: metadata,
    OffsetCommit 1 to 9: offset_commit,
    OffsetFetch 1 to 9: offset_fetch,
    FindCoordinator 0 to 6: find_coordinator,
    JoinGroup 0 to 9: join_group,
    Heartbeat 0 to 4: heartbeat,
    LeaveGroup 0 to 5: leave_group,
    SyncGroup 0 to 5: sync_group,
    DescribeGroups 0 to 6: describe_groups,
    ListGroups 0 to 5: list_groups,
    SaslHandshake 0 to 1: sasl_handshake,
    SaslAuthenticate 0 to 2: sasl_authenticate,
    ApiVersions 0 to 4: api_versions raw,
    CreateTopics 0 to 7: create_topics,
    DeleteTopics 0 to 6: delete_topics,
    DeleteRecords 0 to 2: delete_records,
    InitProducerId 0 to 5: init_producer_id,
    OffsetForLeaderEpoch 2 to 4: offset_for_leader_epoch,
    // From version 4 on brokers ask each other; from 5 on of EndTxn and TxnOffsetCommit, and 6 of InitProducerId, clients
    // may count on transaction.version 2, which is not offered.
    AddPartitionsToTxn 0 to 3: add_partitions_to_txn,
    AddOffsetsToTxn 0 to 4: add_offsets_to_txn,
    EndTxn 0 to 4: end_txn,
    TxnOffsetCommit 0 to 4: txn_offset_commit,
    DescribeProducers 0 to 0: describe_producers,
    DescribeTransactions 0 to 0: describe_transactions,
    ListTransactions 0 to 1: list_transactions,
    DescribeAcls 1 to 3: describe_acls,
    CreateAcls 1 to 3: create_acls,
    DeleteAcls 1 to 3: delete_acls,
    DescribeConfigs 1 to 4: describe_configs,
    AlterConfigs 0 to 2: alter_configs,
    DescribeLogDirs 1 to 4: describe_log_dirs,
    CreatePartitions 0 to 3: create_partitions,
    DeleteGroups 0 to 2: delete_groups,
    IncrementalAlterConfigs 0 to 1: incremental_alter_configs,
    OffsetDelete 0 to 0: offset_delete,
    DescribeUserScramCredentials 0 to 0: describe_user_scram_credentials,
    AlterUserScramCredentials 0 to 0: alter_user_scram_credentials,
    DescribeCluster 0 to 2: describe_cluster,
    ConsumerGroupHeartbeat 0 to 1: consumer_group_heartbeat,
    ConsumerGroupDescribe 0 to 1: consumer_group_describe,
}

/// Answers a request, or says why the connection must end.
pub(crate) async fn dispatch(broker: &Arc<Broker>, call: Call, body: Bytes) -> Result<Answer, Refused> {
    let (key, version) = (call.header.api_key, call.version());
    let served = SERVED.iter().find(|served| served.api as i16 == key).ok_or(Refused::UnknownApi(key))?;
    let (api, min, max) = (served.api, served.min, served.max);
    if !(min..=max).contains(&version) {
        // The one request that a client may send before it knows the versions.
        if api == ApiKey::ApiVersions {
            return api_versions::unknown_version(&call);
        }
        return Err(Refused::UnknownVersion { api, version, min, max });
    }
    let Some(meter) = broker.meters.api(key) else { return handle(broker, api, &call, body).await };
    let began = Instant::now();
    let outcome = handle(broker, api, &call, body).await;
    match outcome {
        // Answered when the disk is done.
        Ok(Answer::Later(later)) => {
            let meter = Arc::clone(meter);
            Ok(Answer::Later(Box::pin(async move {
                let outcome = later.await;
                meter.answered(began.elapsed());
                outcome
            })))
        }
        Ok(answer) => {
            meter.answered(began.elapsed());
            Ok(answer)
        }
        Err(refused) => {
            meter.failed();
            Err(refused)
        }
    }
}

/// The leader epoch that a client believes in against the one in force; -1 is a client that does not say.
fn check_epoch(theirs: i32, ours: i32) -> Result<(), i16> {
    match theirs {
        -1 => Ok(()),
        _ if theirs < ours => Err(ResponseError::FencedLeaderEpoch.code()),
        _ if theirs > ours => Err(ResponseError::UnknownLeaderEpoch.code()),
        _ => Ok(()),
    }
}

/// What stands for the operations that a client did not ask for.
const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// Does work that takes long, without holding up the connections that share this thread.
fn work_in_place<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // Nobody to hand the other connections to.
        _ => work(),
    }
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

#[cfg(test)]
mod login_tests;
#[cfg(test)]
mod permission_tests;
#[cfg(test)]
mod tests;
