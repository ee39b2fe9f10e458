//! From what a person asks (query, filters, time range) to what the search engine is asked, and back.

mod csv;
mod histogram;
mod interval;
mod level;
mod request;
mod scope;

pub(crate) use csv::{cell as csv_cell, row as csv_row};
pub(crate) use request::{Hit, SearchRequest, hits_of, total_of};
pub(crate) use scope::{Language, Scope, ScopeError, Selection, dsl};
