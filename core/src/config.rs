//! Strict configuration: a YAML file, `LOGMILL_*` variables and `--set` words become one checked structure.
//!
//! The structure's JSON schema is the rule: every key that it does not know, and every value of the wrong
//! kind, is an error with its place, and all errors are told at once. The reference page is made of the same schema.

mod check;
mod overlay;
mod reference;
mod secret;
mod tree;
mod units;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use overlay::Override;
pub use reference::reference_page;
pub use secret::Secret;
pub use tree::{Node, Place};
pub use units::{ByteSize, Period};

/// A rule that a schema can't express; implemented by every configuration that [`load`] returns.
pub trait Checked {
    /// What is wrong: the dotted key (list items as numbers, `inputs.0.paths`) and what to do about it.
    fn problems(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// Which key, dotted; empty at the top.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.place, self.message)
        } else {
            write!(f, "{}: {}: {}", self.place, self.key, self.message)
        }
    }
}

/// Why a configuration was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Everything that is wrong with it.
    #[error("{}", join(.0))]
    Invalid(Vec<Problem>),
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Larger files are refused: a configuration is written by people.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Loads `file` (or nothing: all defaults), lays `overrides` over it in their order, and checks the whole.
///
/// # Errors
/// When the file can't be read, or with every problem found.
pub fn load<T: DeserializeOwned + JsonSchema + Checked>(
    file: Option<&Path>,
    overrides: &[Override],
) -> Result<T, ConfigError> {
    let root = match file {
        None => Node::empty_map(Place::nowhere("defaults")),
        Some(path) => {
            let read = |source| ConfigError::Read { path: path.to_owned(), source };
            let length = std::fs::metadata(path).map_err(read)?.len();
            if length > FILE_BYTES_MAX {
                return Err(read(std::io::Error::other(format!(
                    "{length} bytes are more than the 4 MiB of a configuration"
                ))));
            }
            let text = std::fs::read_to_string(path).map_err(read)?;
            Node::parse(&path.display().to_string(), &text).map_err(|problem| ConfigError::Invalid(vec![problem]))?
        }
    };
    load_node(root, overrides)
}

/// Loads a configuration from text; `name` stands for the file in errors.
///
/// # Errors
/// With every problem found.
pub fn load_str<T: DeserializeOwned + JsonSchema + Checked>(name: &str, text: &str) -> Result<T, ConfigError> {
    load_node(Node::parse(name, text).map_err(|problem| ConfigError::Invalid(vec![problem]))?, &[])
}

/// Checks a tree that is already read, with `overrides` laid over it.
///
/// # Errors
/// With every problem found.
pub fn load_node<T: DeserializeOwned + JsonSchema + Checked>(
    mut root: Node,
    overrides: &[Override],
) -> Result<T, ConfigError> {
    let mut problems = Vec::new();
    for over in overrides {
        if let Err(problem) = over.apply(&mut root) {
            problems.push(problem);
        }
    }
    let schema = schemars::schema_for!(T);
    check::check(schema.as_value(), &mut root, &mut problems);
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(problems));
    }
    let refused =
        |key: &str, message: String| Problem { place: root.place_of(key).clone(), key: key.to_owned(), message };
    let config: T = serde_json::from_value(root.to_value())
        .map_err(|error| ConfigError::Invalid(vec![refused("", error.to_string())]))?;
    let problems: Vec<_> = config.problems().into_iter().map(|(key, message)| refused(&key, message)).collect();
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
}

/// The name under which a source of configuration appears in errors.
type SourceName = Arc<str>;

#[cfg(test)]
mod tests;
