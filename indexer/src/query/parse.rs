//! Query DSL to clauses. Strict: what is not known is an error that names it, never silently dropped.

use logmill_indexer_api::lucene::{self, Operator};
use serde_json::Value;

use super::clause::{Bounds, Clause, Condition};
use super::error::EsError;
use super::limits::{CLAUSES_MAX, DEPTH_MAX, TERMS_MAX};
use super::simple;
use super::strict::{Members, kind};

impl Clause {
    /// Reads a query.
    pub(crate) fn from_dsl(query: Value) -> Result<Self, EsError> {
        let clause = read(query, 0)?;
        if clause.size() > CLAUSES_MAX {
            let reason = format!("the query has more than {CLAUSES_MAX} clauses");
            return Err(EsError::new(400, "too_many_nested_clauses", reason));
        }
        Ok(clause)
    }

    /// Reads the `q` of an address.
    pub(crate) fn from_lucene(text: &str, default_fields: &[String], operator: Operator) -> Result<Self, EsError> {
        let ast = lucene::parse_with(text, operator).map_err(|error| {
            let hint = error.hint.map(|hint| format!(": {hint}")).unwrap_or_default();
            let at = error.span.start;
            EsError::new(
                400,
                "query_shard_exception",
                format!("Failed to parse query [{text}]: {} at byte {at}{hint}", error.message),
            )
        })?;
        Ok(Self::from_ast(&ast, default_fields, operator == Operator::And))
    }
}

fn read(query: Value, depth: usize) -> Result<Clause, EsError> {
    if depth > DEPTH_MAX {
        return Err(EsError::parsing(format!("the query is nested more than {DEPTH_MAX} levels deep")));
    }
    let mut outer = Members::new(query, "a query")?;
    let Some((name, body)) = outer.take_one() else {
        return Err(EsError::argument("query malformed, empty clause found"));
    };
    if outer.len() > 0 {
        let reason = format!(
            "[{name}] malformed query, expected [END_OBJECT]: a query has one name, combine several with [bool]"
        );
        return Err(EsError::parsing(reason));
    }
    let what = format!("[{name}] query");
    match name.as_str() {
        "match_all" => {
            let mut members = Members::new(body, what)?;
            members.ignore(&["boost", "_name"]);
            members.end().map(|()| Clause::All)
        }
        "match_none" => Ok(Clause::None),
        "bool" => bool_query(Members::new(body, what)?, depth),
        "constant_score" => {
            let mut members = Members::new(body, what)?;
            members.ignore(&["boost", "_name"]);
            let inner = read(members.required("filter")?, depth + 1)?;
            members.end().map(|()| inner)
        }
        "boosting" => {
            Err(EsError::parsing("[boosting] query is not supported: results are not ordered by score; use [bool]"))
        }
        "dis_max" => {
            let mut members = Members::new(body, what)?;
            members.ignore(&["boost", "tie_breaker", "_name"]);
            let inner = clauses(members.required("queries")?, depth)?;
            members.end().map(|()| Clause::any(inner))
        }
        "match"
        | "match_phrase"
        | "match_phrase_prefix"
        | "match_bool_prefix"
        | "term"
        | "range"
        | "prefix"
        | "wildcard"
        | "regexp"
        | "fuzzy" => on_field(&name, body),
        "terms" => terms(Members::new(body, what)?),
        "exists" => {
            let mut members = Members::new(body, what)?;
            members.ignore(&["boost", "_name"]);
            let field = members.string("field")?.ok_or_else(|| EsError::parsing("[exists] query needs [field]"))?;
            members.end()?;
            Ok(on(field, Condition::Exists))
        }
        "ids" => {
            let mut members = Members::new(body, what)?;
            members.ignore(&["boost", "_name", "type"]);
            let ids = members.strings("values")?.unwrap_or_default();
            members.end().map(|()| Clause::Ids(ids))
        }
        "multi_match" => multi_match(Members::new(body, what)?),
        "query_string" => query_string(Members::new(body, what)?),
        "simple_query_string" => simple_query_string(Members::new(body, what)?),
        "nested" => Err(EsError::parsing(
            "[nested] query is not supported: arrays of objects are stored flattened, query their fields by dotted name",
        )),
        other => Err(EsError::parsing(format!("unknown query [{other}]"))),
    }
}

/// A condition on a field whose name may be a pattern (`exists` and `multi_match` take those).
fn on(field: String, test: Condition) -> Clause {
    if field.contains('*') { Clause::OnAny { fields: vec![field], test } } else { Clause::On { field, test } }
}

