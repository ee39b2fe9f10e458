//! Where in a text the words and values lie that made it match.

use std::ops::Range;

use logmill_indexer_api::text::{self, Wildcard};

use crate::query::clause::{Condition, Words};
use crate::query::parse::plain_text;

/// A word of the text.
struct Word {
    span: Range<usize>,
    place: usize,
    lower: String,
}

fn words_of(content: &str) -> Vec<Word> {
    let base = content.as_ptr() as usize;
    content
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|piece| !piece.is_empty())
        .enumerate()
        .map(|(place, piece)| {
            let start = piece.as_ptr() as usize - base;
            Word { span: start..start + piece.len(), place, lower: text::lower(piece) }
        })
        .collect()
}

/// Adds the spans of a value that a condition is about.
pub(super) fn mark(condition: &Condition, content: &str, is_text: bool, spans: &mut Vec<Range<usize>>) {
    if is_text {
        return mark_words(condition, &words_of(content), spans);
    }
    let matches = match condition {
        Condition::Match(Words { text, fuzzy: Some(how), .. }) | Condition::Fuzzy { text, how } => {
            text::edits_between(content, text, how.edits.of(text), how.swaps).is_some()
        }
        Condition::Match(Words { text, prefix_last: true, .. }) => content.starts_with(text.as_str()),
        Condition::Match(Words { text, .. }) | Condition::Phrase { text, prefix: None, .. } => content == text,
        Condition::Term { value, case_insensitive: false } => content == plain_text(value),
        Condition::Term { value, .. } => text::lower(content) == text::lower(&plain_text(value)),
        Condition::Terms(values) => values.iter().any(|value| plain_text(value) == content),
        Condition::Prefix { text, .. } | Condition::Phrase { text, .. } => content.starts_with(text.as_str()),
        Condition::Wildcard { pattern, .. } | Condition::WordPattern(pattern) => {
            Wildcard::new(pattern).matches(content)
        }
        Condition::Regexp { pattern, .. } => {
            regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(content))
        }
        Condition::Range(_) | Condition::Exists | Condition::AnyOf(_) | Condition::PhraseOf { .. } => false,
    };
    if matches && !content.is_empty() {
        spans.push(0..content.len());
    }
}

fn mark_words(condition: &Condition, words: &[Word], spans: &mut Vec<Range<usize>>) {
    let mut each = |test: &dyn Fn(&str) -> bool| {
        spans.extend(words.iter().filter(|word| test(&word.lower)).map(|word| word.span.clone()));
    };
    match condition {
        Condition::Match(asked) => {
            let wanted: Vec<String> = text::words(&asked.text).map(|(_, word)| word).collect();
            let last = wanted.last().filter(|_| asked.prefix_last);
            let is_near = |wanted: &String, word: &str| match &asked.fuzzy {
                Some(how) => text::edits_between(word, wanted, how.edits.of(wanted), how.swaps).is_some(),
                None => wanted == word,
            };
            each(&|word| {
                wanted.iter().any(|wanted| is_near(wanted, word))
                    || last.is_some_and(|last| word.starts_with(last.as_str()))
            });
        }
        Condition::Phrase { text, slop, prefix, .. } => {
            let wanted: Vec<(usize, String)> = text::words(text).collect();
            mark_phrase(&wanted, *slop as usize, prefix.is_some(), words, spans);
        }
        Condition::Term { value, .. } => {
            let wanted = plain_text(value);
            each(&|word| word == wanted);
        }
        Condition::Terms(values) => each(&|word| values.iter().any(|value| plain_text(value) == word)),
        Condition::Prefix { text, .. } => each(&|word| word.starts_with(text.as_str())),
        Condition::Wildcard { pattern, case_insensitive } => {
            let wildcard = Wildcard::new(&if *case_insensitive { text::lower(pattern) } else { pattern.clone() });
            each(&|word| wildcard.matches(word));
        }
        Condition::WordPattern(pattern) => {
            let patterns: Vec<Wildcard> =
                text::word_patterns(pattern).into_iter().flatten().map(|pattern| Wildcard::new(&pattern)).collect();
            each(&|word| patterns.iter().any(|pattern| pattern.matches(word)));
        }
        Condition::Regexp { pattern, .. } => {
            if let Ok(regex) = regex::Regex::new(&format!("^(?:{pattern})$")) {
                each(&|word| regex.is_match(word));
            }
        }
        Condition::Fuzzy { text, how } => {
            let wanted = text::lower(text);
            each(&|word| text::edits_between(word, &wanted, how.edits.of(&wanted), how.swaps).is_some());
        }
        Condition::Range(_) | Condition::Exists | Condition::AnyOf(_) | Condition::PhraseOf { .. } => {}
    }
}

fn mark_phrase(wanted: &[(usize, String)], slop: usize, prefix: bool, words: &[Word], spans: &mut Vec<Range<usize>>) {
    let Some((first_place, _)) = wanted.first() else { return };
    let fits = |at: usize, word: &str, last: bool| {
        wanted
            .get(at)
            .is_some_and(|(_, text)| if last && prefix { word.starts_with(text.as_str()) } else { word == text })
    };
    let before = spans.len();
    for (start, first) in words.iter().enumerate() {
        if !fits(0, &first.lower, wanted.len() == 1) {
            continue;
        }
        let mut found = vec![first.span.clone()];
        let mut spare = slop;
        let mut from = start + 1;
        let mut expected_base = first.place;
        for (at, (place, _)) in wanted.iter().enumerate().skip(1) {
            let distance = place - wanted.get(at - 1).map_or(*first_place, |(place, _)| *place);
            let expected = expected_base + distance;
            let next = words.iter().enumerate().skip(from).take_while(|(_, word)| word.place <= expected + spare);
            let last = at + 1 == wanted.len();
            let Some((index, word)) =
                next.into_iter().find(|(_, word)| word.place >= expected && fits(at, &word.lower, last))
            else {
                break;
            };
            spare -= word.place - expected;
            expected_base = word.place;
            from = index + 1;
            found.push(word.span.clone());
        }
        if found.len() == wanted.len() {
            spans.append(&mut found);
        }
    }
    // Words that may be moved far may stand in another order; the first such place is marked.
    if spans.len() == before && slop > 1 && !prefix {
        let found: Vec<(usize, String)> = words.iter().map(|word| (word.place, word.lower.clone())).collect();
        let numbers = text::phrase_at(&found, wanted, slop).unwrap_or_default();
        spans.extend(numbers.into_iter().filter_map(|number| Some(words.get(number)?.span.clone())));
    }
}

/// In order, overlapping ones as one.
pub(super) fn merged(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}
