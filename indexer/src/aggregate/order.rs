//! The order of buckets.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use super::aggregator::{Aggregation, Holds};
use super::partial::{Bucket, Partial};
use crate::query::error::EsError;
use crate::query::strict::{Members, kind};

/// Levels of the order: by what, and whether descending. Equal ones go by key.
pub(super) type Order = Vec<(OrderBy, bool)>;

/// What buckets are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OrderBy {
    Count,
    Key,
    /// A metric of the bucket, `rare>took.max`: the buckets in between, the metric's name, which of its numbers.
    Metric {
        path: Vec<String>,
        property: Option<String>,
    },
}

/// Reads `order`: an object or an array of them.
pub(super) fn read(value: Option<Value>) -> Result<Option<Order>, EsError> {
    let items = match value {
        None => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(single) => vec![single],
    };
    let mut orders = Vec::new();
    for item in items {
        let mut members = Members::new(item, "[order]")?;
        while let Some((by, direction)) = members.take_one() {
            let descending = match direction.as_str().map(str::to_ascii_lowercase).as_deref() {
                Some("asc") => false,
                Some("desc") => true,
                _ => {
                    let reason = format!("Unknown order direction {} for [{by}]: write asc or desc", kind(&direction));
                    return Err(EsError::parsing(reason));
                }
            };
            orders.push((by_of(&by), descending));
        }
    }
    Ok(Some(orders))
}

fn by_of(by: &str) -> OrderBy {
    match by {
        "_count" => return OrderBy::Count,
        "_key" | "_term" | "_time" => return OrderBy::Key,
        _ => {}
    }
    let mut path: Vec<String> = by.split('>').map(|name| name.trim().to_owned()).collect();
    let last = path.pop().unwrap_or_default();
    let (name, property) = match last.strip_suffix(']').and_then(|open| open.split_once('[')) {
        Some((name, property)) => (name.to_owned(), Some(property.to_owned())),
        None => match last.split_once('.') {
            Some((name, property)) => (name.to_owned(), Some(property.to_owned())),
            None => (last, None),
        },
    };
    path.push(name);
    OrderBy::Metric { path, property }
}

/// Every path must lead to a number below the aggregation of this name.
pub(super) fn check(order: &Order, name: &str, children: &[Aggregation]) -> Result<(), EsError> {
    for (by, _) in order {
        let OrderBy::Metric { path, property } = by else { continue };
        let refused = |why: String| {
            let shown = path.join(">");
            let reason = format!("Invalid aggregator order path [{shown}]: {why}");
            Err(EsError::new(400, "aggregation_execution_exception", reason))
        };
        let mut here = children;
        for (at, step) in path.iter().enumerate() {
            let Some(child) = here.iter().find(|child| child.name == *step) else {
                return refused(format!("there is no aggregation [{step}] below [{name}]"));
            };
            let Some(collected) = child.collected() else {
                return refused(format!(
                    "[{step}] is a pipeline aggregation, and buckets are ordered before those are run"
                ));
            };
            let is_last = at + 1 == path.len();
            match collected.holds() {
                Holds::Nothing if is_last && collected.has_number(property.as_deref()) => {}
                Holds::One
                    if is_last
                        && property
                            .as_deref()
                            .is_none_or(|property| property == "doc_count" || property == "_count") => {}
                Holds::One if !is_last => here = &child.children,
                Holds::Nothing if is_last => {
                    let which = property.as_deref().unwrap_or("none was named");
                    return refused(format!("[{step}] has no single number of this name: [{which}]"));
                }
                Holds::Nothing => return refused(format!("[{step}] is a metric: nothing is below it")),
                Holds::One | Holds::Many | Holds::Series => {
                    return refused(format!("[{step}] has many buckets, of which none could be meant"));
                }
            }
        }
    }
    Ok(())
}

/// The buckets of a series in an order; by their keys where there is none.
pub(super) fn sorted(levels: &Order, children: &[Aggregation], series: BTreeMap<i64, Bucket>) -> Vec<(i64, Bucket)> {
    let mut sorted: Vec<(i64, Bucket)> = series.into_iter().collect();
    if !levels.is_empty() {
        sorted.sort_by(|a, b| compare(levels, children, (&a.1, &b.1), || a.0.cmp(&b.0)));
    }
    sorted
}

/// Compares by the levels of an order; `Equal` leaves it to the key.
pub(super) fn compare(
    levels: &Order,
    children: &[Aggregation],
    (a, b): (&Bucket, &Bucket),
    keys: impl Fn() -> Ordering,
) -> Ordering {
    for (by, descending) in levels {
        let order = match by {
            OrderBy::Count => a.count.cmp(&b.count),
            OrderBy::Key => keys(),
            OrderBy::Metric { path, property } => {
                let value = |bucket: &Bucket| value(children, bucket, path, property.as_deref());
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

fn value(children: &[Aggregation], bucket: &Bucket, path: &[String], property: Option<&str>) -> Option<f64> {
    let (name, rest) = path.split_first()?;
    let mut collected = children.iter().filter(|child| child.collected().is_some());
    let place = collected.position(|child| child.name == *name)?;
    let child = children.iter().filter(|child| child.collected().is_some()).nth(place)?;
    // A bucket that no document is in has nothing below it.
    let partial = bucket.children.get(place)?;
    if rest.is_empty() {
        return match partial {
            Partial::Slots(slots) => slots.first().map(|slot| slot.count as f64),
            metric => child.collected()?.number(metric, property).filter(|number| !number.is_nan()),
        };
    }
    let Partial::Slots(slots) = partial else { return None };
    value(&child.children, slots.first()?, rest, property)
}
