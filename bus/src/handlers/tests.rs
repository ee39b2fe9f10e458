//! Every version of everything that is served, over a real socket, and what happens to nonsense.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use logmill_bus_protocol::client_side::{Decodable, Encodable, HeaderVersion, Request};
use logmill_core::config::Period;
use logmill_core::{Shutdown, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::{Config, Service};

mod settings;
mod transactions;

/// A broker on a free port, in a folder that may outlive it.
pub(super) struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

pub(super) async fn start(folder: &std::path::Path, config: Config) -> Running {
    let config = Config { listen: "127.0.0.1:0".into(), ..config };
    let service = Service::build(config, Stage::new("bus", folder.to_owned()).unwrap()).await.unwrap();
    let (address, shutdown) = (service.local_addr(), Shutdown::new());
    let task = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { service.run(shutdown).await.unwrap() }
    });
    Running { address, shutdown, task }
}

impl Running {
    pub(super) async fn stop(self) {
        self.shutdown.trigger();
        self.task.await.unwrap();
    }
}

/// The least of a client.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) correlation: i32,
}

impl Client {
    pub(super) async fn connect(broker: &Running) -> Self {
        Self { stream: TcpStream::connect(broker.address).await.unwrap(), correlation: 0 }
    }

    pub(super) fn frame(&mut self, key: i16, version: i16, header_version: i16, body: &[u8]) -> BytesMut {
        self.correlation += 1;
        let header = m::RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some("test".into()));
        let mut rest = BytesMut::new();
        header.encode(&mut rest, header_version).unwrap();
        rest.put_slice(body);
        let mut out = BytesMut::new();
        out.put_i32(i32::try_from(rest.len()).unwrap());
        out.put(rest);
        out
    }

    async fn answer(&mut self) -> Bytes {
        let length = usize::try_from(self.stream.read_i32().await.unwrap()).unwrap();
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await.unwrap();
        answer.into()
    }

    async fn send<R: Request>(&mut self, version: i16, request: &R) {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        let frame = self.frame(R::KEY, version, R::header_version(version), &body);
        self.stream.write_all(&frame).await.unwrap();
    }

    async fn receive<R: Request>(&mut self, version: i16) -> R::Response {
        let mut answer = self.answer().await;
        assert_eq!(answer.get_i32(), self.correlation);
        if R::Response::header_version(version) >= 1 {
            assert_eq!(answer.get_u8(), 0);
        }
        let response = R::Response::decode(&mut answer, version).unwrap();
        assert!(answer.is_empty(), "version {version} leaves {} bytes", answer.len());
        response
    }

    pub(super) async fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        self.receive::<R>(version).await
    }

    /// Whether the broker has hung up.
    pub(super) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.read(&mut byte).await, Ok(0) | Err(_))
    }
}

macro_rules! every_version {
    ($client:ident, $($request:ident from $least:literal $(with $make:expr)?;)*) => { $(
        let served = SERVED.iter().find(|served| served.api as i16 == m::$request::KEY).unwrap();
        for version in $least..=served.max {
            #[allow(unused_mut, unused_assignments)]
            let mut request = m::$request::default();
            $( request = ($make)(request, version); )?
            let _ = tokio::time::timeout(Duration::from_secs(5), $client.ask(version, &request))
                .await
                .unwrap_or_else(|_| panic!("no answer to {} {version}", stringify!($request)));
        }
    )* };
}

