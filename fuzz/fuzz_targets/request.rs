//! Whatever a client sends: cut into frames, headers read, bodies decoded as the API and version they name.
#![no_main]

use bytes::BufMut;
use libfuzzer_sys::fuzz_target;
use logmill_bus_protocol::messages as m;
use logmill_bus_protocol::{ApiKey, FrameReader, RequestHeader, decode, subscribed_topics};

macro_rules! decode_as {
    ($key:expr, $version:expr, $body:expr; $($api:ident $request:ident),* $(,)?) => {
        match $key {
            $(key if key == ApiKey::$api as i16 => drop(decode::<m::$request>($version, $body)),)*
            _ => {}
        }
    };
}

fuzz_target!(|data: &[u8]| {
    let mut frames = FrameReader::new(1 << 20, 1 << 20);
    for piece in data.chunks(1000) {
        frames.space().put_slice(piece);
        while let Ok(Some(frame)) = frames.next_frame() {
            let Ok((header, body)) = RequestHeader::take(&frame) else { continue };
            let _ = subscribed_topics(&body);
            decode_as!(header.api_key, header.api_version, body;
                Produce ProduceRequest, Fetch FetchRequest, ListOffsets ListOffsetsRequest, Metadata MetadataRequest,
                OffsetCommit OffsetCommitRequest, OffsetFetch OffsetFetchRequest, FindCoordinator FindCoordinatorRequest,
                JoinGroup JoinGroupRequest, Heartbeat HeartbeatRequest, LeaveGroup LeaveGroupRequest,
                SyncGroup SyncGroupRequest, DescribeGroups DescribeGroupsRequest, ListGroups ListGroupsRequest,
                SaslHandshake SaslHandshakeRequest, SaslAuthenticate SaslAuthenticateRequest,
                ApiVersions ApiVersionsRequest, CreateTopics CreateTopicsRequest, DeleteTopics DeleteTopicsRequest,
                DeleteRecords DeleteRecordsRequest, InitProducerId InitProducerIdRequest,
                OffsetForLeaderEpoch OffsetForLeaderEpochRequest, AddPartitionsToTxn AddPartitionsToTxnRequest,
                AddOffsetsToTxn AddOffsetsToTxnRequest, EndTxn EndTxnRequest, TxnOffsetCommit TxnOffsetCommitRequest,
                DescribeProducers DescribeProducersRequest, DescribeTransactions DescribeTransactionsRequest,
                ListTransactions ListTransactionsRequest, DescribeAcls DescribeAclsRequest, CreateAcls CreateAclsRequest,
                DeleteAcls DeleteAclsRequest, DescribeConfigs DescribeConfigsRequest, AlterConfigs AlterConfigsRequest,
                DescribeLogDirs DescribeLogDirsRequest, CreatePartitions CreatePartitionsRequest,
                DeleteGroups DeleteGroupsRequest, IncrementalAlterConfigs IncrementalAlterConfigsRequest,
                OffsetDelete OffsetDeleteRequest, DescribeUserScramCredentials DescribeUserScramCredentialsRequest,
                AlterUserScramCredentials AlterUserScramCredentialsRequest, DescribeCluster DescribeClusterRequest,
                ConsumerGroupHeartbeat ConsumerGroupHeartbeatRequest,
                ConsumerGroupDescribe ConsumerGroupDescribeRequest,
            );
        }
    }
});
