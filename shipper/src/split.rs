//! Cuts the bytes of a file into records: lines, joined lines, parts of lines that are too long.
//!
//! Pure, and the same whatever stretch of the file is in view: where a record ends depends on the content
//! from the record's own beginning alone. That is what lets a restart send the same records again.

use regex::bytes::Regex;

/// How lines end in the file's encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newline {
    /// The byte 0x0A: UTF-8 and every encoding that keeps ASCII where it is.
    Byte,
    /// UTF-16, little-endian.
    Wide,
    /// UTF-16, big-endian.
    WideBig,
}

/// Which lines are joined.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) pattern: Regex,
    pub(crate) negate: bool,
    /// A joined line belongs to the line after it, not to the one before.
    pub(crate) before: bool,
    pub(crate) lines_max: usize,
}

/// How the bytes are cut.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) newline: Newline,
    pub(crate) encoding: &'static encoding_rs::Encoding,
    pub(crate) join: Option<Join>,
    /// A record's text is not longer than this.
    pub(crate) bytes_max: usize,
}

/// What follows the bytes in view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Unknown: whatever could go on waits.
    More,
    /// A boundary: everything is sent.
    Boundary,
}

/// One record: which bytes it covers, and which of them are its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Piece {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) text_end: usize,
    /// The line or the group goes on in the next record.
    pub(crate) continues: bool,
    /// It is made of several lines.
    pub(crate) joined: bool,
}

/// What was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Cut {
    /// So many bytes need not be looked at again.
    pub(crate) consumed: usize,
    /// NULs before records, which a crashed machine or a careless truncation leaves behind.
    pub(crate) nul_bytes: usize,
    /// Lines without text.
    pub(crate) empty_lines: usize,
    /// The end of the last whole line in view, consumed or not.
    pub(crate) lines_end: usize,
}

impl Newline {
    const fn width(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Wide | Self::WideBig => 2,
        }
    }

    /// The end of the line that begins at `from`: after its newline.
    fn line_end(self, data: &[u8], from: usize) -> Option<usize> {
        let rest = data.get(from..)?;
        let wide =
            |pair: [u8; 2]| memchr::memmem::find_iter(rest, &pair).find(|at| at % 2 == 0).map(|at| from + at + 2);
        match self {
            Self::Byte => memchr::memchr(b'\n', rest).map(|at| from + at + 1),
            Self::Wide => wide([b'\n', 0]),
            Self::WideBig => wide([0, b'\n']),
        }
    }

    /// Where the text of a line that ends at `end` ends: before its newline and a carriage return.
    fn text_end(self, data: &[u8], start: usize, end: usize) -> usize {
        let ends: [&[u8]; 2] = match self {
            Self::Byte => [b"\n", b"\r"],
            Self::Wide => [b"\n\0", b"\r\0"],
            Self::WideBig => [b"\0\n", b"\0\r"],
        };
        let mut line = data.get(start..end).unwrap_or_default();
        for end in ends {
            line = line.strip_suffix(end).unwrap_or(line);
        }
        start + line.len()
    }
}

impl Rules {
    /// Cuts `data`, which begins where a record begins, into `pieces`.
    pub(crate) fn cut(&self, data: &[u8], then: Then, pieces: &mut Vec<Piece>) -> Cut {
        let mut cut = Cut::default();
        let mut group = Group::default();
        while cut.lines_end < data.len() {
            let at = cut.lines_end;
            if group.lines == 0 && self.newline == Newline::Byte && data.get(at) == Some(&0) {
                let nuls = data.iter().skip(at).take_while(|byte| **byte == 0).count();
                cut.nul_bytes += nuls;
                cut.lines_end += nuls;
                cut.consumed = cut.lines_end;
                continue;
            }
            let line_end = self.newline.line_end(data, at);
            let start = if group.lines == 0 { at } else { group.start };
            // At a boundary the rest is a line; before one it may still turn out to end in a carriage return.
            let line_end = line_end.or((then == Then::Boundary).then_some(data.len()));
            let unended = data.len().saturating_sub(self.newline.width()).max(start);
            let text_end = line_end.map_or(unended, |end| self.newline.text_end(data, at, end));
            if text_end - start > self.bytes_max {
                if group.lines > 0 {
                    group.emit(self, data, at, true, pieces, &mut cut);
                } else {
                    let end = self.part_end(data, at);
                    pieces.push(Piece { start: at, end, text_end: end, continues: true, joined: false });
                    cut.lines_end = end;
                    cut.consumed = end;
                }
                continue;
            }
            let Some(end) = line_end else { break };
            self.line(data, at, end, &mut group, pieces, &mut cut);
        }
        if then == Then::Boundary && group.lines > 0 {
            group.emit(self, data, data.len(), false, pieces, &mut cut);
        }
        cut
    }

