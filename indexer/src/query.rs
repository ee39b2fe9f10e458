//! Searches: query DSL to tantivy queries, run part by part over a view, into exact Elasticsearch answers.
//! Nothing here changes the store.

pub(crate) mod answer;
mod blocks;
mod body;
pub(crate) mod clause;
mod collapse;
pub(crate) mod columns;
pub(crate) mod compile;
pub(crate) mod error;
pub(crate) mod exclude;
pub(crate) mod execute;
mod expand;
pub(crate) mod explain;
mod failures;
pub(crate) mod fetch;
pub(crate) mod fields;
pub(crate) mod highlight;
mod hits;
pub(crate) mod limits;
pub(crate) mod matching;
mod minimum;
pub(crate) mod named;
mod patient;
pub(crate) mod pattern;
pub(crate) mod plan;
pub(crate) mod range;
pub(crate) mod request;
pub(crate) mod scoring;
mod sieve;
pub(crate) mod sort;
pub(crate) mod strict;
pub(crate) mod suggest;
mod top;
mod walk;

pub(crate) mod parse;
mod simple;
mod written;

#[cfg(test)]
mod property;
#[cfg(test)]
pub(crate) mod tests;
