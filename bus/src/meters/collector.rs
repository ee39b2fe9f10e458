//! What is told of topics, partitions and groups when the metrics are asked for.

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use logmill_core::scrape::{Collect, Kind, Series};

use crate::broker::Broker;
use crate::groups::GroupLine;
use crate::topics::Topic;

/// Looks at a broker for as long as that is there.
pub(crate) struct Collector(pub(crate) Weak<Broker>);

impl Collect for Collector {
    // The most useful first: what is beyond the bound on series is left out.
    fn collect(&self, series: &mut Series) {
        let Some(broker) = self.0.upgrade() else { return };
        broker.meters.collect_apis(series);
        let topics = broker.topics.all();
        topics.iter().for_each(|topic| of_topic(topic, series));
        broker.groups.each_line(&mut |line| of_group(&broker, &line, series));
        topics.iter().for_each(|topic| of_partitions(topic, series));
    }
}

fn of_topic(topic: &Arc<Topic>, series: &mut Series) {
    let labels = [("topic", &*topic.name)];
    let mut counter = |name, value: &AtomicU64| {
        series.add(Kind::Counter, name, &labels, value.load(Ordering::Relaxed) as f64);
    };
    let traffic = &topic.traffic;
    counter("logmill_bus_topic_bytes_in_total", &traffic.bytes_in);
    counter("logmill_bus_topic_records_in_total", &traffic.records_in);
    counter("logmill_bus_topic_bytes_out_total", &traffic.bytes_out);
    counter("logmill_bus_topic_records_out_total", &traffic.records_out);
}

fn of_partitions(topic: &Arc<Topic>, series: &mut Series) {
    for (number, slot) in topic.partitions.iter().enumerate() {
        let Some(log) = &slot.log else { continue };
        let number = number.to_string();
        let labels = [("topic", &*topic.name), ("partition", &number)];
        series.add(Kind::Gauge, "logmill_bus_partition_log_start", &labels, log.log_start() as f64);
        series.add(Kind::Gauge, "logmill_bus_partition_log_end", &labels, log.durable_end() as f64);
        series.add(Kind::Gauge, "logmill_bus_partition_bytes", &labels, log.size_bytes() as f64);
    }
}

fn of_group(broker: &Broker, line: &GroupLine<'_>, series: &mut Series) {
    match *line {
        GroupLine::Group { name, state, members } => {
            series.add(Kind::Gauge, "logmill_bus_group_members", &[("group", name)], members as f64);
            series.add(Kind::Gauge, "logmill_bus_group_state", &[("group", name), ("state", state)], 1.0);
        }
        GroupLine::Offset { name, topic, partition, offset } => {
            let number = partition.to_string();
            let labels = [("group", name), ("topic", topic), ("partition", &number)];
            series.add(Kind::Gauge, "logmill_bus_group_offset", &labels, offset as f64);
            let known = broker.topics.named(topic);
            let log = known.as_ref().and_then(|topic| topic.partition(partition)).and_then(|slot| slot.log.as_ref());
            if let Some(log) = log {
                let lag = (log.durable_end() - offset.max(log.log_start())).max(0);
                series.add(Kind::Gauge, "logmill_bus_group_lag", &labels, lag as f64);
            }
        }
    }
}
