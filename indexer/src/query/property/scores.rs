//! Random queries with every way to combine scores: hits, their scores and their order must be those of BM25 as it is
//! written down, however the documents are spread over parts.

use std::collections::{BTreeMap, BTreeSet};

use logmill_indexer_api::text;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::query::tests::search;
use crate::store::testing::store_in_some_order;

const WORDS: [&str; 5] = ["get", "cart", "timeout", "peer", "reset"];

fn event() -> impl Strategy<Value = Value> {
    let words = prop::collection::vec(prop::sample::select(&WORDS[..]), 0..6);
    let level = prop::option::weighted(0.7, prop::sample::select(&["info", "error", "warn"][..]));
    (words, level, prop::option::of(0i64..4)).prop_map(|(words, level, status)| {
        let mut event = json!({"@timestamp": "2026-01-01T00:00:00Z"});
        let map = event.as_object_mut().unwrap();
        if !words.is_empty() {
            map.insert("message".to_owned(), words.join(" ").into());
        }
        map.extend(level.map(|level| ("level".to_owned(), level.into())));
        map.extend(status.map(|status| ("status".to_owned(), status.into())));
        event
    })
}

#[derive(Clone, Debug)]
enum Query {
    All,
    Match(Vec<&'static str>, bool, Option<&'static str>),
    Phrase(&'static str, &'static str),
    Level(&'static str),
    Levels,
    Status(i64),
    Bool { must: Vec<Query>, filter: Vec<Query>, should: Vec<Query>, must_not: Vec<Query>, minimum: Option<i64> },
    Constant(Box<Query>, f32),
    Boosted(Box<Query>, f32),
    BestOf(Vec<Query>, f32),
    Demoted(Box<Query>, Box<Query>, f32),
}

fn query() -> impl Strategy<Value = Query> {
    let word = || prop::sample::select(&WORDS[..]);
    let minimum = prop::option::of(prop::sample::select(&["1", "2", "50%", "1<2", "-1"][..]));
    let leaf = prop_oneof![
        1 => Just(Query::All),
        5 => (prop::collection::vec(word(), 1..4), any::<bool>(), minimum).prop_map(|(words, all, minimum)| Query::Match(words, all, minimum)),
        2 => (word(), word()).prop_map(|(a, b)| Query::Phrase(a, b)),
        2 => prop::sample::select(&["info", "error", "none"][..]).prop_map(Query::Level),
        1 => Just(Query::Levels),
        2 => (0i64..4).prop_map(Query::Status),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..3);
        let factor = prop::sample::select(&[0.0f32, 0.5, 2.0, 3.0][..]);
        prop_oneof![
            3 => (some(), some(), some(), some(), prop::option::of(0i64..4)).prop_map(|(must, filter, should, must_not, minimum)| Query::Bool { must, filter, should, must_not, minimum }),
            1 => (inner.clone(), factor.clone()).prop_map(|(inner, by)| Query::Constant(Box::new(inner), by)),
            1 => (inner.clone(), factor.clone()).prop_map(|(inner, by)| Query::Boosted(Box::new(inner), by)),
            1 => (prop::collection::vec(inner.clone(), 1..3), prop::sample::select(&[0.0f32, 0.25, 1.0][..])).prop_map(|(members, tie)| Query::BestOf(members, tie)),
            1 => (inner.clone(), inner.clone(), prop::sample::select(&[0.0f32, 0.5][..])).prop_map(|(positive, negative, by)| Query::Demoted(Box::new(positive), Box::new(negative), by)),
        ]
    })
}

