//! The dashboard: serves the browser its pages and its API, keeps users, saved searches and alert rules,
//! and sends webhooks. It reaches data through the Elasticsearch REST API and the bus alone.

mod alert;
mod auth;
mod config;
mod database;
mod http;
mod indexer;
mod saved;
mod search;
mod service;
mod status;
mod tail;
#[cfg(test)]
mod testing;

pub use config::{AlertConfig, Config};
pub use service::{BuildError, RunError, Service};
