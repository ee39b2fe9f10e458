//! Consumer groups of both protocols (classic and KIP-848) and what they committed.

use std::ptr;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;

use super::{Answered, Event, Handle, Owned, c_string, check, partitions_of, pointers, text_of};
use crate::admin::{GroupDetails, GroupListing, GroupMember};

const OTHER_KIND: &str = "the answer is of another kind";

/// All consumer groups, and what went wrong with brokers that did not tell theirs.
pub(crate) fn list_groups(handle: &Handle<'_>) -> Result<(Vec<GroupListing>, Vec<String>), String> {
    let event = handle.call(
        rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS,
        // SAFETY: client, options and queue are `call`'s and alive.
        |client, options, queue| unsafe { rd::rd_kafka_ListConsumerGroups(client, options, queue) },
    )?;
    // SAFETY: the event is alive and owns result, groups and errors, which are copied here; a null result is never
    // looked into. States and types are mapped by the library from names, so they are variants of their enums, and
    // their names are static.
    unsafe {
        let result = rd::rd_kafka_event_ListConsumerGroups_result(event.ptr());
        if result.is_null() {
            return Err(OTHER_KIND.to_owned());
        }
        let mut count = 0;
        let valid = rd::rd_kafka_ListConsumerGroups_result_valid(result, &raw mut count);
        let listing = |group: &*const rd::rd_kafka_ConsumerGroupListing_t| GroupListing {
            name: text_of(rd::rd_kafka_ConsumerGroupListing_group_id(*group)),
            state: text_of(rd::rd_kafka_consumer_group_state_name(rd::rd_kafka_ConsumerGroupListing_state(*group))),
            protocol: text_of(rd::rd_kafka_consumer_group_type_name(rd::rd_kafka_ConsumerGroupListing_type(*group))),
        };
        let groups = pointers(valid, count).iter().map(listing).collect();
        let failed = rd::rd_kafka_ListConsumerGroups_result_errors(result, &raw mut count);
        let errors = pointers(failed, count).iter().filter_map(|error| check(*error).err()).collect();
        Ok((groups, errors))
    }
}

/// The members of one group and what each is assigned.
pub(crate) fn describe_group(handle: &Handle<'_>, group: &str) -> Result<GroupDetails, String> {
    let group = c_string(group)?;
    let mut groups = [group.as_ptr()];
    let event = handle.call(
        rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
        // SAFETY: client, options and queue are `call`'s and alive; the request copies the name.
        |client, options, queue| unsafe {
            rd::rd_kafka_DescribeConsumerGroups(client, groups.as_mut_ptr(), groups.len(), options, queue);
        },
    )?;
    // SAFETY: the event is alive and owns result and descriptions; a null result is never looked into.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConsumerGroups_result(event.ptr());
        if result.is_null() {
            return Err(OTHER_KIND.to_owned());
        }
        let mut count = 0;
        let described = rd::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        let description = pointers(described, count).first().copied().ok_or(OTHER_KIND)?;
        check(rd::rd_kafka_ConsumerGroupDescription_error(description))?;
        Ok(details_of(description))
    }
}

/// # Safety
/// `group` is a live description.
unsafe fn details_of(group: *const rd::rd_kafka_ConsumerGroupDescription_t) -> GroupDetails {
    // SAFETY: what the description holds lives as long as it does and is copied here; members are asked for below
    // their count. States and types come from names, as in `list_groups`.
    unsafe {
        let node = rd::rd_kafka_ConsumerGroupDescription_coordinator(group);
        let coordinator = if node.is_null() {
            String::new()
        } else {
            format!("{}:{}", text_of(rd::rd_kafka_Node_host(node)), rd::rd_kafka_Node_port(node))
        };
        let members = (0..rd::rd_kafka_ConsumerGroupDescription_member_count(group))
            .map(|index| member_of(rd::rd_kafka_ConsumerGroupDescription_member(group, index)))
            .collect();
        GroupDetails {
            name: text_of(rd::rd_kafka_ConsumerGroupDescription_group_id(group)),
            state: text_of(rd::rd_kafka_consumer_group_state_name(rd::rd_kafka_ConsumerGroupDescription_state(group))),
            protocol: text_of(rd::rd_kafka_consumer_group_type_name(rd::rd_kafka_ConsumerGroupDescription_type(group))),
            assignor: text_of(rd::rd_kafka_ConsumerGroupDescription_partition_assignor(group)),
            coordinator,
            members,
        }
    }
}

/// # Safety
/// `member` is a live member of a description.
unsafe fn member_of(member: *const rd::rd_kafka_MemberDescription_t) -> GroupMember {
    // SAFETY: what the member holds lives as long as it does and is copied here; an absent instance or assignment is
    // null and not looked into.
    unsafe {
        let instance = text_of(rd::rd_kafka_MemberDescription_group_instance_id(member));
        let assignment = rd::rd_kafka_MemberDescription_assignment(member);
        let partitions = if assignment.is_null() {
            Vec::new()
        } else {
            partitions_of(rd::rd_kafka_MemberAssignment_partitions(assignment))
        };
        GroupMember {
            id: text_of(rd::rd_kafka_MemberDescription_consumer_id(member)),
            instance: (!instance.is_empty()).then_some(instance),
            client: text_of(rd::rd_kafka_MemberDescription_client_id(member)),
            host: text_of(rd::rd_kafka_MemberDescription_host(member)),
            partitions: partitions.into_iter().map(|(at, _)| at).collect(),
        }
    }
}

