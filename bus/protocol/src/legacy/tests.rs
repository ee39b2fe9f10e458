use super::*;
use crate::{decode, encode_answer};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;

/// A body by hand, as an old client writes it.
fn offset_commit_v1_body() -> Vec<u8> {
    let mut out = BytesMut::new();
    put_string(&mut out, false, "group");
    out.put_i32(7);
    put_string(&mut out, false, "member");
    out.put_i32(1);
    put_string(&mut out, false, "topic");
    out.put_i32(1);
    out.put_i32(3);
    out.put_i64(42);
    out.put_i64(-1);
    put_string(&mut out, false, "note");
    out.to_vec()
}

#[test]
fn reads_offset_commit_1_and_refuses_every_piece_of_it() {
    let body = offset_commit_v1_body();
    let request: OffsetCommitRequest = decode(1, body.clone().into()).unwrap();
    assert_eq!((request.group_id.as_str(), request.generation_id_or_member_epoch), ("group", 7));
    let partition = &request.topics[0].partitions[0];
    assert_eq!((partition.partition_index, partition.committed_offset), (3, 42));
    assert_eq!(partition.committed_metadata.as_deref(), Some("note"));
    for end in 0..body.len() {
        assert!(decode::<OffsetCommitRequest>(1, body[..end].to_vec().into()).is_err(), "{end}");
    }
}

#[test]
fn reads_create_topics_0_and_1_and_answers_them() {
    for version in [0, 1] {
        let mut out = BytesMut::new();
        out.put_i32(1);
        put_string(&mut out, false, "topic");
        out.put_i32(6);
        out.put_i16(1);
        out.put_i32(0);
        out.put_i32(1);
        put_string(&mut out, false, "retention.ms");
        put_string(&mut out, false, "1000");
        out.put_i32(5000);
        if version == 1 {
            out.put_u8(1);
        }
        let body = out.freeze();
        let request: CreateTopicsRequest = decode(version, body.clone()).unwrap();
        assert_eq!((request.topics[0].num_partitions, request.validate_only), (6, version == 1));
        assert_eq!(request.topics[0].configs[0].value.as_deref(), Some("1000"));
        for end in 0..body.len() {
            assert!(decode::<CreateTopicsRequest>(version, body.slice(..end)).is_err());
        }
        let result = CreatableTopicResult::default()
            .with_name(TopicName("topic".into()))
            .with_error_code(36)
            .with_error_message(None);
        let answer = CreateTopicsResponse::default().with_topics(vec![result]);
        let bytes = encode_answer::<CreateTopicsRequest>(9, version, &answer).unwrap();
        let tail: &[u8] =
            if version == 1 { b"\0\0\0\x01\0\x05topic\0\x24\xff\xff" } else { b"\0\0\0\x01\0\x05topic\0\x24" };
        assert_eq!(&bytes[8..], tail);
        assert_eq!(usize::try_from(i32::from_be_bytes(bytes[..4].try_into().unwrap())).unwrap(), bytes.len() - 4);
    }
}

#[test]
fn reads_old_produce_bodies_to_refuse_them_partition_by_partition() {
    let mut out = BytesMut::new();
    out.put_i16(1);
    out.put_i32(1000);
    out.put_i32(1);
    put_string(&mut out, false, "topic");
    out.put_i32(1);
    out.put_i32(2);
    put_length(&mut out, false, 4);
    out.put_slice(b"data");
    let request: ProduceRequest = decode(0, out.freeze()).unwrap();
    assert_eq!(request.topic_data[0].partition_data[0].records.as_deref(), Some(&b"data"[..]));
}

#[test]
fn there_is_nothing_below_version_0() {
    // Found by fuzzing: a count that no schema had looked at reached a decoder.
    let body = Bytes::from_static(&[0x21, 0, 0xff, 0xff, 0xff, 0xff, 0xe4, 0, 0, 0, 0xff, 0xff, 0xff]);
    assert!(crate::decode::<DeleteTopicsRequest>(-12_079, body).is_err());
}
