//! Query DSL to clauses. Strict: what is not known is an error that names it, never silently dropped. `lenient` needs no
//! handling: a value that can't be of a field's type matches nothing here, whether or not that was asked for.

mod leaf;
mod multi;
mod strings;

use base64::Engine as _;
use logmill_indexer_api::lucene::{self, Operator};
use logmill_indexer_api::regexp::Operators;
use logmill_indexer_api::{Ast, Test};
use serde_json::Value;

use super::clause::{Clause, Condition, Minimum, Weighted};
use super::error::EsError;
use super::limits::{CLAUSES_MAX, DEPTH_MAX, TERMS_MAX};
use super::strict::{Members, kind};
use super::written::Defaults;

/// Queries of Elasticsearch that are not served, and what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("nested", "arrays of objects are stored flattened, query their fields by dotted name"),
    ("has_child", "documents have no parents"),
    ("has_parent", "documents have no parents"),
    ("parent_id", "documents have no parents"),
    ("function_score", "scores are those of the words; use [boosting], [constant_score] or boosts"),
    ("script_score", "there are no scripts; use [boosting], [constant_score] or boosts"),
    ("script", "there are no scripts; compute the value before the event is indexed"),
    ("distance_feature", "sort by the field instead"),
    ("rank_feature", "sort by the field instead"),
    ("pinned", "sort by a field instead"),
    ("terms_set", "use [bool] with [minimum_should_match]"),
    ("more_like_this", "search for the words themselves with [match]"),
    ("percolate", "queries are not stored; alerts watch events as they come"),
    ("intervals", "use [match_phrase] with [slop]"),
    ("span_term", "use [match_phrase] with [slop]"),
    ("span_near", "use [match_phrase] with [slop]"),
    ("span_or", "use [match_phrase] with [slop]"),
    ("span_not", "use [match_phrase] with [slop]"),
    ("span_first", "use [match_phrase] with [slop]"),
    ("span_multi", "use [match_phrase] with [slop]"),
    ("combined_fields", "use [multi_match] of type [cross_fields]"),
    ("geo_distance", "there are no geographic fields"),
    ("geo_bounding_box", "there are no geographic fields"),
    ("geo_polygon", "there are no geographic fields"),
    ("geo_shape", "there are no geographic fields"),
    ("shape", "there are no geographic fields"),
    ("knn", "there are no vectors"),
    ("semantic", "there are no vectors"),
    ("sparse_vector", "there are no vectors"),
];

impl Clause {
    /// Reads a query.
    pub(crate) fn from_dsl(query: Value) -> Result<Self, EsError> {
        let clause = read(query, 0)?;
        if clause.size() > CLAUSES_MAX {
            let reason = format!("maxClauseCount is set to {CLAUSES_MAX}: the query has more clauses");
            return Err(EsError::new(400, "too_many_nested_clauses", reason));
        }
        Ok(clause)
    }

    /// Reads the `q` of an address.
    pub(crate) fn from_lucene(
        text: &str,
        default_fields: &[String],
        operator: Operator,
        lenient: bool,
    ) -> Result<Self, EsError> {
        let fields = default_fields.iter().map(|field| Weighted::from(field.as_str())).collect();
        let defaults = Defaults { fields, all_words: operator == Operator::And, lenient, ..Defaults::default() };
        from_lucene(text, operator, &defaults)
    }
}

fn from_lucene(text: &str, operator: Operator, defaults: &Defaults) -> Result<Clause, EsError> {
    // Who asks for nothing finds nothing, here; in a search box it is everything.
    if text.trim().is_empty() {
        return Ok(Clause::None);
    }
    let ast = lucene::parse_with(text, operator).map_err(|error| {
        let hint = error.hint.map(|hint| format!(": {hint}")).unwrap_or_default();
        let at = error.span.start;
        let reason = format!("Failed to parse query [{text}]: {} at byte {at}{hint}", error.message);
        EsError::new(400, "query_shard_exception", reason)
    })?;
    check_regexes(&ast)?;
    Ok(Clause::from_ast(&ast, defaults))
}

