//! The shapes of the requests that a broker of ours reads, after Kafka's own message definitions. A data table.
//!
//! An array or text that may be none has the same shape as one that may not: the decoder refuses it later.

use kafka_protocol::messages::ApiKey;

use crate::schema::*;

/// The shape of an API's requests, `None` for an API that is not read.
pub(crate) fn schema_of(api: ApiKey) -> Option<&'static Schema> {
    Some(match api {
        ApiKey::Produce => &PRODUCE,
        ApiKey::Fetch => &FETCH,
        ApiKey::ListOffsets => &LIST_OFFSETS,
        ApiKey::Metadata => &METADATA,
        ApiKey::OffsetCommit => &OFFSET_COMMIT,
        ApiKey::OffsetFetch => &OFFSET_FETCH,
        ApiKey::FindCoordinator => &FIND_COORDINATOR,
        ApiKey::JoinGroup => &JOIN_GROUP,
        ApiKey::Heartbeat => &HEARTBEAT,
        ApiKey::LeaveGroup => &LEAVE_GROUP,
        ApiKey::SyncGroup => &SYNC_GROUP,
        ApiKey::DescribeGroups => &DESCRIBE_GROUPS,
        ApiKey::ListGroups => &LIST_GROUPS,
        ApiKey::ApiVersions => &API_VERSIONS,
        ApiKey::CreateTopics => &CREATE_TOPICS,
        ApiKey::DeleteTopics => &DELETE_TOPICS,
        ApiKey::DeleteRecords => &DELETE_RECORDS,
        ApiKey::InitProducerId => &INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => &OFFSET_FOR_LEADER_EPOCH,
        ApiKey::AddPartitionsToTxn => &ADD_PARTITIONS_TO_TXN,
        ApiKey::AddOffsetsToTxn => &ADD_OFFSETS_TO_TXN,
        ApiKey::EndTxn => &END_TXN,
        ApiKey::TxnOffsetCommit => &TXN_OFFSET_COMMIT,
        ApiKey::DescribeProducers => &DESCRIBE_PRODUCERS,
        ApiKey::DescribeTransactions => &DESCRIBE_TRANSACTIONS,
        ApiKey::ListTransactions => &LIST_TRANSACTIONS,
        ApiKey::DescribeConfigs => &DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => &ALTER_CONFIGS,
        ApiKey::IncrementalAlterConfigs => &INCREMENTAL_ALTER_CONFIGS,
        ApiKey::CreatePartitions => &CREATE_PARTITIONS,
        ApiKey::DeleteGroups => &DELETE_GROUPS,
        ApiKey::OffsetDelete => &OFFSET_DELETE,
        ApiKey::DescribeCluster => &DESCRIBE_CLUSTER,
        ApiKey::DescribeLogDirs => &DESCRIBE_LOG_DIRS,
        ApiKey::ConsumerGroupHeartbeat => &CONSUMER_GROUP_HEARTBEAT,
        ApiKey::ConsumerGroupDescribe => &CONSUMER_GROUP_DESCRIBE,
        ApiKey::DescribeAcls => &DESCRIBE_ACLS,
        ApiKey::CreateAcls => &CREATE_ACLS,
        ApiKey::DeleteAcls => &DELETE_ACLS,
        ApiKey::SaslHandshake => &SASL_HANDSHAKE,
        ApiKey::SaslAuthenticate => &SASL_AUTHENTICATE,
        ApiKey::DescribeUserScramCredentials => &DESCRIBE_USER_SCRAM_CREDENTIALS,
        ApiKey::AlterUserScramCredentials => &ALTER_USER_SCRAM_CREDENTIALS,
        _ => return None,
    })
}

