//! Aggregations by looking at every event, as plainly as can be: nothing is shared with what it checks.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

type Events<'a> = [&'a Value];

/// The distinct values of a field in order; times in milliseconds.
fn values(event: &Value, field: &str) -> Vec<Value> {
    let mut values = all_values(event, field);
    values.sort_by(order);
    values.dedup();
    values
}

fn all_values(event: &Value, field: &str) -> Vec<Value> {
    match &event[field] {
        Value::Null => Vec::new(),
        Value::Array(values) => values.clone(),
        Value::String(text) if field == "@timestamp" => {
            vec![text.parse::<jiff::Timestamp>().unwrap().as_millisecond().into()]
        }
        single => vec![single.clone()],
    }
}

/// Numbers as the store keeps them: the values of a document in order, none left out.
fn numbers(event: &Value, field: &str, missing: Option<f64>) -> Vec<f64> {
    let mut found: Vec<f64> = all_values(event, field).iter().map(|value| value.as_f64().unwrap()).collect();
    if found.is_empty() {
        found.extend(missing);
    }
    found
}

/// Milliseconds.
pub(super) fn time(event: &Value) -> i64 {
    values(event, "@timestamp")[0].as_i64().unwrap()
}

fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().unwrap().total_cmp(&b.as_f64().unwrap()),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        }
        _ => panic!("{a} beside {b}"),
    }
}

pub(super) fn matches(event: &Value, query: &Value) -> bool {
    if let Some(term) = query["term"].as_object() {
        let (field, value) = term.iter().next().unwrap();
        return values(event, field).contains(value);
    }
    if let Some(least) = query.pointer("/range/n/gte") {
        return numbers(event, "n", None).iter().any(|number| *number >= least.as_f64().unwrap());
    }
    true
}

pub(super) fn aggregate(tree: &Value, events: &Events<'_>) -> Value {
    let (kind, body) = tree.as_object().unwrap().iter().find(|(key, _)| *key != "aggs").unwrap();
    match kind.as_str() {
        "terms" | "rare_terms" | "multi_terms" => terms(kind, body, &tree["aggs"], events),
        "histogram" => histogram(body, &tree["aggs"], events),
        "date_histogram" => date_histogram(body, &tree["aggs"], events),
        "range" => ranges(body, &tree["aggs"], events),
        "filters" => filters(body, &tree["aggs"], events),
        "adjacency_matrix" => matrix(body, &tree["aggs"], events),
        "filter" => bucket(json!({}), &tree["aggs"], &having(events, |event| matches(event, body))),
        "missing" => {
            let field = body["field"].as_str().unwrap();
            bucket(json!({}), &tree["aggs"], &having(events, |event| values(event, field).is_empty()))
        }
        _ => metric(kind, body, events),
    }
}

fn having<'a>(events: &Events<'a>, test: impl Fn(&Value) -> bool) -> Vec<&'a Value> {
    events.iter().copied().filter(|event| test(event)).collect()
}

fn bucket(mut members: Value, children: &Value, events: &Events<'_>) -> Value {
    members["doc_count"] = events.len().into();
    for (name, child) in children.as_object().into_iter().flatten() {
        members[name] = aggregate(child, events);
    }
    members
}

fn shown_key(value: &Value) -> (Value, Option<String>) {
    match value {
        Value::Bool(flag) => (i64::from(*flag).into(), Some(flag.to_string())),
        Value::Array(values) => {
            let texts: Vec<String> =
                values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
            (values.iter().map(|value| shown_key(value).0).collect(), Some(texts.join("|")))
        }
        other => (other.clone(), None),
    }
}