fn clauses(value: Value, depth: usize) -> Result<Vec<Clause>, EsError> {
    match value {
        Value::Array(members) => members.into_iter().map(|member| read(member, depth + 1)).collect(),
        single => Ok(vec![read(single, depth + 1)?]),
    }
}

fn bool_query(mut members: Members, depth: usize) -> Result<Clause, EsError> {
    members.ignore(&["boost", "_name", "adjust_pure_negative"]);
    let mut of = |keys: &[&str]| -> Result<Vec<Clause>, EsError> {
        let mut found = Vec::new();
        for key in keys {
            if let Some(value) = members.take(key) {
                found.append(&mut clauses(value, depth)?);
            }
        }
        Ok(found)
    };
    let must = of(&["must", "filter"])?;
    let should = of(&["should"])?;
    let must_not = of(&["must_not"])?;
    let minimum = members.take("minimum_should_match");
    members.end()?;
    let default = usize::from(must.is_empty() && !should.is_empty());
    let minimum_should_match = match minimum {
        None => default,
        Some(written) => minimum_of(&written, should.len())?,
    };
    Ok(Clause::Bool { must, should, must_not, minimum_should_match })
}

/// `2`, `"2"`, `"-1"`, `"75%"`, `"-25%"` of the optional clauses.
fn minimum_of(written: &Value, clauses: usize) -> Result<usize, EsError> {
    let refused = || {
        EsError::parsing(format!("[minimum_should_match] can't be {}: write a number or a percentage", kind(written)))
    };
    let text = written.as_str().map_or_else(|| written.to_string(), str::to_owned);
    let all = i64::try_from(clauses).unwrap_or(i64::MAX);
    let number = match text.trim().strip_suffix('%') {
        Some(percent) => {
            let percent: i64 = percent.parse().map_err(|_| refused())?;
            let share = all.saturating_mul(percent.saturating_abs()) / 100;
            if percent < 0 { -share } else { share }
        }
        None => text.trim().parse().map_err(|_| refused())?,
    };
    let wanted = if number < 0 { all.saturating_add(number) } else { number };
    Ok(usize::try_from(wanted.max(0)).unwrap_or(usize::MAX))
}

/// `{"field": value}` or `{"field": {"query" or "value": ..., options}}`.
fn on_field(name: &str, body: Value) -> Result<Clause, EsError> {
    let mut outer = Members::new(body, format!("[{name}] query"))?;
    outer.ignore(&["boost", "_name"]);
    let Some((field, inner)) = outer.take_one() else {
        return Err(EsError::parsing(format!("[{name}] query needs a field")));
    };
    if outer.len() > 0 {
        return Err(EsError::parsing(format!("[{name}] query doesn't support multiple fields")));
    }
    let what = format!("[{name}] query on [{field}]");
    let value_key = if name.starts_with("match") { "query" } else { "value" };
    if name == "range" {
        return range(Members::new(inner, what)?).map(|bounds| on_plain(field, Condition::Range(bounds)));
    }
    let mut members = match inner {
        Value::Object(_) => Members::new(inner, what)?,
        plain => Members::new(serde_json::json!({ value_key: plain }), what)?,
    };
    members.ignore(&[
        "boost",
        "_name",
        "lenient",
        "analyzer",
        "zero_terms_query",
        "auto_generate_synonyms_phrase_query",
        "fuzzy_transpositions",
        "max_expansions",
        "prefix_length",
        "rewrite",
        "fuzzy_rewrite",
        "flags",
        "max_determinized_states",
        "cutoff_frequency",
    ]);
    let value = match members.take(value_key).or_else(|| members.take(name)) {
        Some(value @ (Value::Object(_) | Value::Array(_))) => {
            return Err(members.wrong(value_key, "a plain value", &value));
        }
        Some(value) => value,
        None => return Err(EsError::parsing(format!("{} needs [{value_key}]", members.what()))),
    };
    let case_insensitive = members.boolean("case_insensitive")?.unwrap_or(false);
    let text = plain_text(&value);
    let test = match name {
        "match" | "match_bool_prefix" => {
            let all = operator(&mut members)? == Operator::And;
            let fuzziness = members.take("fuzziness").map(|value| distance(&value, &text)).transpose()?;
            members.ignore(&["minimum_should_match"]);
            match fuzziness {
                Some(distance) if distance > 0 => Condition::Fuzzy { text, distance },
                _ => Condition::Match { text, all },
            }
        }
        "match_phrase" | "match_phrase_prefix" => {
            let slop = members.whole("slop")?.and_then(|slop| u32::try_from(slop).ok()).unwrap_or(0);
            Condition::Phrase { text, slop, prefix: name == "match_phrase_prefix" }
        }
        "term" => Condition::Term { value, case_insensitive },
        "prefix" => Condition::Prefix { text, case_insensitive },
        "wildcard" => Condition::Wildcard { pattern: members.string("wildcard")?.unwrap_or(text), case_insensitive },
        "regexp" => Condition::Regexp { pattern: text, case_insensitive },
        _ => {
            let fuzziness = members.take("fuzziness").unwrap_or_else(|| "AUTO".into());
            Condition::Fuzzy { distance: distance(&fuzziness, &text)?, text }
        }
    };
    members.end()?;
    Ok(on_plain(field, test))
}

