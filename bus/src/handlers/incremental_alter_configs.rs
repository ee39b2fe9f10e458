//! Changes single settings of topics.

use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use logmill_bus_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use logmill_bus_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::alter_configs::{Refusal, refusal, store, topic_of};
use super::{Call, text};
use crate::broker::Broker;
use crate::topics::{Kind, SETTINGS, Setting, TopicError};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let outcome = change(broker, call, &asked, request.validate_only).await;
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name)
            .with_error_message(None);
        responses.push(match outcome {
            Ok(()) => response,
            Err((code, message)) => response.with_error_code(code).with_error_message(Some(text(message))),
        });
    }
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

async fn change(broker: &Broker, call: &Call, asked: &AlterConfigsResource, only_check: bool) -> Result<(), Refusal> {
    let name = topic_of(broker, call, asked.resource_type, &asked.resource_name)?;
    let topic = broker.topics.named(name).ok_or_else(|| refusal(&TopicError::Unknown))?;
    let mut settings = topic.settings.clone();
    for AlterableConfig { name, config_operation, value, .. } in &asked.configs {
        match (*config_operation, value) {
            (SET, Some(value)) => drop(settings.insert(name.to_string(), value.to_string())),
            (SET, None) | (DELETE, _) => drop(settings.remove(name.as_str())),
            (APPEND | SUBTRACT, Some(value)) => {
                let list = list_setting(name)?;
                let now = settings.get(name.as_str()).cloned().unwrap_or_else(|| broker.topics.defaults().of(list));
                settings.insert(name.to_string(), changed_list(&now, value, *config_operation == APPEND));
            }
            (operation, _) => {
                let message = format!("operation {operation} on `{}` needs a value, or is not known", name.as_str());
                return Err((ResponseError::InvalidRequest.code(), message));
            }
        }
    }
    store(broker, name, settings, only_check).await
}

/// The setting of that name, when it holds a list.
fn list_setting(name: &str) -> Result<&'static Setting, Refusal> {
    SETTINGS.iter().find(|setting| setting.name == name && setting.kind == Kind::List).ok_or_else(|| {
        let message = format!("`{name}` is not a list to be added to or taken from");
        (ResponseError::InvalidConfig.code(), message)
    })
}

/// A list with the items of another added (each once), or taken out.
fn changed_list(now: &str, items: &str, add: bool) -> String {
    let parts =
        |list: &str| list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
    let mut list: Vec<String> = parts(now);
    let items: Vec<String> = parts(items);
    list.retain(|item| add || !items.contains(item));
    if add {
        for item in items {
            if !list.contains(&item) {
                list.push(item);
            }
        }
    }
    list.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_added_to_and_taken_from() {
        assert_eq!(changed_list("delete", "compact", true), "delete,compact");
        assert_eq!(changed_list("delete, compact", "compact", true), "delete,compact", "each once");
        assert_eq!(changed_list("", "compact", true), "compact");
        assert_eq!(changed_list("delete,compact", "compact", false), "delete");
        assert_eq!(changed_list("delete", "delete", false), "");
        assert!(list_setting("cleanup.policy").is_ok());
        assert!(list_setting("retention.ms").is_err_and(|(code, _)| code == ResponseError::InvalidConfig.code()));
    }
}