#[allow(clippy::too_many_lines)] // one entry an API
#[tokio::test]
async fn every_version_of_everything_is_answered_in_its_own_shape() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut client = Client::connect(&broker).await;
    let topic = || m::TopicName("topic".into());
    let group = |name: &str| m::GroupId(StrBytes::from_string(name.to_owned()));
    let created = client
        .ask(
            7,
            &m::CreateTopicsRequest::default().with_topics(vec![
                m::create_topics_request::CreatableTopic::default()
                    .with_name(topic())
                    .with_num_partitions(2)
                    .with_replication_factor(-1),
            ]),
        )
        .await;
    let id = created.topics[0].topic_id;
    assert!(!id.is_nil());
    every_version! { client,
        ApiVersionsRequest from 0 with |request: m::ApiVersionsRequest, version| match version {
            0..=2 => request,
            _ => request.with_client_software_name("it".into()).with_client_software_version("1".into()),
        };
        MetadataRequest from 0 with |request: m::MetadataRequest, version| {
            let asked = m::metadata_request::MetadataRequestTopic::default().with_name(Some(topic()));
            let request = request.with_topics(Some(vec![asked]));
            if version < 4 { request } else { request.with_allow_auto_topic_creation(false) }
        };
        ProduceRequest from 3 with |request: m::ProduceRequest, version| {
            let data = m::produce_request::PartitionProduceData::default().with_records(Some(Bytes::from_static(b"no batch")));
            let name = if version < 13 { topic() } else { m::TopicName::default() };
            let data = m::produce_request::TopicProduceData::default()
                .with_name(name)
                .with_topic_id(if version < 13 { uuid::Uuid::nil() } else { id })
                .with_partition_data(vec![data]);
            request.with_acks(-1).with_topic_data(vec![data])
        };
        FetchRequest from 4 with |request: m::FetchRequest, version| {
            let partition = m::fetch_request::FetchPartition::default().with_partition_max_bytes(1000);
            let name = if version < 13 { topic() } else { m::TopicName::default() };
            let asked = m::fetch_request::FetchTopic::default()
                .with_topic(name)
                .with_topic_id(if version < 13 { uuid::Uuid::nil() } else { id })
                .with_partitions(vec![partition]);
            request.with_max_wait_ms(1).with_max_bytes(1000).with_session_epoch(-1).with_topics(vec![asked])
        };
        ListOffsetsRequest from 1 with |request: m::ListOffsetsRequest, _| {
            let asked = m::list_offsets_request::ListOffsetsPartition::default().with_timestamp(-2);
            request.with_topics(vec![
                m::list_offsets_request::ListOffsetsTopic::default().with_name(topic()).with_partitions(vec![asked]),
            ])
        };
        FindCoordinatorRequest from 0 with |request: m::FindCoordinatorRequest, version| match version {
            0..=3 => request.with_key("g".into()),
            _ => request.with_coordinator_keys(vec!["g".into()]),
        };
        JoinGroupRequest from 0 with |request: m::JoinGroupRequest, version| {
            let protocol = m::join_group_request::JoinGroupRequestProtocol::default().with_name("range".into());
            request
                .with_group_id(group(&format!("join{version}")))
                .with_session_timeout_ms(6000)
                .with_protocol_type("consumer".into())
                .with_protocols(vec![protocol])
        };
        SyncGroupRequest from 0 with |request: m::SyncGroupRequest, version| {
            let request = request.with_group_id(group("sync"));
            if version < 5 { request } else {
                request.with_protocol_type(Some("consumer".into())).with_protocol_name(Some("range".into()))
            }
        };
        HeartbeatRequest from 0;
        LeaveGroupRequest from 0 with |request: m::LeaveGroupRequest, version| match version {
            0..=2 => request.with_member_id("m".into()),
            _ => request.with_members(vec![m::leave_group_request::MemberIdentity::default().with_member_id("m".into())]),
        };
        OffsetCommitRequest from 2 with |request: m::OffsetCommitRequest, _| {
            let partition = m::offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(5);
            request.with_group_id(group("offsets")).with_generation_id_or_member_epoch(-1).with_topics(vec![
                m::offset_commit_request::OffsetCommitRequestTopic::default()
                    .with_name(topic())
                    .with_partitions(vec![partition]),
            ])
        };
        OffsetFetchRequest from 1 with |request: m::OffsetFetchRequest, version| match version {
            0..=7 => request.with_group_id(group("offsets")).with_topics(Some(vec![
                m::offset_fetch_request::OffsetFetchRequestTopic::default()
                    .with_name(topic())
                    .with_partition_indexes(vec![0, 1]),
            ])),
            _ => request.with_topics(Some(vec![])).with_groups(vec![
                m::offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(group("offsets")).with_topics(None),
            ]),
        };
        DescribeGroupsRequest from 0 with |request: m::DescribeGroupsRequest, _| {
            request.with_groups(vec![group("offsets"), group("none")])
        };
        ListGroupsRequest from 0;
        CreateTopicsRequest from 2 with |request: m::CreateTopicsRequest, version| {
            let name = m::TopicName(StrBytes::from_string(format!("made{version}")));
            let asked = m::create_topics_request::CreatableTopic::default()
                .with_name(name)
                .with_num_partitions(1)
                .with_replication_factor(1);
            request.with_topics(vec![asked.clone(), asked])
        };
        DescribeConfigsRequest from 1 with |request: m::DescribeConfigsRequest, _| {
            let asked = m::describe_configs_request::DescribeConfigsResource::default().with_configuration_keys(None);
            request.with_resources(vec![
                asked.clone().with_resource_type(2).with_resource_name("topic".into()),
                asked.clone().with_resource_type(4).with_resource_name("1".into()),
                asked.with_resource_type(99),
            ])
        };
        IncrementalAlterConfigsRequest from 0;
        AlterConfigsRequest from 0;
        InitProducerIdRequest from 0 with |request: m::InitProducerIdRequest, _| request.with_transactional_id(None);
        AddPartitionsToTxnRequest from 0 with |request: m::AddPartitionsToTxnRequest, _| {
            let asked = m::add_partitions_to_txn_request::AddPartitionsToTxnTopic::default();
            request
                .with_v3_and_below_transactional_id(m::TransactionalId("t".into()))
                .with_v3_and_below_topics(vec![asked.with_name(topic()).with_partitions(vec![0, 99])])
        };
        AddOffsetsToTxnRequest from 0;
        TxnOffsetCommitRequest from 0 with |request: m::TxnOffsetCommitRequest, _| {
            let partition = m::txn_offset_commit_request::TxnOffsetCommitRequestPartition::default();
            request.with_group_id(group("offsets")).with_topics(vec![
                m::txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
                    .with_name(topic())
                    .with_partitions(vec![partition]),
            ])
        };
        EndTxnRequest from 0;
        DescribeProducersRequest from 0 with |request: m::DescribeProducersRequest, _| {
            let asked = m::describe_producers_request::TopicRequest::default();
            request.with_topics(vec![asked.with_name(topic()).with_partition_indexes(vec![0, 99])])
        };
        DescribeTransactionsRequest from 0 with |request: m::DescribeTransactionsRequest, _| {
            request.with_transactional_ids(vec![m::TransactionalId("t".into())])
        };
        ListTransactionsRequest from 0;
        OffsetForLeaderEpochRequest from 2 with |request: m::OffsetForLeaderEpochRequest, _| {
            let asked = m::offset_for_leader_epoch_request::OffsetForLeaderPartition::default();
            request.with_topics(vec![
                m::offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
                    .with_topic(topic())
                    .with_partitions(vec![asked]),
            ])
        };
        DescribeLogDirsRequest from 1 with |request: m::DescribeLogDirsRequest, _| request.with_topics(None);
        CreatePartitionsRequest from 0 with |request: m::CreatePartitionsRequest, version| request.with_topics(vec![
            m::create_partitions_request::CreatePartitionsTopic::default()
                .with_name(topic())
                .with_count(3 + i32::from(version)),
        ]);
        DescribeAclsRequest from 1;
        CreateAclsRequest from 1;
        DeleteAclsRequest from 1;
        SaslHandshakeRequest from 0;
        DescribeUserScramCredentialsRequest from 0;
        AlterUserScramCredentialsRequest from 0;
        DeleteRecordsRequest from 0;
        DescribeClusterRequest from 0;
        ConsumerGroupHeartbeatRequest from 0 with |request: m::ConsumerGroupHeartbeatRequest, version| {
            let request = request
                .with_group_id(group(&format!("beat{version}")))
                .with_member_id("m".into())
                .with_rebalance_timeout_ms(1000)
                .with_subscribed_topic_names(Some(vec![topic()]))
                .with_topic_partitions(Some(vec![]));
            if version >= 1 { request.with_subscribed_topic_regex(Some("t.*".into())) } else { request }
        };
        ConsumerGroupDescribeRequest from 0 with |request: m::ConsumerGroupDescribeRequest, _| {
            request.with_group_ids(vec![group("beat0"), group("none")])
        };
        OffsetDeleteRequest from 0 with |request: m::OffsetDeleteRequest, _| request.with_group_id(group("offsets"));
        DeleteGroupsRequest from 0 with |request: m::DeleteGroupsRequest, _| request.with_groups_names(vec![group("offsets")]);
        DeleteTopicsRequest from 1 with |request: m::DeleteTopicsRequest, version| match version {
            0..=5 => request.with_topic_names(vec![m::TopicName("made2".into()), m::TopicName("none".into())]),
            _ => request.with_topics(vec![
                m::delete_topics_request::DeleteTopicState::default().with_name(None).with_topic_id(id),
            ]),
        };
    }
    broker.stop().await;
}

