//! `bucket_sort`: puts the buckets around it in an order, and shows some of them.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::common::Gap;
use super::path::Path;
use super::stage::{Pipeline, Stands};
use crate::aggregate::read;
use crate::aggregate::shown::Row;
use crate::query::error::EsError;
use crate::query::limits::BUCKETS_MAX;
use crate::query::strict::{Members, kind};

#[derive(Debug)]
pub(super) struct BucketSort {
    /// By what, and whether descending.
    sort: Vec<(Path, bool)>,
    from: usize,
    size: usize,
    gap: Gap,
}

impl BucketSort {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let items = match members.take("sort") {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(single) => vec![single],
        };
        let mut sort = Vec::new();
        for item in items {
            let mut fields = match item {
                Value::String(path) => Members::new(serde_json::json!({ path: "asc" }), "[sort]")?,
                other => Members::new(other, "[sort]")?,
            };
            while let Some((path, order)) = fields.take_one() {
                sort.push((Path::read(&path)?, is_descending(order)?));
            }
        }
        let from = members.whole("from")?.unwrap_or(0);
        let from = usize::try_from(from)
            .map_err(|_| EsError::argument(format!("[from] must be a non-negative integer: [{from}]")))?;
        let size = read::size(&mut members, "size", BUCKETS_MAX, BUCKETS_MAX)?;
        let found = Self { sort, from, size, gap: Gap::read(&mut members)? };
        members.end()?;
        if found.sort.is_empty() && found.size == BUCKETS_MAX && found.from == 0 {
            return Err(EsError::argument(
                "[bucket_sort] is configured to perform nothing. Please set either of [sort, size, from] to use bucket_sort",
            ));
        }
        Ok(Arc::new(found))
    }

    fn order(&self, a: &[f64], b: &[f64]) -> Ordering {
        for ((a, b), (_, descending)) in a.iter().zip(b).zip(&self.sort) {
            let order = match (a.is_nan(), b.is_nan()) {
                // What has no number comes last.
                (true, true) => Ordering::Equal,
                (true, false) => return Ordering::Greater,
                (false, true) => return Ordering::Less,
                _ => a.total_cmp(b),
            };
            let order = if *descending { order.reverse() } else { order };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}

fn is_descending(order: Value) -> Result<bool, EsError> {
    let text = match order {
        Value::String(text) => text,
        other => {
            let mut members = Members::new(other, "[sort]")?;
            let text = members.string("order")?.unwrap_or_else(|| "asc".to_owned());
            members.end()?;
            text
        }
    };
    match text.to_ascii_lowercase().as_str() {
        "asc" => Ok(false),
        "desc" => Ok(true),
        other => Err(EsError::argument(format!("[sort] needs asc or desc, not {}", kind(&other.into())))),
    }
}

/// `_key` may be text.
fn text_key(path: &Path, row: &Map<String, Value>) -> Option<String> {
    if path.only_name() != Some("_key") {
        return None;
    }
    row.get("key").and_then(Value::as_str).map(str::to_owned)
}

impl Pipeline for BucketSort {
    fn name(&self) -> &'static str {
        "bucket_sort"
    }

    fn stands(&self) -> Stands {
        Stands::InBuckets
    }

    fn paths(&self) -> Vec<&Path> {
        self.sort.iter().map(|(path, _)| path).collect()
    }

    fn over(&self, _: &str, rows: &mut Vec<Row>) -> Result<(), EsError> {
        if !self.sort.is_empty() {
            let mut keys: Vec<Vec<f64>> = Vec::with_capacity(rows.len());
            for row in rows.iter() {
                let number = |(path, _): &(Path, bool)| self.gap.number(path, &row.members);
                let numbers = self.sort.iter().map(number).collect::<Result<Vec<_>, _>>()?;
                keys.push(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect());
            }
            // Texts become their places among all.
            for (at, (path, _)) in self.sort.iter().enumerate() {
                let texts: Vec<Option<String>> = rows.iter().map(|row| text_key(path, &row.members)).collect();
                let mut sorted: Vec<&String> = texts.iter().flatten().collect();
                sorted.sort_unstable();
                for (key, text) in keys.iter_mut().zip(&texts) {
                    if let (Some(slot), Some(text)) = (key.get_mut(at), text) {
                        *slot = sorted.partition_point(|other| *other < text) as f64;
                    }
                }
            }
            let mut keyed: Vec<(Vec<f64>, Row)> = keys.into_iter().zip(std::mem::take(rows)).collect();
            if self.gap == Gap::Skip {
                keyed.retain(|(key, _)| !key.iter().all(|number| number.is_nan()));
            }
            keyed.sort_by(|a, b| self.order(&a.0, &b.0));
            *rows = keyed.into_iter().map(|(_, row)| row).collect();
        }
        *rows = std::mem::take(rows).into_iter().skip(self.from).take(self.size).collect();
        Ok(())
    }
}
