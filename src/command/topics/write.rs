//! `logmill topics write`: a record for each line of standard input, acknowledged before the command ends.

use std::io::{BufRead, Read as _};

use anyhow::{Context, Result, bail};
use logmill_bus_client::{DeliveryError, Producer, ProducerOptions, Record};
use serde_json::json;

use super::Cluster;
use crate::cli::WriteTopic;

/// As many records are acknowledged together; the library bounds their bytes.
const RECORDS_A_GROUP: usize = 10_000;

/// Writes until standard input ends, and says how many records were acknowledged.
#[allow(clippy::print_stdout)]
pub(super) async fn run(cluster: &Cluster, wanted: &WriteTopic, json: bool) -> Result<()> {
    let asked: Vec<_> = wanted.partition.into_iter().collect();
    cluster.partitions(&wanted.name, &asked)?;
    let options = ProducerOptions::default();
    let producer = Producer::new(&cluster.connection, &options)?;
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    let mut written: u64 = 0;
    let mut more = true;
    while more {
        let mut sending = producer.begin();
        let mut pushed: u64 = 0;
        for _ in 0..RECORDS_A_GROUP {
            line.clear();
            // One byte over the largest record is enough to know that a line is too long.
            let most = options.record_bytes_max as u64 + 1;
            let read = input.by_ref().take(most).read_until(b'\n', &mut line).context("can't read standard input")?;
            if read == 0 {
                more = false;
                break;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            let number = written + pushed + 1;
            let (key, value) = split(&line, wanted.key_separator.as_deref());
            let record = Record {
                topic: &wanted.name,
                partition: wanted.partition,
                key,
                value,
                headers: &[],
                timestamp_ms: None,
            };
            sending.push(&record).await.map_err(|error| refused(&error, number, number - 1))?;
            pushed += 1;
        }
        match sending.acknowledged().await {
            Ok(_) => written += pushed,
            Err((index, error)) => bail!(refused(&error, written + index as u64 + 1, written)),
        }
    }
    if json {
        println!("{}", json!({ "topic": wanted.name, "written": written }));
    } else {
        println!("{written} records written to {}", wanted.name);
    }
    Ok(())
}

fn refused(error: &DeliveryError, line: u64, before: u64) -> anyhow::Error {
    anyhow::anyhow!(
        "line {line} was not written: {error}; the {before} lines before it were taken, later ones may have been"
    )
}

/// Key and value of a line.
fn split<'l>(line: &'l [u8], separator: Option<&str>) -> (Option<&'l [u8]>, &'l [u8]) {
    let Some(separator) = separator.map(str::as_bytes).filter(|separator| !separator.is_empty()) else {
        return (None, line);
    };
    match line.windows(separator.len()).position(|window| window == separator) {
        Some(at) => {
            let (key, rest) = line.split_at(at);
            (Some(key), rest.get(separator.len()..).unwrap_or_default())
        }
        None => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_the_first_separator() {
        assert_eq!(split(b"k:v:w", Some(":")), (Some(&b"k"[..]), &b"v:w"[..]));
        assert_eq!(split(b"k=>v", Some("=>")), (Some(&b"k"[..]), &b"v"[..]));
        assert_eq!(split(b":v", Some(":")), (Some(&b""[..]), &b"v"[..]));
        assert_eq!(split(b"k:", Some(":")), (Some(&b"k"[..]), &b""[..]));
        assert_eq!(split(b"none", Some(":")), (None, &b"none"[..]));
        assert_eq!(split(b"a:b", None), (None, &b"a:b"[..]));
    }
}
