//! No handler answers without asking whether it may: each served API, asked by somebody without rights.

use logmill_bus_protocol::client_side::Request;

use super::tests::{Client, batch, fetch, make_topic, produce, start};
use super::*;
use crate::Config;
use crate::config::AclConfig;
use crate::security::Operation;

/// What everybody may ask. Adding to this list needs a reason that Kafka shares.
const FOR_EVERYBODY: &[ApiKey] = &[
    // Before anything else is known of the client.
    ApiKey::ApiVersions,
    // Where the brokers are, as in Kafka.
    ApiKey::DescribeCluster,
    // How somebody becomes known.
    ApiKey::SaslHandshake,
    ApiKey::SaslAuthenticate,
];

/// An answer that says nothing.
const NOTHING: i16 = 0;
const TOPIC: i16 = 29;
const GROUP: i16 = 30;
const CLUSTER: i16 = 31;
const TRANSACTION: i16 = 53;

/// The topic that is there, and may not be seen.
fn topic() -> m::TopicName {
    m::TopicName("topic".into())
}

fn group() -> m::GroupId {
    m::GroupId("group".into())
}

/// Asks in the newest version and expects the code in the answer, or an answer that says nothing.
macro_rules! refused {
    ($client:ident, $asked:ident, $($request:ident $code:ident $([$($with:tt)+])?;)*) => { $({
        let served = SERVED.iter().find(|served| served.api as i16 == <m::$request as Request>::KEY).unwrap();
        let request = m::$request::default()$($($with)+)?;
        let answer = $client.ask(served.max, &request).await;
        let told = format!("{answer:?}");
        let expected = match $code {
            NOTHING => told == format!("{:?}", <m::$request as Request>::Response::default()),
            code => told.contains(&format!("error_code: {code},")),
        };
        assert!(expected, "{} should be refused with {}: {told}", stringify!($request), $code);
        $asked.push(served.api);
    })* };
}

