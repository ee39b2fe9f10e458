//! key=value lines, as many Go programs write them (logfmt).

use std::io::{self, Write};

use jiff::Zoned;

use crate::ledger::LineId;
use crate::world::{HOSTS, World};

pub(super) fn write(world: &mut World, now: &Zoned, id: u64, out: &mut Vec<u8>) -> io::Result<u64> {
    let wrong = world.goes_wrong();
    let (level, message, status) = if wrong {
        ("error", world.pick(&["upstream refused connection", "upstream timed out", "circuit breaker open"]), 503)
    } else {
        match world.rng.u8(..10) {
            0 => ("debug", "route cache hit", 200),
            1 => ("warn", "retrying request", 200),
            _ => ("info", "request routed", 200),
        }
    };
    let (host, took, upstream) =
        (world.pick(&HOSTS), world.took_ms(), world.pick(&["shop", "payments", "search", "media"]));
    let path = world.path();
    writeln!(
        out,
        "time={} level={level} msg=\"{message}\" service.name=gateway host.hostname={host} upstream={upstream} path={path:?} status={status} duration_ms={took} rid={}",
        now.timestamp().strftime("%Y-%m-%dT%H:%M:%S.%3fZ"),
        LineId(id),
    )?;
    Ok(1)
}
