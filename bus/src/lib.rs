//! The embedded broker: topics, consumer groups and idempotent producers over the durable log, spoken to in
//! Kafka's wire protocol. It moves batches of bytes and never looks into a record.

mod admission;
mod answers;
mod broker;
mod budget;
mod call;
mod compaction;
mod config;
mod connection;
mod disk;
mod end;
mod epochs;
mod fetch_sessions;
mod groups;
mod handlers;
mod listener;
mod meters;
mod pace;
mod producer_ids;
mod retention;
mod security;
mod service;
mod state_file;
mod state_key;
mod topics;
mod transactions;

pub use config::{
    AclConfig, ClientCertificate, Config, DiskConfig, DiskPolicy, ListenerConfig, Mechanism, OauthConfig,
    RetentionConfig, TlsConfig, UserConfig,
};
pub use service::{BuildError, OwnAccess, RunError, Service};
