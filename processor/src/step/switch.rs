//! `switch`: the steps of the first branch whose condition is true. The pipeline runs it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StepConfig;

/// A branch: `if` an expression, or `else: true` at the end.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Branch {
    /// The condition.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<String>,
    /// Takes every event that no branch above took.
    #[serde(default, rename = "else", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) otherwise: bool,
    /// What is done.
    #[serde(default)]
    pub(crate) steps: Vec<StepConfig>,
}
