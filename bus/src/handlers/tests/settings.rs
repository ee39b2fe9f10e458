//! A topic's settings as a client meets them, at its birth and changed later.

use super::*;

async fn make(client: &mut Client, settings: &[(&str, &str)]) {
    let config = |(name, value): &(&str, &str)| {
        m::create_topics_request::CreatableTopicConfig::default()
            .with_name(StrBytes::from_string((*name).to_owned()))
            .with_value(Some(StrBytes::from_string((*value).to_owned())))
    };
    let topic = m::create_topics_request::CreatableTopic::default()
        .with_name(m::TopicName("topic".into()))
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(settings.iter().map(config).collect());
    let made = client.ask(5, &m::CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
}

async fn change(client: &mut Client, name: &'static str, value: &'static str) -> i16 {
    let config = m::incremental_alter_configs_request::AlterableConfig::default()
        .with_name(name.into())
        .with_value(Some(value.into()));
    let resource = m::incremental_alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name("topic".into())
        .with_configs(vec![config]);
    let request = m::IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.ask(1, &request).await.responses[0].error_code
}

async fn produced(client: &mut Client, records: Bytes) -> (i16, i64) {
    let answer = client.ask(7, &produce(records)).await;
    let partition = &answer.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

fn now() -> i64 {
    i64::try_from(crate::groups::now_ms()).unwrap()
}

#[tokio::test]
async fn batches_are_stored_in_the_topics_compression_from_the_change_on() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut client = Client::connect(&broker).await;
    make(&mut client, &[("compression.type", "zstd")]).await;
    assert_eq!(produced(&mut client, batch(&[b'x'; 57], now())).await, (0, 0));
    assert_eq!(change(&mut client, "compression.type", "uncompressed").await, 0);
    assert_eq!(produced(&mut client, batch(&[b'x'; 57], now())).await, (0, 1));
    let stored = client.ask(11, &fetch(0, 10)).await.responses[0].partitions[0].records.clone().unwrap();
    let second = stored.len() - batch(&[b'x'; 57], 0).len();
    assert_eq!((stored[22] & 7, stored[second + 22] & 7), (4, 0));
    assert!(second < stored.len() - second, "the first is small");
    broker.stop().await;
}

#[tokio::test]
async fn records_without_keys_or_of_another_time_are_refused_where_the_topic_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut client = Client::connect(&broker).await;
    make(&mut client, &[("cleanup.policy", "compact")]).await;
    let refused = produced(&mut client, batch(b"no key", now())).await;
    assert_eq!(refused, (ResponseError::InvalidRecord.code(), -1));
    assert_eq!(change(&mut client, "cleanup.policy", "delete").await, 0);
    assert_eq!(produced(&mut client, batch(b"no key", now())).await, (0, 0));
    assert_eq!(change(&mut client, "message.timestamp.before.max.ms", "3600000").await, 0);
    let refused = produced(&mut client, batch(b"late", now() - 7_200_000)).await;
    assert_eq!(refused, (ResponseError::InvalidTimestamp.code(), -1));
    assert_eq!(produced(&mut client, batch(b"in time", now())).await, (0, 1));
    assert_ne!(change(&mut client, "cleanup.policy", "forget").await, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_smaller_segment_size_takes_effect_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), Config::default()).await;
    let mut client = Client::connect(&broker).await;
    make(&mut client, &[]).await;
    let files = || {
        let topic = std::fs::read_dir(folder.path().join("log")).unwrap().find_map(|entry| {
            let path = entry.unwrap().path().join("0");
            path.is_dir().then_some(path)
        });
        let names = std::fs::read_dir(topic.unwrap()).unwrap();
        names.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|name| name == "log")).count()
    };
    for _ in 0..50 {
        produced(&mut client, batch(&[b'x'; 57], now())).await;
    }
    assert_eq!(files(), 1);
    assert_eq!(change(&mut client, "segment.bytes", "1").await, 0);
    for _ in 0..50 {
        produced(&mut client, batch(&[b'x'; 57], now())).await;
    }
    assert_eq!(files(), 3, "4096 bytes each at the least");
    assert_eq!(change(&mut client, "segment.ms", "1").await, 0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    produced(&mut client, batch(&[b'x'; 57], now())).await;
    assert_eq!(files(), 4);
    broker.stop().await;
}