#[tokio::test]
async fn unknown_versions_of_the_first_request_are_told_in_version_0() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut client = Client::connect(&broker).await;
    let frame = client.frame(18, 99, 2, b"whatever comes in a version to come");
    client.stream.write_all(&frame).await.unwrap();
    let told = client.receive::<m::ApiVersionsRequest>(0).await;
    assert_eq!(told.error_code, ResponseError::UnsupportedVersion.code());
    assert_eq!(told.api_keys.iter().map(|api| (api.api_key, api.max_version)).collect::<Vec<_>>(), [(18, 4)]);
    let all = client.ask(0, &m::ApiVersionsRequest::default()).await;
    assert_eq!(all.api_keys.len(), SERVED.len());
    assert!(all.api_keys.iter().any(|api| (api.api_key, api.min_version) == (0, 0)));
    broker.stop().await;
}

#[tokio::test]
async fn nonsense_closes_its_connection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut bystander = Client::connect(&broker).await;
    let nonsense: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0x3f, 0xff, 0xff, 0xff, 0, 0, 0, 3],
        &[0xff; 64],
        &[0, 0, 0, 1, 0],
        // A key that nobody serves, a version that nobody serves, and the count that asks for 150 GB.
        &[0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0, 0],
        &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0, 0],
        &[0, 0, 0, 15, 0, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0],
    ];
    for bytes in nonsense {
        let mut client = Client::connect(&broker).await;
        client.stream.write_all(bytes).await.unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(5), client.is_closed()).await;
        assert_eq!(closed, Ok(true), "{bytes:?}");
    }
    assert_eq!(bystander.ask(0, &m::ApiVersionsRequest::default()).await.error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn connections_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config { connections_max: 2, ..Config::default() }).await;
    let mut first = Client::connect(&broker).await;
    let mut second = Client::connect(&broker).await;
    first.ask(0, &m::ApiVersionsRequest::default()).await;
    second.ask(0, &m::ApiVersionsRequest::default()).await;
    assert!(Client::connect(&broker).await.is_closed().await);
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    Client::connect(&broker).await.ask(0, &m::ApiVersionsRequest::default()).await;
    broker.stop().await;
}

