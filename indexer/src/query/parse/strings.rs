//! `query_string` and `simple_query_string`.

use logmill_indexer_api::lucene::Operator;

use super::leaf::{edits, expansions, slop};
use super::multi::weighted;
use super::{check_analyzer, from_lucene, operator, plain_text, ratio};
use crate::query::clause::{Clause, Combine, Fuzzy, Minimum, Weighted};
use crate::query::error::EsError;
use crate::query::simple::{self, Flags};
use crate::query::strict::Members;
use crate::query::written::Defaults;

/// What both take.
fn common(members: &mut Members) -> Result<(Operator, Defaults), EsError> {
    // Patterns always mean the words that a field is cut into; positions are always kept, synonyms never.
    members.ignore(&[
        "analyze_wildcard",
        "enable_position_increments",
        "auto_generate_synonyms_phrase_query",
        "rewrite",
        "fuzzy_rewrite",
        "max_determinized_states",
    ]);
    check_analyzer(members, "analyzer")?;
    check_analyzer(members, "quote_analyzer")?;
    let operator = operator(members, "default_operator")?;
    let mut defaults = Defaults { all_words: operator == Operator::And, ..Defaults::default() };
    defaults.fields = fields(members)?;
    defaults.minimum = members.take("minimum_should_match").map(|written| Minimum::read(&written)).transpose()?;
    defaults.lenient = members.boolean("lenient")?.unwrap_or(false);
    let fuzzy = defaults.fuzzy.clone();
    defaults.fuzzy = Fuzzy {
        prefix: expansions(members, "fuzzy_prefix_length")?.unwrap_or(fuzzy.prefix),
        most: expansions(members, "fuzzy_max_expansions")?.unwrap_or(fuzzy.most),
        swaps: members.boolean("fuzzy_transpositions")?.unwrap_or(fuzzy.swaps),
        edits: fuzzy.edits,
    };
    Ok((operator, defaults))
}

/// `fields` or `default_field`; `*` and nothing mean every field.
fn fields(members: &mut Members) -> Result<Vec<Weighted>, EsError> {
    let mut names = members.strings("fields")?.unwrap_or_default();
    if names.is_empty() {
        names.extend(members.string("default_field")?);
    } else if members.string("default_field")?.is_some() {
        return Err(EsError::parsing(
            "[query_string] cannot use [fields] parameter in conjunction with [default_field]",
        ));
    }
    Ok(weighted(&names))
}

pub(super) fn query_string(mut members: Members) -> Result<Clause, EsError> {
    let text = plain_text(&members.required("query")?);
    let (operator, mut defaults) = common(&mut members)?;
    defaults.time_zone = members.string("time_zone")?;
    defaults.phrase_slop = slop(&mut members, "phrase_slop")?;
    if let Some(value) = members.take("fuzziness") {
        defaults.fuzzy.edits = edits(&value)?;
    }
    let tie_breaker = ratio(&mut members, "tie_breaker")?;
    let kind = members.string("type")?.unwrap_or_else(|| "best_fields".to_owned());
    defaults.combine = match kind.as_str() {
        "best_fields" | "phrase" | "phrase_prefix" => Combine::Best(tie_breaker.unwrap_or(0.0)),
        "most_fields" | "bool_prefix" => tie_breaker.map_or(Combine::Sum, Combine::Best),
        "cross_fields" => Combine::Cross(tie_breaker.unwrap_or(0.0)),
        other => return Err(EsError::parsing(format!("[query_string] query does not know [type] [{other}]"))),
    };
    defaults.phrases = kind.strip_prefix("phrase").map(|rest| !rest.is_empty());
    let leading = members.boolean("allow_leading_wildcard")?.unwrap_or(true);
    if !leading && text.split([' ', ':', '(']).any(|word| word.starts_with(['*', '?']) && word.len() > 1) {
        let reason =
            format!("Failed to parse query [{text}]: '*' or '?' not allowed as first character in WildcardQuery");
        return Err(EsError::new(400, "query_shard_exception", reason));
    }
    if let Some(suffix) = members.string("quote_field_suffix")?.filter(|suffix| !suffix.is_empty()) {
        return Err(EsError::parsing(format!("[query_string] query does not support [quote_field_suffix] [{suffix}]")));
    }
    // With true, operators are letters: the text is words.
    let escape = members.boolean("escape")?.unwrap_or(false);
    members.end()?;
    let text = if escape { escaped(&text) } else { text };
    from_lucene(&text, operator, &defaults)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if "\\+-!():^[]\"{}~*?|&/".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

pub(super) fn simple_query_string(mut members: Members) -> Result<Clause, EsError> {
    let text = plain_text(&members.required("query")?);
    let (operator, mut defaults) = common(&mut members)?;
    // Fields add up, unlike those of `query_string`.
    defaults.combine = Combine::Best(1.0);
    if let Some(suffix) = members.string("quote_field_suffix")?.filter(|suffix| !suffix.is_empty()) {
        return Err(EsError::parsing(format!(
            "[simple_query_string] query does not support [quote_field_suffix] [{suffix}]"
        )));
    }
    let flags = members.string("flags")?.map_or(Ok(Flags::default()), |text| Flags::read(&text))?;
    members.end()?;
    Ok(simple::parse(&text, operator, flags).map_or(Clause::None, |ast| Clause::from_ast(&ast, &defaults)))
}