fn on_plain(field: String, test: Condition) -> Clause {
    Clause::On { field, test }
}

pub(crate) fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn operator(members: &mut Members) -> Result<Operator, EsError> {
    let key = if members.what().contains("_string") { "default_operator" } else { "operator" };
    match members.string(key)?.map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("or") => Ok(Operator::Or),
        Some("and") => Ok(Operator::And),
        Some(other) => Err(EsError::parsing(format!("{} needs [{key}] and or or, not [{other}]", members.what()))),
    }
}

/// `AUTO` allows one edit from three letters on, two from six on.
fn distance(value: &Value, text: &str) -> Result<u8, EsError> {
    let written = plain_text(value);
    if written.to_ascii_uppercase().starts_with("AUTO") {
        return Ok(match text.chars().count() {
            0..=2 => 0,
            3..=5 => 1,
            _ => 2,
        });
    }
    let edits = written.parse::<u8>().ok().filter(|edits| *edits <= 2);
    edits.ok_or_else(|| EsError::argument(format!("[fuzziness] must be AUTO, 0, 1 or 2, not [{written}]")))
}

fn range(mut members: Members) -> Result<Bounds, EsError> {
    members.ignore(&["boost", "_name", "relation"]);
    let mut bounds =
        Bounds { time_zone: members.string("time_zone")?, format: members.string("format")?, ..Bounds::default() };
    let include_lower = members.boolean("include_lower")?.unwrap_or(true);
    let include_upper = members.boolean("include_upper")?.unwrap_or(true);
    for (key, lower, inclusive) in [
        ("gte", true, true),
        ("gt", true, false),
        ("lte", false, true),
        ("lt", false, false),
        ("from", true, include_lower),
        ("to", false, include_upper),
    ] {
        match members.take(key) {
            None => {}
            Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => {
                let side = if lower { &mut bounds.lower } else { &mut bounds.upper };
                *side = Some((value, inclusive));
            }
            Some(other) => return Err(members.wrong(key, "a plain value", &other)),
        }
    }
    members.end().map(|()| bounds)
}

fn terms(mut members: Members) -> Result<Clause, EsError> {
    members.ignore(&["boost", "_name"]);
    match members.take_one() {
        Some((field, Value::Array(values))) if members.len() == 0 => {
            if values.len() > TERMS_MAX {
                return Err(EsError::argument(format!("[terms] query has more than {TERMS_MAX} values")));
            }
            if let Some(odd) = values.iter().find(|value| value.is_object() || value.is_array()) {
                return Err(EsError::parsing(format!(
                    "[terms] query on [{field}] needs plain values, not {}",
                    kind(odd)
                )));
            }
            Ok(Clause::On { field, test: Condition::Terms(values) })
        }
        Some((field, Value::Object(_))) => Err(EsError::parsing(format!(
            "[terms] query on [{field}]: looking terms up in another index is not supported"
        ))),
        Some((field, Value::Array(_))) => {
            Err(EsError::parsing(format!("[terms] query doesn't support other members beside [{field}]")))
        }
        Some((field, _)) => Err(EsError::parsing(format!("[terms] query on [{field}] needs an array of values"))),
        None => Err(EsError::parsing("[terms] query needs a field")),
    }
}

/// Names without their boosts.
fn field_names(names: Option<Vec<String>>) -> Vec<String> {
    let bare = |name: String| name.split_once('^').map_or(name.clone(), |(name, _)| name.to_owned());
    names.unwrap_or_default().into_iter().map(bare).collect()
}

