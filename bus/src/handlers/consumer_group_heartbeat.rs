//! A member of a consumer group says that it lives and what it wants, and hears what it should own (KIP-848).

use std::sync::Arc;
use std::time::Duration;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use logmill_bus_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::{Call, text};
use crate::broker::Broker;
use crate::groups::consumer::{Assignor, BEAT_EVERY, Beat, JOINS, LEAVES, PAUSES, Refusal, Told};
use crate::security::{Operation, Resource};

/// Since here members make their ids themselves.
const OWN_IDS_SINCE: i16 = 1;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    match beat(broker, call, request).await {
        Ok(told) => answer(told),
        Err((error, why)) => ConsumerGroupHeartbeatResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(text(why)))
            .with_member_id(None)
            .with_assignment(None),
    }
}

async fn beat(broker: &Broker, call: &Call, request: ConsumerGroupHeartbeatRequest) -> Result<Told, Refusal> {
    let refused = |error| (error, String::new());
    broker.check(call, Operation::Read, Resource::Group(&request.group_id)).map_err(refused)?;
    for name in request.subscribed_topic_names.iter().flatten() {
        broker.check(call, Operation::Describe, Resource::Topic(name)).map_err(refused)?;
    }
    check(call.version(), &request)?;
    let group = request.group_id.clone();
    let beat = beat_of(call, request)?;
    let topics = broker.topics.catalogue();
    let may_see = |name: &str| broker.allows(call, Operation::Describe, Resource::Topic(name));
    let (told, written) = broker.groups.beat(&group, &beat, &topics, &may_see)?;
    let unwritten = |_| (ResponseError::CoordinatorNotAvailable, "the group can't be written down".to_owned());
    written.await.map_err(unwritten)?;
    Ok(told)
}

/// Whether the request makes sense by itself.
fn check(version: i16, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    let refuse = |why: &str| Err((ResponseError::InvalidRequest, why.to_owned()));
    let epoch = request.member_epoch;
    if request.group_id.trim().is_empty() {
        return refuse("the group has no name");
    }
    if request.instance_id.as_ref().is_some_and(|id| id.is_empty()) {
        return refuse("an empty instance id");
    }
    if request.member_id.is_empty() && (version >= OWN_IDS_SINCE || epoch != JOINS) {
        return refuse("the member has no id");
    }
    if epoch < PAUSES {
        return refuse("there is no such epoch");
    }
    if epoch == PAUSES && request.instance_id.is_none() {
        return refuse("only a static member may leave with epoch -2");
    }
    if epoch == JOINS {
        if request.rebalance_timeout_ms < 0 {
            return refuse("who joins says its rebalance timeout");
        }
        if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
            return refuse("who joins says what it subscribes to");
        }
        if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return refuse("who joins owns nothing, and says so");
        }
    }
    Ok(())
}

fn beat_of(call: &Call, request: ConsumerGroupHeartbeatRequest) -> Result<Beat, Refusal> {
    let assignor = match request.server_assignor {
        None => None,
        Some(name) => Some(Assignor::named(&name).ok_or_else(|| {
            (ResponseError::UnsupportedAssignor, format!("there is no assignor {}: uniform or range", name.as_str()))
        })?),
    };
    let member_id = match request.member_id.is_empty() && !matches!(request.member_epoch, LEAVES | PAUSES) {
        true => uuid::Uuid::new_v4().to_string(),
        false => request.member_id.to_string(),
    };
    let owned = request.topic_partitions.map(|topics| {
        let of_topic = |topic: logmill_bus_protocol::messages::consumer_group_heartbeat_request::TopicPartitions| {
            topic.partitions.into_iter().map(move |partition| (topic.topic_id, partition))
        };
        topics.into_iter().flat_map(of_topic).collect()
    });
    Ok(Beat {
        member_id,
        epoch: request.member_epoch,
        instance_id: request.instance_id.map(|id| id.to_string()),
        rack: request.rack_id.map(|rack| rack.to_string()),
        rebalance: u64::try_from(request.rebalance_timeout_ms).ok().map(Duration::from_millis),
        names: request.subscribed_topic_names.map(|names| names.iter().map(|name| name.to_string()).collect()),
        pattern: request.subscribed_topic_regex.map(|pattern| pattern.to_string()),
        assignor,
        owned,
        client_id: call.header.client_id.as_ref().map_or_else(String::new, ToString::to_string),
        client_host: format!("/{}", call.peer.ip().to_canonical()),
    })
}

fn answer(told: Told) -> ConsumerGroupHeartbeatResponse {
    let assignment = told.assignment.map(|topics| {
        let of_topic = |(id, partitions)| TopicPartitions::default().with_topic_id(id).with_partitions(partitions);
        Assignment::default().with_topic_partitions(topics.into_iter().map(of_topic).collect())
    });
    ConsumerGroupHeartbeatResponse::default()
        .with_error_message(None)
        .with_member_id(Some(text(told.member_id)))
        .with_member_epoch(told.epoch)
        .with_heartbeat_interval_ms(i32::try_from(BEAT_EVERY.as_millis()).unwrap_or(i32::MAX))
        .with_assignment(assignment)
}
