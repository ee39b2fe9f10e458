//! What is set for topics and for the broker.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::describe_configs_request::DescribeConfigsResource;
use logmill_bus_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use logmill_bus_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::{Call, text};
use crate::broker::{Broker, NODE_ID};
use crate::security::{Operation, Resource};
use crate::topics::SETTINGS;

pub(super) const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Where a value comes from.
pub(super) const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
pub(super) const SOURCE_DEFAULT: i8 = 5;
const KIND_TEXT: i8 = 2;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let results = request.resources.iter().map(|asked| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name.clone())
            .with_error_message(None);
        let known = match asked.resource_type {
            TOPIC => may_see(broker, call, Resource::Topic(&asked.resource_name))
                .and_then(|()| topic(broker, &request, asked)),
            BROKER => may_see(broker, call, Resource::Cluster).and_then(|()| this_broker(broker, asked)),
            other => Err((ResponseError::InvalidRequest, format!("resources of type {other} have no settings here"))),
        };
        match known {
            Ok(mut configs) => {
                if let Some(keys) = &asked.configuration_keys {
                    configs.retain(|config| keys.contains(&config.name));
                }
                result.with_configs(configs)
            }
            Err((code, message)) => result.with_error_code(code.code()).with_error_message(Some(text(message))),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn may_see(broker: &Broker, call: &Call, on: Resource<'_>) -> Result<(), (ResponseError, String)> {
    let refusal = |refused| (refused, format!("{} may not see these settings", call.principal));
    broker.check(call, Operation::DescribeConfigs, on).map_err(refusal)
}

type Configs = Result<Vec<DescribeConfigsResourceResult>, (ResponseError, String)>;

fn topic(broker: &Broker, request: &DescribeConfigsRequest, asked: &DescribeConfigsResource) -> Configs {
    let Some(topic) = broker.topics.named(&asked.resource_name) else {
        return Err((ResponseError::UnknownTopicOrPartition, "there is no such topic".to_owned()));
    };
    let one = |setting: &crate::topics::Setting| {
        let default = broker.topics.defaults().of(setting);
        let own = topic.settings.get(setting.name);
        let synonym = |value: &str, source| {
            DescribeConfigsSynonym::default()
                .with_name(text(setting.name))
                .with_value(Some(text(value)))
                .with_source(source)
        };
        let synonyms = own.map(|value| synonym(value, SOURCE_TOPIC)).into_iter();
        let synonyms = synonyms.chain([synonym(&default, SOURCE_DEFAULT)]);
        DescribeConfigsResourceResult::default()
            .with_name(text(setting.name))
            .with_config_source(if own.is_some() { SOURCE_TOPIC } else { SOURCE_DEFAULT })
            .with_config_type(setting.kind.code())
            .with_synonyms(if request.include_synonyms { synonyms.collect() } else { Vec::new() })
            .with_documentation(request.include_documentation.then(|| text(setting.about)))
            .with_value(Some(text(own.cloned().unwrap_or(default))))
    };
    Ok(SETTINGS.iter().map(one).collect())
}

fn this_broker(broker: &Broker, asked: &DescribeConfigsResource) -> Configs {
    // No name asks for the defaults of all brokers, of which there are none.
    if asked.resource_name.is_empty() {
        return Ok(Vec::new());
    }
    if asked.resource_name.parse() != Ok(NODE_ID) {
        return Err((ResponseError::InvalidRequest, format!("this is broker {NODE_ID}")));
    }
    let defaults = broker.topics.defaults();
    let one = |name: &str, value: String| {
        DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_read_only(true)
            .with_config_source(SOURCE_STATIC_BROKER)
            .with_config_type(KIND_TEXT)
            .with_documentation(None)
    };
    let mut configs = vec![
        one("broker.id", NODE_ID.to_string()),
        one("num.partitions", defaults.partitions.to_string()),
        one("auto.create.topics.enable", broker.auto_create_topics.to_string()),
        one("default.replication.factor", "1".to_owned()),
        one("offsets.retention.minutes", (broker.groups.offsets_kept().as_secs() / 60).to_string()),
    ];
    let broker_names = [
        ("log.retention.ms", "retention.ms"),
        ("log.retention.bytes", "retention.bytes"),
        ("log.segment.bytes", "segment.bytes"),
        ("message.max.bytes", "max.message.bytes"),
    ];
    for (name, topic_name) in broker_names {
        let value = SETTINGS.iter().find(|setting| setting.name == topic_name).map(|setting| defaults.of(setting));
        configs.push(one(name, value.unwrap_or_default()));
    }
    Ok(configs)
}
