//! Names for what must not be taken for another of its kind: indexes of one name after each other, snapshots, objects.

use std::sync::Arc;

/// A new one, shaped as Elasticsearch's.
pub(crate) fn uuid() -> Arc<str> {
    use base64::Engine as _;
    // The clock's nanoseconds differ for two indexes of one name; the process tells machines' copies apart.
    let nanos = jiff::Timestamp::now().as_nanosecond().to_be_bytes();
    let mut bytes = nanos;
    for (byte, salt) in bytes.iter_mut().zip(std::process::id().to_be_bytes()) {
        *byte ^= salt;
    }
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes).into()
}
