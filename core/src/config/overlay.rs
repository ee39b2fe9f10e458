//! Values laid over the file: `--set dotted.key=value` and `LOGMILL_DOTTED__KEY=value`.

use serde_json::Value;

use super::Problem;
use super::tree::{Data, Node, Place, plain_scalar};

/// One value laid over the file.
#[derive(Clone, Debug)]
pub struct Override {
    place: Place,
    key: String,
    value: Value,
}

/// The word after `--set` is not `key=value`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("--set {0}: write it as dotted.key=value, for instance --set bus.listen=127.0.0.1:0")]
pub struct OverrideError(String);

impl Override {
    /// From the word after `--set`: the value is JSON where it parses as such, and plain text otherwise.
    ///
    /// # Errors
    /// When there is no `=` or no key.
    pub fn from_word(word: &str) -> Result<Self, OverrideError> {
        match word.split_once('=') {
            Some((key, value)) if !key.is_empty() && key.split('.').all(|part| !part.is_empty()) => {
                Ok(Self { place: Place::nowhere("--set"), key: key.to_owned(), value: value_of(value) })
            }
            _ => Err(OverrideError(word.to_owned())),
        }
    }

    /// Lays `value` at a dotted key; `origin` names in errors who said so.
    #[must_use]
    pub fn new(origin: &str, key: &str, value: Value) -> Self {
        Self { place: Place::nowhere(origin), key: key.to_owned(), value }
    }

    /// All `LOGMILL_*` variables of the environment, sorted by name. Two underscores stand for a dot:
    /// `LOGMILL_BUS__LISTEN` is `bus.listen`.
    #[must_use]
    pub fn from_environment() -> Vec<Self> {
        let mut found: Vec<_> = std::env::vars()
            .filter_map(|(name, value)| {
                let key = name.strip_prefix("LOGMILL_")?.to_lowercase().replace("__", ".");
                Some(Self { place: Place::nowhere(&name), key, value: value_of(&value) })
            })
            .collect();
        found.sort_by(|one, other| one.key.cmp(&other.key));
        found
    }

    pub(super) fn apply(&self, root: &mut Node) -> Result<(), Problem> {
        let mut node = root;
        for part in self.key.split('.') {
            if let Data::Scalar(Value::Null, _) = node.data {
                node.data = Data::Map(Vec::new());
            }
            node = match &mut node.data {
                Data::Map(entries) => {
                    let index = entries.iter().position(|(name, ..)| name == part).unwrap_or_else(|| {
                        entries.push((part.to_owned(), self.place.clone(), Node::empty_map(self.place.clone())));
                        entries.len() - 1
                    });
                    &mut entries[index].2
                }
                Data::List(items) => {
                    let length = items.len();
                    match part.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                        Some(item) => item,
                        None => {
                            return Err(
                                self.problem(format!("`{part}` is not one of the list's {length} items (from 0)"))
                            );
                        }
                    }
                }
                Data::Scalar(..) => {
                    return Err(self.problem(format!("can't go to `{part}`: a plain value stands above it")));
                }
            };
        }
        *node = Node::from_value(&self.place, self.value.clone());
        if let (Data::Scalar(_, raw), Value::Number(_) | Value::Bool(_)) = (&mut node.data, &self.value) {
            *raw = Some(self.value.to_string());
        }
        Ok(())
    }

    fn problem(&self, message: String) -> Problem {
        Problem { place: self.place.clone(), key: self.key.clone(), message }
    }
}

fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| plain_scalar(text))
}