const PRODUCE: Schema = Schema {
    flexible: 9,
    fields: &[
        string("transactional_id", 3),
        i16("acks", 0),
        i32("timeout_ms", 0),
        structs(
            "topic_data",
            0,
            &[
                string("name", 0).until(12),
                uuid("topic_id", 13),
                structs("partition_data", 0, &[i32("index", 0), bytes("records", 0)]),
            ],
        ),
    ],
};
const FETCH: Schema = Schema {
    flexible: 12,
    fields: &[
        i32("replica_id", 0).until(14),
        i32("max_wait_ms", 0),
        i32("min_bytes", 0),
        i32("max_bytes", 0),
        i8("isolation_level", 0),
        i32("session_id", 7),
        i32("session_epoch", 7),
        structs(
            "topics",
            0,
            &[
                string("topic", 0).until(12),
                uuid("topic_id", 13),
                structs(
                    "partitions",
                    0,
                    &[
                        i32("partition", 0),
                        i32("current_leader_epoch", 9),
                        i64("fetch_offset", 0),
                        i32("last_fetched_epoch", 12),
                        i64("log_start_offset", 5),
                        i32("partition_max_bytes", 0),
                        uuid("replica_directory_id", 17).tagged(0),
                        i64("high_watermark", 18).tagged(1),
                    ],
                ),
            ],
        ),
        structs(
            "forgotten_topics_data",
            7,
            &[string("topic", 7).until(12), uuid("topic_id", 13), values("partitions", 7, &I32)],
        ),
        string("rack_id", 11),
        string("cluster_id", 12).tagged(0),
        one("replica_state", 15, &[i32("replica_id", 15), i64("replica_epoch", 15)]).tagged(1),
    ],
};
const LIST_OFFSETS: Schema = Schema {
    flexible: 6,
    fields: &[
        i32("replica_id", 0),
        i8("isolation_level", 2),
        structs(
            "topics",
            0,
            &[
                string("name", 0),
                structs(
                    "partitions",
                    0,
                    &[i32("partition_index", 0), i32("current_leader_epoch", 4), i64("timestamp", 0)],
                ),
            ],
        ),
        i32("timeout_ms", 10),
    ],
};
const METADATA: Schema = Schema {
    flexible: 9,
    fields: &[
        structs("topics", 0, &[uuid("topic_id", 10), string("name", 0)]),
        bool("allow_auto_topic_creation", 4),
        bool("include_cluster_authorized_operations", 8).until(10),
        bool("include_topic_authorized_operations", 8),
    ],
};
const OFFSET_COMMIT: Schema = Schema {
    flexible: 8,
    fields: &[
        string("group_id", 0),
        i32("generation_id", 1),
        string("member_id", 1),
        string("group_instance_id", 7),
        i64("retention_time_ms", 2).until(4),
        structs(
            "topics",
            0,
            &[
                string("name", 0),
                structs(
                    "partitions",
                    0,
                    &[
                        i32("partition_index", 0),
                        i64("committed_offset", 0),
                        i64("commit_timestamp", 1).until(1),
                        i32("committed_leader_epoch", 6),
                        string("committed_metadata", 0),
                    ],
                ),
            ],
        ),
    ],
};
const OFFSET_FETCH: Schema = Schema {
    flexible: 6,
    fields: &[
        string("group_id", 0).until(7),
        structs("topics", 0, &[string("name", 0).until(7), values("partition_indexes", 0, &I32).until(7)]).until(7),
        structs(
            "groups",
            8,
            &[
                string("group_id", 8),
                string("member_id", 9),
                i32("member_epoch", 9),
                structs("topics", 8, &[string("name", 8), values("partition_indexes", 8, &I32)]),
            ],
        ),
        bool("require_stable", 7),
    ],
};
const FIND_COORDINATOR: Schema = Schema {
    flexible: 3,
    fields: &[string("key", 0).until(3), i8("key_type", 1), values("coordinator_keys", 4, &Kind::Text)],
};
const JOIN_GROUP: Schema = Schema {
    flexible: 6,
    fields: &[
        string("group_id", 0),
        i32("session_timeout_ms", 0),
        i32("rebalance_timeout_ms", 1),
        string("member_id", 0),
        string("group_instance_id", 5),
        string("protocol_type", 0),
        structs("protocols", 0, &[string("name", 0), bytes("metadata", 0)]),
        string("reason", 8),
    ],
};
const HEARTBEAT: Schema = Schema {
    flexible: 4,
    fields: &[string("group_id", 0), i32("generation_id", 0), string("member_id", 0), string("group_instance_id", 3)],
};
const LEAVE_GROUP: Schema = Schema {
    flexible: 4,
    fields: &[
        string("group_id", 0),
        string("member_id", 0).until(2),
        structs("members", 3, &[string("member_id", 3), string("group_instance_id", 3), string("reason", 5)]),
    ],
};
const SYNC_GROUP: Schema = Schema {
    flexible: 4,
    fields: &[
        string("group_id", 0),
        i32("generation_id", 0),
        string("member_id", 0),
        string("group_instance_id", 3),
        string("protocol_type", 5),
        string("protocol_name", 5),
        structs("assignments", 0, &[string("member_id", 0), bytes("assignment", 0)]),
    ],
};
const DESCRIBE_GROUPS: Schema =
    Schema { flexible: 5, fields: &[values("groups", 0, &Kind::Text), bool("include_authorized_operations", 3)] };
const LIST_GROUPS: Schema =
    Schema { flexible: 3, fields: &[values("states_filter", 4, &Kind::Text), values("types_filter", 5, &Kind::Text)] };