/// Refuses expressions that can't be run to the letter.
fn check_regexes(ast: &Ast) -> Result<(), EsError> {
    match ast {
        Ast::And(members) | Ast::Or(members) => members.iter().try_for_each(check_regexes),
        Ast::Not(member) | Ast::Boosted { member, .. } => check_regexes(member),
        Ast::Leaf { test: Test::Regex(pattern), .. } => leaf::regexp(pattern, Operators::default()).map(drop),
        Ast::Leaf { .. } | Ast::All => Ok(()),
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
    if let Some((_, instead)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(EsError::parsing(format!("[{name}] query is not supported: {instead}")));
    }
    let mut members = Members::new(body, format!("[{name}] query"))?;
    // Fields come first where they are the members' names.
    if let Some(read) = leaf::reader(&name) {
        return read(&name, members);
    }
    let boost = boost(&mut members)?;
    let own_name = members.string("_name")?;
    let clause = match name.as_str() {
        "match_all" => members.end().map(|()| Clause::All)?,
        "match_none" => members.end().map(|()| Clause::None)?,
        "bool" => bool_query(members, depth)?,
        "constant_score" => {
            let inner = read(members.required("filter")?, depth + 1)?;
            members.end()?;
            Clause::Constant(Box::new(inner), boost).named(own_name.clone())
        }
        "boosting" => boosting(members, depth)?,
        "dis_max" => {
            let tie_breaker = ratio(&mut members, "tie_breaker")?.unwrap_or(0.0);
            let inner = clauses(members.required("queries")?, depth)?;
            members.end()?;
            Clause::BestOf { members: inner, tie_breaker }
        }
        "terms" => terms(members)?,
        "exists" => {
            let field = members.string("field")?.ok_or_else(|| EsError::parsing("[exists] query needs [field]"))?;
            members.end()?;
            on(field, Condition::Exists)
        }
        "ids" => {
            let ids = members.strings("values")?.unwrap_or_default();
            members.end().map(|()| Clause::Ids(ids))?
        }
        "multi_match" => multi::multi_match(members)?,
        "query_string" => strings::query_string(members)?,
        "simple_query_string" => strings::simple_query_string(members)?,
        "wrapper" => wrapper(members, depth)?,
        other => return Err(EsError::parsing(format!("unknown query [{other}]"))),
    };
    Ok(match clause {
        constant @ (Clause::Constant(..) | Clause::Named(..)) if name == "constant_score" => constant,
        other => other.boosted(boost).named(own_name),
    })
}

/// `boost`, 1 when there is none.
fn boost(members: &mut Members) -> Result<f32, EsError> {
    match members.float("boost")? {
        None => Ok(1.0),
        Some(boost) if boost >= 0.0 => Ok(boost as f32),
        Some(boost) => {
            Err(EsError::argument(format!("negative [boost] are not allowed in [{}], found [{boost}]", members.what())))
        }
    }
}

fn ratio(members: &mut Members, key: &str) -> Result<Option<f32>, EsError> {
    match members.float(key)? {
        Some(number) if !(0.0..=1.0).contains(&number) => {
            Err(EsError::argument(format!("[{key}] must be between 0 and 1, not [{number}]")))
        }
        number => Ok(number.map(|number| number as f32)),
    }
}

/// A condition on a field whose name may be a pattern (`exists` and `multi_match` take those).
fn on(field: String, test: Condition) -> Clause {
    if field.contains('*') {
        let fields = vec![Weighted { name: field, boost: 1.0 }];
        return Clause::OnAny { fields, test, combine: Defaults::default().combine };
    }
    Clause::On { field, test }
}

fn clauses(value: Value, depth: usize) -> Result<Vec<Clause>, EsError> {
    match value {
        Value::Array(members) => members.into_iter().map(|member| read(member, depth + 1)).collect(),
        single => Ok(vec![read(single, depth + 1)?]),
    }
}

fn bool_query(mut members: Members, depth: usize) -> Result<Clause, EsError> {
    let mut of = |key: &str| members.take(key).map_or(Ok(Vec::new()), |value| clauses(value, depth));
    let (must, filter, should, must_not) = (of("must")?, of("filter")?, of("should")?, of("must_not")?);
    let minimum = members.take("minimum_should_match").map(|written| Minimum::read(&written)).transpose()?;
    // With false, a query of exclusions alone matches nothing instead of all the rest.
    let adjust = members.boolean("adjust_pure_negative")?.unwrap_or(true);
    members.end()?;
    let required = !must.is_empty() || !filter.is_empty();
    if !adjust && !required && should.is_empty() && !must_not.is_empty() {
        return Ok(Clause::None);
    }
    // A query of no clauses matches all, whatever it asks of them.
    if !required && should.is_empty() && must_not.is_empty() {
        return Ok(Clause::All);
    }
    // Where nothing else is required, one of the optional clauses is.
    let least = usize::from(!required && !should.is_empty());
    let minimum_should_match = minimum.map_or(0, |minimum| minimum.of(should.len())).max(least);
    Ok(Clause::Bool { must, filter, should, must_not, minimum_should_match })
}

fn boosting(mut members: Members, depth: usize) -> Result<Clause, EsError> {
    let positive = Box::new(read(members.required("positive")?, depth + 1)?);
    let negative = Box::new(read(members.required("negative")?, depth + 1)?);
    let by = members.float("negative_boost")?.filter(|by| *by >= 0.0).ok_or_else(|| {
        EsError::parsing("[boosting] query requires [negative_boost] to be set to be a positive value")
    })?;
    members.end()?;
    Ok(Clause::Demoted { positive, negative, by: by as f32 })
}

/// A query as base64 of its JSON.
fn wrapper(mut members: Members, depth: usize) -> Result<Clause, EsError> {
    let text = members.string("query")?.ok_or_else(|| EsError::parsing("[wrapper] query needs [query]"))?;
    members.end()?;
    let inner = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok();
    let inner = inner.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    read(inner.ok_or_else(|| EsError::parsing("[wrapper] query needs base64 of a JSON query"))?, depth + 1)
}

fn terms(mut members: Members) -> Result<Clause, EsError> {
    match members.take_one() {
        Some((field, Value::Array(values))) if members.len() == 0 => {
            if values.len() > TERMS_MAX {
                return Err(EsError::argument(format!(
                    "The number of terms [{}] used in the Terms Query request has exceeded the allowed maximum of [{TERMS_MAX}]",
                    values.len()
                )));
            }
            if let Some(odd) = values.iter().find(|value| value.is_object() || value.is_array() || value.is_null()) {
                return Err(EsError::parsing(format!(
                    "[terms] query on [{field}] needs plain values, not {}",
                    kind(odd)
                )));
            }
            Ok(Clause::On { field, test: Condition::Terms(values) })
        }
        Some((field, Value::Object(_))) => Err(EsError::parsing(format!(
            "[terms] query on [{field}]: looking terms up in another index is not supported; send the values themselves"
        ))),
        Some((field, Value::Array(_))) => {
            Err(EsError::parsing(format!("[terms] query doesn't support other members beside [{field}]")))
        }
        Some((field, _)) => Err(EsError::parsing(format!("[terms] query on [{field}] needs an array of values"))),
        None => Err(EsError::parsing("[terms] query needs a field")),
    }
}

pub(crate) fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `and` or `or` under one of the keys.
fn operator(members: &mut Members, key: &str) -> Result<Operator, EsError> {
    match members.string(key)?.map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("or") => Ok(Operator::Or),
        Some("and") => Ok(Operator::And),
        Some(other) => Err(EsError::parsing(format!("{} needs [{key}] and or or, not [{other}]", members.what()))),
    }
}

