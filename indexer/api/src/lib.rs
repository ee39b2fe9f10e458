//! All that the dashboard and the command line may know of the indexer: the search grammars (KQL and Lucene) with
//! one tree behind them, that tree as Elasticsearch query DSL and as a test on one event, date math, and an HTTP
//! client. It speaks the Elasticsearch API only, so whatever is built on it works over OpenSearch too.

pub mod ast;
pub mod client;
mod cursor;
pub mod datemath;
mod dsl;
mod error;
pub mod evaluate;
pub mod kql;
pub mod lucene;
#[cfg(test)]
mod mistakes;
pub mod percent;
mod print;
pub mod regexp;
pub mod text;

pub use ast::{Ast, Bound, Field, Range, Test};
pub use client::{Client, ClientError};
pub use error::QueryError;
pub use evaluate::Matcher;
pub use percent::encode;
pub use reqwest::Method;

/// Fields that a bare word is searched in when nothing else was asked for.
pub const DEFAULT_FIELDS: [&str; 1] = ["message"];
