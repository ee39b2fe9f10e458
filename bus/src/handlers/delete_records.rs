//! Forgets the oldest records of partitions, up to an offset.

use std::sync::Arc;

use logmill_bus_log::{LogError, Partition};
use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use logmill_bus_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::Call;
use crate::broker::Broker;
use crate::security::{Operation, Resource};

/// Stands for the end of what consumers may see.
const ALL: i64 = -1;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let allowed = broker.check(call, Operation::Delete, Resource::Topic(&asked.name));
        let topic = allowed.map(|()| broker.topics.named(&asked.name));
        let mut result = DeleteRecordsTopicResult::default().with_name(asked.name);
        for partition in asked.partitions {
            let index = partition.partition_index;
            let slot = topic.as_ref().map(|topic| topic.as_ref().and_then(|topic| topic.partition(index)));
            let outcome = match slot.map(|slot| slot.map(|slot| slot.log.clone())) {
                Err(refused) => Err(refused.code()),
                Ok(None) => Err(ResponseError::UnknownTopicOrPartition.code()),
                Ok(Some(None)) => Err(ResponseError::KafkaStorageError.code()),
                Ok(Some(Some(log))) => delete(log, partition.offset).await,
            };
            let answer = DeleteRecordsPartitionResult::default().with_partition_index(index);
            result.partitions.push(match outcome {
                Ok(low) => answer.with_low_watermark(low),
                Err(code) => answer.with_low_watermark(-1).with_error_code(code),
            });
        }
        topics.push(result);
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

async fn delete(log: Arc<Partition>, before: i64) -> Result<i64, i16> {
    let before = if before == ALL { log.durable_end() } else { before };
    if before < 0 {
        return Err(ResponseError::OffsetOutOfRange.code());
    }
    let work = move || log.delete_before(before).map(|()| log.log_start());
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(low)) => Ok(low),
        Ok(Err(LogError::OutOfRange { .. })) => Err(ResponseError::OffsetOutOfRange.code()),
        Ok(Err(error)) => {
            tracing::error!(%error, "records can't be removed");
            Err(ResponseError::KafkaStorageError.code())
        }
        Err(error) => {
            tracing::error!(%error, "removing records failed");
            Err(ResponseError::UnknownServerError.code())
        }
    }
}
