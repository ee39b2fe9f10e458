//! Which topics there are and where: here. Makes a topic that is asked for and missing, where both sides want that.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::metadata_request::MetadataRequestTopic;
use logmill_bus_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use logmill_bus_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};

use super::create_topics::may_create as may_create_topic;
use super::{Call, OPERATIONS_NOT_ASKED, text};
use crate::broker::{Broker, NODE_ID};
use crate::security::{Operation, Resource};
use crate::topics::Topic;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: MetadataRequest) -> MetadataResponse {
    let (host, port) = call.address();
    let here = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(text(host))
        .with_port(i32::from(port));
    let mut topics = Vec::new();
    match request.topics {
        // In version 0 an empty list asks for all.
        Some(asked) if !(asked.is_empty() && call.version() == 0) => {
            for topic in asked {
                topics.push(one(broker, call, topic, request.allow_auto_topic_creation).await);
            }
        }
        _ => {
            let all = broker.topics.all();
            let may_see = |topic: &&Arc<Topic>| broker.allows(call, Operation::Describe, Resource::Topic(&topic.name));
            topics.extend(all.iter().filter(may_see).map(|topic| described(topic)));
        }
    }
    if request.include_topic_authorized_operations {
        for topic in topics.iter_mut().filter(|topic| topic.error_code == 0) {
            let name = topic.name.as_ref().map_or("", |name| name.as_str());
            topic.topic_authorized_operations = broker.operations(call, Resource::Topic(name));
        }
    }
    let cluster = request.include_cluster_authorized_operations;
    MetadataResponse::default()
        .with_brokers(vec![here])
        .with_cluster_id(Some(text(broker.cluster_id.as_str())))
        .with_controller_id(BrokerId(NODE_ID))
        .with_topics(topics)
        .with_cluster_authorized_operations(if cluster {
            broker.operations(call, Resource::Cluster)
        } else {
            OPERATIONS_NOT_ASKED
        })
}

async fn one(broker: &Broker, call: &Call, asked: MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    let may_see = |name: &str| broker.check(call, Operation::Describe, Resource::Topic(name));
    let nothing = MetadataResponseTopic::default().with_topic_id(asked.topic_id);
    let Some(name) = asked.name else {
        let unknown = nothing.with_name(None).with_error_code(ResponseError::UnknownTopicId.code());
        // An id that may not be seen is one that is not there.
        let seen = broker.topics.with_id(asked.topic_id).filter(|topic| may_see(&topic.name).is_ok());
        return seen.map_or(unknown, |topic| described(&topic));
    };
    if let Err(refused) = may_see(&name) {
        return nothing.with_name(Some(name)).with_error_code(refused.code());
    }
    // Asked only where it would be made: who may look may well not create.
    let creates = may_create && broker.auto_create_topics && broker.topics.named(&name).is_none();
    if creates && !may_create_topic(broker, call, &name) {
        let refused = ResponseError::TopicAuthorizationFailed;
        return nothing.with_name(Some(name)).with_error_code(refused.code());
    }
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