/// One record without key, value `value`, by hand: the format is fixed since Kafka 0.11.
pub(super) fn batch(value: &[u8], time_ms: i64) -> Bytes {
    let mut record = BytesMut::new();
    record.put_slice(&[0, 0, 0, 1]);
    record.put_u8(u8::try_from(value.len() * 2).unwrap());
    record.put_slice(value);
    record.put_u8(0);
    let mut checked = BytesMut::new();
    checked.put_i16(0);
    checked.put_i32(0);
    checked.put_i64(time_ms);
    checked.put_i64(time_ms);
    checked.put_i64(-1);
    checked.put_i16(-1);
    checked.put_i32(-1);
    checked.put_i32(1);
    checked.put_u8(u8::try_from(record.len() * 2).unwrap());
    checked.put_slice(&record);
    let mut out = BytesMut::new();
    out.put_i64(0);
    out.put_i32(i32::try_from(checked.len() + 9).unwrap());
    out.put_i32(-1);
    out.put_u8(2);
    out.put_u32(crc32c::crc32c(&checked));
    out.put_slice(&checked);
    out.freeze()
}

pub(super) fn produce(records: Bytes) -> m::ProduceRequest {
    let data = m::produce_request::PartitionProduceData::default().with_records(Some(records));
    let topic = m::produce_request::TopicProduceData::default()
        .with_name(m::TopicName("topic".into()))
        .with_partition_data(vec![data]);
    m::ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic])
}

