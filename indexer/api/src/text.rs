//! What a field's text means, in the index and in memory alike: which fields hold words, where words begin and end,
//! what a wildcard covers, where a dotted name leads in an event.

use serde_json::Value;

/// Words of so many bytes or more are not indexed, and so never match.
pub const WORD_BYTES_MAX: usize = 255;
/// Fields deeper than this are not looked at, so that no event can exhaust the stack.
pub const DEPTH_MAX: usize = 64;

/// Whether a field holds words (searched in lower case, in any place) rather than one exact value.
#[must_use]
pub fn is_text(field: &str) -> bool {
    matches!(field, "message" | "error.message" | "error.stack_trace") || field.ends_with(".text")
}

/// The words of a text in lower case, with their places counted from 0. Letters and digits make words, all else
/// parts them; words that are too long keep their place and are left out.
pub fn words(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    let pieces = text.split(|letter: char| !letter.is_alphanumeric()).filter(|piece| !piece.is_empty());
    pieces.enumerate().filter(|(_, word)| word.len() < WORD_BYTES_MAX).map(|(place, word)| (place, lower(word)))
}

/// Where the words of a phrase stand together for the first time among words with their places: the number of each in
/// `found`. They may be moved by `slop` places against each other, by Lucene's count: two that are swapped have moved by
/// two.
#[must_use]
pub fn phrase_at(found: &[(usize, String)], wanted: &[(usize, String)], slop: usize) -> Option<Vec<usize>> {
    // Of every word, how far it is behind the place that it has in the phrase; the least of these begins a match.
    let moved = |place: usize, at: usize| (place + PHRASE_PLACES_MAX).checked_sub(at);
    let mut least: Vec<usize> = Vec::new();
    for (place, word) in found {
        let fits = wanted.iter().filter(|(_, wanted)| wanted == word);
        least.extend(fits.filter_map(|(at, _)| moved(*place, *at)));
    }
    least.sort_unstable();
    least.dedup();
    least.into_iter().find_map(|least| {
        let mut taken: Vec<usize> = Vec::with_capacity(wanted.len());
        for (at, word) in wanted {
            let first = found.partition_point(|(place, _)| moved(*place, *at).is_none_or(|moved| moved < least));
            let near = found.iter().enumerate().skip(first);
            let near = near.take_while(|(_, (place, _))| {
                moved(*place, *at).is_some_and(|moved| moved <= least.saturating_add(slop))
            });
            let (number, _) = near.into_iter().find(|(number, (_, near))| near == word && !taken.contains(number))?;
            taken.push(number);
        }
        Some(taken)
    })
}

/// Phrases have fewer words: they come in one request.
const PHRASE_PLACES_MAX: usize = 1 << 32;

/// In lower case, letter by letter, as the index does it.
#[must_use]
pub fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Calls `each` with every value at the dotted name: nested objects, keys spelled with dots at any level, and the
/// members of arrays. Objects are handed over as they are.
pub fn each_value<'v>(event: &'v Value, name: &str, each: &mut dyn FnMut(&'v Value)) {
    descend(event, name, 0, each);
}

fn descend<'v>(value: &'v Value, rest: &str, depth: usize, each: &mut dyn FnMut(&'v Value)) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Array(members) => members.iter().for_each(|member| descend(member, rest, depth + 1, each)),
        _ if rest.is_empty() => each(value),
        Value::Object(map) => {
            if let Some(found) = map.get(rest) {
                descend(found, "", depth + 1, each);
            }
            for (dot, _) in rest.match_indices('.') {
                let (Some(head), Some(tail)) = (rest.get(..dot), rest.get(dot + 1..)) else { continue };
                if let Some(inner) = map.get(head).filter(|inner| inner.is_object() || inner.is_array()) {
                    descend(inner, tail, depth + 1, each);
                }
            }
        }
        _ => {}
    }
}

/// Calls `each` with the dotted name and value of every plain value in the event.
pub fn each_leaf<'v>(event: &'v Value, each: &mut dyn FnMut(&str, &'v Value)) {
    let mut name = String::new();
    leaves(event, &mut name, 0, each);
}

