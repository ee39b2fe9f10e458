//! Conditions on one field: `{"field": value}` or `{"field": {"query" or "value": ..., options}}`.

use logmill_indexer_api::lucene::Operator;
use logmill_indexer_api::regexp::{Operators, translated};
use serde_json::Value;

use super::{boost, check_analyzer, operator, plain_text};
use crate::dates::Formats;
use crate::query::clause::{Bounds, Clause, Combine, Condition, Edits, Fuzzy, Minimum, Weighted, Words};
use crate::query::error::EsError;
use crate::query::limits::EXPANSIONS_MAX;
use crate::query::strict::Members;

type Reader = fn(&str, Members) -> Result<Clause, EsError>;

/// How a condition of this name is read; `None` when it is none on one field.
pub(super) fn reader(name: &str) -> Option<Reader> {
    match name {
        "match"
        | "match_phrase"
        | "match_phrase_prefix"
        | "match_bool_prefix"
        | "term"
        | "range"
        | "prefix"
        | "wildcard"
        | "regexp"
        | "fuzzy" => Some(on_field),
        _ => None,
    }
}

fn on_field(name: &str, mut outer: Members) -> Result<Clause, EsError> {
    // Alone, a member is a field whatever it is called.
    let outer_boost = if outer.len() > 1 { boost(&mut outer)? } else { 1.0 };
    let outer_name = if outer.len() > 1 { outer.string("_name")? } else { None };
    let Some((field, inner)) = outer.take_one() else {
        return Err(EsError::parsing(format!("[{name}] query needs a field")));
    };
    if outer.len() > 0 {
        return Err(EsError::parsing(format!("[{name}] query doesn't support multiple fields")));
    }
    let what = format!("[{name}] query on [{field}]");
    let value_key = if name.starts_with("match") { "query" } else { "value" };
    let mut members = match inner {
        Value::Object(_) => Members::new(inner, what)?,
        plain => Members::new(serde_json::json!({ value_key: plain }), what)?,
    };
    let boost = boost(&mut members)? * outer_boost;
    let own_name = members.string("_name")?.or(outer_name);
    let lenient = name.starts_with("match") && members.boolean("lenient")?.unwrap_or(false);
    let test = match name {
        "range" => Condition::Range(range(&mut members)?),
        "match" | "match_bool_prefix" => matching(name, &mut members)?,
        "match_phrase" | "match_phrase_prefix" => phrase(name, &mut members)?,
        _ => on_term(name, &mut members)?,
    };
    members.end()?;
    let clause = if lenient {
        let fields = vec![Weighted { name: field, boost: 1.0 }];
        Clause::OnAny { fields, test, combine: Combine::Best(0.0) }
    } else {
        Clause::On { field, test }
    };
    Ok(clause.boosted(boost).named(own_name))
}

fn value(members: &mut Members, keys: &[&str]) -> Result<Value, EsError> {
    for key in keys {
        match members.take(key) {
            None => {}
            Some(value @ (Value::Object(_) | Value::Array(_))) => {
                return Err(members.wrong(key, "a plain value", &value));
            }
            Some(value) => return Ok(value),
        }
    }
    let key = keys.first().copied().unwrap_or_default();
    Err(EsError::parsing(format!("{} needs [{key}]", members.what())))
}

fn matching(name: &str, members: &mut Members) -> Result<Condition, EsError> {
    let text = plain_text(&value(members, &["query", name])?);
    // Synonyms are not kept.
    members.ignore(&["auto_generate_synonyms_phrase_query", "cutoff_frequency"]);
    check_analyzer(members, "analyzer")?;
    let all = operator(members, "operator")? == Operator::And;
    let minimum = members.take("minimum_should_match").map(|written| Minimum::read(&written)).transpose()?;
    let fuzzy = fuzziness(members)?;
    let all_when_empty = zero_terms(members)?;
    Ok(Condition::Match(Words { text, all, minimum, fuzzy, prefix_last: name == "match_bool_prefix", all_when_empty }))
}

fn phrase(name: &str, members: &mut Members) -> Result<Condition, EsError> {
    let text = plain_text(&value(members, &["query", name])?);
    check_analyzer(members, "analyzer")?;
    let slop = slop(members, "slop")?;
    let most = expansions(members, "max_expansions")?;
    let prefix = (name == "match_phrase_prefix").then_some(most.unwrap_or(50));
    if prefix.is_none() && most.is_some() {
        return Err(EsError::parsing(format!("{} does not support [max_expansions]", members.what())));
    }
    Ok(Condition::Phrase { text, slop, prefix, all_when_empty: zero_terms(members)? })
}

pub(super) fn slop(members: &mut Members, key: &str) -> Result<u32, EsError> {
    match members.whole(key)? {
        None => Ok(0),
        Some(number) => {
            u32::try_from(number).map_err(|_| EsError::parsing(format!("No negative slop allowed: {number}")))
        }
    }
}

