//! A process of its own is killed in the middle of its work; what it said was durable is there, once.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

const ROOT: &str = "LOGMILL_BUS_LOG_KILL_ROOT";
/// Killed so often, each time a little later in its work.
const KILLS: u64 = 6;

/// Not a test: what the killed process does. It writes each durable end offset into a file beside the log.
#[test]
#[ignore = "runs as the child of the test below"]
fn child() {
    let Some(root) = env::var_os(ROOT).map(PathBuf::from) else { return };
    let (store, report) = open(&root.join("log"));
    assert!(report.quarantined.is_empty() && report.failed.is_empty(), "{report:?}");
    let partition = store.create("t", 0).unwrap();
    let mut promised = OpenOptions::new().append(true).create(true).open(root.join("promised")).unwrap();
    loop {
        let sequence = partition.log_end() as i32;
        let sample = Sample { producer: Some((1, 0, sequence)), value_bytes: 80, ..Default::default() };
        let appended = keep(&partition, sample);
        promised.write_all(&appended.end_offset.to_be_bytes()).unwrap();
    }
}

#[test]
fn what_a_killed_process_promised_is_there() {
    let root = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..KILLS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "tests::kill::child", "--ignored"])
            .env(ROOT, root.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(120 + 37 * round));
        assert_eq!(child.try_wait().unwrap(), None, "it ends only when killed");
        child.kill().unwrap();
        child.wait().unwrap();
        let promised = fs::read(root.path().join("promised")).unwrap_or_default();
        last = promised.chunks_exact(8).last().map_or(0, |end| i64::from_be_bytes(end.try_into().unwrap()));
    }
    assert!(last > 0, "nothing was promised in {KILLS} rounds");
    let (store, report) = open(&root.path().join("log"));
    assert!(report.quarantined.is_empty(), "{report:?}");
    let found = offsets(&store.get("t", 0).unwrap());
    assert!(found.len() as i64 >= last);
    assert_eq!(found, (0..found.len() as i64).collect::<Vec<_>>());
}