#[allow(clippy::too_many_lines)] // one entry an API
#[tokio::test]
async fn every_handler_asks_for_permission() {
    let folder = tempfile::tempdir().unwrap();
    // Made while everybody may do everything.
    let open = start(folder.path(), Config::default()).await;
    make_topic(&mut Client::connect(&open).await).await;
    open.stop().await;
    let acls = AclConfig { enabled: true, super_users: Vec::new() };
    let broker = start(folder.path(), Config { acls, ..Config::default() }).await;
    let mut client = Client::connect(&broker).await;
    let mut asked = FOR_EVERYBODY.to_vec();
    let id = uuid::Uuid::from_u128(1);
    let resource = |kind: i8, name: &'static str| {
        m::alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(name.into())
    };
    refused! { client, asked,
        ListOffsetsRequest TOPIC [.with_topics(vec![
            m::list_offsets_request::ListOffsetsTopic::default()
                .with_name(topic())
                .with_partitions(vec![m::list_offsets_request::ListOffsetsPartition::default()]),
        ])];
        MetadataRequest TOPIC [.with_topics(Some(vec![
            m::metadata_request::MetadataRequestTopic::default().with_name(Some(topic())),
        ]))];
        OffsetCommitRequest GROUP [.with_group_id(group()).with_topics(vec![
            m::offset_commit_request::OffsetCommitRequestTopic::default()
                .with_name(topic())
                .with_partitions(vec![m::offset_commit_request::OffsetCommitRequestPartition::default()]),
        ])];
        OffsetFetchRequest GROUP [.with_topics(Some(vec![])).with_groups(vec![
            m::offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None),
        ])];
        FindCoordinatorRequest GROUP [.with_coordinator_keys(vec!["group".into()])];
        JoinGroupRequest GROUP [.with_group_id(group())];
        HeartbeatRequest GROUP [.with_group_id(group())];
        LeaveGroupRequest GROUP [.with_group_id(group())];
        SyncGroupRequest GROUP [.with_group_id(group())];
        DescribeGroupsRequest GROUP [.with_groups(vec![group()])];
        ListGroupsRequest NOTHING;
        CreateTopicsRequest TOPIC [.with_topics(vec![
            m::create_topics_request::CreatableTopic::default().with_name(topic()).with_num_partitions(1),
        ])];
        DeleteTopicsRequest TOPIC [.with_topics(vec![
            m::delete_topics_request::DeleteTopicState::default().with_name(Some(topic())),
        ])];
        DeleteRecordsRequest TOPIC [.with_topics(vec![
            m::delete_records_request::DeleteRecordsTopic::default()
                .with_name(topic())
                .with_partitions(vec![m::delete_records_request::DeleteRecordsPartition::default()]),
        ])];
        InitProducerIdRequest TRANSACTION [.with_transactional_id(Some(m::TransactionalId("t".into())))];
        InitProducerIdRequest CLUSTER [.with_transactional_id(None)];
        AddPartitionsToTxnRequest TRANSACTION [
            .with_v3_and_below_transactional_id(m::TransactionalId("t".into()))
            .with_v3_and_below_topics(vec![
                m::add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
                    .with_name(topic())
                    .with_partitions(vec![0]),
            ])
        ];
        AddOffsetsToTxnRequest TRANSACTION [.with_transactional_id(m::TransactionalId("t".into()))];
        EndTxnRequest TRANSACTION [.with_transactional_id(m::TransactionalId("t".into()))];
        TxnOffsetCommitRequest TRANSACTION [.with_topics(vec![
            m::txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
                .with_name(topic())
                .with_partitions(vec![m::txn_offset_commit_request::TxnOffsetCommitRequestPartition::default()]),
        ])];
        DescribeProducersRequest TOPIC [.with_topics(vec![
            m::describe_producers_request::TopicRequest::default()
                .with_name(topic())
                .with_partition_indexes(vec![0]),
        ])];
        DescribeTransactionsRequest TRANSACTION [.with_transactional_ids(vec![m::TransactionalId("t".into())])];
        ListTransactionsRequest NOTHING;
        OffsetForLeaderEpochRequest TOPIC [.with_topics(vec![
            m::offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
                .with_topic(topic())
                .with_partitions(vec![m::offset_for_leader_epoch_request::OffsetForLeaderPartition::default()]),
        ])];
        DescribeConfigsRequest TOPIC [.with_resources(vec![
            m::describe_configs_request::DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name("topic".into()),
        ])];
        DescribeConfigsRequest CLUSTER [.with_resources(vec![
            m::describe_configs_request::DescribeConfigsResource::default()
                .with_resource_type(4)
                .with_resource_name("1".into()),
        ])];
        AlterConfigsRequest TOPIC [.with_resources(vec![resource(2, "topic")])];
        AlterConfigsRequest CLUSTER [.with_resources(vec![resource(4, "1")])];
        IncrementalAlterConfigsRequest TOPIC [.with_resources(vec![
            m::incremental_alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name("topic".into()),
        ])];
        DescribeLogDirsRequest CLUSTER [.with_topics(None)];
        CreatePartitionsRequest TOPIC [.with_topics(vec![
            m::create_partitions_request::CreatePartitionsTopic::default().with_name(topic()).with_count(9),
        ])];
        DescribeAclsRequest CLUSTER;
        CreateAclsRequest CLUSTER [.with_creations(vec![m::create_acls_request::AclCreation::default()])];
        DeleteAclsRequest CLUSTER [.with_filters(vec![m::delete_acls_request::DeleteAclsFilter::default()])];
        DescribeUserScramCredentialsRequest CLUSTER;
        AlterUserScramCredentialsRequest CLUSTER [.with_deletions(vec![
            m::alter_user_scram_credentials_request::ScramCredentialDeletion::default()
                .with_name("one".into())
                .with_mechanism(1),
        ])];
        DeleteGroupsRequest GROUP [.with_groups_names(vec![group()])];
        OffsetDeleteRequest GROUP [.with_group_id(group())];
        ConsumerGroupHeartbeatRequest GROUP [.with_group_id(group())];
        ConsumerGroupDescribeRequest GROUP [.with_group_ids(vec![group()])];
    }
    // Records: by name, since by id a topic that may not be seen is not found out about.
    let produced = client.ask(7, &produce(batch(b"x", 1))).await;
    assert_eq!(produced.responses[0].partition_responses[0].error_code, TOPIC);
    let in_transaction = produce(batch(b"x", 1));
    let in_transaction = in_transaction.with_transactional_id(Some(m::TransactionalId("t".into())));
    let produced = client.ask(7, &in_transaction).await;
    assert_eq!(produced.responses[0].partition_responses[0].error_code, TRANSACTION);
    let fetched = client.ask(11, &fetch(0, 10)).await;
    assert_eq!(fetched.responses[0].partitions[0].error_code, TOPIC);
    asked.extend([ApiKey::Produce, ApiKey::Fetch]);
    // Of all topics none is told, and one that is asked for by a wrong id says no more than one by a right one.
    let all = client.ask(12, &m::MetadataRequest::default().with_topics(None)).await;
    assert!(all.topics.is_empty());
    let by_id = m::metadata_request::MetadataRequestTopic::default().with_name(None).with_topic_id(id);
    let unseen = client.ask(12, &m::MetadataRequest::default().with_topics(Some(vec![by_id]))).await;
    assert_eq!(unseen.topics[0].error_code, ResponseError::UnknownTopicId.code());
    for served in SERVED {
        assert!(asked.contains(&served.api), "{:?} is served and not asked for here: give it an entry", served.api);
    }
    broker.stop().await;
}