const API_VERSIONS: Schema =
    Schema { flexible: 3, fields: &[string("client_software_name", 3), string("client_software_version", 3)] };
const CREATE_TOPICS: Schema = Schema {
    flexible: 5,
    fields: &[
        structs(
            "topics",
            0,
            &[
                string("name", 0),
                i32("num_partitions", 0),
                i16("replication_factor", 0),
                structs("assignments", 0, &[i32("partition_index", 0), values("broker_ids", 0, &I32)]),
                structs("configs", 0, &[string("name", 0), string("value", 0)]),
            ],
        ),
        i32("timeout_ms", 0),
        bool("validate_only", 1),
    ],
};
const DELETE_TOPICS: Schema = Schema {
    flexible: 4,
    fields: &[
        structs("topics", 6, &[string("name", 6), uuid("topic_id", 6)]),
        values("topic_names", 0, &Kind::Text).until(5),
        i32("timeout_ms", 0),
    ],
};
const DELETE_RECORDS: Schema = Schema {
    flexible: 2,
    fields: &[
        structs(
            "topics",
            0,
            &[string("name", 0), structs("partitions", 0, &[i32("partition_index", 0), i64("offset", 0)])],
        ),
        i32("timeout_ms", 0),
    ],
};
const INIT_PRODUCER_ID: Schema = Schema {
    flexible: 2,
    fields: &[
        string("transactional_id", 0),
        i32("transaction_timeout_ms", 0),
        i64("producer_id", 3),
        i16("producer_epoch", 3),
    ],
};
const OFFSET_FOR_LEADER_EPOCH: Schema = Schema {
    flexible: 4,
    fields: &[
        i32("replica_id", 3),
        structs(
            "topics",
            0,
            &[
                string("topic", 0),
                structs(
                    "partitions",
                    0,
                    &[i32("partition", 0), i32("current_leader_epoch", 0), i32("leader_epoch", 0)],
                ),
            ],
        ),
    ],
};
const DESCRIBE_CONFIGS: Schema = Schema {
    flexible: 4,
    fields: &[
        structs(
            "resources",
            0,
            &[i8("resource_type", 0), string("resource_name", 0), values("configuration_keys", 0, &Kind::Text)],
        ),
        bool("include_synonyms", 0),
        bool("include_documentation", 3),
    ],
};
const ALTER_CONFIGS: Schema = Schema {
    flexible: 2,
    fields: &[
        structs(
            "resources",
            0,
            &[
                i8("resource_type", 0),
                string("resource_name", 0),
                structs("configs", 0, &[string("name", 0), string("value", 0)]),
            ],
        ),
        bool("validate_only", 0),
    ],
};
const INCREMENTAL_ALTER_CONFIGS: Schema = Schema {
    flexible: 1,
    fields: &[
        structs(
            "resources",
            0,
            &[
                i8("resource_type", 0),
                string("resource_name", 0),
                structs("configs", 0, &[string("name", 0), i8("config_operation", 0), string("value", 0)]),
            ],
        ),
        bool("validate_only", 0),
    ],
};
const CREATE_PARTITIONS: Schema = Schema {
    flexible: 2,
    fields: &[
        structs(
            "topics",
            0,
            &[string("name", 0), i32("count", 0), structs("assignments", 0, &[values("broker_ids", 0, &I32)])],
        ),
        i32("timeout_ms", 0),
        bool("validate_only", 0),
    ],
};
const DELETE_GROUPS: Schema = Schema { flexible: 2, fields: &[values("groups_names", 0, &Kind::Text)] };
const OFFSET_DELETE: Schema = Schema {
    flexible: i16::MAX,
    fields: &[
        string("group_id", 0),
        structs("topics", 0, &[string("name", 0), structs("partitions", 0, &[i32("partition_index", 0)])]),
    ],
};
const DESCRIBE_CLUSTER: Schema = Schema {
    flexible: 0,
    fields: &[
        bool("include_cluster_authorized_operations", 0),
        i8("endpoint_type", 1),
        bool("include_fenced_brokers", 2),
    ],
};
const DESCRIBE_LOG_DIRS: Schema =
    Schema { flexible: 2, fields: &[structs("topics", 0, &[string("topic", 0), values("partitions", 0, &I32)])] };
