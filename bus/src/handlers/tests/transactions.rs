//! Transactions over a real socket, and what a start makes of those that an end left behind.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::state_file::{Entries, StateFile};
use crate::state_key::{Change, StateKey};

/// The producer id and epoch stand here in a batch, and its attributes.
const PRODUCER_AT: usize = 43;
const ATTRIBUTES_AT: usize = 21;
const TRANSACTIONAL: u8 = 1 << 4;

fn id() -> m::TransactionalId {
    m::TransactionalId("t".into())
}

fn in_transaction(producer: (i64, i16), sequence: i32) -> m::ProduceRequest {
    // Of now, or retention would take it at the next start.
    let mut bytes = batch(b"x", i64::try_from(crate::groups::now_ms()).unwrap()).to_vec();
    bytes[ATTRIBUTES_AT + 1] |= TRANSACTIONAL;
    bytes[PRODUCER_AT..PRODUCER_AT + 8].copy_from_slice(&producer.0.to_be_bytes());
    bytes[PRODUCER_AT + 8..PRODUCER_AT + 10].copy_from_slice(&producer.1.to_be_bytes());
    bytes[PRODUCER_AT + 10..PRODUCER_AT + 14].copy_from_slice(&sequence.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    produce(bytes.into()).with_transactional_id(Some(id()))
}

impl Client {
    async fn begin(&mut self) -> (i64, i16) {
        let request =
            m::InitProducerIdRequest::default().with_transactional_id(Some(id())).with_transaction_timeout_ms(60_000);
        let begun = self.ask(4, &request).await;
        assert_eq!(begun.error_code, 0);
        (begun.producer_id.0, begun.producer_epoch)
    }

    async fn join(&mut self, producer: (i64, i16), partition: i32) -> i16 {
        let topic = m::add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
            .with_name(m::TopicName("topic".into()))
            .with_partitions(vec![partition]);
        let request = m::AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id())
            .with_v3_and_below_producer_id(m::ProducerId(producer.0))
            .with_v3_and_below_producer_epoch(producer.1)
            .with_v3_and_below_topics(vec![topic]);
        let answer = self.ask(3, &request).await;
        answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    }

    async fn write(&mut self, request: &m::ProduceRequest) -> i16 {
        self.ask(7, request).await.responses[0].partition_responses[0].error_code
    }

    /// Joins a group's offset to the transaction.
    async fn hand_in(&mut self, producer: (i64, i16), offset: i64) -> i16 {
        let group = m::AddOffsetsToTxnRequest::default()
            .with_transactional_id(id())
            .with_producer_id(m::ProducerId(producer.0))
            .with_producer_epoch(producer.1)
            .with_group_id(m::GroupId("g".into()));
        assert_eq!(self.ask(3, &group).await.error_code, 0);
        let partition =
            m::txn_offset_commit_request::TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = m::txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
            .with_name(m::TopicName("topic".into()))
            .with_partitions(vec![partition]);
        let request = m::TxnOffsetCommitRequest::default()
            .with_transactional_id(id())
            .with_group_id(m::GroupId("g".into()))
            .with_producer_id(m::ProducerId(producer.0))
            .with_producer_epoch(producer.1)
            .with_generation_id(-1)
            .with_topics(vec![topic]);
        self.ask(3, &request).await.topics[0].partitions[0].error_code
    }

    async fn end(&mut self, producer: (i64, i16), committed: bool) -> i16 {
        let request = m::EndTxnRequest::default()
            .with_transactional_id(id())
            .with_producer_id(m::ProducerId(producer.0))
            .with_producer_epoch(producer.1)
            .with_committed(committed);
        self.ask(3, &request).await.error_code
    }

    /// The end of what is decided, how many bytes come of it, and how many aborted transactions are told.
    async fn committed(&mut self) -> (i64, usize, usize) {
        let answer = self.ask(11, &fetch(0, 10).with_isolation_level(1)).await;
        let partition = &answer.responses[0].partitions[0];
        let records = partition.records.as_ref().map_or(0, Bytes::len);
        (partition.last_stable_offset, records, partition.aborted_transactions.as_ref().map_or(0, Vec::len))
    }

    /// The group's stable offset, and its code.
    async fn offset(&mut self) -> (i64, i16) {
        let topic = m::offset_fetch_request::OffsetFetchRequestTopic::default()
            .with_name(m::TopicName("topic".into()))
            .with_partition_indexes(vec![0]);
        let request = m::OffsetFetchRequest::default()
            .with_group_id(m::GroupId("g".into()))
            .with_topics(Some(vec![topic]))
            .with_require_stable(true);
        let partition = &self.ask(7, &request).await.topics[0].partitions[0];
        (partition.committed_offset, partition.error_code)
    }

    async fn state(&mut self) -> String {
        let asked = m::DescribeTransactionsRequest::default().with_transactional_ids(vec![id()]);
        let state = &self.ask(0, &asked).await.transaction_states[0];
        state.transaction_state.to_string()
    }
}

