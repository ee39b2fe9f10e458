//! `logmill topics read`: records as they are, for eyes or for programs.

use std::collections::BTreeSet;
use std::io::{BufWriter, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use logmill_bus_client::{Read, ReadRecord, Reader};
use serde_json::{Map, Value, json};

use super::Cluster;
use crate::cli::ReadTopic;
use crate::moment::{Position, rfc3339};
use crate::terminal::printable;

/// How long a wait for records is before what was printed is surely shown.
const TICK: Duration = Duration::from_millis(200);
/// Silence after which a cluster that is there but tells nothing is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Prints records until the ends are reached, enough are printed, or, when following, for ever.
#[allow(clippy::print_stderr)]
pub(super) fn run(cluster: &Cluster, wanted: &ReadTopic, json: bool) -> Result<()> {
    let partitions = cluster.partitions(&wanted.name, &wanted.partition)?;
    let from = wanted.from.unwrap_or(if wanted.follow { Position::End } else { Position::Start });
    if let Position::Offset(offset) = from {
        for each in partitions.iter().filter(|each| !(each.low..=each.high).contains(&offset)) {
            eprintln!("partition {} holds offsets {} to {}; reading there", each.partition, each.low, each.high);
        }
    }
    let from = cluster.offsets(&wanted.name, &partitions, from, |_| None)?;
    let reader = Reader::new(&cluster.connection, &wanted.name, &from, wanted.read_committed)?;
    let terminal = std::io::stdout().is_terminal();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let shape = Shape { json, keys: wanted.keys, headers: wanted.headers, terminal };
    let outcome =
        print(&reader, wanted, from.iter().map(|(partition, _)| *partition).collect(), |record| match record {
            Some(record) => shape.write(&mut out, &wanted.name, record),
            None => out.flush(),
        });
    match outcome {
        // Whoever read our output has enough of it: `| head`.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Hands records to `put`, and nothing to it when what it has should be shown.
#[allow(clippy::print_stderr)]
fn print(
    reader: &Reader,
    wanted: &ReadTopic,
    mut open: BTreeSet<i32>,
    mut put: impl FnMut(Option<&ReadRecord>) -> std::io::Result<()>,
) -> Result<()> {
    let mut left = wanted.count.unwrap_or(u64::MAX);
    let mut silence = Duration::ZERO;
    let mut away = false;
    while left > 0 && (wanted.follow || !open.is_empty()) {
        match reader.next(TICK)? {
            Read::Record(record) => {
                put(Some(&record))?;
                left -= 1;
                (silence, away) = (Duration::ZERO, false);
            }
            Read::End(partition) => {
                open.remove(&partition);
                put(None)?;
                silence = Duration::ZERO;
            }
            Read::Nothing => {
                put(None)?;
                silence += TICK;
                anyhow::ensure!(wanted.follow || silence < SILENCE_MAX, "no answer within {SILENCE_MAX:?}");
            }
            Read::Away(reason) => {
                put(None)?;
                anyhow::ensure!(wanted.follow, "the broker went away: {reason}");
                if !std::mem::replace(&mut away, true) {
                    eprintln!("the broker is away and waited for: {reason}");
                }
            }
        }
    }
    put(None)?;
    Ok(())
}

/// How a record is printed.
struct Shape {
    json: bool,
    keys: bool,
    headers: bool,
    /// Whether escape sequences in records would reach a terminal.
    terminal: bool,
}

impl Shape {
    fn write(&self, out: &mut impl Write, topic: &str, record: &ReadRecord) -> std::io::Result<()> {
        if self.json {
            return writeln!(out, "{}", as_json(topic, record));
        }
        if self.headers {
            for (index, (name, value)) in record.headers.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                self.put(out, format!("{comma}{name}=").as_bytes())?;
                self.put(out, value.as_deref().unwrap_or_default())?;
            }
            out.write_all(b"\t")?;
        }
        if self.keys {
            self.put(out, record.key.as_deref().unwrap_or_default())?;
            out.write_all(b"\t")?;
        }
        self.put(out, record.value.as_deref().unwrap_or_default())?;
        out.write_all(b"\n")
    }

    /// Bytes as they are into files and pipes, and made harmless on a terminal.
    fn put(&self, out: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
        if self.terminal {
            out.write_all(printable(&String::from_utf8_lossy(bytes)).as_bytes())
        } else {
            out.write_all(bytes)
        }
    }
}

/// One object a record. What is not UTF-8 is in base64, under a name that says so.
fn as_json(topic: &str, record: &ReadRecord) -> Value {
    let mut object = Map::new();
    object.insert("topic".into(), topic.into());
    object.insert("partition".into(), record.partition.into());
    object.insert("offset".into(), record.offset.into());
    object.insert("timestamp".into(), record.timestamp_ms.map(rfc3339).into());
    insert_bytes(&mut object, "key", record.key.as_deref());
    insert_bytes(&mut object, "value", record.value.as_deref());
    let header = |(name, value): &(String, Option<_>)| {
        let mut header = Map::from_iter([("name".to_owned(), json!(name))]);
        insert_bytes(&mut header, "value", value.as_deref());
        Value::Object(header)
    };
    object.insert("headers".into(), record.headers.iter().map(header).collect());
    Value::Object(object)
}

fn insert_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => object.insert(name.to_owned(), Value::Null),
        Some((_, Ok(text))) => object.insert(name.to_owned(), text.into()),
        Some((bytes, Err(_))) => object.insert(format!("{name}_base64"), BASE64_STANDARD.encode(bytes).into()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ReadRecord {
        ReadRecord {
            partition: 1,
            offset: 7,
            timestamp_ms: Some(0),
            key: Some("k\x1b[2J".into()),
            value: None,
            headers: vec![("a".into(), Some(vec![0xff].into())), ("b".into(), None)],
        }
    }

    #[test]
    fn json_tells_absent_from_empty_and_bytes_from_text() {
        assert_eq!(
            as_json("t", &record()).to_string(),
            r#"{"topic":"t","partition":1,"offset":7,"timestamp":"1970-01-01T00:00:00.000Z","key":"k\u001b[2J","value":null,"headers":[{"name":"a","value_base64":"/w=="},{"name":"b","value":null}]}"#
        );
    }

    #[test]
    fn a_terminal_is_not_taken_over_and_a_file_gets_every_byte() {
        let text = |terminal| {
            let mut out = Vec::new();
            let shape = Shape { json: false, keys: true, headers: true, terminal };
            shape.write(&mut out, "t", &record()).unwrap();
            out
        };
        assert_eq!(text(false), b"a=\xff,b=\tk\x1b[2J\t\n");
        assert_eq!(String::from_utf8(text(true)).unwrap(), "a=\u{fffd},b=\tk\u{fffd}[2J\t\n");
    }
}