    fn line(&self, data: &[u8], at: usize, end: usize, group: &mut Group, pieces: &mut Vec<Piece>, cut: &mut Cut) {
        cut.lines_end = end;
        let Some(join) = &self.join else {
            *group = Group { start: at, lines: 1 };
            return group.emit(self, data, end, false, pieces, cut);
        };
        let text = data.get(at..self.newline.text_end(data, at, end)).unwrap_or_default();
        let joined = self.matches(&join.pattern, text) != join.negate;
        if !join.before && !joined && group.lines > 0 {
            group.emit(self, data, at, false, pieces, cut);
            if data.get(at) == Some(&0) {
                // A record begins here, so NULs are a hole.
                cut.lines_end = at;
                return;
            }
        }
        if group.lines == 0 {
            group.start = at;
        }
        group.lines += 1;
        if join.before && !joined {
            group.emit(self, data, end, false, pieces, cut);
        } else if group.lines >= join.lines_max {
            group.emit(self, data, end, true, pieces, cut);
        }
    }

    /// Whether a pattern is found in a text of the file's encoding.
    pub(crate) fn matches(&self, pattern: &Regex, text: &[u8]) -> bool {
        if self.encoding == encoding_rs::UTF_8 {
            return pattern.is_match(text);
        }
        let (decoded, _) = self.encoding.decode_without_bom_handling(text);
        pattern.is_match(decoded.as_bytes())
    }

    /// Where a part of a line that is too long ends: within a few bytes of the limit, not within a character.
    fn part_end(&self, data: &[u8], start: usize) -> usize {
        let mut end = start + self.bytes_max;
        if self.newline.width() == 2 {
            return end - self.bytes_max % 2;
        }
        // A UTF-8 character has at most three bytes after its first.
        for _ in 0..3 {
            if data.get(end).is_none_or(|byte| byte & 0xC0 != 0x80) {
                break;
            }
            end -= 1;
        }
        end
    }
}

/// The lines that will be one record.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    start: usize,
    lines: usize,
}

