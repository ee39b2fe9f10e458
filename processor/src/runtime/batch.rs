//! A batch of one partition, from records to records. Pure: no I/O, and the clock is handed in.
//!
//! A panic in a step is caught, the batch is halved until the event that causes it is alone, and that event
//! becomes a dead letter.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use logmill_bus_client::Message;
use logmill_core::Origin;
use logmill_core::origin::{INDEX_HEADER, ORIGIN_HEADER, RAW_HEADER, SOURCE_HEADER};
use logmill_core::topics;

use super::codec::{decode, encode};
use super::dead_letter::{self, Body};
use crate::pipeline::{Dead, End, Pipeline, Tallies};
use crate::step::Scene;

/// Each part of an input leaves room for so many outputs to one topic; more `out` entries are refused.
pub(super) const OUTPUTS_MAX: u32 = 1_024;

/// What one worker uses again for each batch.
#[derive(Debug)]
pub(super) struct Tools {
    scene: Scene,
    tallies: Tallies,
}

impl Tools {
    pub(super) fn new() -> Self {
        Self { scene: Scene::at(Timestamp::UNIX_EPOCH), tallies: Tallies::default() }
    }
}

/// A record to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Index of the input in its batch.
    pub(super) input: usize,
    pub(super) topic: Arc<str>,
    pub(super) key: Option<Bytes>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Vec<(Box<str>, Bytes)>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Produced {
    pub(super) records: Vec<Outgoing>,
    pub(super) dropped: u64,
    pub(super) dead: u64,
    /// Records without a value: they say nothing.
    pub(super) empty: u64,
}

/// Offsets of inputs whose output the bus found too large, and how often.
pub(super) type Refused = HashMap<i64, u32>;

/// Runs the pipeline on a batch.
pub(super) fn process(
    pipeline: &Pipeline,
    messages: &[Message],
    refused: &Refused,
    now: Timestamp,
    tools: &mut Tools,
) -> Produced {
    let mut produced = Produced::default();
    tools.scene.now = now;
    guarded(pipeline, messages, 0, refused, tools, &mut produced);
    pipeline.settle(&mut tools.tallies);
    produced
}

fn guarded(
    pipeline: &Pipeline,
    messages: &[Message],
    first: usize,
    refused: &Refused,
    tools: &mut Tools,
    produced: &mut Produced,
) {
    let now = tools.scene.now;
    // What a panic leaves behind is thrown away: the part of the output, and the scene.
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let mut part = Produced::default();
        for (index, message) in messages.iter().enumerate() {
            one(pipeline, message, first + index, refused, tools, &mut part);
        }
        part
    }));
    let panic = match attempt {
        Ok(part) => {
            produced.records.extend(part.records);
            produced.dropped += part.dropped;
            produced.dead += part.dead;
            produced.empty += part.empty;
            return;
        }
        Err(panic) => panic,
    };
    tools.scene = Scene::at(now);
    match messages {
        [] => {}
        [poison] => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            let to: Arc<str> = Arc::from(topics::DEAD_LETTER);
            let dead = dead_letter::because("panic", &to, format!("a step panicked: {text}"));
            bury(pipeline, poison, first, &dead, Body::Original, now, produced);
        }
        several => {
            let (left, right) = several.split_at(several.len() / 2);
            guarded(pipeline, left, first, refused, tools, produced);
            guarded(pipeline, right, first + left.len(), refused, tools, produced);
        }
    }
}

fn one(
    pipeline: &Pipeline,
    message: &Message,
    input: usize,
    refused: &Refused,
    tools: &mut Tools,
    produced: &mut Produced,
) {
    let now = tools.scene.now;
    if message.value.is_empty() {
        produced.empty += 1;
        return;
    }
    if let Some(times) = refused.get(&message.offset) {
        let body = if *times > 1 { Body::Reference } else { Body::Original };
        let dead = too_large();
        return bury(pipeline, message, input, &dead, body, now, produced);
    }
    let mut event = decode(message, now);
    let (end, routes) = pipeline.run(&mut event, &mut tools.scene, &mut tools.tallies);
    match end {
        End::Dropped => produced.dropped += 1,
        End::Dead(dead) => bury(pipeline, message, input, &dead, Body::Original, now, produced),
        End::Done => {
            let value = encode(&mut event, message, now);
            let count = routes.len();
            let mut value = Some(value);
            for (index, route) in routes.iter().enumerate() {
                // Outputs of one input to one topic are told apart by their part.
                let part = routes.iter().take(index).filter(|earlier| earlier.topic == route.topic).count();
                let value = if index + 1 == count { value.take() } else { value.clone() };
                produced.records.push(Outgoing {
                    input,
                    topic: route.topic.clone(),
                    key: route.key.as_ref().map(|key| Bytes::copy_from_slice(key.as_bytes())).or(message.key.clone()),
                    value: value.unwrap_or_default(),
                    headers: headers(message, part, &route.index),
                });
            }
        }
    }
}