pub(super) fn fetch(from: i64, wait_ms: i32) -> m::FetchRequest {
    let partition =
        m::fetch_request::FetchPartition::default().with_fetch_offset(from).with_partition_max_bytes(1 << 20);
    let topic = m::fetch_request::FetchTopic::default()
        .with_topic(m::TopicName("topic".into()))
        .with_partitions(vec![partition]);
    m::FetchRequest::default()
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

pub(super) async fn make_topic(client: &mut Client) {
    let asked = m::metadata_request::MetadataRequestTopic::default().with_name(Some(m::TopicName("topic".into())));
    let made = client.ask(9, &m::MetadataRequest::default().with_topics(Some(vec![asked]))).await;
    assert_eq!((made.topics[0].error_code, made.topics[0].partitions.len()), (0, 4));
}

#[tokio::test]
async fn a_waiting_fetch_hears_of_records_and_holds_nobody_else_up() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let (mut reader, mut writer) = (Client::connect(&broker).await, Client::connect(&broker).await);
    make_topic(&mut writer).await;
    reader.send(11, &fetch(0, 30_000)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = std::time::Instant::now();
    let answer = writer.ask(7, &produce(batch(b"hello", 1000))).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    let heard = reader.receive::<m::FetchRequest>(11).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    let partition = &heard.responses[0].partitions[0];
    assert_eq!(
        (partition.high_watermark, partition.records.as_ref().map(Bytes::len)),
        (1, Some(batch(b"hello", 1000).len()))
    );
    let beyond = reader.ask(11, &fetch(99, 10)).await;
    assert_eq!(beyond.responses[0].partitions[0].error_code, ResponseError::OffsetOutOfRange.code());
    broker.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut client = Client::connect(&broker).await;
    make_topic(&mut client).await;
    for number in 0..5u8 {
        client.send(7, &produce(batch(&[number], 1000))).await;
    }
    client.correlation -= 5;
    for number in 0..5 {
        client.correlation += 1;
        let answer = client.receive::<m::ProduceRequest>(7).await;
        assert_eq!(answer.responses[0].partition_responses[0].base_offset, number);
    }
    broker.stop().await;
}

#[tokio::test]
async fn bad_records_are_refused_partition_by_partition() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut client = Client::connect(&broker).await;
    make_topic(&mut client).await;
    let code = |answer: m::ProduceResponse| answer.responses[0].partition_responses[0].error_code;
    let mut torn = batch(b"x", 1).to_vec();
    *torn.last_mut().unwrap() ^= 1;
    assert_eq!(code(client.ask(7, &produce(torn.into())).await), ResponseError::CorruptMessage.code());
    assert_eq!(code(client.ask(7, &produce(Bytes::new())).await), ResponseError::InvalidRecord.code());
    let wrong = produce(batch(b"x", 1)).with_acks(7);
    assert_eq!(code(client.ask(7, &wrong).await), ResponseError::InvalidRequiredAcks.code());
    let transactional = produce(batch(b"x", 1)).with_transactional_id(Some(m::TransactionalId("t".into())));
    assert_eq!(code(client.ask(7, &transactional).await), ResponseError::InvalidProducerIdMapping.code());
    assert_eq!(code(client.ask(7, &produce(batch(b"x", 1))).await), 0, "and the connection lives on");
    broker.stop().await;
}

#[tokio::test]
async fn topics_ids_and_the_cluster_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = None;
    for round in 0..3i64 {
        let broker = start(folder.path(), Config::default()).await;
        let mut client = Client::connect(&broker).await;
        make_topic(&mut client).await;
        let all = client.ask(12, &m::MetadataRequest::default().with_topics(None)).await;
        let now = (all.cluster_id.clone(), all.topics[0].topic_id, all.topics[0].partitions[0].leader_epoch);
        assert_eq!(*before.get_or_insert(now.clone()), now, "a clean end raises no epoch");
        let answer = client.ask(7, &produce(batch(b"x", 1))).await;
        assert_eq!(answer.responses[0].partition_responses[0].base_offset, round);
        broker.stop().await;
    }
}

