//! Dead letters for what another engine refuses for good: the record as it is, where it lies, and why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use logmill_bus_client::{ClientError, Connection, DeliveryError, Message, Producer, ProducerOptions, Record};
use logmill_core::origin::INDEX_HEADER;
use logmill_core::topics;
use serde_json::{Value, json};

use super::answer::Reason;

/// So much of the original is kept in the letter, as in those of the processor.
const ORIGINAL_BYTES_MAX: usize = 2 << 20;
/// The index that a store puts dead letters in.
const INDEX: &str = "logs-dead_letter-default";

/// Writes letters.
#[derive(Debug)]
pub(super) struct Letters(Producer);

impl Letters {
    pub(super) fn new(bus: &Connection) -> Result<Self, ClientError> {
        Producer::new(bus, &ProducerOptions::default()).map(Self)
    }

    /// Sends letters and waits until the bus has them on disk.
    pub(super) async fn bury(&self, dead: &[(Message, Reason)]) -> Result<(), DeliveryError> {
        let mut sending = self.0.begin();
        for (message, reason) in dead {
            let headers: [(&str, &[u8]); 1] = [(INDEX_HEADER, INDEX.as_bytes())];
            let value = letter(message, reason);
            let record = Record {
                topic: topics::DEAD_LETTER,
                partition: None,
                key: message.key.as_deref(),
                value: &value,
                headers: &headers,
                timestamp_ms: None,
            };
            sending.push(&record).await?;
        }
        sending.acknowledged().await.map(drop).map_err(|(_, error)| error)
    }
}

fn letter(message: &Message, Reason { kind, reason, status }: &Reason) -> Vec<u8> {
    let kept = message.value.get(..message.value.len().min(ORIGINAL_BYTES_MAX)).unwrap_or_default();
    let (name, original) = match std::str::from_utf8(kept) {
        Ok(text) => ("original", text.to_owned()),
        // Cut within a character, or no text at all.
        Err(_) => ("original_base64", STANDARD.encode(kept)),
    };
    let mut event = json!({ "kind": "pipeline_error" });
    if let Some(event) = event.as_object_mut() {
        event.insert(name.to_owned(), Value::String(original));
    }
    let letter = json!({
        "@timestamp": format!("{:.3}", jiff::Timestamp::now()),
        "message": format!("the index refuses it: {reason}"),
        "error": { "message": reason, "type": kind, "code": status.to_string() },
        "event": event,
        "logmill": {
            "index": message.header_str(INDEX_HEADER),
            "raw": { "topic": &*message.topic, "partition": message.partition, "offset": message.offset },
            "original": { "bytes": message.value.len(), "truncated": kept.len() < message.value.len() },
        },
    });
    serde_json::to_vec(&letter).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::record::message;
    use super::*;

    #[test]
    fn a_letter_holds_the_record_and_the_reason() {
        let reason = Reason { kind: "k".to_owned(), reason: "bad date".to_owned(), status: 400 };
        let record = message("{\"a\":1}", &[(INDEX_HEADER, "logs-a")]);
        let read: Value = serde_json::from_slice(&letter(&record, &reason)).unwrap();
        assert_eq!(read["event"], json!({"kind": "pipeline_error", "original": "{\"a\":1}"}));
        assert_eq!(read["error"], json!({"message": "bad date", "type": "k", "code": "400"}));
        assert_eq!(read["logmill"]["raw"], json!({"topic": "logs.parsed", "partition": 2, "offset": 7}));
        let large = Message { value: vec![0xff; ORIGINAL_BYTES_MAX + 1].into(), ..record };
        let read: Value = serde_json::from_slice(&letter(&large, &reason)).unwrap();
        assert_eq!(read["logmill"]["original"]["truncated"], true);
        assert!(read["event"]["original_base64"].is_string());
    }
}