pub(super) fn too_large() -> Dead {
    dead_letter::because("output", &Arc::from(topics::DEAD_LETTER), "the bus refuses so large a record".to_owned())
}

fn bury(
    pipeline: &Pipeline,
    message: &Message,
    input: usize,
    dead: &Dead,
    body: Body,
    now: Timestamp,
    produced: &mut Produced,
) {
    produced.dead += 1;
    produced.records.push(grave(pipeline, message, input, dead, body, now));
}

/// The record of a dead letter: all headers of the input, and those of every output.
pub(super) fn grave(
    pipeline: &Pipeline,
    message: &Message,
    input: usize,
    dead: &Dead,
    body: Body,
    now: Timestamp,
) -> Outgoing {
    let own = headers(message, 0, dead_letter::INDEX);
    let kept = message.headers.iter().filter(|(name, _)| !own.iter().any(|(known, _)| known == name));
    let headers = kept.cloned().chain(own.iter().cloned()).collect();
    Outgoing {
        input,
        topic: dead.to.clone(),
        key: message.key.clone(),
        value: dead_letter::letter(message, pipeline, dead, body, now),
        headers,
    }
}

/// Source and origin as they came, the raw position, and the index.
fn headers(message: &Message, part: usize, index: &str) -> Vec<(Box<str>, Bytes)> {
    let mut headers = Vec::with_capacity(4);
    if let (Some(source), Some(origin)) = (message.header(SOURCE_HEADER), message.header_str(ORIGIN_HEADER))
        && let Ok(origin) = origin.parse::<Origin>()
    {
        let part = u32::try_from(part).unwrap_or(OUTPUTS_MAX - 1).min(OUTPUTS_MAX - 1);
        let part = origin.part.saturating_mul(OUTPUTS_MAX).saturating_add(part);
        headers.push((SOURCE_HEADER.into(), Bytes::copy_from_slice(source)));
        headers.push((ORIGIN_HEADER.into(), Bytes::from(Origin { part, ..origin }.to_string())));
    }
    let raw = format!("{}/{}/{}", message.topic, message.partition, message.offset);
    headers.push((RAW_HEADER.into(), Bytes::from(raw)));
    headers.push((INDEX_HEADER.into(), Bytes::copy_from_slice(index.as_bytes())));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::PipelineConfig;
    use logmill_core::config::load_str;
    use serde_json::{Value, json};

    fn pipeline(yaml: &str) -> Pipeline {
        load_str::<PipelineConfig>("t.yml", yaml).expect("loads").compile("t").expect("compiles")
    }

    fn message(value: &[u8], offset: i64) -> Message {
        crate::runtime::trial::raw_record(value, offset)
    }

    fn run(yaml: &str, messages: &[Message], refused: &Refused) -> Produced {
        process(&pipeline(yaml), messages, refused, "2026-11-22T13:10:24Z".parse().expect("a time"), &mut Tools::new())
    }

    fn header<'o>(record: &'o Outgoing, name: &str) -> &'o str {
        let found = record.headers.iter().find(|(known, _)| &**known == name);
        std::str::from_utf8(&found.expect(name).1).expect("text")
    }

    fn value(record: &Outgoing) -> Value {
        serde_json::from_slice(&record.value).expect("JSON")
    }

    #[test]
    fn outputs_carry_where_they_came_from() {
        let yaml = "out: [{index: a, continue: true}, {topic: other, continue: true}, {index: b}]";
        let produced =
            run(yaml, &[message(br#"{"message":"x","@timestamp":"2026-01-01T00:00:00Z"}"#, 7)], &Refused::new());
        let told: Vec<_> = produced
            .records
            .iter()
            .map(|record| (&*record.topic, header(record, ORIGIN_HEADER), header(record, INDEX_HEADER)))
            .collect();
        let expected = [
            ("logs.parsed", "0:1000000:1000100:0", "a"),
            ("other", "0:1000000:1000100:0", "logs-generic-default"),
            ("logs.parsed", "0:1000000:1000100:1", "b"),
        ];
        assert_eq!(told, expected);
        assert_eq!(header(&produced.records[0], RAW_HEADER), "logs.raw/0/7");
        assert_eq!(produced.records[2].value, produced.records[0].value);
    }

    #[test]
    fn bytes_that_are_no_event_are_kept() {
        let values: [&[u8]; 4] = [b"plain text", b"[1,2]", b"caf\xe9", b""];
        let messages: Vec<_> = values.iter().enumerate().map(|(index, value)| message(value, index as i64)).collect();
        let produced = run("id: x", &messages, &Refused::new());
        assert_eq!((produced.records.len(), produced.empty), (3, 1));
        assert_eq!(
            value(&produced.records[0]),
            json!({"@timestamp": "2026-11-22T13:10:24.000Z", "message": "plain text"})
        );
        assert_eq!(value(&produced.records[1])["message"], "[1,2]");
        let invalid = value(&produced.records[2]);
        assert_eq!(
            (&invalid["tags"], &invalid["event"]["original_base64"]),
            (&json!(["_invalid_utf8"]), &json!("Y2Fm6Q=="))
        );
    }

    #[test]
    fn dead_letters_say_what_why_and_where() {
        let yaml = "id: web\nsteps: [{json: {tag: reader, on_error: {to: dead}}}]";
        let original = br#"{"message":"{","host":{"name":"a"}}"#;
        let produced = run(yaml, &[message(original, 9)], &Refused::new());
        let letter = value(&produced.records[0]);
        assert_eq!((&*produced.records[0].topic, produced.dead), ("dead", 1));
        assert_eq!(letter["event"]["original"].as_str().map(str::as_bytes), Some(&original[..]));
        assert_eq!(letter["logmill"]["raw"], json!({"topic": "logs.raw", "partition": 0, "offset": 9}));
        assert_eq!((&letter["error"]["type"], &letter["host"]["name"]), (&json!("reader"), &json!("a")));
        assert_eq!(header(&produced.records[0], SOURCE_HEADER).len(), 32);
    }

    #[test]
    fn a_refused_record_becomes_a_letter_and_then_a_reference() {
        let messages = [message(b"\xff", 1), message(b"large", 2), message(b"fine", 3)];
        let produced = run("id: x", &messages, &Refused::from([(1, 1), (2, 2)]));
        assert_eq!(produced.dead, 2);
        assert_eq!(value(&produced.records[0])["event"]["original_base64"], "/w==");
        let reference = value(&produced.records[1]);
        assert_eq!(reference["event"]["original"], "");
        assert_eq!(reference["logmill"]["original"], json!({"bytes": 5, "truncated": true}));
        assert_eq!(value(&produced.records[2])["message"], "fine");
    }

    #[test]
    fn a_poisonous_event_is_found_and_its_neighbours_go_on() {
        let messages: Vec<_> =
            (0..9).map(|offset| message(if offset == 5 { b"poison" } else { b"fine" }, offset)).collect();
        let mut pipeline = pipeline("id: x");
        pipeline.poison();
        let produced = process(&pipeline, &messages, &Refused::new(), Timestamp::UNIX_EPOCH, &mut Tools::new());
        assert_eq!((produced.records.len(), produced.dead), (9, 1));
        let inputs: Vec<_> = produced.records.iter().map(|record| record.input).collect();
        assert_eq!(inputs, (0..9).collect::<Vec<_>>());
        let letter = value(&produced.records[5]);
        assert_eq!(letter["event"]["original"], "poison");
        assert!(letter["error"]["message"].as_str().is_some_and(|reason| reason.contains("on purpose")), "{letter}");
    }
}
