//! nginx access log in the combined format.

use std::io::{self, Write};

use jiff::Zoned;

use crate::ledger::LineId;
use crate::world::{USERS, World};

pub(super) fn write(world: &mut World, now: &Zoned, id: u64, out: &mut Vec<u8>) -> io::Result<u64> {
    let path = world.path();
    let method = if path.starts_with("/api") { world.pick(&["GET", "GET", "POST", "PUT", "DELETE"]) } else { "GET" };
    let status = if world.goes_wrong() {
        world.pick(&["500", "502", "503", "504", "502"])
    } else {
        world.pick(&["200", "200", "200", "200", "200", "200", "304", "301", "201", "404"])
    };
    let user = if world.rng.f64() < 0.2 { world.pick(&USERS) } else { "-" };
    let bytes = world.rng.u32(120..48_000);
    let (address, agent) = (world.address(), world.agent());
    let joint = if path.contains('?') { '&' } else { '?' };
    writeln!(
        out,
        "{address} - {user} [{}] \"{method} {path}{joint}rid={} HTTP/1.1\" {status} {bytes} \"https://shop.example.com/\" \"{agent}\"",
        now.strftime("%d/%b/%Y:%H:%M:%S %z"),
        LineId(id),
    )?;
    Ok(1)
}
