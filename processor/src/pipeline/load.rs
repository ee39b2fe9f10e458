//! Pipelines from files.

use std::path::{Path, PathBuf};

use globset::Glob;
use logmill_core::config::{self, ConfigError, Problem};

use super::Pipeline;
use super::config::PipelineConfig;
use super::test::run_tests;

/// Why pipelines can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A file can't be read, or what stands in it is wrong: every problem with its place.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A wildcard is not one.
    #[error("`{glob}` is no path with wildcards: {reason}")]
    Glob {
        /// The path as it was written.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No file is there.
    #[error("no pipeline file matches `{0}`")]
    NoFile(String),
    /// A pipeline's own tests fail.
    #[error("the tests of the pipeline {pipeline} fail:\n{failures}")]
    Tests {
        /// The pipeline.
        pipeline: String,
        /// Each failed test, and what it got.
        failures: String,
    },
    /// Two pipelines would share the events of a topic out between them.
    #[error(
        "the pipelines {first} and {second} both read {topic} as the group {group}, and each would see only a part; \
         give one of them another `in.group`"
    )]
    SameGroup {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The topic.
        topic: String,
        /// The group.
        group: String,
    },
}

/// The files that `globs` name, sorted.
pub(crate) fn files(globs: &[String]) -> Result<Vec<PathBuf>, PipelineError> {
    let mut found = Vec::new();
    for glob in globs {
        let before = found.len();
        if glob.contains(['*', '?', '[', '{']) {
            expand(glob, &mut found)?;
        } else {
            found.push(PathBuf::from(glob));
        }
        if found.len() == before {
            return Err(PipelineError::NoFile(glob.clone()));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Wildcards may stand in the file's name: folders are named whole.
fn expand(glob: &str, found: &mut Vec<PathBuf>) -> Result<(), PipelineError> {
    let refused = |reason: String| PipelineError::Glob { glob: glob.to_owned(), reason };
    let path = Path::new(glob);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.to_string_lossy().contains(['*', '?', '[', '{']) {
        return Err(refused("wildcards may stand in the last part only".to_owned()));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let matcher = Glob::new(&name).map_err(|error| refused(error.to_string()))?.compile_matcher();
    let entries = std::fs::read_dir(folder).map_err(|source| ConfigError::Read { path: folder.to_owned(), source })?;
    for entry in entries.flatten() {
        if matcher.is_match(entry.file_name()) && entry.path().is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// Loads and compiles everything, runs the pipelines' own tests, and returns what may run. All problems of all
/// files are told at once.
pub(crate) fn load(globs: &[String], inline: &[PipelineConfig]) -> Result<Vec<Pipeline>, PipelineError> {
    let mut configs: Vec<(String, PipelineConfig)> =
        inline.iter().enumerate().map(|(index, config)| (format!("pipeline-{index}"), config.clone())).collect();
    let mut problems: Vec<Problem> = Vec::new();
    for path in files(globs)? {
        match config::load::<PipelineConfig>(Some(&path), &[]) {
            Ok(config) => configs.push((stem(&path), config)),
            Err(ConfigError::Invalid(found)) => problems.extend(found),
            Err(other) => return Err(other.into()),
        }
    }
    if configs.is_empty() && problems.is_empty() {
        configs.push(("auto".to_owned(), PipelineConfig::built_in()));
    }
    let mut pipelines: Vec<Pipeline> = Vec::new();
    for (default_id, config) in &configs {
        match config.compile(default_id) {
            Ok(pipeline) => {
                check_group(&pipelines, &pipeline)?;
                check_tests(config, &pipeline)?;
                pipelines.push(pipeline);
            }
            Err(found) => {
                let place = config::Place::nowhere(default_id);
                problems.extend(found.into_iter().map(|(key, message)| Problem { place: place.clone(), key, message }));
            }
        }
    }
    if problems.is_empty() { Ok(pipelines) } else { Err(ConfigError::Invalid(problems).into()) }
}

pub(super) fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "pipeline".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn check_group(known: &[Pipeline], new: &Pipeline) -> Result<(), PipelineError> {
    match known.iter().find(|known| known.topic == new.topic && known.group == new.group) {
        None => Ok(()),
        Some(first) => Err(PipelineError::SameGroup {
            first: first.id.clone(),
            second: new.id.clone(),
            topic: new.topic.clone(),
            group: new.group.clone(),
        }),
    }
}

fn check_tests(config: &PipelineConfig, pipeline: &Pipeline) -> Result<(), PipelineError> {
    let failed = run_tests(config, pipeline).into_iter().filter_map(|(name, failure)| Some((name, failure?)));
    let failures: Vec<_> = failed.map(|(name, failure)| format!("{name}:\n{failure}")).collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(PipelineError::Tests { pipeline: pipeline.id.clone(), failures: failures.join("\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        folder
    }

    #[test]
    fn files_are_found_compiled_and_tested() {
        let good = "steps: [{lowercase: {field: a}}]\ntests: [{name: small, in: {a: X}, expect: {a: x}}]";
        let folder = folder(&[("one.yml", good), ("two.txt", "junk: [")]);
        let glob = folder.path().join("*.yml").display().to_string();
        let loaded = load(&[glob], &[]).expect("loads");
        assert_eq!(loaded.iter().map(|pipeline| pipeline.id.as_str()).collect::<Vec<_>>(), ["one"]);
        assert_eq!(load(&[], &[]).expect("the built-in one").len(), 1);
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let bad = "steps:\n- grok: {patterns: ['%{NOPE}']}\n- dropp: {}";
        let worse = "steps:\n- set: {field: a..b, value: 1}\n- drop: {if: '.a = 1'}\nout: [{topic: 'a b'}]";
        let failing = "tests: [{name: never, in: x, expect: dropped}]";
        let folder = folder(&[("a.yml", bad), ("b.yml", worse), ("t.yaml", failing)]);
        let said = load(&[folder.path().join("*.yml").display().to_string()], &[]).expect_err("wrong").to_string();
        for part in [
            "a.yml:3:3: steps.1: unknown key `dropp`; did you mean `drop`?",
            "b.yml:2:",
            "equality is written ==",
            "b.yml:4:",
        ] {
            assert!(said.contains(part), "{part} is missing in\n{said}");
        }
        let said = load(&[folder.path().join("t.yaml").display().to_string()], &[]).expect_err("fails").to_string();
        assert!(said.contains("never") && said.contains("dropped"), "{said}");
    }

    #[test]
    fn two_pipelines_of_one_group_are_refused() {
        let folder = folder(&[("a.yml", "id: a"), ("b.yml", "id: b")]);
        let said = load(&[folder.path().join("?.yml").display().to_string()], &[]).expect_err("shared").to_string();
        assert!(said.contains("give one of them another `in.group`"), "{said}");
    }
}
