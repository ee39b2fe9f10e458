//! Makes topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::create_topics_request::CreatableTopic;
use logmill_bus_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use logmill_bus_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::describe_configs::{SOURCE_DEFAULT, SOURCE_TOPIC};
use super::{Call, text};
use crate::broker::Broker;
use crate::security::{Operation, Resource};
use crate::topics::{SETTINGS, TopicError};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let result = CreatableTopicResult::default().with_name(topic.name.clone()).with_error_message(None);
        let created = match may_create(broker, call, &topic.name) {
            true => create(broker, &topic, request.validate_only).await,
            false => Err((REFUSED.code(), format!("{} may not create topics of this name", call.principal))),
        };
        results.push(match created {
            Ok((partitions, id, settings)) => {
                let made = result.with_topic_id(id).with_num_partitions(partitions).with_replication_factor(1);
                match broker.check(call, Operation::DescribeConfigs, Resource::Topic(&topic.name)) {
                    Ok(()) => made.with_configs(Some(configs(broker, &settings))),
                    Err(refused) => made.with_topic_config_error_code(refused.code()).with_configs(None),
                }
            }
            Err((code, message)) => result
                .with_error_code(code)
                .with_error_message(Some(text(message)))
                .with_num_partitions(-1)
                .with_replication_factor(-1)
                .with_configs(None),
        });
    }
    CreateTopicsResponse::default().with_topics(results)
}

const REFUSED: ResponseError = ResponseError::TopicAuthorizationFailed;

/// Who may create in the cluster may create every topic.
pub(super) fn may_create(broker: &Broker, call: &Call, topic: &str) -> bool {
    let resources = [Resource::Cluster, Resource::Topic(topic)];
    resources.into_iter().any(|resource| broker.allows(call, Operation::Create, resource))
}

type Settings = BTreeMap<String, String>;

async fn create(
    broker: &Broker,
    asked: &CreatableTopic,
    only_check: bool,
) -> Result<(i32, uuid::Uuid, Settings), (i16, String)> {
    let refuse = |error: ResponseError, message: &str| Err((error.code(), message.to_owned()));
    if !asked.assignments.is_empty() && (asked.num_partitions != -1 || asked.replication_factor != -1) {
        return refuse(ResponseError::InvalidRequest, "give either assignments or numbers");
    }
    if asked.assignments.is_empty() && !matches!(asked.replication_factor, -1 | 1) {
        return refuse(ResponseError::InvalidReplicationFactor, "there is one broker: the replication factor is 1");
    }
    let partitions = match (asked.assignments.len(), asked.num_partitions) {
        (0, -1) => None,
        (0, number) => Some(number),
        (assigned, _) => Some(i32::try_from(assigned).unwrap_or(i32::MAX)),
    };
    // A setting without a value asks for its default.
    let settings: Settings = asked
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())))
        .collect();
    let failed = |error: TopicError| (error.code(), error.to_string());
    if only_check {
        let count = broker.topics.check(&asked.name, partitions, &settings).map_err(failed)?;
        return Ok((count, uuid::Uuid::nil(), settings));
    }
    let topic = broker.topics.create(&asked.name, partitions, settings).await.map_err(failed)?;
    Ok((i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX), topic.id, topic.settings.clone()))
}

fn configs(broker: &Broker, settings: &Settings) -> Vec<CreatableTopicConfigs> {
    let one = |setting: &crate::topics::Setting| {
        let own = settings.get(setting.name);
        CreatableTopicConfigs::default()
            .with_name(text(setting.name))
            .with_value(Some(text(own.cloned().unwrap_or_else(|| broker.topics.defaults().of(setting)))))
            .with_config_source(if own.is_some() { SOURCE_TOPIC } else { SOURCE_DEFAULT })
    };
    SETTINGS.iter().map(one).collect()
}
