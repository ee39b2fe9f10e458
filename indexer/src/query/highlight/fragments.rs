//! Pieces of a text around its marks, with tags where those begin and end.

use std::ops::Range;

use super::style::Style;

/// The beginning of a text that has no marks.
pub(super) fn beginning(content: &str, size: usize, style: &Style) -> String {
    with_tags(content, 0..boundary(content, size.min(content.len())), &[], style)
}

/// The pieces of a text that has marks, which are in order and apart.
pub(super) fn of(content: &str, spans: &[Range<usize>], style: &Style) -> Vec<String> {
    if style.fragments == 0 || style.fragment_size == 0 || content.len() <= style.fragment_size {
        return vec![with_tags(content, 0..content.len(), spans, style)];
    }
    let mut shown = Vec::new();
    let mut rest = spans;
    let most = if style.by_score { spans.len() } else { style.fragments };
    while let (Some(first), true) = (rest.first(), shown.len() < most) {
        let length = (first.end - first.start).max(style.fragment_size);
        let start = boundary(content, first.start.saturating_sub((length - (first.end - first.start)) / 2));
        let end = boundary(content, start.saturating_add(length).min(content.len())).max(first.end);
        let inside = rest.iter().take_while(|span| span.end <= end).count().max(1);
        let (here, later) = rest.split_at(inside.min(rest.len()));
        shown.push((here.len(), with_tags(content, start..end, here, style)));
        rest = later;
    }
    if style.by_score {
        shown.sort_by_key(|(marks, _)| std::cmp::Reverse(*marks));
    }
    shown.into_iter().take(style.fragments).map(|(_, fragment)| fragment).collect()
}

/// The last character boundary up to `at`.
fn boundary(content: &str, at: usize) -> usize {
    (0..=at.min(content.len())).rev().find(|at| content.is_char_boundary(*at)).unwrap_or(0)
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
