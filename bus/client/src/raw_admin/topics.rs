//! Making a topic, with the cluster's own words when it refuses; changing single settings of one.

use std::ffi::c_char;
use std::ptr;

use rdkafka::bindings as rd;

use super::{ERROR_TEXT_BYTES, Handle, Owned, c_string, check, pointers, text_of};

const OTHER_KIND: &str = "the answer is of another kind";

/// Makes a topic with so many partitions and replicas (-1 is the cluster's default for either).
pub(crate) fn create_topic(
    handle: &Handle<'_>,
    name: &str,
    (partitions, replicas): (i32, i32),
    settings: &[(&str, &str)],
) -> Result<(), String> {
    let name = c_string(name)?;
    let mut text: [c_char; ERROR_TEXT_BYTES] = [0; ERROR_TEXT_BYTES];
    // SAFETY: the name lives through the call that copies it, `text` is writable for the length given and stays
    // terminated; the object is ours until its `Owned` drops.
    let topic = unsafe {
        let made = rd::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replicas, text.as_mut_ptr(), ERROR_TEXT_BYTES);
        Owned::new(made, rd::rd_kafka_NewTopic_destroy).ok_or_else(|| text_of(text.as_ptr()))?
    };
    for (key, value) in settings {
        let (key, value) = (c_string(key)?, c_string(value)?);
        // SAFETY: the topic is alive and the strings live through the call that copies them. It refuses nothing that
        // is not null.
        unsafe { rd::rd_kafka_NewTopic_set_config(topic.ptr(), key.as_ptr(), value.as_ptr()) };
    }
    let mut topics = [topic.ptr()];
    let event = handle.call(
        rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS,
        // SAFETY: client, options and queue are `call`'s and alive; the topic lives until this function returns, and
        // the request copies it.
        |client, options, queue| unsafe {
            rd::rd_kafka_CreateTopics(client, topics.as_mut_ptr(), topics.len(), options, queue);
        },
    )?;
    // SAFETY: the event is alive and owns the result and what is answered about topics; a null result is never looked
    // into. The text is null, or lives in the answer.
    unsafe {
        let result = rd::rd_kafka_event_CreateTopics_result(event.ptr());
        if result.is_null() {
            return Err(OTHER_KIND.to_owned());
        }
        let mut count = 0;
        for answer in pointers(rd::rd_kafka_CreateTopics_result_topics(result, &raw mut count), count) {
            let error = rd::rd_kafka_topic_result_error_string(*answer);
            if !error.is_null() {
                return Err(text_of(error));
            }
        }
    }
    Ok(())
}

/// Sets some of a topic's settings and takes others back to the cluster's default.
pub(crate) fn alter_topic_config(
    handle: &Handle<'_>,
    topic: &str,
    set: &[(&str, &str)],
    unset: &[&str],
) -> Result<(), String> {
    let topic = c_string(topic)?;
    // SAFETY: `topic` lives through the call that copies it; the object is ours until its `Owned` drops.
    let resource = unsafe {
        Owned::new(
            rd::rd_kafka_ConfigResource_new(rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, topic.as_ptr()),
            rd::rd_kafka_ConfigResource_destroy,
        )
    }
    .ok_or("the topic's name is not allowed")?;
    let sets = set.iter().map(|(key, value)| (*key, Some(*value)));
    for (key, value) in sets.chain(unset.iter().map(|key| (*key, None))) {
        let operation = match value {
            Some(_) => rd::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET,
            None => rd::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE,
        };
        let key = c_string(key)?;
        let value = value.map(c_string).transpose()?;
        let value = value.as_ref().map_or(ptr::null(), |value| value.as_ptr());
        // SAFETY: the resource is alive and the strings live through the call that copies them (a null value is right
        // for a deletion). The error, when there is one, is ours to destroy.
        unsafe {
            let error =
                rd::rd_kafka_ConfigResource_add_incremental_config(resource.ptr(), key.as_ptr(), operation, value);
            if let Some(error) = Owned::new(error, rd::rd_kafka_error_destroy) {
                check(error.ptr())?;
            }
        }
    }
    let mut resources = [resource.ptr()];
    let event = handle.call(
        rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
        // SAFETY: client, options and queue are `call`'s and alive; the resource lives until this function returns,
        // and the request copies it.
        |client, options, queue| unsafe {
            rd::rd_kafka_IncrementalAlterConfigs(client, resources.as_mut_ptr(), resources.len(), options, queue);
        },
    )?;
    // SAFETY: the event is alive and owns the result and the resources in it; a null result is an answer of another
    // kind and never looked into.
    unsafe {
        let result = rd::rd_kafka_event_IncrementalAlterConfigs_result(event.ptr());
        if result.is_null() {
            return Err(OTHER_KIND.to_owned());
        }
        let mut count = 0;
        let answered = rd::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
        for resource in pointers(answered, count) {
            let error = rd::rd_kafka_ConfigResource_error_string(*resource);
            if !error.is_null() {
                return Err(text_of(error));
            }
        }
    }
    Ok(())
}
