//! RFC 5424 syslog, as rsyslog writes it with its `RSYSLOG_SyslogProtocol23Format`.

use std::io::{self, Write};

use jiff::Zoned;

use crate::ledger::LineId;
use crate::world::{HOSTS, USERS, World};

const FACILITY_AUTH: u8 = 4;
const FACILITY_DAEMON: u8 = 3;

pub(super) fn write(world: &mut World, now: &Zoned, id: u64, out: &mut Vec<u8>) -> io::Result<u64> {
    let (host, pid) = (world.pick(&HOSTS), world.rng.u32(300..32_000));
    let (facility, severity, app, text) = if world.goes_wrong() {
        match world.rng.u8(..3) {
            0 => (
                FACILITY_DAEMON,
                3,
                "kernel",
                "Out of memory: Killed process 4711 (java) total-vm:8123456kB".to_owned(),
            ),
            1 => (
                FACILITY_AUTH,
                4,
                "sshd",
                format!("Failed password for invalid user admin from {} port 41022 ssh2", world.address()),
            ),
            _ => (
                FACILITY_DAEMON,
                2,
                "postgres",
                "could not write to file \"pg_wal/xlogtemp.77\": No space left on device".to_owned(),
            ),
        }
    } else {
        let user = world.pick(&USERS);
        match world.rng.u8(..5) {
            0 => (
                FACILITY_AUTH,
                6,
                "sshd",
                format!("Accepted publickey for {user} from {} port 50022 ssh2", world.address()),
            ),
            1 => (
                FACILITY_AUTH,
                5,
                "sudo",
                format!("{user} : TTY=pts/0 ; PWD=/srv ; USER=root ; COMMAND=/usr/bin/systemctl status shop"),
            ),
            2 => (FACILITY_DAEMON, 6, "systemd", "Started session of user shop.".to_owned()),
            3 => (FACILITY_DAEMON, 7, "dhclient", "bound to 10.0.4.17 -- renewal in 1714 seconds.".to_owned()),
            _ => (FACILITY_DAEMON, 6, "cron", "(root) CMD (/usr/local/bin/rotate-backups)".to_owned()),
        }
    };
    let time = now.strftime("%Y-%m-%dT%H:%M:%S.%6f%:z");
    let priority = facility * 8 + severity;
    writeln!(out, "<{priority}>1 {time} {host} {app} {pid} - [origin@32473 rid=\"{}\"] {text}", LineId(id))?;
    Ok(1)
}
