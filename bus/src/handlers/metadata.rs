//! Which topics there are and where: here. Makes a topic that is asked for and missing, where both sides want that.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::metadata_request::MetadataRequestTopic;
use logmill_bus_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use logmill_bus_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};

use super::{Call, text};
use crate::broker::{Broker, NODE_ID};
use crate::topics::Topic;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: MetadataRequest) -> MetadataResponse {
    let (host, port) = broker.address_for(call.local);
    let here = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(text(host))
        .with_port(i32::from(port));
    let mut topics = Vec::new();
    match request.topics {
        // In version 0 an empty list asks for all.
        Some(asked) if !(asked.is_empty() && call.version() == 0) => {
            for topic in asked {
                topics.push(one(broker, topic, request.allow_auto_topic_creation).await);
            }
        }
        _ => topics.extend(broker.topics.all().iter().map(|topic| described(topic))),
    }
    MetadataResponse::default()
        .with_brokers(vec![here])
        .with_cluster_id(Some(text(broker.cluster_id.as_str())))
        .with_controller_id(BrokerId(NODE_ID))
        .with_topics(topics)
}

async fn one(broker: &Broker, asked: MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    let nothing = MetadataResponseTopic::default().with_topic_id(asked.topic_id);
    let Some(name) = asked.name else {
        let unknown = nothing.with_name(None).with_error_code(ResponseError::UnknownTopicId.code());
        return broker.topics.with_id(asked.topic_id).map_or(unknown, |topic| described(&topic));
    };
    match broker.topic_or_new(&name, may_create).await {
        Ok(topic) => described(&topic),
        Err(error) => nothing.with_name(Some(name)).with_error_code(error.code()),
    }
}

fn described(topic: &Topic) -> MetadataResponseTopic {
    let node = BrokerId(NODE_ID);
    let partitions = (0..).zip(&topic.partitions).map(|(index, slot)| {
        let here = MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(node)
            .with_leader_epoch(slot.epochs.current())
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node]);
        match slot.log {
            Some(_) => here,
            None => here.with_error_code(ResponseError::KafkaStorageError.code()),
        }
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&*topic.name))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}
