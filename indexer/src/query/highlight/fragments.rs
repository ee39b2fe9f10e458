//! Pieces of a text around its marks, with tags where those begin and end.

use std::ops::Range;

use super::style::Style;

/// The beginning of a text that has no marks, up to the end of a word.
pub(super) fn beginning(content: &str, size: usize, style: &Style) -> String {
    with_tags(content, trimmed(content, 0..word_end(content, size)), &[], style)
}

/// Pieces that are looked at for the best ones: a text may have as many marks as words.
const PIECES_MAX: usize = 1000;

/// The pieces of a text that has marks, which are in order and apart.
pub(super) fn of(content: &str, spans: &[Range<usize>], style: &Style) -> Vec<String> {
    if style.fragments == 0 {
        return vec![with_tags(content, 0..content.len(), spans, style)];
    }
    let mut pieces: Vec<(Range<usize>, &[Range<usize>])> = Vec::new();
    let mut rest = spans;
    while let (Some(first), true) = (rest.first(), pieces.len() < PIECES_MAX) {
        let from = pieces.last().map_or(0, |(last, _)| last.end).min(first.start);
        let piece = around(content, first, from, style);
        let inside = rest.iter().take_while(|span| span.end <= piece.end).count().max(1);
        let (here, later) = rest.split_at(inside.min(rest.len()));
        pieces.push((piece, here));
        rest = later;
    }
    // The best are kept, in the order of the text unless it is theirs that was asked for.
    pieces.sort_by_key(|(_, marks)| std::cmp::Reverse(marks.len()));
    pieces.truncate(style.fragments);
    if !style.by_score {
        pieces.sort_by_key(|(piece, _)| piece.start);
    }
    pieces.into_iter().map(|(piece, marks)| with_tags(content, trimmed(content, piece), marks, style)).collect()
}

/// The piece around a mark, behind `from`: from its sentence on, as many as are not too long together. Of one that is,
/// the words around the mark.
fn around(content: &str, mark: &Range<usize>, from: usize, style: &Style) -> Range<usize> {
    let size = style.fragment_size;
    if !style.by_sentence {
        return window(content, mark, from..content.len(), size);
    }
    let start = sentence_start(content, mark.start).max(from);
    // What would be too long need not be read to its end.
    let until = if size == 0 { content.len() } else { start.saturating_add(size).saturating_add(1).max(mark.end) };
    let mut end = sentence_end(content, mark.end, until);
    if size > 0 && end - start > size {
        let end = sentence_end(content, mark.end, mark.end.saturating_add(size));
        return window(content, mark, start..end, size);
    }
    while size > 0 && end < content.len() {
        let next = sentence_end(content, end + 1, until);
        if next - start > size {
            break;
        }
        end = next;
    }
    start..end
}

/// Whole words around a mark, no more than so many letters, within bounds.
fn window(content: &str, mark: &Range<usize>, within: Range<usize>, size: usize) -> Range<usize> {
    let before = size.saturating_sub(mark.end - mark.start) / 2;
    let start = mark.start.saturating_sub(before).max(within.start);
    let start = word_end(content, start).min(mark.start);
    let end = ceiling(content, start.saturating_add(size).min(within.end));
    let head = content.get(..end).unwrap_or_default();
    let end = if is_inside_word(content, end) { head.trim_end_matches(char::is_alphanumeric).len() } else { end };
    start..end.max(mark.end)
}

/// Ends a sentence, where a space follows; behind a full stop a small letter goes on with it.
const STOPS: [char; 5] = ['.', '!', '?', '\u{2026}', '\u{3002}'];

/// The end of the sentence that the letter before a place is in: behind the spaces after its stop, or `until`.
fn sentence_end(content: &str, at: usize, until: usize) -> usize {
    let (at, until) = (ceiling(content, at.saturating_sub(1)), ceiling(content, until));
    let mut letters = content.get(at..until).unwrap_or_default().char_indices().peekable();
    let mut stop = None;
    while let Some((place, letter)) = letters.next() {
        if letter == '\n' {
            return at + place + 1;
        }
        match stop {
            Some(_) if STOPS.contains(&letter) => stop = Some(letter),
            // What closes a sentence is part of it.
            Some(_) if matches!(letter, '"' | '\'' | ')' | ']' | '\u{201d}' | '\u{00bb}') => {}
            Some(sign) if letter.is_whitespace() => {
                while letters.next_if(|(_, next)| next.is_whitespace() && *next != '\n').is_some() {}
                let Some((next_place, next)) = letters.peek() else { return until };
                if sign != '.' || !next.is_lowercase() {
                    return at + next_place;
                }
                stop = None;
            }
            _ => stop = STOPS.contains(&letter).then_some(letter),
        }
    }
    until
}