fn terms(kind: &str, body: &Value, children: &Value, events: &Events<'_>) -> Value {
    let keys = |event: &Value| -> Vec<Value> {
        if kind != "multi_terms" {
            return values(event, body["field"].as_str().unwrap());
        }
        let of = |place: usize| values(event, body["terms"][place]["field"].as_str().unwrap());
        of(0).iter().flat_map(|one| of(1).into_iter().map(move |other| json!([one, other]))).collect()
    };
    let mut all: Vec<Value> = events.iter().flat_map(|event| keys(event)).collect();
    all.sort_by(order);
    all.dedup();
    let mut buckets: Vec<(Value, Value)> = all
        .into_iter()
        .map(|key| {
            let (shown, text) = shown_key(&key);
            let mut members = json!({ "key": shown });
            if let Some(text) = text {
                members["key_as_string"] = text.into();
            }
            let bucket = bucket(members, children, &having(events, |event| keys(event).contains(&key)));
            (key, bucket)
        })
        .collect();
    let count = |bucket: &Value| bucket["doc_count"].as_u64().unwrap();
    if kind == "rare_terms" {
        buckets.retain(|(_, bucket)| count(bucket) <= 2);
        buckets.sort_by(|a, b| count(&a.1).cmp(&count(&b.1)).then_with(|| order(&a.0, &b.0)));
        return json!({"buckets": buckets.into_iter().map(|(_, bucket)| bucket).collect::<Vec<_>>()});
    }
    let everything: u64 = buckets.iter().map(|(_, bucket)| count(bucket)).sum();
    buckets.retain(|(_, bucket)| count(bucket) >= body["min_doc_count"].as_u64().unwrap_or(1));
    let (by, direction) = match body["order"].as_object() {
        Some(order) => order.iter().map(|(by, direction)| (by.as_str(), direction == "desc")).next().unwrap(),
        None => ("_count", true),
    };
    buckets.sort_by(|a, b| {
        let turned = |order: Ordering| if direction { order.reverse() } else { order };
        let level = match by {
            "_count" => turned(count(&a.1).cmp(&count(&b.1))),
            "_key" => turned(order(&a.0, &b.0)),
            _ => match (a.1["m"]["value"].as_f64(), b.1["m"]["value"].as_f64()) {
                (Some(a), Some(b)) => turned(a.total_cmp(&b)),
                (a, b) => b.is_some().cmp(&a.is_some()),
            },
        };
        level.then_with(|| order(&a.0, &b.0))
    });
    buckets.truncate(body["size"].as_u64().unwrap() as usize);
    let listed: u64 = buckets.iter().map(|(_, bucket)| count(bucket)).sum();
    json!({
        "doc_count_error_upper_bound": 0, "sum_other_doc_count": everything - listed,
        "buckets": buckets.into_iter().map(|(_, bucket)| bucket).collect::<Vec<_>>(),
    })
}

fn histogram(body: &Value, children: &Value, events: &Events<'_>) -> Value {
    let (interval, offset) = (body["interval"].as_f64().unwrap(), body["offset"].as_f64().unwrap());
    let number = |value: f64| ((value - offset) / interval).floor() as i64;
    let of = |event: &Value| -> Vec<i64> {
        numbers(event, body["field"].as_str().unwrap(), None).into_iter().map(number).collect()
    };
    let all: std::collections::BTreeSet<i64> = events.iter().flat_map(|event| of(event)).collect();
    let Some((first, last)) = all.first().zip(all.last()) else { return json!({"buckets": []}) };
    let buckets = (*first..=*last).map(|number| {
        let key = number as f64 * interval + offset;
        bucket(json!({ "key": key }), children, &having(events, |event| of(event).contains(&number)))
    });
    let least = body["min_doc_count"].as_u64().unwrap();
    json!({"buckets": buckets.filter(|bucket| bucket["doc_count"].as_u64().unwrap() >= least).collect::<Vec<_>>()})
}

fn date_histogram(body: &Value, children: &Value, events: &Events<'_>) -> Value {
    let (zone_ms, suffix) = match body["time_zone"].as_str() {
        Some("+05:30") => (19_800_000, "+05:30"),
        Some("-03:00") => (-10_800_000, "-03:00"),
        _ => (0, "Z"),
    };
    let start = |ms: i64| -> i64 {
        let width = match (body["fixed_interval"].as_str(), body["calendar_interval"].as_str()) {
            (Some("1h"), _) => 3_600_000,
            (Some("12h"), _) => 43_200_000,
            (_, Some("month")) => {
                let day = jiff::Timestamp::from_millisecond(ms).unwrap().strftime("%Y-%m-01T00:00:00Z").to_string();
                return day.parse::<jiff::Timestamp>().unwrap().as_millisecond();
            }
            _ => 86_400_000,
        };
        (ms + zone_ms).div_euclid(width) * width - zone_ms
    };
    let of = |event: &Value| start(values(event, "@timestamp")[0].as_i64().unwrap());
    let mut starts: std::collections::BTreeSet<i64> = events.iter().map(|event| of(event)).collect();
    if body["min_doc_count"].is_null() && body["calendar_interval"] == "day" {
        // Days between the first and the last are there, empty or not; months are neighbours anyway.
        if let Some((first, last)) = starts.first().copied().zip(starts.last().copied()) {
            starts.extend((first..=last).step_by(86_400_000));
        }
    }
    let buckets = starts.iter().map(|start| {
        let local = jiff::Timestamp::from_millisecond(start + zone_ms).unwrap();
        let text = format!("{}{suffix}", local.strftime("%Y-%m-%dT%H:%M:%S.000"));
        bucket(json!({"key_as_string": text, "key": start}), children, &having(events, |event| of(event) == *start))
    });
    json!({"buckets": buckets.collect::<Vec<_>>()})
}

