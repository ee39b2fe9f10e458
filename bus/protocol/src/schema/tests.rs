//! Bodies made from the shapes themselves, whole and broken, against the message crate's decoders and its memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages as m;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::Message;
use proptest::prelude::*;

use super::*;
use crate::request::{Versioned, decode};
use crate::schemas::schema_of;
use crate::wire::{put_length, put_string, put_varint};

/// Counts what this thread asks for, and refuses nothing.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ASKED.try_with(|asked| asked.set(asked.get() + layout.size()));
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Every API that is read: its name, the versions of its bodies, and whether reading it worked.
type Reader = fn(i16, Bytes) -> bool;

macro_rules! readers {
    ($($request:ident $min:literal),* $(,)?) => {
        vec![$((ApiKey::try_from(<m::$request as kafka_protocol::protocol::Request>::KEY).unwrap(), $min,
            <m::$request as Message>::VERSIONS.max, read::<m::$request> as Reader)),*]
    };
}

fn read<R: Versioned>(version: i16, body: Bytes) -> bool {
    decode::<R>(version, body).is_ok()
}

fn readers() -> Vec<(ApiKey, i16, i16, Reader)> {
    readers!(
        ProduceRequest 0, FetchRequest 4, ListOffsetsRequest 1, MetadataRequest 0, OffsetCommitRequest 1,
        OffsetFetchRequest 1, FindCoordinatorRequest 0, JoinGroupRequest 0, HeartbeatRequest 0, LeaveGroupRequest 0,
        SyncGroupRequest 0, DescribeGroupsRequest 0, ListGroupsRequest 0, ApiVersionsRequest 0, CreateTopicsRequest 0,
        DeleteTopicsRequest 0, DeleteRecordsRequest 0, InitProducerIdRequest 0, OffsetForLeaderEpochRequest 2,
        DescribeConfigsRequest 1, AlterConfigsRequest 0, IncrementalAlterConfigsRequest 0, CreatePartitionsRequest 0,
        DeleteGroupsRequest 0, OffsetDeleteRequest 0, DescribeClusterRequest 0, DescribeLogDirsRequest 1,
        ConsumerGroupHeartbeatRequest 0, ConsumerGroupDescribeRequest 0,
        AddPartitionsToTxnRequest 0, AddOffsetsToTxnRequest 0, EndTxnRequest 0, TxnOffsetCommitRequest 0,
        DescribeProducersRequest 0, DescribeTransactionsRequest 0, ListTransactionsRequest 0,
        DescribeAclsRequest 1, CreateAclsRequest 1, DeleteAclsRequest 1, SaslHandshakeRequest 0,
        SaslAuthenticateRequest 0, DescribeUserScramCredentialsRequest 0, AlterUserScramCredentialsRequest 0,
    )
}

/// Writes a body of a shape; `dice` decides sizes and values.
struct Maker<'d> {
    out: BytesMut,
    version: i16,
    flexible: bool,
    dice: std::iter::Cycle<std::slice::Iter<'d, u8>>,
}

