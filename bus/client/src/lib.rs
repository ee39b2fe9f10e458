//! The pipeline's own terms for talking to a Kafka cluster, the embedded one or any other.
//!
//! The only crate that names the Kafka client library. It moves records and never looks into them.

mod admin;
mod connection;
mod consumer;
mod producer;
mod status;

pub use admin::{Admin, PartitionOverview, TopicInfo, TopicOverview};
pub use connection::{ClientError, Connection};
pub use consumer::{Consumer, ConsumerOptions, Message, Next, Start, TopicPartition};
pub use producer::{Compression, DeliveryError, Position, Producer, ProducerOptions, Record, Sending};
pub use status::publish_status;