fn dsl(query: &Query) -> Value {
    let all = |members: &[Query]| members.iter().map(dsl).collect::<Vec<_>>();
    match query {
        Query::All => json!({"match_all": {}}),
        Query::Match(words, every, minimum) => {
            let mut body = json!({"query": words.join(" "), "operator": if *every { "and" } else { "or" }});
            if let Some(minimum) = minimum {
                body["minimum_should_match"] = (*minimum).into();
            }
            json!({"match": {"message": body}})
        }
        Query::Phrase(a, b) => json!({"match_phrase": {"message": format!("{a} {b}")}}),
        Query::Level(level) => json!({"term": {"level": level}}),
        Query::Levels => json!({"terms": {"level": ["info", "warn"]}}),
        Query::Status(status) => json!({"term": {"status": status}}),
        Query::Bool { must, filter, should, must_not, minimum } => {
            let mut body =
                json!({"must": all(must), "filter": all(filter), "should": all(should), "must_not": all(must_not)});
            if let Some(minimum) = minimum {
                body["minimum_should_match"] = (*minimum).into();
            }
            json!({ "bool": body })
        }
        Query::Constant(inner, by) => json!({"constant_score": {"filter": dsl(inner), "boost": by}}),
        Query::Boosted(inner, by) => json!({"bool": {"must": [dsl(inner)], "boost": by}}),
        Query::BestOf(members, tie) => json!({"dis_max": {"queries": all(members), "tie_breaker": tie}}),
        Query::Demoted(positive, negative, by) => {
            json!({"boosting": {"positive": dsl(positive), "negative": dsl(negative), "negative_boost": by}})
        }
    }
}

/// How often words occur, counted plainly.
struct Counts {
    words: BTreeMap<String, f64>,
    messages: f64,
    levels: BTreeMap<String, f64>,
    with_level: f64,
}

impl Counts {
    fn of(events: &[Value]) -> Self {
        let mut counts = Self { words: BTreeMap::new(), messages: 0.0, levels: BTreeMap::new(), with_level: 0.0 };
        for event in events {
            if let Some(message) = event["message"].as_str() {
                counts.messages += 1.0;
                let distinct: BTreeSet<String> = text::words(message).map(|(_, word)| word).collect();
                distinct.into_iter().for_each(|word| *counts.words.entry(word).or_default() += 1.0);
            }
            if let Some(level) = event["level"].as_str() {
                counts.with_level += 1.0;
                *counts.levels.entry(level.to_owned()).or_default() += 1.0;
            }
        }
        counts
    }

    fn idf(&self, word: &str) -> f64 {
        let documents = self.words.get(word).copied().unwrap_or(0.0);
        (1.0 + (self.messages - documents + 0.5) / (documents + 0.5)).ln()
    }
}

fn bm25(idf: f64, frequency: f64) -> f64 {
    2.2 * idf * frequency / (frequency + 1.2)
}