fn on_term(name: &str, members: &mut Members) -> Result<Condition, EsError> {
    // How matching terms are put together: each counts as one, whichever way.
    members.ignore(&["rewrite"]);
    let value = match name {
        "wildcard" => value(members, &["value", "wildcard"])?,
        _ => value(members, &["value", name])?,
    };
    let text = plain_text(&value);
    if name == "fuzzy" {
        let how = fuzziness(members)?.unwrap_or(Fuzzy::with(Edits::Auto(3, 6)));
        // Of this query alone swaps are called so.
        let swaps = members.boolean("transpositions")?.unwrap_or(how.swaps);
        return Ok(Condition::Fuzzy { text, how: Fuzzy { swaps, ..how } });
    }
    let case_insensitive = members.boolean("case_insensitive")?.unwrap_or(false);
    Ok(match name {
        "term" => Condition::Term { value, case_insensitive },
        "prefix" => Condition::Prefix { text, case_insensitive },
        "wildcard" => Condition::Wildcard { pattern: text, case_insensitive },
        _ => {
            // An automaton is never built here, so its states need no bound; what is built is bounded in bytes.
            members.ignore(&["max_determinized_states"]);
            let flags = members.string("flags")?;
            let operators = flags.as_deref().map_or(Ok(Operators::default()), Operators::read);
            let operators = operators.map_err(|odd| EsError::argument(format!("Unknown regexp flag [{odd}]")))?;
            let pattern = regexp(&text, operators)?;
            Condition::Regexp { pattern, case_insensitive }
        }
    })
}

/// A regular expression of Lucene's as it is run.
pub(super) fn regexp(text: &str, operators: Operators) -> Result<String, EsError> {
    translated(text, operators).map_err(|why| {
        let shown: String = text.chars().take(SHOWN_LETTERS_MAX).collect();
        EsError::argument(format!("[{shown}] is not a regular expression that is supported: {why}"))
    })
}

/// Of an expression in an error: enough to know it again.
const SHOWN_LETTERS_MAX: usize = 200;

/// `fuzziness` and what goes with it.
pub(super) fn fuzziness(members: &mut Members) -> Result<Option<Fuzzy>, EsError> {
    // How the nearest words are chosen and counted is always the same here.
    members.ignore(&["fuzzy_rewrite"]);
    let edits = members.take("fuzziness").map(|value| edits(&value)).transpose()?;
    let default = Fuzzy::with(edits.unwrap_or(Edits::Auto(3, 6)));
    let prefix = expansions(members, "prefix_length")?.unwrap_or(default.prefix);
    let most = expansions(members, "max_expansions")?.unwrap_or(default.most);
    let swaps = members.boolean("fuzzy_transpositions")?.unwrap_or(default.swaps);
    let is_fuzzy = edits.is_some() || members.what().starts_with("[fuzzy]");
    Ok(is_fuzzy.then_some(Fuzzy { prefix, most, swaps, ..default }))
}

pub(super) fn expansions(members: &mut Members, key: &str) -> Result<Option<usize>, EsError> {
    match members.whole(key)? {
        None => Ok(None),
        Some(number) => match usize::try_from(number) {
            Ok(number) if number <= EXPANSIONS_MAX => Ok(Some(number)),
            _ => Err(EsError::argument(format!("[{key}] must be between 0 and {EXPANSIONS_MAX}, not [{number}]"))),
        },
    }
}

/// `AUTO` allows one edit from three letters on, two from six on; `AUTO:low,high` from other lengths.
pub(super) fn edits(value: &Value) -> Result<Edits, EsError> {
    let written = plain_text(value);
    let refused = || EsError::argument(format!("[fuzziness] must be AUTO, AUTO:low,high, 0, 1 or 2, not [{written}]"));
    let upper = written.to_ascii_uppercase();
    if let Some(rest) = upper.strip_prefix("AUTO") {
        let Some(lengths) = rest.strip_prefix(':') else {
            return if rest.is_empty() { Ok(Edits::Auto(3, 6)) } else { Err(refused()) };
        };
        let lengths = lengths.split_once(',').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        return match lengths {
            Some((low, high)) if low <= high => Ok(Edits::Auto(low, high)),
            _ => Err(refused()),
        };
    }
    let number = written.parse::<f64>().ok().filter(|number| [0.0, 1.0, 2.0].contains(number));
    number.map(|number| Edits::Exactly(number as u8)).ok_or_else(refused)
}

pub(super) fn zero_terms(members: &mut Members) -> Result<bool, EsError> {
    match members.string("zero_terms_query")?.map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("none") => Ok(false),
        Some("all") => Ok(true),
        Some(other) => Err(EsError::parsing(format!("unknown [zero_terms_query] [{other}]; write none or all"))),
    }
}

fn range(members: &mut Members) -> Result<Bounds, EsError> {
    let format = members.string("format")?.map(|format| Formats::read(&format)).transpose();
    let format = format.map_err(|error| EsError::argument(error.to_string()))?;
    let mut bounds = Bounds { time_zone: members.string("time_zone")?, format, ..Bounds::default() };
    // How ranges that are values overlap the asked one; plain values are within it or not.
    match members.string("relation")?.map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("intersects" | "within" | "contains") => {}
        Some(other) => return Err(EsError::parsing(format!("{} has an unknown [relation] [{other}]", members.what()))),
    }
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
    Ok(bounds)
}