/// Analyzers are named where they are the one that there is; another would find other words.
fn check_analyzer(members: &mut Members, key: &str) -> Result<(), EsError> {
    match members.string(key)?.as_deref() {
        None | Some("standard" | "default") => Ok(()),
        Some(other) => Err(EsError::parsing(format!(
            "{} does not support the [{key}] [{other}]: words are runs of letters and digits in lower case",
            members.what()
        ))),
    }
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
            (json!({"function_score": {}}), "[function_score]"),
            (json!([]), "must be an object"),
            (json!({}), "empty clause"),
            (json!({"query_string": {"query": "(a"}}), "never closed"),
            (json!({"match": {"a": {"query": ["x"]}}}), "plain value"),
            (json!({"match": {"a": {"query": "x", "analyzer": "french"}}}), "[french]"),
            (json!({"match": {"a": {"query": "x", "boost": -1}}}), "negative [boost]"),
            (json!({"range": {"a": {"gte": 1, "relation": "beyond"}}}), "[relation]"),
            (json!({"multi_match": {"query": "x", "type": "odd"}}), "[odd]"),
            (json!({"multi_match": {"query": "x", "type": "cross_fields", "fuzziness": 1}}), "fuzziness"),
            (json!({"simple_query_string": {"query": "x", "flags": "OR|ODD"}}), "[ODD]"),
            (json!({"boosting": {"positive": {"match_all": {}}, "negative": {"match_all": {}}}}), "[negative_boost]"),
            (json!({"terms": {"a": {"index": "b", "id": "1", "path": "c"}}}), "another index"),
            (json!({"regexp": {"a": {"value": "x", "flags": "INTERVAL|ODD"}}}), "[ODD]"),
            (json!({"regexp": {"a": {"value": "x~y"}}}), "complement ~"),
            (json!({"query_string": {"query": "a:/x&y/"}}), "intersection &"),
        ] {
            let error = Clause::from_dsl(query.clone()).err().unwrap_or_else(|| panic!("{query} was accepted"));
            assert!(error.reason.contains(named), "{query}: {error}");
        }
    }

    #[test]
    fn what_only_filters_scores_nothing_and_not_less() {
        for query in
            [json!({"bool": {"filter": {"term": {"a": 1}}}}), json!({"bool": {"must_not": {"term": {"a": 1}}}})]
        {
            let score = Clause::from_dsl(query.clone()).unwrap().same_score().unwrap();
            assert!(score == 0.0 && score.is_sign_positive(), "{query}: {score}");
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
}