/// Everything that a group has committed; a negative offset means nothing.
pub(crate) fn committed_offsets(handle: &Handle<'_>, group: &str) -> Result<Answered, String> {
    let group = c_string(group)?;
    // SAFETY: the name lives through the call that copies it, and no list means every partition; the object is ours
    // until its `Owned` drops.
    let request = unsafe {
        Owned::new(
            rd::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), ptr::null()),
            rd::rd_kafka_ListConsumerGroupOffsets_destroy,
        )
    }
    .ok_or("no memory for a request")?;
    let mut requests = [request.ptr()];
    let event = handle.call(
        rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
        // SAFETY: client, options and queue are `call`'s and alive; the request is copied.
        |client, options, queue| unsafe {
            rd::rd_kafka_ListConsumerGroupOffsets(client, requests.as_mut_ptr(), requests.len(), options, queue);
        },
    )?;
    // SAFETY: the event is alive and owns result and groups; a null result is never looked into.
    unsafe {
        let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(event.ptr());
        if result.is_null() {
            return Err(OTHER_KIND.to_owned());
        }
        let mut count = 0;
        answered(&event, rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count), count)
    }
}

/// Commits for a group that nobody is in.
pub(crate) fn set_offsets(handle: &Handle<'_>, group: &str, offsets: &TopicPartitionList) -> Result<Answered, String> {
    let group = c_string(group)?;
    // SAFETY: name and list live through the call that copies them; the object is ours until its `Owned` drops.
    let request = unsafe {
        Owned::new(
            rd::rd_kafka_AlterConsumerGroupOffsets_new(group.as_ptr(), offsets.ptr()),
            rd::rd_kafka_AlterConsumerGroupOffsets_destroy,
        )
    }
    .ok_or("no memory for a request")?;
    let mut requests = [request.ptr()];
    let event = handle.call(
        rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS,
        // SAFETY: client, options and queue are `call`'s and alive; the request is copied.
        |client, options, queue| unsafe {
            rd::rd_kafka_AlterConsumerGroupOffsets(client, requests.as_mut_ptr(), requests.len(), options, queue);
        },
    )?;
    // SAFETY: the event is alive and owns result and groups; a null result is never looked into.
    unsafe {
        let result = rd::rd_kafka_event_AlterConsumerGroupOffsets_result(event.ptr());
        if result.is_null() {
            return Err(OTHER_KIND.to_owned());
        }
        let mut count = 0;
        answered(&event, rd::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &raw mut count), count)
    }
}

/// Forgets what a group committed in these partitions.
pub(crate) fn delete_offsets(
    handle: &Handle<'_>,
    group: &str,
    partitions: &TopicPartitionList,
) -> Result<Answered, String> {
    let group = c_string(group)?;
    // SAFETY: name and list live through the call that copies them; the object is ours until its `Owned` drops.
    let request = unsafe {
        Owned::new(
            rd::rd_kafka_DeleteConsumerGroupOffsets_new(group.as_ptr(), partitions.ptr()),
            rd::rd_kafka_DeleteConsumerGroupOffsets_destroy,
        )
    }
    .ok_or("no memory for a request")?;
    let mut requests = [request.ptr()];
    let event = handle.call(
        rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS,
        // SAFETY: client, options and queue are `call`'s and alive; the request is copied.
        |client, options, queue| unsafe {
            rd::rd_kafka_DeleteConsumerGroupOffsets(client, requests.as_mut_ptr(), requests.len(), options, queue);
        },
    )?;
    // SAFETY: the event is alive and owns result and groups; a null result is never looked into.
    unsafe {
        let result = rd::rd_kafka_event_DeleteConsumerGroupOffsets_result(event.ptr());
        if result.is_null() {
            return Err(OTHER_KIND.to_owned());
        }
        let mut count = 0;
        answered(&event, rd::rd_kafka_DeleteConsumerGroupOffsets_result_groups(result, &raw mut count), count)
    }
}

/// The partitions of the one group that was asked about.
///
/// # Safety
/// `groups` points to `count` groups that `_event` owns.
unsafe fn answered(
    _event: &Event,
    groups: *mut *const rd::rd_kafka_group_result_t,
    count: usize,
) -> Result<Answered, String> {
    // SAFETY: the caller's promise; error and partitions live in the group and are copied.
    unsafe {
        let group = pointers(groups, count).first().copied().ok_or(OTHER_KIND)?;
        check(rd::rd_kafka_group_result_error(group))?;
        Ok(partitions_of(rd::rd_kafka_group_result_partitions(group)))
    }
}