const DESCRIBE_ACLS: Schema = Schema { flexible: 2, fields: ACL_FILTER };
const DELETE_ACLS: Schema = Schema { flexible: 2, fields: &[structs("filters", 0, ACL_FILTER)] };
const ACL_FILTER: &[Field] = &[
    i8("resource_type_filter", 0),
    string("resource_name_filter", 0),
    i8("pattern_type_filter", 1),
    string("principal_filter", 0),
    string("host_filter", 0),
    i8("operation", 0),
    i8("permission_type", 0),
];
const CREATE_ACLS: Schema = Schema {
    flexible: 2,
    fields: &[structs(
        "creations",
        0,
        &[
            i8("resource_type", 0),
            string("resource_name", 0),
            i8("resource_pattern_type", 1),
            string("principal", 0),
            string("host", 0),
            i8("operation", 0),
            i8("permission_type", 0),
        ],
    )],
};
const SASL_HANDSHAKE: Schema = Schema { flexible: i16::MAX, fields: &[string("mechanism", 0)] };
const SASL_AUTHENTICATE: Schema = Schema { flexible: 2, fields: &[bytes("auth_bytes", 0)] };
const DESCRIBE_USER_SCRAM_CREDENTIALS: Schema =
    Schema { flexible: 0, fields: &[structs("users", 0, &[string("name", 0)])] };
const ALTER_USER_SCRAM_CREDENTIALS: Schema = Schema {
    flexible: 0,
    fields: &[
        structs("deletions", 0, &[string("name", 0), i8("mechanism", 0)]),
        structs(
            "upsertions",
            0,
            &[
                string("name", 0),
                i8("mechanism", 0),
                i32("iterations", 0),
                bytes("salt", 0),
                bytes("salted_password", 0),
            ],
        ),
    ],
};
const CONSUMER_GROUP_HEARTBEAT: Schema = Schema {
    flexible: 0,
    fields: &[
        string("group_id", 0),
        string("member_id", 0),
        i32("member_epoch", 0),
        string("instance_id", 0),
        string("rack_id", 0),
        i32("rebalance_timeout_ms", 0),
        values("subscribed_topic_names", 0, &Kind::Text),
        string("subscribed_topic_regex", 1),
        string("server_assignor", 0),
        structs("topic_partitions", 0, &[uuid("topic_id", 0), values("partitions", 0, &I32)]),
    ],
};
const CONSUMER_GROUP_DESCRIBE: Schema =
    Schema { flexible: 0, fields: &[values("group_ids", 0, &Kind::Text), bool("include_authorized_operations", 0)] };
const TXN_TOPICS: &[Field] = &[string("name", 0), values("partitions", 0, &I32)];
const ADD_PARTITIONS_TO_TXN: Schema = Schema {
    flexible: 3,
    fields: &[
        string("v3_and_below_transactional_id", 0).until(3),
        i64("v3_and_below_producer_id", 0).until(3),
        i16("v3_and_below_producer_epoch", 0).until(3),
        structs("v3_and_below_topics", 0, TXN_TOPICS).until(3),
        structs(
            "transactions",
            4,
            &[
                string("transactional_id", 4),
                i64("producer_id", 4),
                i16("producer_epoch", 4),
                bool("verify_only", 4),
                structs("topics", 4, TXN_TOPICS),
            ],
        ),
    ],
};
const ADD_OFFSETS_TO_TXN: Schema = Schema {
    flexible: 3,
    fields: &[string("transactional_id", 0), i64("producer_id", 0), i16("producer_epoch", 0), string("group_id", 0)],
};
const END_TXN: Schema = Schema {
    flexible: 3,
    fields: &[string("transactional_id", 0), i64("producer_id", 0), i16("producer_epoch", 0), bool("committed", 0)],
};
const TXN_OFFSET_COMMIT: Schema = Schema {
    flexible: 3,
    fields: &[
        string("transactional_id", 0),
        string("group_id", 0),
        i64("producer_id", 0),
        i16("producer_epoch", 0),
        i32("generation_id", 3),
        string("member_id", 3),
        string("group_instance_id", 3),
        structs(
            "topics",
            0,
            &[
                string("name", 0),
                structs(
                    "partitions",
                    0,
                    &[
                        i32("partition_index", 0),
                        i64("committed_offset", 0),
                        i32("committed_leader_epoch", 2),
                        string("committed_metadata", 0),
                    ],
                ),
            ],
        ),
    ],
};
const DESCRIBE_PRODUCERS: Schema =
    Schema { flexible: 0, fields: &[structs("topics", 0, &[string("name", 0), values("partition_indexes", 0, &I32)])] };
const DESCRIBE_TRANSACTIONS: Schema = Schema { flexible: 0, fields: &[values("transactional_ids", 0, &Kind::Text)] };
const LIST_TRANSACTIONS: Schema = Schema {
    flexible: 0,
    fields: &[
        values("state_filters", 0, &Kind::Text),
        values("producer_id_filters", 0, &I64),
        i64("duration_filter", 1),
        string("transactional_id_pattern", 2),
    ],
};