impl Group {
    fn emit(
        &mut self,
        rules: &Rules,
        data: &[u8],
        end: usize,
        continues: bool,
        pieces: &mut Vec<Piece>,
        cut: &mut Cut,
    ) {
        let text_end = rules.newline.text_end(data, self.start, end);
        if text_end > self.start {
            pieces.push(Piece { start: self.start, end, text_end, continues, joined: self.lines > 1 });
        } else {
            cut.empty_lines += 1;
        }
        cut.consumed = end;
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(bytes_max: usize) -> Rules {
        Rules { newline: Newline::Byte, encoding: encoding_rs::UTF_8, join: None, bytes_max }
    }

    fn joining(pattern: &str, negate: bool, before: bool, lines_max: usize) -> Rules {
        let pattern = Regex::new(pattern).unwrap();
        Rules { join: Some(Join { pattern, negate, before, lines_max }), ..rules(1000) }
    }

    fn texts(rules: &Rules, data: &str, then: Then) -> (Vec<String>, Cut) {
        let mut pieces = Vec::new();
        let cut = rules.cut(data.as_bytes(), then, &mut pieces);
        (pieces.iter().map(|piece| data[piece.start..piece.text_end].to_owned()).collect(), cut)
    }

    #[test]
    fn a_line_is_sent_when_it_is_whole() {
        let (lines, cut) = texts(&rules(100), "one\r\n\ntwo\nthr", Then::More);
        assert_eq!(lines, ["one", "two"]);
        assert_eq!((cut.consumed, cut.empty_lines), (10, 1));
        assert_eq!(texts(&rules(100), "thr", Then::Boundary).0, ["thr"]);
    }

    #[test]
    fn holes_are_skipped_where_a_line_begins_and_kept_within() {
        let (lines, cut) = texts(&rules(100), "\0\0\0one\n\0\0two\0x\n\0\0", Then::More);
        assert_eq!(lines, ["one", "two\0x"]);
        assert_eq!((cut.nul_bytes, cut.consumed), (7, 17));
    }

    #[test]
    fn a_long_line_goes_in_parts_that_keep_characters_whole() {
        let (parts, cut) = texts(&rules(5), "abcdäéfgh\nxy\n", Then::More);
        assert_eq!(parts, ["abcd", "äéf", "gh", "xy"].map(str::to_owned).to_vec());
        assert_eq!(cut.consumed, 15);
    }

    #[test]
    fn joins_stack_traces_and_continued_lines() {
        let after = joining(r"^\s", false, false, 100);
        let (events, cut) = texts(&after, "a\n  at b\n  at c\nd\n", Then::More);
        assert_eq!((events, cut.consumed, cut.lines_end), (vec!["a\n  at b\n  at c".to_owned()], 16, 18));
        assert_eq!(texts(&after, "d\n", Then::Boundary).0, ["d"]);
        let start = joining(r"^\d", true, false, 100);
        assert_eq!(texts(&start, "1 a\nb\n2 c\n", Then::More).0, ["1 a\nb"]);
        let before = joining(r"\\$", false, true, 100);
        assert_eq!(texts(&before, "a\\\nb\\\nc\nd\n", Then::More).0, ["a\\\nb\\\nc", "d"]);
        let few = joining(r"^\s", false, false, 2);
        assert_eq!(texts(&few, "a\n b\n c\n d\ne\n", Then::More).0, ["a\n b", " c\n d"]);
    }

    #[test]
    fn wide_newlines_are_found_at_even_places_only() {
        let wide: Vec<u8> = "Ċa\nb\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let rules = Rules { newline: Newline::Wide, encoding: encoding_rs::UTF_16LE, ..rules(100) };
        let mut pieces = Vec::new();
        rules.cut(&wide, Then::More, &mut pieces);
        assert_eq!(pieces.iter().map(|piece| (piece.start, piece.text_end)).collect::<Vec<_>>(), [(0, 4), (6, 8)]);
    }

    proptest! {
        /// However the file comes into view, and wherever a restart begins, the records are the same.
        #[test]
        fn records_do_not_depend_on_the_view(
            text in "[ab\\n \u{0}é]{0,120}", views in prop::collection::vec(1usize..40, 1..40), kind in 0..4,
        ) {
            let rules = match kind {
                0 => rules(1000),
                1 => rules(7),
                2 => Rules { bytes_max: 9, ..joining("^ ", false, false, 3) },
                _ => Rules { bytes_max: 9, ..joining("^ ", false, true, 3) },
            };
            let data = text.as_bytes();
            let mut whole = Vec::new();
            let all = rules.cut(data, Then::More, &mut whole);
            let (mut stepped, mut from, mut end) = (Vec::new(), 0, 0);
            for view in views.iter().chain(std::iter::repeat_n(&13, 20)) {
                end = (end + view).min(data.len());
                let mut pieces = Vec::new();
                let cut = rules.cut(&data[from..end], Then::More, &mut pieces);
                let moved = |piece: &Piece| Piece {
                    start: piece.start + from, end: piece.end + from, text_end: piece.text_end + from, ..*piece
                };
                stepped.extend(pieces.iter().map(moved));
                from += cut.consumed;
            }
            prop_assert_eq!(end, data.len());
            prop_assert_eq!(&stepped, &whole);
            prop_assert_eq!(from, all.consumed);
        }
    }
}