fn score(query: &Query, event: &Value, counts: &Counts) -> Option<f64> {
    let message: Vec<&str> = event["message"].as_str().map(|text| text.split(' ').collect()).unwrap_or_default();
    let each = |members: &[Query]| members.iter().map(|member| score(member, event, counts)).collect::<Vec<_>>();
    match query {
        Query::All => Some(1.0),
        Query::Match(words, all, minimum) => {
            let found: Vec<f64> = words
                .iter()
                .filter_map(|word| {
                    let frequency = message.iter().filter(|other| *other == word).count() as f64;
                    (frequency > 0.0).then(|| bm25(counts.idf(word), frequency))
                })
                .collect();
            let number = words.len();
            let least = match minimum {
                _ if *all => number,
                None | Some("1") => 1,
                Some("2") => 2,
                Some("50%") => (number / 2).max(1),
                Some("1<2") => {
                    if number <= 1 {
                        number
                    } else {
                        2
                    }
                }
                Some(_) => (number - 1).max(1),
            };
            (found.len() >= least).then(|| found.iter().sum())
        }
        Query::Phrase(a, b) => {
            let frequency = message.windows(2).filter(|pair| pair[0] == *a && pair[1] == *b).count() as f64;
            (frequency > 0.0).then(|| bm25(counts.idf(a) + counts.idf(b), frequency))
        }
        Query::Level(level) => (event["level"] == *level).then(|| {
            let documents = counts.levels.get(*level).copied().unwrap_or(0.0);
            (1.0 + (counts.with_level - documents + 0.5) / (documents + 0.5)).ln()
        }),
        Query::Levels => (event["level"] == "info" || event["level"] == "warn").then_some(1.0),
        Query::Status(status) => (event["status"] == *status).then_some(1.0),
        // Of no clauses it is a query for everything.
        Query::Bool { must, filter, should, must_not, .. }
            if [must, filter, should, must_not].into_iter().all(Vec::is_empty) =>
        {
            Some(1.0)
        }
        Query::Bool { must, filter, should, must_not, minimum } => {
            let required: Option<Vec<f64>> = each(must).into_iter().collect();
            let sum: f64 = required?.iter().sum();
            let filtered = each(filter).iter().all(Option::is_some) && each(must_not).iter().all(Option::is_none);
            let optional: Vec<f64> = each(should).into_iter().flatten().collect();
            let least = usize::from(must.is_empty() && filter.is_empty() && !should.is_empty());
            let least = usize::try_from(minimum.unwrap_or(0)).unwrap().max(least);
            (filtered && optional.len() >= least).then(|| sum + optional.iter().sum::<f64>())
        }
        Query::Constant(inner, by) => score(inner, event, counts).map(|_| f64::from(*by)),
        Query::Boosted(inner, by) => score(inner, event, counts).map(|score| score * f64::from(*by)),
        Query::BestOf(members, tie) => {
            let found: Vec<f64> = each(members).into_iter().flatten().collect();
            let best = found.iter().copied().reduce(f64::max)?;
            Some(best + f64::from(*tie) * (found.iter().sum::<f64>() - best))
        }
        Query::Demoted(positive, negative, by) => {
            let demoted = score(negative, event, counts).is_some();
            score(positive, event, counts).map(|score| if demoted { score * f64::from(*by) } else { score })
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn scores_are_those_of_the_formula(
        events in prop::collection::vec(event(), 1..30),
        queries in prop::collection::vec(query(), 1..5),
        docs_a_part in 1usize..12,
    ) {
        let store = store_in_some_order("logs-a", &events, docs_a_part);
        let counts = Counts::of(&events);
        for query in &queries {
            let found = search(&store, json!({"query": dsl(query), "size": 100, "_source": false}));
            let expected: BTreeMap<usize, f64> = events
                .iter()
                .enumerate()
                .filter_map(|(number, event)| score(query, event, &counts).map(|score| (number, score)))
                .collect();
            let hits = found["hits"]["hits"].as_array().unwrap();
            let mut previous = f64::INFINITY;
            let mut seen = BTreeSet::new();
            for hit in hits {
                let number: usize = hit["_id"].as_str().unwrap().trim_start_matches("0-").parse().unwrap();
                let shown = hit["_score"].as_f64().unwrap();
                let Some(wanted) = expected.get(&number) else { return Err(TestCaseError::fail(format!("{number} does not match {query:?}"))) };
                prop_assert!((shown - wanted).abs() <= wanted * 2e-5 + 1e-6, "{} scores {} instead of {}: {:?}", number, shown, wanted, query);
                prop_assert!(shown <= previous);
                previous = shown;
                seen.insert(number);
            }
            prop_assert_eq!(seen, expected.keys().copied().collect::<BTreeSet<_>>(), "{:?}", query);
            prop_assert_eq!(found["hits"]["total"]["value"].as_u64(), Some(expected.len() as u64));
            // The same matches, counted without scores and sorted by something else.
            let counted = search(&store, json!({"query": dsl(query), "size": 0}));
            prop_assert_eq!(&counted["hits"]["total"], &found["hits"]["total"]);
            let sorted = search(&store, json!({"query": dsl(query), "size": 100, "sort": ["_doc"], "_source": false}));
            prop_assert_eq!(sorted["hits"]["hits"].as_array().unwrap().len(), hits.len());
        }
    }
}
