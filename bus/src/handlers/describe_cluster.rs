//! The cluster: this broker. Where it is every client may know, as in Kafka.

use std::sync::Arc;

use logmill_bus_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use logmill_bus_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::{Call, OPERATIONS_NOT_ASKED, text};
use crate::broker::{Broker, NODE_ID};
use crate::security::Resource;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let operations = request.include_cluster_authorized_operations.then(|| broker.operations(call, Resource::Cluster));
    let (host, port) = call.address();
    let here = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE_ID))
        .with_host(text(host))
        .with_port(i32::from(port));
    DescribeClusterResponse::default()
        .with_cluster_id(text(broker.cluster_id.as_str()))
        .with_controller_id(BrokerId(NODE_ID))
        .with_error_message(None)
        .with_brokers(vec![here])
        .with_cluster_authorized_operations(operations.unwrap_or(OPERATIONS_NOT_ASKED))
}
