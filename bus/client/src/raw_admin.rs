//! The admin requests of librdkafka that its Rust wrapper lacks: consumer groups and their offsets, single changes of
//! topic configs, ACLs. The only unsafe code of this crate.
//!
//! Every C object that is ours lives in [`Owned`] and is destroyed with it; everything else is read while the event
//! that owns it is alive and copied before it goes. Every wait is bounded by [`Handle::timeout`].
#![allow(unsafe_code)]

mod acls;
mod groups;
mod topics;

use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode;

use crate::TopicPartition;

pub(crate) use acls::{create_acl, delete_acls, describe_acls};
pub(crate) use groups::{committed_offsets, delete_offsets, describe_group, list_groups, set_offsets};
pub(crate) use topics::{alter_topic_config, create_topic};

/// The library answers by itself when a request timed out; this much later it is not going to any more.
const GRACE: Duration = Duration::from_secs(2);
/// Room for the library's message about what is wrong with an argument.
const ERROR_TEXT_BYTES: usize = 512;

unsafe extern "C" {
    /// `rd_kafka_event_error` as C has it: brokers may send codes that the generated enum has no variant for, and a
    /// Rust enum must never hold such a value.
    #[link_name = "rd_kafka_event_error"]
    fn event_error_code(event: *mut rd::rd_kafka_event_t) -> c_int;
}

/// Something of librdkafka's that this side must destroy.
struct Owned<T> {
    object: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes `object` over; `None` when it is null.
    ///
    /// # Safety
    /// `object` is null, or a live object that nobody else destroys and that `destroy` is the destructor of.
    unsafe fn new(object: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(object).map(|object| Self { object, destroy })
    }

    fn ptr(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new`'s caller handed the object over together with its destructor; it is destroyed here only.
        unsafe { (self.destroy)(self.object.as_ptr()) }
    }
}

type Event = Owned<rd::rd_kafka_event_t>;

/// A running client to send requests with.
pub(crate) struct Handle<'c> {
    client: *mut rd::rd_kafka_t,
    timeout: Duration,
    /// The client must not go while this is used.
    alive: PhantomData<&'c ()>,
}

impl<'c> Handle<'c> {
    /// Requests through `client` wait for at most `timeout`.
    pub(crate) fn new<C: rdkafka::ClientContext>(client: &'c rdkafka::client::Client<C>, timeout: Duration) -> Self {
        Self { client: client.native_ptr(), timeout, alive: PhantomData }
    }

    fn millis(&self) -> c_int {
        c_int::try_from(self.timeout.as_millis()).unwrap_or(c_int::MAX)
    }

    /// Sends one request and waits for its event.
    fn call(
        &self,
        api: rd::rd_kafka_admin_op_t,
        send: impl FnOnce(*mut rd::rd_kafka_t, *const rd::rd_kafka_AdminOptions_t, *mut rd::rd_kafka_queue_t),
    ) -> Result<Event, String> {
        let mut text: [c_char; ERROR_TEXT_BYTES] = [0; ERROR_TEXT_BYTES];
        // SAFETY: the client lives as long as `self` (its lifetime says so). Queue and options are new, destroyed by
        // their `Owned`s and by nobody else: requests only borrow the options and count their own reference to the
        // queue, so that a late answer finds it even when we are gone. `text` is writable for the length given.
        let event = unsafe {
            let queue = Owned::new(rd::rd_kafka_queue_new(self.client), rd::rd_kafka_queue_destroy);
            let queue = queue.ok_or("no memory for a queue")?;
            let options =
                Owned::new(rd::rd_kafka_AdminOptions_new(self.client, api), rd::rd_kafka_AdminOptions_destroy);
            let options = options.ok_or("no memory for a request")?;
            // It refuses times out of its range only: then its own default bounds the request, and `wait` this call.
            rd::rd_kafka_AdminOptions_set_request_timeout(
                options.ptr(),
                self.millis(),
                text.as_mut_ptr(),
                ERROR_TEXT_BYTES,
            );
            send(self.client, options.ptr(), queue.ptr());
            let wait = c_int::try_from((self.timeout + GRACE).as_millis()).unwrap_or(c_int::MAX);
            Owned::new(rd::rd_kafka_queue_poll(queue.ptr(), wait), rd::rd_kafka_event_destroy)
        };
        let event = event.ok_or_else(|| format!("no answer within {:?}", self.timeout))?;
        // SAFETY: the event is alive, and its error text lives in it.
        unsafe {
            if event_error_code(event.ptr()) != 0 {
                return Err(text_of(rd::rd_kafka_event_error_string(event.ptr())));
            }
        }
        Ok(event)
    }
}

/// The C string at `text`, or nothing when it is null.
///
/// # Safety
/// `text` is null or a terminated string that lives during this call.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// What an error object says; `Ok` when there is none.
///
/// # Safety
/// `error` is null or a live error object.
unsafe fn check(error: *const rd::rd_kafka_error_t) -> Result<(), String> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a live error object, whose text lives in it. A code of 0 means no error, and has its name.
    unsafe {
        let name = text_of(rd::rd_kafka_error_name(error));
        if name == "NO_ERROR" { Ok(()) } else { Err(text_of(rd::rd_kafka_error_string(error))) }
    }
}

/// The `count` pointers at `list`.
///
/// # Safety
/// `list` is null, or points to `count` pointers that live as long as what `'l` is chosen for.
unsafe fn pointers<'l, T>(list: *mut *const T, count: usize) -> &'l [*const T] {
    if list.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { std::slice::from_raw_parts(list, count) }
}

/// What a list of partitions says of each: its offset, or why it failed.
type Answered = Vec<(TopicPartition, Result<i64, String>)>;

/// Copies a list of partitions.
///
/// # Safety
/// `list` is null or a live list.
unsafe fn partitions_of(list: *const rd::rd_kafka_topic_partition_list_t) -> Answered {
    let mut found = Vec::new();
    if list.is_null() {
        return found;
    }
    // SAFETY: a live list has `cnt` initialized elements at `elems`, each with a terminated topic name. Fields are read
    // one by one: `err` may hold a code that its enum lacks, so it is read as the integer that it is in C.
    unsafe {
        for index in 0..usize::try_from((*list).cnt).unwrap_or(0) {
            let element = (*list).elems.add(index);
            let at = TopicPartition { topic: text_of((*element).topic).into(), partition: (*element).partition };
            let code = std::ptr::addr_of!((*element).err).cast::<c_int>().read();
            let outcome = if code == 0 { Ok((*element).offset) } else { Err(error_text(code)) };
            found.push((at, outcome));
        }
    }
    found
}

fn error_text(code: c_int) -> String {
    match rd::rd_kafka_resp_err_t::try_from(code) {
        Ok(known) => RDKafkaErrorCode::from(known).to_string(),
        Err(_) => format!("error {code}"),
    }
}

fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("`{}` holds a zero byte", text.escape_default()))
}
