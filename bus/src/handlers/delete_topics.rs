//! Removes topics with their records and what groups committed in them.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::delete_topics_request::DeleteTopicState;
use logmill_bus_protocol::messages::delete_topics_response::DeletableTopicResult;
use logmill_bus_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use super::{Call, text};
use crate::broker::Broker;
use crate::security::{Operation, Resource};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
    let mut results = Vec::new();
    for asked in request.topics.into_iter().chain(by_name) {
        results.push(delete(broker, call, asked).await);
    }
    DeleteTopicsResponse::default().with_responses(results)
}

async fn delete(broker: &Broker, call: &Call, asked: DeleteTopicState) -> DeletableTopicResult {
    let result = DeletableTopicResult::default().with_topic_id(asked.topic_id).with_error_message(None);
    let may_delete = |name: &str| broker.check(call, Operation::Delete, Resource::Topic(name));
    if let Some(Err(refused)) = asked.name.as_ref().map(|name| may_delete(name)) {
        return result.with_name(asked.name).with_error_code(refused.code());
    }
    let (topic, unknown) = match &asked.name {
        Some(name) => (broker.topics.named(name), ResponseError::UnknownTopicOrPartition),
        None => (broker.topics.with_id(asked.topic_id), ResponseError::UnknownTopicId),
    };
    let Some(topic) = topic else { return result.with_name(asked.name).with_error_code(unknown.code()) };
    if let Err(refused) = may_delete(&topic.name) {
        // The name of an id is told to those alone who may see the topic.
        let may_see = broker.allows(call, Operation::Describe, Resource::Topic(&topic.name));
        let name = may_see.then(|| TopicName(text(&*topic.name)));
        return result.with_name(name).with_error_code(refused.code());
    }
    let result = result.with_name(Some(TopicName(text(&*topic.name)))).with_topic_id(topic.id);
    match broker.topics.delete(&topic).await {
        Ok(()) => {
            broker.groups.forget_topic(&topic.name).await;
            result
        }
        Err(error) => result.with_error_code(error.code()).with_error_message(Some(text(error.to_string()))),
    }
}
