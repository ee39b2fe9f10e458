//! Who may do what: adding, listing and removing ACLs.

use std::ffi::{CString, c_char};
use std::ptr;

use rdkafka::bindings as rd;

use super::{ERROR_TEXT_BYTES, Handle, Owned, c_string, check, pointers, text_of};
use crate::acl::{Acl, AclFilter, AclOperation, AclPattern, AclPermission, AclResource};

const OTHER_KIND: &str = "the answer is of another kind";

/// Adds one.
pub(crate) fn create_acl(handle: &Handle<'_>, acl: &Acl) -> Result<(), String> {
    let (name, principal, host) = (c_string(&acl.name)?, c_string(&acl.principal)?, c_string(&acl.host)?);
    let mut text: [c_char; ERROR_TEXT_BYTES] = [0; ERROR_TEXT_BYTES];
    // SAFETY: the strings live through the call that copies them, `text` is writable for the length given and stays
    // terminated; the binding is ours until its `Owned` drops.
    let binding = unsafe {
        let binding = rd::rd_kafka_AclBinding_new(
            acl.resource.native(),
            name.as_ptr(),
            acl.pattern.native(),
            principal.as_ptr(),
            host.as_ptr(),
            acl.operation.native(),
            acl.permission.native(),
            text.as_mut_ptr(),
            ERROR_TEXT_BYTES,
        );
        Owned::new(binding, rd::rd_kafka_AclBinding_destroy).ok_or_else(|| text_of(text.as_ptr()))?
    };
    let mut bindings = [binding.ptr()];
    let event = handle.call(
        rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEACLS,
        // SAFETY: client, options and queue are `call`'s and alive; the request copies the binding.
        |client, options, queue| unsafe {
            rd::rd_kafka_CreateAcls(client, bindings.as_mut_ptr(), bindings.len(), options, queue);
        },
    )?;
    // SAFETY: the event is alive and owns result and answers; a null result is never looked into.
    unsafe {
        let result = rd::rd_kafka_event_CreateAcls_result(event.ptr());
        if result.is_null() {
            return Err(OTHER_KIND.to_owned());
        }
        let mut count = 0;
        let answers = rd::rd_kafka_CreateAcls_result_acls(result, &raw mut count);
        pointers(answers, count).iter().try_for_each(|answer| check(rd::rd_kafka_acl_result_error(*answer)))
    }
}

/// Those that the filter lets through.
pub(crate) fn describe_acls(handle: &Handle<'_>, filter: &AclFilter) -> Result<Vec<Acl>, String> {
    let filter = native_filter(filter)?;
    let event = handle.call(
        rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBEACLS,
        // SAFETY: client, options and queue are `call`'s and alive; the request copies the filter.
        |client, options, queue| unsafe { rd::rd_kafka_DescribeAcls(client, filter.ptr(), options, queue) },
    )?;
    // SAFETY: the event is alive and owns result and bindings, which are copied; a null result is never looked into.
    unsafe {
        let result = rd::rd_kafka_event_DescribeAcls_result(event.ptr());
        if result.is_null() {
            return Err(OTHER_KIND.to_owned());
        }
        let mut count = 0;
        let found = rd::rd_kafka_DescribeAcls_result_acls(result, &raw mut count);
        Ok(pointers(found, count).iter().map(|binding| acl_of(*binding)).collect())
    }
}

/// Removes those that the filter lets through, and says which they were.
pub(crate) fn delete_acls(handle: &Handle<'_>, filter: &AclFilter) -> Result<Vec<Acl>, String> {
    let filter = native_filter(filter)?;
    let mut filters = [filter.ptr()];
    let event = handle.call(
        rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETEACLS,
        // SAFETY: client, options and queue are `call`'s and alive; the request copies the filter.
        |client, options, queue| unsafe {
            rd::rd_kafka_DeleteAcls(client, filters.as_mut_ptr(), filters.len(), options, queue);
        },
    )?;
    let mut removed = Vec::new();
    // SAFETY: the event is alive and owns result, answers and bindings, which are copied; a null result is never
    // looked into.
    unsafe {
        let result = rd::rd_kafka_event_DeleteAcls_result(event.ptr());
        if result.is_null() {
            return Err(OTHER_KIND.to_owned());
        }
        let mut count = 0;
        let answers = rd::rd_kafka_DeleteAcls_result_responses(result, &raw mut count);
        for answer in pointers(answers, count) {
            check(rd::rd_kafka_DeleteAcls_result_response_error(*answer))?;
            let mut matching = 0;
            let bindings = rd::rd_kafka_DeleteAcls_result_response_matching_acls(*answer, &raw mut matching);
            for binding in pointers(bindings, matching) {
                check(rd::rd_kafka_AclBinding_error(*binding))?;
                removed.push(acl_of(*binding));
            }
        }
    }
    Ok(removed)
}

fn native_filter(filter: &AclFilter) -> Result<Owned<rd::rd_kafka_AclBindingFilter_t>, String> {
    let text_or_any = |text: &Option<String>| text.as_deref().map(c_string).transpose();
    let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    let (name, principal, host) =
        (text_or_any(&filter.name)?, text_or_any(&filter.principal)?, text_or_any(&filter.host)?);
    let mut text: [c_char; ERROR_TEXT_BYTES] = [0; ERROR_TEXT_BYTES];
    // SAFETY: the strings live through the call that copies them, a null one means any; `text` is writable for the
    // length given and stays terminated; the filter is ours until its `Owned` drops (a filter is a binding in C).
    unsafe {
        let made = rd::rd_kafka_AclBindingFilter_new(
            filter.resource.map_or(rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_ANY, AclResource::native),
            pointer(&name),
            filter
                .pattern
                .map_or(rd::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_ANY, AclPattern::native),
            pointer(&principal),
            pointer(&host),
            filter.operation.map_or(rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ANY, AclOperation::native),
            filter
                .permission
                .map_or(rd::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ANY, AclPermission::native),
            text.as_mut_ptr(),
            ERROR_TEXT_BYTES,
        );
        Owned::new(made, rd::rd_kafka_AclBinding_destroy).ok_or_else(|| text_of(text.as_ptr()))
    }
}

/// # Safety
/// `binding` is a live binding that the library parsed.
unsafe fn acl_of(binding: *const rd::rd_kafka_AclBinding_t) -> Acl {
    // SAFETY: the binding's strings live in it and are copied; the library replaces values that it does not know by
    // UNKNOWN while parsing, so the enums hold variants.
    unsafe {
        Acl {
            resource: AclResource::of(rd::rd_kafka_AclBinding_restype(binding)),
            name: text_of(rd::rd_kafka_AclBinding_name(binding)),
            pattern: AclPattern::of(rd::rd_kafka_AclBinding_resource_pattern_type(binding)),
            principal: text_of(rd::rd_kafka_AclBinding_principal(binding)),
            host: text_of(rd::rd_kafka_AclBinding_host(binding)),
            operation: AclOperation::of(rd::rd_kafka_AclBinding_operation(binding)),
            permission: AclPermission::of(rd::rd_kafka_AclBinding_permission_type(binding)),
        }
    }
}
