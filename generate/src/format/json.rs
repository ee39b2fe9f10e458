//! An application that logs one JSON object a line.

use std::io::{self, Write};

use jiff::Zoned;

use crate::ledger::LineId;
use crate::world::{HOSTS, USERS, World};

pub(super) fn write(world: &mut World, now: &Zoned, id: u64, out: &mut Vec<u8>) -> io::Result<u64> {
    let (level, message, code) = if world.goes_wrong() {
        ("error", world.pick(&["card declined by issuer", "payment provider timed out", "idempotency key reused"]), 502)
    } else {
        match world.rng.u8(..10) {
            0 => ("debug", "token refreshed", 200),
            1 => ("warn", "provider answered slowly", 200),
            _ => (
                "info",
                world.pick(&["payment captured", "payment authorised", "refund issued", "invoice mailed"]),
                200,
            ),
        }
    };
    let event = serde_json::json!({
        "@timestamp": now.timestamp().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        "level": level,
        "msg": message,
        "service": { "name": "payments", "version": "3.14.2" },
        "host": { "hostname": world.pick(&HOSTS) },
        "trace": { "id": world.hex(32) },
        "user": { "name": world.pick(&USERS) },
        "http": { "response": { "status_code": code } },
        "payment": { "amount_cents": world.rng.u32(99..90_000), "currency": world.pick(&["EUR", "USD", "JPY"]), "attempt": world.rng.u8(1..4) },
        "duration_ms": world.took_ms(),
        "request_id": LineId(id).to_string(),
    });
    writeln!(out, "{event}")?;
    Ok(1)
}
