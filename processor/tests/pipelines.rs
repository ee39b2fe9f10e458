//! Pipelines as users have them: files with tests of their own.

use std::path::{Path, PathBuf};

use logmill_processor::{Trial, test_pipelines};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pipelines/web.yml")
}

#[test]
fn the_tests_of_a_pipeline_pass() {
    let tests = test_pipelines(&[fixture()]).expect("the file is there");
    let failures: Vec<_> = tests.outcomes.iter().filter(|outcome| outcome.failure.is_some()).collect();
    assert!(tests.passed(), "{failures:#?} {:?}", tests.errors);
    assert_eq!(tests.outcomes.len(), 7);
}

#[test]
fn a_failing_test_says_what_it_got() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(fixture()).expect("the fixture").replace("user.name: ann", "user.name: bob");
    let file = folder.path().join("web.yml");
    std::fs::write(&file, text).expect("written");
    let tests = test_pipelines(&[file, folder.path().join("missing.yml")]).expect("no wildcards");
    assert!(!tests.passed());
    assert_eq!(tests.errors.len(), 1);
    let failure = tests.outcomes.iter().find_map(|outcome| outcome.failure.clone()).expect("a failure");
    assert!(failure.contains("user.name\n    expected: \"bob\"\n    got:      \"ann\""), "{failure}");
    assert!(failure.contains("\"status_code\": 200"), "{failure}");
    let told = tests.to_string();
    assert!(
        told.contains("FAILED web: a request") && told.contains("6 passed, 1 failed, 1 files not loaded"),
        "{told}"
    );
}

#[test]
fn one_line_can_be_tried() {
    let mut trial = Trial::load(None).expect("the built-in pipeline");
    let outputs = trial.run(br#"{"message":"2026-11-22T12:00:00Z WARN slow","service":{"name":"shop"}}"#);
    let [output] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!((output.topic.as_str(), output.index.as_str()), ("logs.parsed", "logs-shop-default"));
    let event: serde_json::Value = serde_json::from_slice(&output.value).expect("JSON");
    assert_eq!((&event["message"], &event["log"]["level"]), (&"slow".into(), &"warn".into()));
}
