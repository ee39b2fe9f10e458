//! A log that an earlier version wrote, kept for good: it must open and read as on its first day.

use super::*;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn a_log_of_the_first_format_opens_forever() {
    let root = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/fixtures/v1"), root.path());
    let (store, report) = open(root.path());
    assert!(report.is_clean() && report.checkpoints_lost == 0 && store.clean_start(), "{report:?}");
    let partition = store.get("t", 0).unwrap();
    assert_eq!((partition.log_start(), offsets(&partition)), (0, vec![0, 1, 2]));
    assert_eq!(keep(&partition, Sample::default()).base_offset, 3);
}
