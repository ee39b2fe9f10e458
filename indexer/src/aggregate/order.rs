//! The order of buckets.

use std::cmp::Ordering;

use super::partial::{Bucket, Partial};
use super::request::{Aggregation, Kind, MetricKind, OrderBy};

/// Compares by the levels of an order; `Equal` leaves it to the key.
pub(super) fn compare(
    levels: &[(OrderBy, bool)],
    children: &[Aggregation],
    (a, b): (&Bucket, &Bucket),
    keys: impl Fn() -> Ordering,
) -> Ordering {
    for (by, descending) in levels {
        let order = match by {
            OrderBy::Count => a.count.cmp(&b.count),
            OrderBy::Key => keys(),
            OrderBy::Metric(name, property) => {
                let place = children.iter().position(|child| child.name == *name);
                let value = |bucket: &Bucket| {
                    let place = place?;
                    value(children.get(place)?, bucket.children.get(place), property.as_deref())
                };
                match (value(a), value(b)) {
                    (Some(a), Some(b)) => a.total_cmp(&b),
                    // What has no value comes last in either direction.
                    (None, Some(_)) => return Ordering::Greater,
                    (Some(_), None) => return Ordering::Less,
                    (None, None) => Ordering::Equal,
                }
            }
        };
        let order = if *descending { order.reverse() } else { order };
        if order != Ordering::Equal {
            return order;
        }
    }
    keys()
}

fn value(child: &Aggregation, partial: Option<&Partial>, property: Option<&str>) -> Option<f64> {
    let Kind::Metric(metric) = &child.kind else { return None };
    match partial? {
        Partial::Stats(stats) => {
            let of = |kind: &str| match kind {
                "count" => Some(stats.count as f64),
                "sum" => Some(stats.sum),
                _ if stats.count == 0 => None,
                "min" => Some(stats.min),
                "max" => Some(stats.max),
                "avg" => Some(stats.sum / stats.count as f64),
                _ => None,
            };
            match (&metric.kind, property) {
                (MetricKind::Min, _) => of("min"),
                (MetricKind::Max, _) => of("max"),
                (MetricKind::Sum, _) => of("sum"),
                (MetricKind::Avg, _) => of("avg"),
                (MetricKind::ValueCount, _) => of("count"),
                (_, property) => of(property.unwrap_or("count")),
            }
        }
        Partial::Distinct(distinct) => Some(distinct.count() as f64),
        Partial::Quantiles(quantiles) => {
            quantiles.percentile(property.and_then(|text| text.parse().ok()).unwrap_or(50.0))
        }
        _ => None,
    }
}