impl Maker<'_> {
    fn roll(&mut self) -> u8 {
        *self.dice.next().unwrap()
    }

    fn fields(&mut self, fields: &'static [Field]) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.tag.is_none() && field.is_in(version)) {
            self.value(&field.kind);
        }
        if self.flexible {
            let known: Vec<_> = fields.iter().filter(|field| field.tag.is_some() && field.is_in(version)).collect();
            put_varint(&mut self.out, u32::try_from(known.len() + 1).unwrap());
            for field in known {
                let outer = self.out.split();
                self.value(&field.kind);
                let value = std::mem::replace(&mut self.out, outer);
                put_varint(&mut self.out, field.tag.unwrap());
                put_length(&mut self.out, true, value.len() - 1);
                self.out.put_slice(&value);
            }
            // A tag of a version to come.
            put_varint(&mut self.out, 99);
            put_varint(&mut self.out, 2);
            self.out.put_slice(b"??");
        }
    }

    fn value(&mut self, kind: &'static Kind) {
        match kind {
            Kind::Fixed(size) => {
                for _ in 0..*size {
                    let byte = self.roll();
                    self.out.put_u8(byte);
                }
            }
            Kind::Text => {
                let length = usize::from(self.roll() % 5);
                put_string(&mut self.out, self.flexible, &"abcd"[..length]);
            }
            Kind::Blob => {
                let length = usize::from(self.roll() % 5);
                put_length(&mut self.out, self.flexible, length);
                self.out.put_bytes(7, length);
            }
            Kind::Values(of) => {
                for _ in 0..self.count() {
                    self.value(of);
                }
            }
            Kind::Structs(of) => {
                for _ in 0..self.count() {
                    self.fields(of);
                }
            }
            Kind::Struct(of) => self.fields(of),
        }
    }

    fn count(&mut self) -> u8 {
        let count = self.roll() % 3;
        put_length(&mut self.out, self.flexible, usize::from(count));
        count
    }
}

fn body_of(schema: &'static Schema, version: i16, dice: &[u8]) -> Bytes {
    let flexible = version >= schema.flexible;
    let mut maker = Maker { out: BytesMut::new(), version, flexible, dice: dice.iter().cycle() };
    maker.fields(schema.fields);
    maker.out.freeze()
}

/// What reading a body may ask of the allocator: a fixed part, and this much a byte of it. The most greedy element
/// is a Metadata topic: two bytes that become some eighty.
const PER_BYTE: usize = 200;
const FIXED: usize = 16 << 10;

fn read_within_bounds(reader: Reader, version: i16, body: Bytes) -> bool {
    let length = body.len();
    let before = ASKED.with(Cell::get);
    let read = reader(version, body);
    let asked = ASKED.with(Cell::get) - before;
    assert!(asked <= FIXED + length * PER_BYTE, "{length} bytes made it ask for {asked}");
    read
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn shapes_agree_with_the_decoders_and_broken_bodies_cost_nothing(
        dice in proptest::collection::vec(any::<u8>(), 1..40),
        at in any::<prop::sample::Index>(),
        with in prop_oneof![Just(0xffu8), Just(0x7f), Just(0x80), any::<u8>()],
        run in 1usize..5,
    ) {
        for (api, min, max, reader) in readers() {
            let schema = schema_of(api).unwrap();
            for version in min..=max {
                let body = body_of(schema, version, &dice);
                prop_assert_eq!(schema.check(version, &body), Ok(()), "{:?} {}", api, version);
                prop_assert!(read_within_bounds(reader, version, body.clone()), "{:?} {}", api, version);
                for end in 0..body.len() {
                    prop_assert!(schema.check(version, &body[..end]).is_err(), "{:?} {} cut at {}", api, version, end);
                }
                if !body.is_empty() {
                    let mut broken = body.to_vec();
                    let start = at.index(broken.len());
                    broken.iter_mut().skip(start).take(run).for_each(|byte| *byte = with);
                    read_within_bounds(reader, version, broken.into());
                }
                read_within_bounds(reader, version, Bytes::copy_from_slice(&dice));
            }
        }
    }
}

#[test]
fn the_five_bytes_that_ask_for_150_gb_are_refused() {
    let bomb = [0x7f, 0xff, 0xff, 0xff, 0];
    let refused = decode::<m::MetadataRequest>(1, Bytes::copy_from_slice(&bomb)).unwrap_err().to_string();
    assert!(refused.contains("`topics` announces 2147483647 elements where 1 bytes are left"), "{refused}");
}

#[test]
fn many_tiny_elements_are_refused_too() {
    let mut body = BytesMut::new();
    body.put_i32(i32::try_from(ELEMENTS_MAX + 1).unwrap());
    body.put_bytes(0, 2 * (ELEMENTS_MAX + 1));
    assert_eq!(schema_of(ApiKey::Metadata).unwrap().check(0, &body), Err(ShapeError::TooMany));
}