fn multi_match(mut members: Members) -> Result<Clause, EsError> {
    members.ignore(&[
        "boost",
        "_name",
        "lenient",
        "analyzer",
        "tie_breaker",
        "minimum_should_match",
        "max_expansions",
        "prefix_length",
        "zero_terms_query",
        "auto_generate_synonyms_phrase_query",
        "fuzzy_transpositions",
    ]);
    let query = members.required("query")?;
    let text = plain_text(&query);
    let fields = field_names(members.strings("fields")?);
    let all = operator(&mut members)? == Operator::And;
    let slop = members.whole("slop")?.and_then(|slop| u32::try_from(slop).ok()).unwrap_or(0);
    let fuzziness = members.take("fuzziness").map(|value| distance(&value, &text)).transpose()?.unwrap_or(0);
    let test = match members.string("type")?.as_deref() {
        None | Some("best_fields" | "most_fields" | "cross_fields" | "bool_prefix") => match fuzziness {
            0 => Condition::Match { text, all },
            distance => Condition::Fuzzy { text, distance },
        },
        Some("phrase") => Condition::Phrase { text, slop, prefix: false },
        Some("phrase_prefix") => Condition::Phrase { text, slop, prefix: true },
        Some(other) => return Err(EsError::parsing(format!("[multi_match] query does not know [type] [{other}]"))),
    };
    members.end()?;
    Ok(Clause::OnAny { fields, test })
}

const STRING_OPTIONS: [&str; 18] = [
    "boost",
    "_name",
    "lenient",
    "analyze_wildcard",
    "allow_leading_wildcard",
    "analyzer",
    "quote_analyzer",
    "rewrite",
    "auto_generate_synonyms_phrase_query",
    "enable_position_increments",
    "fuzzy_max_expansions",
    "fuzzy_prefix_length",
    "fuzzy_transpositions",
    "fuzziness",
    "max_determinized_states",
    "minimum_should_match",
    "tie_breaker",
    "type",
];

fn query_string(mut members: Members) -> Result<Clause, EsError> {
    members.ignore(&STRING_OPTIONS);
    members.ignore(&["phrase_slop", "escape"]);
    let text = plain_text(&members.required("query")?);
    let operator = operator(&mut members)?;
    let fields = string_fields(&mut members)?;
    if let Some(zone) = members.string("time_zone")? {
        return Err(EsError::parsing(format!(
            "[query_string] query does not support [time_zone] ({zone}): write dates with their offset"
        )));
    }
    members.end()?;
    Clause::from_lucene(&text, &fields, operator)
}

fn simple_query_string(mut members: Members) -> Result<Clause, EsError> {
    members.ignore(&STRING_OPTIONS);
    members.ignore(&["flags", "quote_field_suffix"]);
    let text = plain_text(&members.required("query")?);
    let operator = operator(&mut members)?;
    let fields = string_fields(&mut members)?;
    members.end()?;
    let ast = simple::parse(&text, operator);
    Ok(Clause::from_ast(&ast, &fields, operator == Operator::And))
}

/// `fields` or `default_field`; `*` and nothing mean every field.
fn string_fields(members: &mut Members) -> Result<Vec<String>, EsError> {
    let mut fields = field_names(members.strings("fields")?);
    fields.extend(members.string("default_field")?);
    if fields.iter().any(|field| field == "*") {
        fields.clear();
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_known_is_named() {
        for (query, named) in [
            (json!({"mach": {"a": 1}}), "unknown query [mach]"),
            (json!({"bool": {"shuold": []}}), "[shuold]"),
            (json!({"range": {"a": {"gte": 1, "above": 2}}}), "[above]"),
            (json!({"term": {"a": {"value": 1, "odd": 2}}}), "[odd]"),
            (json!({"term": {"a": 1, "b": 2}}), "multiple fields"),
            (json!({"term": {"a": 1}, "match": {"b": 2}}), "expected [END_OBJECT]"),
            (json!({"nested": {"path": "a"}}), "flattened"),
            (json!([]), "must be an object"),
            (json!({}), "empty clause"),
            (json!({"query_string": {"query": "(a"}}), "never closed"),
            (json!({"match": {"a": {"query": ["x"]}}}), "plain value"),
        ] {
            let error = Clause::from_dsl(query.clone()).err().unwrap_or_else(|| panic!("{query} was accepted"));
            assert!(error.reason.contains(named), "{query}: {error}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let mut query = json!({"match_all": {}});
        for _ in 0..100 {
            query = json!({"bool": {"must": query}});
        }
        assert!(Clause::from_dsl(query).is_err_and(|error| error.reason.contains("deep")));
    }

    #[test]
    fn the_least_number_of_optional_clauses() {
        for (written, clauses, number) in
            [(json!(2), 3, 2), (json!("-1"), 3, 2), (json!("75%"), 4, 3), (json!("-25%"), 4, 3)]
        {
            assert_eq!(minimum_of(&written, clauses), Ok(number), "{written}");
        }
    }
}