#[tokio::test]
async fn records_and_offsets_count_together_once_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut client = Client::connect(&broker).await;
    make_topic(&mut client).await;
    let me = client.begin().await;
    let refused = ResponseError::InvalidTxnState.code();
    assert_eq!(client.write(&in_transaction(me, 0)).await, refused, "the partition has not joined");
    assert_eq!(client.join(me, 99).await, ResponseError::UnknownTopicOrPartition.code());
    assert_eq!(client.join(me, 0).await, 0);
    let unnamed = in_transaction(me, 0).with_transactional_id(None);
    assert_eq!(client.write(&unnamed).await, ResponseError::TransactionalIdAuthorizationFailed.code());
    let outside = produce(batch(b"x", 1)).with_transactional_id(Some(id()));
    assert_eq!(client.write(&outside).await, refused);
    assert_eq!(client.write(&in_transaction(me, 1)).await, 0, "of a producer that is not known any sequence is taken");
    assert_eq!(client.hand_in(me, 7).await, 0);
    assert_eq!(client.committed().await, (0, 0, 0));
    assert_eq!(client.offset().await, (-1, ResponseError::UnstableOffsetCommit.code()));
    assert_eq!(client.state().await, "Ongoing");
    let asked = m::describe_producers_request::TopicRequest::default()
        .with_name(m::TopicName("topic".into()))
        .with_partition_indexes(vec![0]);
    let told = client.ask(0, &m::DescribeProducersRequest::default().with_topics(vec![asked])).await;
    let active = &told.topics[0].partitions[0].active_producers[0];
    assert_eq!((active.producer_id.0, active.current_txn_start_offset), (me.0, 0));
    assert_eq!(client.end(me, true).await, 0);
    let (end, bytes, aborted) = client.committed().await;
    assert!(end == 2 && bytes > 0 && aborted == 0, "{end} {bytes} {aborted}");
    assert_eq!((client.offset().await, client.state().await), ((7, 0), "CompleteCommit".to_owned()));
    assert_eq!(client.end(me, true).await, 0, "a repeat");
    assert_eq!(client.end(me, false).await, refused);

    assert_eq!(client.join(me, 0).await, 0);
    assert_eq!(client.write(&in_transaction(me, 2)).await, 0);
    assert_eq!(client.hand_in(me, 9).await, 0);
    let next = client.begin().await;
    assert_eq!((next.0, client.state().await), (me.0, "Empty".to_owned()));
    assert!(next.1 > me.1);
    assert_eq!((client.committed().await.2, client.offset().await), (1, (7, 0)));
    assert_eq!(client.join(me, 0).await, ResponseError::ProducerFenced.code());
    assert_eq!(client.write(&in_transaction(me, 3)).await, ResponseError::InvalidProducerEpoch.code());
    let asked = m::ListTransactionsRequest::default().with_state_filters(vec!["Empty".into(), "?".into()]);
    let listed = client.ask(1, &asked).await;
    assert_eq!((listed.transaction_states.len(), listed.unknown_state_filters.len()), (1, 1));
    broker.stop().await;
}

/// A broker that was stopped in the middle of a transaction, with its state file changed.
async fn stopped_within(folder: &Path, change: impl FnOnce(Entries) -> Vec<Change>) -> Running {
    let broker = start(folder, Config::default()).await;
    let mut client = Client::connect(&broker).await;
    make_topic(&mut client).await;
    let me = client.begin().await;
    assert_eq!(client.join(me, 0).await, 0);
    assert_eq!(client.write(&in_transaction(me, 0)).await, 0);
    assert_eq!(client.hand_in(me, 7).await, 0);
    broker.stop().await;
    let (state, entries) = StateFile::open(&folder.join("state")).unwrap();
    state.put(change(entries)).await.unwrap();
    state.close();
    start(folder, Config::default()).await
}

async fn wait_for(client: &mut Client, state: &str) {
    for _ in 0..100 {
        if client.state().await == state {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it stays {}", client.state().await);
}

#[tokio::test]
async fn what_was_prepared_is_carried_out_by_the_next_start() {
    for (prepared, complete, offset) in
        [("prepare_commit", "CompleteCommit", 7), ("prepare_abort", "CompleteAbort", -1)]
    {
        let folder = tempfile::tempdir().unwrap();
        let broker = stopped_within(folder.path(), |mut entries| {
            let key = StateKey::Transaction("t".into());
            let mut value = entries.remove(&key).unwrap();
            value["state"] = json!(prepared);
            vec![Change { key, value: Some(value) }]
        })
        .await;
        let mut client = Client::connect(&broker).await;
        wait_for(&mut client, complete).await;
        let (end, _, aborted) = client.committed().await;
        assert_eq!((end, aborted), (2, usize::from(offset < 0)), "{prepared}");
        assert_eq!(client.offset().await, (offset, 0), "{prepared}");
        broker.stop().await;
    }
}

#[tokio::test]
async fn an_open_transaction_outlives_a_restart_and_what_nobody_knows_of_is_aborted() {
    let folder = tempfile::tempdir().unwrap();
    let broker = stopped_within(folder.path(), |_| Vec::new()).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.state().await, "Ongoing");
    assert_eq!((client.committed().await.0, client.offset().await.1), (0, ResponseError::UnstableOffsetCommit.code()));
    broker.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let lost = |_| vec![Change::remove(StateKey::Transaction("t".into()))];
    let broker = stopped_within(folder.path(), lost).await;
    let mut client = Client::connect(&broker).await;
    for _ in 0..100 {
        if client.committed().await.0 == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((client.committed().await.0, client.committed().await.2), (2, 1));
    assert_eq!(client.offset().await, (-1, 0));
    broker.stop().await;
}

#[tokio::test]
async fn what_takes_too_long_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let broker = stopped_within(folder.path(), |mut entries| {
        let key = StateKey::Transaction("t".into());
        let mut value = entries.remove(&key).unwrap();
        value["timeout_ms"] = json!(1);
        vec![Change { key, value: Some(value) }]
    })
    .await;
    let mut client = Client::connect(&broker).await;
    wait_for(&mut client, "CompleteAbort").await;
    assert_eq!((client.committed().await.2, client.offset().await), (1, (-1, 0)));
    broker.stop().await;
}