fn ranges(body: &Value, children: &Value, events: &Events<'_>) -> Value {
    let bound = |range: &Value, side: &str, other: f64| range[side].as_f64().unwrap_or(other);
    let mut ranges = body["ranges"].as_array().unwrap().clone();
    let ends = |range: &Value| (bound(range, "from", f64::NEG_INFINITY), bound(range, "to", f64::INFINITY));
    ranges.sort_by(|a, b| {
        let (a, b) = (ends(a), ends(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let buckets = ranges.iter().map(|range| {
        let (from, to) = ends(range);
        let text = |bound: f64| if bound.is_finite() { format!("{bound:.1}") } else { "*".to_owned() };
        let mut members = json!({"key": format!("{}-{}", text(from), text(to))});
        for (side, bound) in [("from", from), ("to", to)] {
            if bound.is_finite() {
                members[side] = bound.into();
            }
        }
        let within = |event: &Value| numbers(event, "n", None).iter().any(|number| *number >= from && *number < to);
        bucket(members, children, &having(events, within))
    });
    json!({"buckets": buckets.collect::<Vec<_>>()})
}

fn filters(body: &Value, children: &Value, events: &Events<'_>) -> Value {
    let (x, y) = (&body["filters"]["x"], &body["filters"]["y"]);
    json!({"buckets": {
        "x": bucket(json!({}), children, &having(events, |event| matches(event, x))),
        "y": bucket(json!({}), children, &having(events, |event| matches(event, y))),
        "z": bucket(json!({}), children, &having(events, |event| !matches(event, x) && !matches(event, y))),
    }})
}

fn matrix(body: &Value, children: &Value, events: &Events<'_>) -> Value {
    let (x, y) = (&body["filters"]["x"], &body["filters"]["y"]);
    let of =
        |key: &str, found: Vec<&Value>| (!found.is_empty()).then(|| bucket(json!({ "key": key }), children, &found));
    let buckets: Vec<Value> = [
        of("x", having(events, |event| matches(event, x))),
        of("x&y", having(events, |event| matches(event, x) && matches(event, y))),
        of("y", having(events, |event| matches(event, y))),
    ]
    .into_iter()
    .flatten()
    .collect();
    json!({ "buckets": buckets })
}

fn percentile(sorted: &[f64], percent: f64) -> Value {
    if sorted.is_empty() {
        return Value::Null;
    }
    let place = percent / 100.0 * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    (below + (above - below) * (place - place.floor())).into()
}

fn metric(kind: &str, body: &Value, events: &Events<'_>) -> Value {
    match kind {
        "top_metrics" => return top_metrics(events),
        "weighted_avg" => return weighted_avg(events),
        "cardinality" => {
            let field = body["field"].as_str().unwrap();
            let mut all: Vec<Value> = events.iter().flat_map(|event| values(event, field)).collect();
            all.sort_by(order);
            all.dedup();
            return json!({"value": all.len()});
        }
        _ => {}
    }
    let missing = body["missing"].as_f64();
    let mut all: Vec<f64> =
        events.iter().flat_map(|event| numbers(event, body["field"].as_str().unwrap(), missing)).collect();
    all.sort_by(f64::total_cmp);
    let count = all.len() as f64;
    let sum: f64 = all.iter().sum();
    let or_null = |number: f64| if all.is_empty() || !number.is_finite() { Value::Null } else { number.into() };
    let (min, max) = (or_null(all.first().copied().unwrap_or(0.0)), or_null(all.last().copied().unwrap_or(0.0)));
    match kind {
        "min" => json!({ "value": min }),
        "max" => json!({ "value": max }),
        "sum" => json!({ "value": sum }),
        "avg" => json!({ "value": or_null(sum / count) }),
        "value_count" => json!({ "value": all.len() }),
        "percentiles" => {
            let named: Map<String, Value> =
                [0.0, 10.0, 50.0, 99.9, 100.0].iter().map(|p| (format!("{p:.1}"), percentile(&all, *p))).collect();
            json!({ "values": named })
        }
        "median_absolute_deviation" => {
            let median = percentile(&all, 50.0).as_f64().unwrap_or_default();
            let mut distances: Vec<f64> = all.iter().map(|number| (number - median).abs()).collect();
            distances.sort_by(f64::total_cmp);
            json!({ "value": percentile(&distances, 50.0) })
        }
        _ => {
            let mut shown =
                json!({"count": all.len(), "min": min, "max": max, "avg": or_null(sum / count), "sum": sum});
            if kind == "extended_stats" {
                extend(&mut shown, &all, sum / count);
            }
            shown
        }
    }
}

fn extend(shown: &mut Value, all: &[f64], mean: f64) {
    let count = all.len() as f64;
    let squares: f64 = all.iter().map(|number| (number - mean) * (number - mean)).sum();
    let shown_as = |number: f64| match all.len() {
        0 => Value::Null,
        _ if number.is_nan() => "NaN".into(),
        _ => number.into(),
    };
    let (population, sample) = (squares / count, if all.len() == 1 { f64::NAN } else { squares / (count - 1.0) });
    shown["sum_of_squares"] = shown_as(all.iter().map(|number| number * number).sum());
    for (name, number) in [
        ("variance", population),
        ("variance_population", population),
        ("variance_sampling", sample),
        ("std_deviation", population.sqrt()),
        ("std_deviation_population", population.sqrt()),
        ("std_deviation_sampling", sample.sqrt()),
    ] {
        shown[name] = shown_as(number);
    }
    let bound = |variance: f64, sigmas: f64| shown_as(mean + sigmas * variance.sqrt());
    shown["std_deviation_bounds"] = json!({
        "upper": bound(population, 2.0), "lower": bound(population, -2.0),
        "upper_population": bound(population, 2.0), "lower_population": bound(population, -2.0),
        "upper_sampling": bound(sample, 2.0), "lower_sampling": bound(sample, -2.0),
    });
}

fn weighted_avg(events: &Events<'_>) -> Value {
    let (mut weighted, mut weights) = (0.0, 0.0);
    for event in events {
        let weight = event["d"].as_f64().unwrap_or(1.0);
        for value in numbers(event, "n", None) {
            weighted += value * weight;
            weights += weight;
        }
    }
    json!({"value": if weights == 0.0 { Value::Null } else { (weighted / weights).into() }})
}

/// The two oldest; of equally old ones those that came first.
fn top_metrics(events: &Events<'_>) -> Value {
    let mut sorted: Vec<&Value> = events.to_vec();
    sorted.sort_by_key(|event| values(event, "@timestamp")[0].as_i64().unwrap());
    let top: Vec<Value> = sorted
        .iter()
        .take(2)
        .map(|event| {
            let ms = values(event, "@timestamp")[0].as_i64().unwrap();
            let time = format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap());
            json!({"sort": [time], "metrics": {"d": event["d"]}})
        })
        .collect();
    json!({ "top": top })
}

/// The buckets of a composite over these fields.
pub(super) fn combinations(fields: &[&str], descending: bool, missing: bool, events: &[Value]) -> Vec<Value> {
    // Keys are compared by their place among all values of the field; what is missing comes first, or last when
    // descending.
    let mut found: BTreeMap<Vec<i64>, (Vec<Value>, u64, f64)> = BTreeMap::new();
    let place = |value: &Value| match value {
        Value::Null => i64::MIN,
        Value::String(text) => i64::from(text.as_bytes()[0]),
        Value::Bool(flag) => i64::from(*flag),
        number => (number.as_f64().unwrap() * 8.0) as i64,
    };
    for event in events {
        let mut keys: Vec<Vec<Value>> = vec![Vec::new()];
        for field in fields {
            let mut own = values(event, field);
            if own.is_empty() && missing {
                own.push(Value::Null);
            }
            keys = keys
                .iter()
                .flat_map(|key| own.iter().map(move |value| [key.as_slice(), std::slice::from_ref(value)].concat()))
                .collect();
        }
        for key in keys {
            let turned = |place: i64| if descending { place.saturating_neg() } else { place };
            let places = key.iter().map(|value| turned(place(value))).collect();
            let entry = found.entry(places).or_insert_with(|| (key, 0, 0.0));
            entry.1 += 1;
            entry.2 += numbers(event, "n", None).iter().sum::<f64>();
        }
    }
    found
        .into_values()
        .map(|(key, count, sum)| {
            let key: Map<String, Value> = fields.iter().map(|field| (*field).to_owned()).zip(key).collect();
            json!({"key": key, "doc_count": count, "s": {"value": sum}})
        })
        .collect()
}