fn leaves<'v>(value: &'v Value, name: &mut String, depth: usize, each: &mut dyn FnMut(&str, &'v Value)) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let length = name.len();
                if length > 0 {
                    name.push('.');
                }
                name.push_str(key);
                leaves(inner, name, depth + 1, each);
                name.truncate(length);
            }
        }
        Value::Array(members) => members.iter().for_each(|member| leaves(member, name, depth + 1, each)),
        Value::Null => {}
        plain => each(name, plain),
    }
}

/// Whether the event has a value at the dotted name or below it.
#[must_use]
pub fn has(event: &Value, name: &str) -> bool {
    let mut found = false;
    each_leaf(event, &mut |leaf, _| {
        found = found || leaf.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    });
    found
}

/// A wildcard pattern, taken apart.
#[derive(Clone, Debug)]
pub struct Wildcard(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Many,
    One,
    Letter(char),
}

impl Wildcard {
    /// Takes a pattern apart: `*` any run, `?` any one character, `\` takes the next as it is.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let mut pieces = Vec::new();
        let mut letters = pattern.chars();
        while let Some(letter) = letters.next() {
            let piece = match letter {
                '*' => Piece::Many,
                '?' => Piece::One,
                '\\' => Piece::Letter(letters.next().unwrap_or('\\')),
                other => Piece::Letter(other),
            };
            if piece != Piece::Many || pieces.last() != Some(&Piece::Many) {
                pieces.push(piece);
            }
        }
        Self(pieces)
    }

    /// Whether the pattern covers the whole text. Time: at most the product of the lengths.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut piece, mut rest) = (0, text.chars());
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let here = rest.clone().next();
            match (self.0.get(piece), here) {
                (Some(Piece::Many), _) => {
                    piece += 1;
                    retry = Some((piece, rest.clone()));
                    continue;
                }
                (Some(Piece::One), Some(_)) => {
                    rest.next();
                    piece += 1;
                    continue;
                }
                (Some(Piece::Letter(expected)), Some(letter)) if *expected == letter => {
                    rest.next();
                    piece += 1;
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            // The last `*` takes one character more.
            let Some((after, mut from)) = retry.take() else { return false };
            if from.next().is_none() {
                return false;
            }
            piece = after;
            rest = from.clone();
            retry = Some((after, from));
        }
    }

    /// As a regular expression that covers the whole value.
    #[must_use]
    pub fn to_regex(&self) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Many => out.push_str("(?s:.)*"),
                Piece::One => out.push_str("(?s:.)"),
                Piece::Letter(letter) => out.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4]))),
            }
        }
        out
    }

    /// The text that every match begins with.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.0.iter().map_while(|piece| if let Piece::Letter(letter) = piece { Some(*letter) } else { None }).collect()
    }

    /// Whether it is `prefix*`.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        matches!(self.0.split_last(), Some((Piece::Many, head)) if head.iter().all(|piece| matches!(piece, Piece::Letter(_))))
    }
}

/// A pattern on a text field, as patterns on its words, in lower case: any of the groups must match, and within a
/// group each pattern must match some word. Spaces part groups; other characters that part words part patterns.
#[must_use]
pub fn word_patterns(pattern: &str) -> Vec<Vec<String>> {
    let mut groups = vec![Vec::new()];
    let mut word = String::new();
    let flush = |word: &mut String, groups: &mut Vec<Vec<String>>| {
        let trivial = word.chars().all(|letter| letter == '*');
        if let (false, Some(group)) = (trivial, groups.last_mut()) {
            group.push(lower(word));
        }
        word.clear();
    };
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        let (plain, letter) = if letter == '\\' { (true, letters.next().unwrap_or('\\')) } else { (false, letter) };
        if letter.is_alphanumeric() || (!plain && matches!(letter, '*' | '?')) {
            word.push(letter);
        } else {
            flush(&mut word, &mut groups);
            if letter.is_whitespace() && groups.last().is_some_and(|group| !group.is_empty()) {
                groups.push(Vec::new());
            }
        }
    }
    flush(&mut word, &mut groups);
    groups.retain(|group| !group.is_empty());
    groups
}

