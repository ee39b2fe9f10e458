//! Trees as Elasticsearch query DSL.

use serde_json::{Map, Value, json};

use crate::ast::{Ast, Bound, Field, Range, Test};
use crate::{DEFAULT_FIELDS, text};

impl Ast {
    /// As query DSL; bare words are searched in `message`.
    #[must_use]
    pub fn to_dsl(&self) -> Value {
        self.to_dsl_in(&DEFAULT_FIELDS)
    }

    /// As query DSL; bare words are searched in the given fields.
    #[must_use]
    pub fn to_dsl_in(&self, default_fields: &[&str]) -> Value {
        let all = |members: &[Ast]| -> Vec<Value> { members.iter().map(|ast| ast.to_dsl_in(default_fields)).collect() };
        match self {
            Self::All => json!({"match_all": {}}),
            Self::And(members) => json!({"bool": {"filter": all(members)}}),
            Self::Or(members) => json!({"bool": {"should": all(members), "minimum_should_match": 1}}),
            Self::Boosted { member, by } => {
                json!({"bool": {"must": [member.to_dsl_in(default_fields)], "boost": written(by)}})
            }
            Self::Not(member) => json!({"bool": {"must_not": [member.to_dsl_in(default_fields)]}}),
            Self::Leaf { field: Field::Named(name), test } => on_field(name, test),
            Self::Leaf { field: Field::Pattern(pattern), test } => on_fields(&[pattern], test),
            Self::Leaf { field: Field::Default, test } => match default_fields {
                [only] => on_field(only, test),
                several => on_fields(several, test),
            },
        }
    }
}

fn on_field(name: &str, test: &Test) -> Value {
    let of = |kind: &str, inner: Value| json!({ kind: { name: inner } });
    match test {
        Test::Words(words) => of("match", json!({"query": words, "lenient": true})),
        Test::Phrase { text, slop: 0 } => of("match_phrase", json!({"query": text})),
        Test::Phrase { text, slop } => of("match_phrase", json!({"query": text, "slop": slop})),
        Test::Pattern(pattern) if text::is_text(name) => on_words(name, pattern),
        Test::Pattern(pattern) => of("wildcard", json!({"value": pattern})),
        Test::Regex(pattern) => of("regexp", json!({"value": pattern})),
        Test::Fuzzy { text, distance } => of("fuzzy", json!({"value": text, "fuzziness": distance})),
        Test::Exists => json!({"exists": {"field": name}}),
        Test::Range(Range { lower, upper }) => {
            let mut bounds = Map::new();
            for (bound, inclusive, exclusive) in [(lower, "gte", "gt"), (upper, "lte", "lt")] {
                if let Some(Bound { value, inclusive: inclusively }) = bound {
                    bounds.insert(if *inclusively { inclusive } else { exclusive }.to_owned(), written(value));
                }
            }
            of("range", Value::Object(bounds))
        }
    }
}

/// Numbers as numbers, all else as text.
fn written(value: &str) -> Value {
    let number = value.parse::<i64>().map(Value::from).or_else(|_| value.parse::<f64>().map(Value::from));
    number.ok().filter(Value::is_number).unwrap_or_else(|| value.into())
}

fn on_words(name: &str, pattern: &str) -> Value {
    let word = |pattern: &String| json!({"wildcard": {name: {"value": pattern, "case_insensitive": true}}});
    let mut groups: Vec<Value> = text::word_patterns(pattern)
        .iter()
        .map(|group| match group.as_slice() {
            [only] => word(only),
            several => json!({"bool": {"filter": several.iter().map(word).collect::<Vec<_>>()}}),
        })
        .collect();
    match groups.len() {
        0 => json!({"exists": {"field": name}}),
        1 => groups.remove(0),
        _ => json!({"bool": {"should": groups, "minimum_should_match": 1}}),
    }
}

fn on_fields<F: AsRef<str>>(fields: &[F], test: &Test) -> Value {
    let fields: Vec<&str> = fields.iter().map(AsRef::as_ref).collect();
    match test {
        Test::Words(words) => json!({"multi_match": {"query": words, "fields": fields, "lenient": true}}),
        Test::Phrase { text, slop } => {
            json!({"multi_match": {"query": text, "fields": fields, "type": "phrase", "slop": slop, "lenient": true}})
        }
        Test::Exists => {
            let each: Vec<Value> = fields.iter().map(|field| json!({"exists": {"field": field}})).collect();
            json!({"bool": {"should": each, "minimum_should_match": 1}})
        }
        other => {
            let bare = Ast::Leaf { field: Field::Default, test: other.clone() };
            json!({"query_string": {"query": bare.to_lucene(), "fields": fields, "lenient": true, "analyze_wildcard": true}})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_has_its_query() {
        for (kql, dsl) in [
            ("", json!({"match_all": {}})),
            ("timeout", json!({"match": {"message": {"query": "timeout", "lenient": true}}})),
            ("a: \"x y\"", json!({"match_phrase": {"a": {"query": "x y"}}})),
            ("a > 5", json!({"range": {"a": {"gt": 5}}})),
            ("a <= \"now-1d/d\"", json!({"range": {"a": {"lte": "now-1d/d"}}})),
            ("not a: *", json!({"bool": {"must_not": [{"exists": {"field": "a"}}]}})),
            ("a: We*", json!({"wildcard": {"a": {"value": "We*"}}})),
            ("Time*", json!({"wildcard": {"message": {"value": "time*", "case_insensitive": true}}})),
            ("h.*: 1", json!({"multi_match": {"query": "1", "fields": ["h.*"], "lenient": true}})),
        ] {
            assert_eq!(crate::kql::parse(kql).map(|ast| ast.to_dsl()), Ok(dsl), "{kql}");
        }
        let both = crate::kql::parse("a:1 or b:2 and c:3")
            .map(|ast| ast.to_dsl()["bool"]["should"][1]["bool"]["filter"][1].clone());
        assert_eq!(both, Ok(json!({"match": {"c": {"query": "3", "lenient": true}}})));
    }
}