#[tokio::test]
async fn old_records_go() {
    let folder = tempfile::tempdir().unwrap();
    let retention = crate::RetentionConfig { period: Period::secs(3600), ..Default::default() };
    let broker = start(folder.path(), Config { retention, ..Config::default() }).await;
    let mut client = Client::connect(&broker).await;
    make_topic(&mut client).await;
    client.ask(7, &produce(batch(b"long ago", 1000))).await;
    let partition = m::delete_records_request::DeleteRecordsPartition::default().with_offset(-1);
    let topic = m::delete_records_request::DeleteRecordsTopic::default()
        .with_name(m::TopicName("topic".into()))
        .with_partitions(vec![partition]);
    let answer = client.ask(2, &m::DeleteRecordsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(answer.topics[0].partitions[0].low_watermark, 1);
    let gone = client.ask(11, &fetch(0, 10)).await;
    assert_eq!(gone.responses[0].partitions[0].error_code, ResponseError::OffsetOutOfRange.code());
    broker.stop().await;
}

#[tokio::test]
async fn a_fetch_session_outlives_its_connection_and_tells_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut client = Client::connect(&broker).await;
    make_topic(&mut client).await;
    let partition = |index, from| {
        m::fetch_request::FetchPartition::default()
            .with_partition(index)
            .with_fetch_offset(from)
            .with_partition_max_bytes(1 << 20)
    };
    let ask = |session, epoch, partitions: Vec<_>| {
        let named = m::fetch_request::FetchTopic::default()
            .with_topic(m::TopicName("topic".into()))
            .with_partitions(partitions.clone());
        fetch(0, 1).with_session_id(session).with_session_epoch(epoch).with_topics(if partitions.is_empty() {
            vec![]
        } else {
            vec![named]
        })
    };
    let first = client.ask(11, &ask(0, 0, (0..4).map(|index| partition(index, 0)).collect())).await;
    let id = first.session_id;
    assert!(id > 0);
    assert_eq!(first.responses[0].partitions.len(), 4);
    let mut other = Client::connect(&broker).await;
    assert_eq!(other.ask(11, &ask(id, 1, vec![])).await.responses, []);
    other.ask(7, &produce(batch(b"new", 1000))).await;
    let told = other.ask(11, &ask(id, 2, vec![])).await;
    assert_eq!((told.session_id, told.responses.len(), told.responses[0].partitions.len()), (id, 1, 1));
    assert!(told.responses[0].partitions[0].records.as_ref().is_some_and(|records| !records.is_empty()));
    assert_eq!(client.ask(11, &ask(id, 3, vec![partition(0, 1)])).await.responses, []);
    let stale = client.ask(11, &ask(id, 3, vec![])).await;
    assert_eq!((stale.error_code, stale.session_id), (ResponseError::InvalidFetchSessionEpoch.code(), 0));
    broker.stop().await;
}

#[tokio::test]
async fn the_metrics_say_what_topics_and_groups_are_doing_and_forget_what_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut client = Client::connect(&broker).await;
    // Other brokers of this process tell their series too: these names are this test's own.
    let name = || m::TopicName("metered".into());
    let asked = m::metadata_request::MetadataRequestTopic::default().with_name(Some(name()));
    client.ask(9, &m::MetadataRequest::default().with_topics(Some(vec![asked]))).await;
    let mut write = produce(batch(b"x", 1000));
    write.topic_data[0].name = name();
    client.ask(7, &write).await;
    let mut read = fetch(0, 10);
    read.topics[0].topic = name();
    client.ask(11, &read).await;
    let place = m::offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(0);
    let commit = m::OffsetCommitRequest::default()
        .with_group_id(m::GroupId("metered.group".into()))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            m::offset_commit_request::OffsetCommitRequestTopic::default()
                .with_name(name())
                .with_partitions(vec![place]),
        ]);
    client.ask(8, &commit).await;
    let metrics = logmill_core::telemetry::Metrics::install();
    let text = metrics.render();
    let size = batch(b"x", 1000).len();
    for line in [
        "logmill_bus_topic_records_in_total{topic=\"metered\"} 1\n".to_owned(),
        format!("logmill_bus_topic_bytes_out_total{{topic=\"metered\"}} {size}\n"),
        "logmill_bus_topic_records_out_total{topic=\"metered\"} 1\n".to_owned(),
        "logmill_bus_partition_log_end{topic=\"metered\",partition=\"0\"} 1\n".to_owned(),
        "logmill_bus_group_members{group=\"metered.group\"} 0\n".to_owned(),
        "logmill_bus_group_state{group=\"metered.group\",state=\"Empty\"} 1\n".to_owned(),
        "logmill_bus_group_lag{group=\"metered.group\",topic=\"metered\",partition=\"0\"} 1\n".to_owned(),
        "# TYPE logmill_bus_api_seconds histogram\n".to_owned(),
        "logmill_bus_api_seconds_count{api=\"Produce\"} ".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is not in {text}");
    }
    let gone = m::DeleteTopicsRequest::default().with_topic_names(vec![name()]);
    client.ask(5, &gone).await;
    assert!(!metrics.render().contains("metered"), "neither the topic nor the group that committed only there");
    broker.stop().await;
}
