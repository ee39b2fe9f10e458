//! The pipeline's own terms for talking to a Kafka cluster, the embedded one or any other.
//!
//! The only crate that names the Kafka client library. It moves records and never looks into them.

mod acl;
mod admin;
mod connection;
mod consumer;
mod producer;
mod raw_admin;
mod reader;
mod status;
mod watch;

pub use acl::{Acl, AclFilter, AclOperation, AclPattern, AclPermission, AclResource};
pub use admin::{
    Admin, GroupDetails, GroupListing, GroupMember, PartitionDetails, PartitionOverview, TopicInfo, TopicOverview,
    TopicSetting,
};
pub use connection::{ClientError, Connection};
pub use consumer::{Consumer, ConsumerOptions, Message, Next, Start, TopicPartition};
pub use producer::{Compression, DeliveryError, Position, Producer, ProducerOptions, Record, Sending};
pub use reader::{Read, ReadRecord, Reader};
pub use status::publish_status;