/// Whether `a` becomes `b` by at most `max` insertions, deletions, replacements or swaps of neighbours.
#[must_use]
pub fn within_edits(a: &str, b: &str, max: usize) -> bool {
    edits_between(a, b, max, true).is_some()
}

/// By how many insertions, deletions, replacements and (with `swaps`) swaps of neighbours `a` becomes `b`, when those are
/// at most `max`.
#[must_use]
pub fn edits_between(a: &str, b: &str, max: usize, swaps: bool) -> Option<usize> {
    if max == 0 {
        return (a == b).then_some(0);
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > max {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &Vec<usize>, j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if swaps && i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            row.push(cost);
        }
        // No later row can cost less than the least of this one.
        if row.iter().min().is_some_and(|least| *least > max) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|cost| *cost <= max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn phrases_stand_near_each_other() {
        let words = |text: &str| super::words(text).collect::<Vec<_>>();
        for (text, phrase, slop, found) in [
            ("quick brown fox", "brown fox", 0, Some(vec![1, 2])),
            ("quick brown fox", "quick fox", 0, None),
            ("quick brown fox", "quick fox", 1, Some(vec![0, 2])),
            ("quick brown fox", "fox quick", 2, None),
            ("quick brown fox", "fox quick", 3, Some(vec![2, 0])),
            ("reset timeout", "timeout reset", 2, Some(vec![1, 0])),
            ("a b a", "a a", 0, None),
            ("a b a", "a a", 1, Some(vec![0, 2])),
            ("a", "a a", 5, None),
            ("x a b c", "a b c", 0, Some(vec![1, 2, 3])),
            ("x", "", 3, None),
        ] {
            assert_eq!(phrase_at(&words(text), &words(phrase), slop), found, "{text}: {phrase}~{slop}");
        }
    }

    #[test]
    fn words_are_lower_case_runs_of_letters_and_digits() {
        let long = "x".repeat(WORD_BYTES_MAX);
        let text = format!("GET /a-b {long} Zürich_7");
        let found: Vec<_> = words(&text).collect();
        let expected = [(0, "get"), (1, "a"), (2, "b"), (4, "zürich"), (5, "7")];
        assert_eq!(found, expected.map(|(place, word)| (place, word.to_owned())));
    }

    #[test]
    fn dotted_names_lead_through_objects_arrays_and_dotted_keys() {
        let event = json!({"a": [{"b.c": 1}, {"b": {"c": [2, 3]}}], "a.b": {"c": 4}});
        let mut found = Vec::new();
        each_value(&event, "a.b.c", &mut |value| found.push(value.clone()));
        found.sort_by_key(Value::as_i64);
        assert_eq!(found, [json!(1), json!(2), json!(3), json!(4)]);
    }

    #[test]
    fn patterns_on_text_are_patterns_on_words() {
        assert_eq!(word_patterns("User-12* x"), [vec!["user".to_owned(), "12*".into()], vec!["x".into()]]);
        assert_eq!(word_patterns(r"* \*"), Vec::<Vec<String>>::new());
    }

    #[test]
    fn edits() {
        assert!(
            within_edits("roam", "roma", 1) && within_edits("roam", "foam", 1) && !within_edits("roam", "raomx", 1)
        );
    }

    #[test]
    fn swaps_are_one_edit_or_two() {
        assert_eq!(edits_between("roam", "roma", 2, true), Some(1));
        assert_eq!(edits_between("roam", "roma", 2, false), Some(2));
        assert_eq!((edits_between("roam", "roam", 0, true), edits_between("roam", "rome", 0, true)), (Some(0), None));
    }

    proptest! {
        #[test]
        fn wildcards_agree_with_their_regular_expression(pattern in "[ab*?]{0,6}", text in "[ab\n]{0,8}") {
            let wildcard = Wildcard::new(&pattern);
            let regex = regex::Regex::new(&format!("^(?:{})$", wildcard.to_regex().replace('$', "\\z")));
            let regex = regex.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(wildcard.matches(&text), regex.is_match(&text));
        }
    }
}
