//! Versions older than the message crate knows, which clients in use still send: bodies and answers by hand.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    OffsetCommitRequest, OffsetCommitResponse, ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::request::Versioned;
use crate::wire::{Cursor, WireError, put_length, put_string, share};

fn text(cursor: &mut Cursor<'_>) -> Result<StrBytes, WireError> {
    Ok(StrBytes::from_string(cursor.string()?.ok_or(WireError::Length(-1))?.to_owned()))
}

fn list<T>(
    cursor: &mut Cursor<'_>,
    mut element: impl FnMut(&mut Cursor<'_>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    // Grows with what is read: the shape was checked, and this does not rely on it.
    let mut elements = Vec::new();
    for _ in 0..cursor.count()? {
        elements.push(element(cursor)?);
    }
    Ok(elements)
}

fn put_error_text(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, false, text),
        None => out.put_i16(-1),
    }
}

impl Versioned for OffsetCommitRequest {
    fn read(mut body: Bytes, version: i16) -> Result<Self, String> {
        if version >= 2 {
            return Self::decode(&mut body, version).map_err(|error| error.to_string());
        }
        offset_commit_v1(&mut Cursor::new(&body)).map_err(|error| error.to_string())
    }

    fn write(answer: &OffsetCommitResponse, out: &mut BytesMut, version: i16) -> Result<(), String> {
        // Versions 1 and 2 of the answer are the same bytes.
        answer.encode(out, version.max(2)).map_err(|error| error.to_string())
    }
}

/// Version 1: with a commit time a partition, which brokers have long ignored.
fn offset_commit_v1(at: &mut Cursor<'_>) -> Result<OffsetCommitRequest, WireError> {
    let request = OffsetCommitRequest::default()
        .with_group_id(text(at)?.into())
        .with_generation_id_or_member_epoch(at.i32()?)
        .with_member_id(text(at)?);
    let partition = |at: &mut Cursor<'_>| {
        let (index, offset, _time_ms) = (at.i32()?, at.i64()?, at.i64()?);
        Ok(OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_metadata(at.string()?.map(|text| StrBytes::from_string(text.to_owned()))))
    };
    let topic = |at: &mut Cursor<'_>| {
        Ok(OffsetCommitRequestTopic::default().with_name(TopicName(text(at)?)).with_partitions(list(at, partition)?))
    };
    Ok(request.with_topics(list(at, topic)?))
}

impl Versioned for CreateTopicsRequest {
    fn read(mut body: Bytes, version: i16) -> Result<Self, String> {
        if version >= 2 {
            return Self::decode(&mut body, version).map_err(|error| error.to_string());
        }
        create_topics_v0_v1(&mut Cursor::new(&body), version).map_err(|error| error.to_string())
    }

    fn write(answer: &CreateTopicsResponse, out: &mut BytesMut, version: i16) -> Result<(), String> {
        if version >= 2 {
            return answer.encode(out, version).map_err(|error| error.to_string());
        }
        put_length(out, false, answer.topics.len());
        for topic in &answer.topics {
            put_string(out, false, &topic.name);
            out.put_i16(topic.error_code);
            if version >= 1 {
                put_error_text(out, topic.error_message.as_deref());
            }
        }
        Ok(())
    }
}

fn create_topics_v0_v1(at: &mut Cursor<'_>, version: i16) -> Result<CreateTopicsRequest, WireError> {
    let assignment = |at: &mut Cursor<'_>| {
        Ok(CreatableReplicaAssignment::default()
            .with_partition_index(at.i32()?)
            .with_broker_ids(list(at, |at| at.i32().map(BrokerId))?))
    };
    let config = |at: &mut Cursor<'_>| {
        Ok(CreatableTopicConfig::default()
            .with_name(text(at)?)
            .with_value(at.string()?.map(|text| StrBytes::from_string(text.to_owned()))))
    };
    let topic = |at: &mut Cursor<'_>| {
        Ok(CreatableTopic::default()
            .with_name(TopicName(text(at)?))
            .with_num_partitions(at.i32()?)
            .with_replication_factor(at.i16()?)
            .with_assignments(list(at, assignment)?)
            .with_configs(list(at, config)?))
    };
    let request = CreateTopicsRequest::default().with_topics(list(at, topic)?).with_timeout_ms(at.i32()?);
    Ok(if version >= 1 { request.with_validate_only(at.bool()?) } else { request })
}

impl Versioned for DeleteTopicsRequest {
    fn read(mut body: Bytes, version: i16) -> Result<Self, String> {
        // Versions 0 and 1 of the request are the same bytes.
        Self::decode(&mut body, version.max(1)).map_err(|error| error.to_string())
    }

    fn write(answer: &DeleteTopicsResponse, out: &mut BytesMut, version: i16) -> Result<(), String> {
        if version >= 1 {
            return answer.encode(out, version).map_err(|error| error.to_string());
        }
        put_length(out, false, answer.responses.len());
        for topic in &answer.responses {
            put_string(out, false, topic.name.as_deref().map_or("", |name| name));
            out.put_i16(topic.error_code);
        }
        Ok(())
    }
}

impl Versioned for ProduceRequest {
    fn read(mut body: Bytes, version: i16) -> Result<Self, String> {
        if version >= 3 {
            return Self::decode(&mut body, version).map_err(|error| error.to_string());
        }
        produce_v0_to_v2(&body).map_err(|error| error.to_string())
    }

    fn write(answer: &ProduceResponse, out: &mut BytesMut, version: i16) -> Result<(), String> {
        if version >= 3 {
            return answer.encode(out, version).map_err(|error| error.to_string());
        }
        put_length(out, false, answer.responses.len());
        for topic in &answer.responses {
            put_string(out, false, &topic.name);
            put_length(out, false, topic.partition_responses.len());
            for partition in &topic.partition_responses {
                out.put_i32(partition.index);
                out.put_i16(partition.error_code);
                out.put_i64(partition.base_offset);
                if version >= 2 {
                    out.put_i64(partition.log_append_time_ms);
                }
            }
        }
        if version >= 1 {
            out.put_i32(answer.throttle_time_ms);
        }
        Ok(())
    }
}

fn produce_v0_to_v2(body: &Bytes) -> Result<ProduceRequest, WireError> {
    let at = &mut Cursor::new(body);
    let request = ProduceRequest::default().with_acks(at.i16()?).with_timeout_ms(at.i32()?);
    let partition = |at: &mut Cursor<'_>| {
        let index = at.i32()?;
        let records = match at.long_length(false)? {
            Some(length) => Some(share(body, at.take(length)?)),
            None => None,
        };
        Ok(PartitionProduceData::default().with_index(index).with_records(records))
    };
    let topic = |at: &mut Cursor<'_>| {
        Ok(TopicProduceData::default().with_name(TopicName(text(at)?)).with_partition_data(list(at, partition)?))
    };
    Ok(request.with_topic_data(list(at, topic)?))
}

#[cfg(test)]
mod tests;
