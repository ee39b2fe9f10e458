//! `multi_match`: one text in several fields.

use logmill_indexer_api::lucene::Operator;

use super::leaf::{fuzziness, slop, zero_terms};
use super::{check_analyzer, operator, plain_text, ratio};
use crate::query::clause::{Clause, Combine, Condition, Minimum, Weighted, Words};
use crate::query::error::EsError;
use crate::query::strict::Members;

pub(super) fn multi_match(mut members: Members) -> Result<Clause, EsError> {
    // What a field's type can't take matches nothing; synonyms are not kept.
    members.ignore(&["lenient", "auto_generate_synonyms_phrase_query"]);
    check_analyzer(&mut members, "analyzer")?;
    let text = plain_text(&members.required("query")?);
    let fields = weighted(&members.strings("fields")?.unwrap_or_default());
    let all = operator(&mut members, "operator")? == Operator::And;
    let slop = slop(&mut members, "slop")?;
    let minimum = members.take("minimum_should_match").map(|written| Minimum::read(&written)).transpose()?;
    let most = members.whole("max_expansions")?;
    if let Some(most) = most {
        // Taken twice: for near words and for open phrases.
        members.put("max_expansions", most.into());
    }
    let kind = members.string("type")?.unwrap_or_else(|| "best_fields".to_owned());
    let phrase = kind.starts_with("phrase");
    let is_fuzzy = members.has("fuzziness");
    let fuzzy = fuzziness(&mut members)?;
    if is_fuzzy && (phrase || kind == "cross_fields") {
        return Err(EsError::argument(format!("[fuzziness] is not allowed for type [{kind}]")));
    }
    let all_when_empty = zero_terms(&mut members)?;
    let tie_breaker = ratio(&mut members, "tie_breaker")?;
    members.end()?;
    let combine = match kind.as_str() {
        "best_fields" | "phrase" | "phrase_prefix" => Combine::Best(tie_breaker.unwrap_or(0.0)),
        // A tie breaker of one adds up all fields, which is what these do by themselves.
        "most_fields" | "bool_prefix" => tie_breaker.map_or(Combine::Sum, Combine::Best),
        "cross_fields" => Combine::Cross(tie_breaker.unwrap_or(0.0)),
        other => return Err(EsError::parsing(format!("[multi_match] query does not know [type] [{other}]"))),
    };
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(50);
    let test = match kind.as_str() {
        "phrase" => Condition::Phrase { text, slop, prefix: None, all_when_empty },
        "phrase_prefix" => Condition::Phrase { text, slop, prefix: Some(most), all_when_empty },
        _ => Condition::Match(Words { text, all, minimum, fuzzy, prefix_last: kind == "bool_prefix", all_when_empty }),
    };
    Ok(Clause::OnAny { fields, test, combine })
}

/// Names with their boosts; `*` alone means every field, as none does.
pub(super) fn weighted(names: &[String]) -> Vec<Weighted> {
    let fields: Vec<Weighted> = names.iter().map(|name| Weighted::from(name.as_str())).collect();
    match fields.as_slice() {
        [only] if only.name == "*" && (only.boost - 1.0).abs() < f32::EPSILON => Vec::new(),
        _ => fields,
    }
}