/// Sentences are looked for so far before a mark: nobody reads back farther.
const LOOK_BACK_BYTES: usize = 4096;

/// The beginning of the sentence that a place is in.
fn sentence_start(content: &str, at: usize) -> usize {
    let mut start = ceiling(content, at.saturating_sub(LOOK_BACK_BYTES));
    loop {
        let end = sentence_end(content, start + 1, at + 1);
        if end > at || end <= start {
            return start;
        }
        start = end;
    }
}

/// Whether a place is between two letters of one word.
fn is_inside_word(content: &str, at: usize) -> bool {
    let before = content.get(..at).unwrap_or_default().chars().next_back();
    let after = content.get(at..).unwrap_or_default().chars().next();
    before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric)
}

/// Longer words are no words, and cut.
const WORD_LETTERS_MAX: usize = 256;

/// The end of the word that a place is in, or the place itself between words.
fn word_end(content: &str, at: usize) -> usize {
    let at = ceiling(content, at);
    if !is_inside_word(content, at) {
        return at;
    }
    let rest = content.get(at..).unwrap_or_default().chars().take(WORD_LETTERS_MAX);
    at + rest.take_while(|letter| letter.is_alphanumeric()).map(char::len_utf8).sum::<usize>()
}

/// The first place between letters from `at` on.
fn ceiling(content: &str, at: usize) -> usize {
    (at..content.len()).find(|at| content.is_char_boundary(*at)).unwrap_or(content.len())
}

fn trimmed(content: &str, within: Range<usize>) -> Range<usize> {
    let text = content.get(within.clone()).unwrap_or_default();
    let start = within.start + (text.len() - text.trim_start().len());
    start..(start + text.trim().len())
}

fn with_tags(content: &str, within: Range<usize>, spans: &[Range<usize>], style: &Style) -> String {
    let mut out = String::with_capacity(within.len() + spans.len() * (style.pre.len() + style.post.len()));
    let mut at = within.start;
    let plain = |range: Range<usize>, out: &mut String| {
        for letter in content.get(range).unwrap_or_default().chars() {
            match letter {
                '&' if style.html => out.push_str("&amp;"),
                '<' if style.html => out.push_str("&lt;"),
                '>' if style.html => out.push_str("&gt;"),
                '"' if style.html => out.push_str("&quot;"),
                '\'' if style.html => out.push_str("&#x27;"),
                '/' if style.html => out.push_str("&#x2F;"),
                other => out.push(other),
            }
        }
    };
    for span in spans {
        plain(at..span.start, &mut out);
        out.push_str(&style.pre);
        plain(span.clone(), &mut out);
        out.push_str(&style.post);
        at = span.end;
    }
    plain(at..within.end, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(content: &str, word: &str, size: usize, style: &Style) -> Vec<String> {
        let spans: Vec<_> = content.match_indices(word).map(|(at, word)| at..at + word.len()).collect();
        of(content, &spans, &Style { pre: "<".into(), post: ">".into(), fragment_size: size, ..style.clone() })
    }

    #[test]
    fn pieces_are_sentences_and_whole_words() {
        let text = "First the fox. Then e.g. a dog came! A fox again, and more. The end.";
        for (size, expected) in [
            (0, vec!["First the <fox>.", "A <fox> again, and more."]),
            (20, vec!["First the <fox>.", "A <fox> again, and"]),
            (40, vec!["First the <fox>. Then e.g. a dog came!", "A <fox> again, and more. The end."]),
            (1000, vec!["First the <fox>. Then e.g. a dog came! A <fox> again, and more. The end."]),
        ] {
            assert_eq!(shown(text, "fox", size, &Style::default()), expected, "{size}");
        }
        let words = Style { by_sentence: false, ..Style::default() };
        assert_eq!(shown(text, "dog", 16, &words), [".g. a <dog> came!"]);
        let one = Style { fragments: 1, ..Style::default() };
        assert_eq!(shown("a fox. The fox, a fox.", "fox", 20, &one), ["The <fox>, a <fox>."]);
    }

    proptest! {
        #[test]
        fn pieces_hold_their_marks_and_are_short(text in "[aäfox .!?\n\"]{0,200}", size in 0usize..60, by_sentence: bool) {
            let style = Style { by_sentence, fragments: usize::MAX, ..Style::default() };
            let pieces = shown(&text, "fox", size, &style);
            let marks: usize = pieces.iter().map(|piece| piece.matches("<fox>").count()).sum();
            prop_assert_eq!(marks, text.matches("fox").count());
            for piece in pieces.iter().filter(|_| size > 0) {
                prop_assert!(piece.len() <= size.max(3) + 2 * piece.matches("<fox>").count() + 8, "{}", piece);
            }
        }
    }
}
