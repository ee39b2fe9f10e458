//! Steps through a query's text, and the limits that both grammars share.

use crate::QueryError;

/// Longer queries are refused: a person writes hundreds of characters, a dashboard's filters some thousands.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;
/// Deeper nesting is refused, so that no stage's stack is at a client's mercy.
pub(crate) const DEPTH_MAX: usize = 50;

#[derive(Clone, Copy)]
pub(crate) struct Cursor<'t> {
    pub(crate) text: &'t str,
    pub(crate) at: usize,
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(text: &'t str) -> Result<Self, QueryError> {
        if text.len() > TEXT_BYTES_MAX {
            let message = format!("the query has {} bytes; at most {TEXT_BYTES_MAX} are allowed", text.len());
            let over = text.floor_char_boundary(TEXT_BYTES_MAX)..text.len();
            return Err(QueryError::new(over, message).hint("take away what is marked, or ask in several queries"));
        }
        Ok(Self { text, at: 0 })
    }

    pub(crate) fn rest(&self) -> &'t str {
        #[cfg(test)]
        steps::count(1);
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    pub(crate) fn eat(&mut self, expected: &str) -> bool {
        let eaten = self.rest().starts_with(expected);
        if eaten {
            self.at += expected.len();
        }
        eaten
    }

    pub(crate) fn skip_space(&mut self) {
        let spaces = self.rest().len() - self.rest().trim_start().len();
        #[cfg(test)]
        steps::count(spaces);
        self.at += spaces;
    }

    /// The character here as a span; empty at the end.
    pub(crate) fn here(&self) -> std::ops::Range<usize> {
        self.at..self.at + self.peek().map_or(0, char::len_utf8)
    }

    /// The word here as a span, or what stands in quotation marks; one character where there is neither, nothing at the
    /// end.
    pub(crate) fn word_here(&self) -> std::ops::Range<usize> {
        let rest = self.rest();
        let is_over = |letter: char| letter.is_whitespace() || "():<>\"[]{}".contains(letter);
        let length = match rest.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map(|end| end + 2),
            None => Some(rest.find(is_over).unwrap_or(rest.len())),
        };
        match length {
            Some(length) if length > 0 => self.at..self.at + length,
            _ => self.here(),
        }
    }

    /// The word here, if it is `word` in any case and something else than a longer word follows.
    pub(crate) fn at_word(&self, word: &str) -> bool {
        let rest = self.rest();
        let Some(head) = rest.get(..word.len()) else { return false };
        let after = rest.get(word.len()..).and_then(|tail| tail.chars().next());
        head.eq_ignore_ascii_case(word) && after.is_none_or(|letter| letter.is_whitespace() || "()".contains(letter))
    }

    /// `"..."` with the cursor after the opening quote. `\` takes the next character as it is, but for
    /// `\t`, `\n`, `\r` and `\uXXXX`.
    pub(crate) fn quoted(&mut self) -> Result<String, QueryError> {
        let open = self.at.saturating_sub(1);
        let mut text = String::new();
        loop {
            match self.next() {
                None => {
                    let error = QueryError::new(open..self.text.len(), "this quotation mark is never closed");
                    return Err(error.hint("add \" at the end, or write \\\" for the character itself"));
                }
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escaped()?),
                Some(letter) => text.push(letter),
            }
        }
    }

    /// The character that an escape stands for, with the cursor after the backslash.
    pub(crate) fn escaped(&mut self) -> Result<char, QueryError> {
        let start = self.at.saturating_sub(1);
        match self.next() {
            None => {
                let error = QueryError::new(start..self.at, "a backslash at the end escapes nothing");
                Err(error.hint("write \\\\ for the character itself"))
            }
            Some('t') => Ok('\t'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('u') => Ok(self.unicode().unwrap_or('u')),
            Some(letter) => Ok(letter),
        }
    }

    fn unicode(&mut self) -> Option<char> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let letter = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
        self.at += 4;
        Some(letter)
    }
}

pub(crate) fn too_deep(span: std::ops::Range<usize>) -> QueryError {
    QueryError::new(span, format!("the query is nested more than {DEPTH_MAX} levels deep"))
        .hint("take parentheses away that change nothing")
}

/// Counts what parsing looks at, so that tests can hold it against the length of the text.
#[cfg(test)]
pub(crate) mod steps {
    use std::cell::Cell;

    thread_local! {
        static TAKEN: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn count(steps: usize) {
        TAKEN.with(|taken| taken.set(taken.get() + steps));
    }

    /// The steps that `work` takes.
    pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let before = TAKEN.with(Cell::get);
        let result = work();
        (result, TAKEN.with(Cell::get) - before)
    }
}
