//! A search as the browser asks for it, as the search engine is asked, and the hits that come back.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use logmill_indexer_api::datemath;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::histogram::{Histogram, Plan};
use super::scope::{Range, Scope, ScopeError, dsl};

/// Hits on one page unless asked otherwise.
const SIZE_DEFAULT: u32 = 100;
/// The most that one answer carries; more come by `search_after`.
const SIZE_MAX: u32 = 1000;

/// The order of one field.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Sort {
    pub(crate) field: String,
    pub(crate) dir: Direction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Asc,
    Desc,
}

/// `POST /api/search`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SearchRequest {
    #[serde(flatten)]
    pub(crate) scope: Scope,
    #[serde(default)]
    pub(crate) sort: Vec<Sort>,
    pub(crate) size: Option<u32>,
    pub(crate) search_after: Option<Vec<Value>>,
    #[serde(default)]
    pub(crate) buckets: u32,
    pub(crate) time_zone: Option<String>,
}

/// A search ready to be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) range: Range,
    pub(crate) body: Value,
    histogram: Option<Plan>,
}

impl SearchRequest {
    /// Everything that `scope` holds, newest first, without a histogram: how exports are read.
    pub(crate) fn newest_first(scope: Scope) -> Self {
        let (sort, size) = (Vec::new(), Some(SIZE_MAX));
        Self { scope, sort, size, search_after: None, buckets: 0, time_zone: None }
    }

    /// Works out times and query.
    pub(crate) fn prepare(&self, now: Timestamp, level_field: &str) -> Result<Prepared, ScopeError> {
        let zone = self.zone()?;
        let range = self.scope.range(now, &zone)?;
        let ast = self.scope.selection.ast()?;
        let mut body = json!({
            "size": self.size.unwrap_or(SIZE_DEFAULT).min(SIZE_MAX),
            "track_total_hits": true,
            "query": dsl(&ast, [range.dsl()]),
            "sort": sort_dsl(&self.sort),
        });
        if let Some(after) = &self.search_after {
            body["search_after"] = json!(after);
        }
        if self.size != Some(0) && !self.scope.selection.query.trim().is_empty() {
            // Whole values: the table shows them in full, with the marks in place.
            body["highlight"] = json!({
                "pre_tags": ["<em>"], "post_tags": ["</em>"], "number_of_fragments": 0, "fields": { "*": {} },
            });
        }
        let histogram = (self.buckets > 0).then(|| Plan::new(range, self.buckets, &zone));
        if let Some(plan) = &histogram {
            body["aggs"] = json!({ "over_time": plan.request(level_field) });
        }
        Ok(Prepared { range, body, histogram })
    }

    fn zone(&self) -> Result<TimeZone, ScopeError> {
        let Some(name) = self.time_zone.as_deref().filter(|name| !name.is_empty()) else { return Ok(TimeZone::UTC) };
        datemath::zone_from(name).ok_or_else(|| ScopeError::Time {
            which: "time_zone",
            message: format!(
                "`{}` is not a time zone like Europe/Berlin or +02:00",
                name.chars().take(80).collect::<String>()
            ),
        })
    }
}

impl Prepared {
    /// The histogram in an answer, when one was asked for.
    pub(crate) fn histogram(&self, answer: &Value) -> Option<Histogram> {
        let found = answer.pointer("/aggregations/over_time").unwrap_or(&Value::Null);
        self.histogram.as_ref().map(|plan| plan.read(found))
    }
}

fn sort_dsl(sort: &[Sort]) -> Value {
    let newest_first = [Sort { field: "@timestamp".to_owned(), dir: Direction::Desc }];
    let sort = if sort.is_empty() { &newest_first } else { sort };
    let mut orders: Vec<Value> = sort.iter().map(field_order).collect();
    // Makes the order total, so that paging neither skips nor repeats; in the direction of the first field, so
    // that events of one instant stand in the order of their file.
    let dir = sort.first().map_or(Direction::Desc, |first| first.dir);
    orders.push(json!({ "_doc": { "order": dir } }));
    Value::Array(orders)
}

fn field_order(sort: &Sort) -> Value {
    let unmapped = if sort.field == "@timestamp" { "date" } else { "keyword" };
    let order = json!({ "order": sort.dir, "missing": "_last", "unmapped_type": unmapped });
    Value::Object(Map::from_iter([(sort.field.clone(), order)]))
}

/// One hit, as the browser gets it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hit {
    pub(crate) id: String,
    pub(crate) index: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) sort: Value,
    pub(crate) source: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) highlight: Value,
}

/// The hits of an answer.
pub(crate) fn hits_of(answer: &mut Value) -> Vec<Hit> {
    let hits = answer.pointer_mut("/hits/hits").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    let text = |hit: &Value, key: &str| hit.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let hit = |mut hit: Value| {
        let (id, index) = (text(&hit, "_id"), text(&hit, "_index"));
        let mut take = |key: &str| hit.get_mut(key).map(Value::take).unwrap_or_default();
        Hit { id, index, sort: take("sort"), source: take("_source"), highlight: take("highlight") }
    };
    hits.into_iter().map(hit).collect()
}

/// How many events match in all.
pub(crate) fn total_of(answer: &Value) -> u64 {
    let total = answer.pointer("/hits/total");
    total.and_then(|total| total.get("value").or(Some(total))).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(request: Value) -> Prepared {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        serde_json::from_value::<SearchRequest>(request).unwrap().prepare(now, "log.level").unwrap()
    }

    #[test]
    fn a_plain_search_is_newest_first_with_exact_totals() {
        let search = prepared(json!({"query": "", "language": "kql", "filters": [], "from": "now-15m", "to": "now"}));
        assert_eq!(search.body["size"], 100);
        assert_eq!(search.body["track_total_hits"], true);
        assert_eq!(search.body["sort"][0]["@timestamp"]["order"], "desc");
        assert_eq!(search.body["sort"][1]["_doc"]["order"], "desc");
        assert_eq!(search.body["query"]["bool"]["filter"].as_array().unwrap().len(), 1);
        assert!(search.body.get("aggs").is_none() && search.body.get("highlight").is_none());
    }

    #[test]
    fn a_page_of_a_search_with_everything() {
        let search =
            prepared(json!({"query": "error", "language": "lucene", "filters": [], "from": "now-1h", "to": "now",
            "sort": [{"field": "log.offset", "dir": "asc"}], "size": 5000, "search_after": [5, 6], "buckets": 60,
            "time_zone": "Asia/Shanghai"}));
        assert_eq!(search.body["size"], 1000);
        assert_eq!(search.body["search_after"], json!([5, 6]));
        assert_eq!(search.body["sort"][0]["log.offset"]["order"], "asc");
        assert_eq!(search.body["aggs"]["over_time"]["date_histogram"]["fixed_interval"], "60s");
        assert!(search.body.get("highlight").is_some());
    }

    #[test]
    fn hits_are_taken_over_as_they_are() {
        let mut answer = json!({"hits": {"total": {"value": 7, "relation": "eq"}, "hits": [
            {"_id": "1", "_index": "logs-a", "_source": {"message": "x"}, "sort": [3, 4]}]}});
        assert_eq!(total_of(&answer), 7);
        let hits = hits_of(&mut answer);
        assert_eq!(
            serde_json::to_value(&hits).unwrap(),
            json!([{"id": "1", "index": "logs-a", "sort": [3, 4], "source": {"message": "x"}}])
        );
    }
}