fn rule(principal: &'static str, operation: i8, permission: i8) -> m::create_acls_request::AclCreation {
    m::create_acls_request::AclCreation::default()
        .with_resource_type(2)
        .with_resource_name("top".into())
        .with_resource_pattern_type(4)
        .with_principal(principal.into())
        .with_host("*".into())
        .with_operation(operation)
        .with_permission_type(permission)
}

#[tokio::test]
async fn rules_are_kept_and_a_denial_wins() {
    const WRITE: i8 = 4;
    const ALLOW: i8 = 3;
    const DENY: i8 = 2;
    let folder = tempfile::tempdir().unwrap();
    let acls = |super_user: &str| AclConfig { enabled: true, super_users: vec![format!("User:{super_user}")] };
    let with = |super_user: &str| Config { acls: acls(super_user), ..Config::default() };
    // Who is not known is called so: here, the administrator.
    let broker = start(folder.path(), with("ANONYMOUS")).await;
    let mut root = Client::connect(&broker).await;
    make_topic(&mut root).await;
    let wrong = rule("nobody", WRITE, ALLOW);
    let creations = vec![rule("User:ANONYMOUS", WRITE, ALLOW), wrong];
    let made = root.ask(3, &m::CreateAclsRequest::default().with_creations(creations)).await;
    assert_eq!(made.results.iter().map(|result| result.error_code).collect::<Vec<_>>(), [0, 42]);
    broker.stop().await;

    let broker = start(folder.path(), with("root")).await;
    let mut client = Client::connect(&broker).await;
    let written = client.ask(7, &produce(batch(b"x", 1))).await;
    assert_eq!(written.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(client.ask(11, &fetch(0, 10)).await.responses[0].partitions[0].error_code, TOPIC);
    // Who may write may look, and is told what else it may do.
    let all = m::MetadataRequest::default().with_topics(None).with_include_topic_authorized_operations(true);
    let all = client.ask(12, &all).await;
    assert_eq!(all.topics.len(), 1);
    assert_eq!(all.topics[0].topic_authorized_operations, 1 << WRITE | 1 << Operation::Describe.code());
    assert_eq!(client.ask(5, &m::InitProducerIdRequest::default().with_transactional_id(None)).await.error_code, 0);
    broker.stop().await;

    let broker = start(folder.path(), with("ANONYMOUS")).await;
    let mut root = Client::connect(&broker).await;
    let creations = vec![rule("User:*", WRITE, DENY)];
    root.ask(3, &m::CreateAclsRequest::default().with_creations(creations)).await;
    let everything = m::DescribeAclsRequest::default()
        .with_resource_type_filter(1)
        .with_pattern_type_filter(1)
        .with_resource_name_filter(None)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(1)
        .with_permission_type(1);
    let told = root.ask(3, &everything).await;
    assert_eq!((told.resources.len(), told.resources[0].acls.len()), (1, 2));
    broker.stop().await;

    let broker = start(folder.path(), with("root")).await;
    let mut client = Client::connect(&broker).await;
    let written = client.ask(7, &produce(batch(b"x", 1))).await;
    assert_eq!(written.responses[0].partition_responses[0].error_code, TOPIC);
    broker.stop().await;
}
