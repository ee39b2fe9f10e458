//! The kinds of logs, one file each. A kind appends one event (one line or more) and says how many lines it was.

mod java;
mod json;
mod kv;
mod nginx;
mod syslog;

use jiff::Zoned;

use crate::Kind;
use crate::world::World;

/// Appends one event of `kind` at `now`; its lines carry the ids from `first_id` on. Returns the number of lines.
pub(crate) fn write_event(
    kind: Kind,
    world: &mut World,
    now: &Zoned,
    first_id: u64,
    out: &mut Vec<u8>,
) -> std::io::Result<u64> {
    match kind {
        Kind::Nginx => nginx::write(world, now, first_id, out),
        Kind::Java => java::write(world, now, first_id, out),
        Kind::Json => json::write(world, now, first_id, out),
        Kind::Syslog => syslog::write(world, now, first_id, out),
        Kind::Kv => kv::write(world, now, first_id, out),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ledger::LineId;

    #[test]
    fn every_line_of_every_kind_carries_its_own_id() {
        let now = Zoned::now();
        for kind in Kind::ALL {
            let mut world = World::new(7, Duration::from_secs(1), Duration::from_secs(1));
            world.advance(Duration::from_secs(1));
            let (mut out, mut next) = (Vec::new(), 0);
            for _ in 0..500 {
                next += write_event(kind, &mut world, &now, next, &mut out).unwrap();
            }
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.lines().count() as u64, next, "{kind:?}");
            for (number, line) in (0..).zip(text.lines()) {
                assert!(line.contains(&LineId(number).to_string()), "{kind:?}: {line}");
                assert_eq!(line.matches("lm0").count(), 1, "{kind:?}: {line}");
            }
        }
    }

    #[test]
    fn the_same_seed_writes_the_same() {
        let now = Zoned::now();
        let run = || {
            let mut world = World::new(42, Duration::from_secs(9), Duration::from_secs(2));
            let mut out = Vec::new();
            for kind in Kind::ALL.into_iter().cycle().take(200) {
                write_event(kind, &mut world, &now, 0, &mut out).unwrap();
            }
            out
        };
        assert_eq!(run(), run());
    }
}
