//! Finds the values of an event's text and the dotted paths that they stand under. It never fails and never recurses:
//! what is no event's text ends early, and is told apart by [`Scanner::is_whole`].

use super::columns::Spelling;

/// A string, number, boolean or null, or a hole in the place of one.
#[derive(Debug)]
pub(super) struct Token<'s> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) path: &'s str,
    pub(super) is_hole: bool,
}

#[derive(Debug)]
enum Level {
    /// The length of its own path.
    Object(usize),
    Array,
}

/// Walks over an event's text.
#[derive(Debug)]
pub(super) struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
    path: String,
    levels: Vec<Level>,
    /// The next string is a key.
    key: bool,
    whole: bool,
}

impl<'t> Scanner<'t> {
    pub(super) const fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, path: String::new(), levels: Vec::new(), key: false, whole: false }
    }

    /// Whether the text was one object, to its end. To be asked after the last token.
    pub(super) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// The next value.
    pub(super) fn next_token(&mut self) -> Option<Token<'_>> {
        loop {
            let Some(byte) = self.text.get(self.at).copied() else {
                self.whole = self.levels.is_empty();
                return None;
            };
            let start = self.at;
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b':' => self.at += 1,
                b',' => {
                    self.at += 1;
                    self.after_value();
                }
                b'{' => {
                    self.at += 1;
                    self.levels.push(Level::Object(self.path.len()));
                    self.key = true;
                }
                b'[' => {
                    self.at += 1;
                    self.levels.push(Level::Array);
                    self.key = false;
                }
                b'}' | b']' => {
                    self.at += 1;
                    if let Level::Object(length) = self.levels.pop()? {
                        self.path.truncate(length);
                    }
                    self.key = false;
                }
                b'"' => {
                    self.at = end_of_string(self.text, start)?;
                    if !self.key {
                        return Some(self.token(start, false));
                    }
                    self.take_key(start);
                }
                _ if byte < 0x20 => {
                    self.at = start + Spelling::length(byte);
                    return Some(self.token(start, true));
                }
                _ => {
                    let rest = self.text.get(start..).unwrap_or_default();
                    self.at = start + rest.iter().take_while(|byte| !ends_plain(**byte)).count().max(1);
                    return Some(self.token(start, false));
                }
            }
        }
    }

    fn token(&self, start: usize, is_hole: bool) -> Token<'_> {
        Token { start, end: self.at, path: &self.path, is_hole }
    }

    fn after_value(&mut self) {
        if let Some(Level::Object(length)) = self.levels.last() {
            self.path.truncate(*length);
            self.key = true;
        }
    }

    /// Appends the key that was just passed, as it is written.
    fn take_key(&mut self, start: usize) {
        self.key = false;
        if !self.path.is_empty() {
            self.path.push('.');
        }
        let key = self.text.get(start + 1..self.at.saturating_sub(1)).unwrap_or_default();
        self.path.push_str(&String::from_utf8_lossy(key));
    }
}

/// Behind the closing quote.
fn end_of_string(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

const fn ends_plain(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'{' | b'[' | b':') || byte < 0x20
}
