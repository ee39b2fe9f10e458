//! The cluster: this broker.

use std::sync::Arc;

use logmill_bus_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use logmill_bus_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::{Call, text};
use crate::broker::{Broker, NODE_ID};

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, _: DescribeClusterRequest) -> DescribeClusterResponse {
    let (host, port) = broker.address_for(call.local);
    let here = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE_ID))
        .with_host(text(host))
        .with_port(i32::from(port));
    DescribeClusterResponse::default()
        .with_cluster_id(text(broker.cluster_id.as_str()))
        .with_controller_id(BrokerId(NODE_ID))
        .with_error_message(None)
        .with_brokers(vec![here])
}
