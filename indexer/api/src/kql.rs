//! KQL, the grammar of the search bar: `or` binds weakest, then `and`, then `not`; `field: value`,
//! `field: (a or b)`, `field >= n`, `field: { inner: value }`. Unquoted values may hold spaces; `*` is the only
//! wildcard and only where nothing is quoted; `\` escapes `\():<>"*{}` and keywords. The empty query matches all.

use std::ops::Range as Span;

use crate::ast::{Ast, Bound, Field, Range, Test};
use crate::cursor::{Cursor, DEPTH_MAX, too_deep};
use crate::error::QueryError;

const COMPARISONS: &str = "write one of <, <=, >, >=";
const SPECIAL: &str = "\\():<>\"*{}";

/// Parses KQL.
///
/// # Errors
/// When the text is not KQL: what is wrong, where, and what to write instead.
pub fn parse(text: &str) -> Result<Ast, QueryError> {
    let mut parser = Parser { cursor: Cursor::new(text)?, open: Vec::new(), prefix: String::new() };
    parser.cursor.skip_space();
    if parser.cursor.peek().is_none() {
        return Ok(Ast::All);
    }
    let ast = parser.or_query()?;
    match parser.cursor.peek() {
        None => Ok(ast),
        Some(_) => Err(parser.unexpected()),
    }
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    /// What was opened and is still to be closed, outermost first: `(` or `{`.
    open: Vec<char>,
    /// `outer.` within `outer: { ... }`.
    prefix: String,
}

struct Literal {
    text: String,
    /// Set when an unquoted `*` is in it: the text as a wildcard pattern.
    pattern: Option<String>,
    quoted: bool,
    span: Span<usize>,
}

impl Literal {
    fn into_test(self) -> Test {
        match self.pattern {
            Some(pattern) if pattern.chars().all(|letter| letter == '*') => Test::Exists,
            Some(pattern) => Test::Pattern(pattern),
            None if self.quoted => Test::Phrase { text: self.text, slop: 0 },
            None => Test::Words(self.text),
        }
    }
}

impl Parser<'_> {
    fn or_query(&mut self) -> Result<Ast, QueryError> {
        let mut members = vec![self.and_query()?];
        while self.keyword("or")? {
            members.push(self.and_query()?);
        }
        Ok(Ast::or(members))
    }

    fn and_query(&mut self) -> Result<Ast, QueryError> {
        let mut members = vec![self.not_query()?];
        while self.keyword("and")? {
            members.push(self.not_query()?);
        }
        Ok(Ast::and(members))
    }

    fn not_query(&mut self) -> Result<Ast, QueryError> {
        let negations = self.negations()?;
        let ast =
            if self.cursor.peek() == Some('(') { self.within('(', ')', Self::or_query)? } else { self.condition()? };
        self.cursor.skip_space();
        Ok((0..negations).fold(ast, |ast, _| Ast::not(ast)))
    }

    /// Takes every `not`.
    fn negations(&mut self) -> Result<usize, QueryError> {
        let mut negations = 0;
        loop {
            self.cursor.skip_space();
            let start = self.cursor.at;
            if !self.keyword("not")? {
                return Ok(negations);
            }
            negations += 1;
            if negations > DEPTH_MAX {
                return Err(too_deep(start..start + "not".len()));
            }
        }
    }

    fn condition(&mut self) -> Result<Ast, QueryError> {
        let literal = self.literal()?;
        self.cursor.skip_space();
        match self.cursor.peek() {
            Some(':') => {
                let field = self.field(literal)?;
                let colon = self.cursor.at;
                self.cursor.next();
                self.cursor.skip_space();
                match self.cursor.peek() {
                    Some(sign @ ('<' | '>')) => {
                        let error = QueryError::new(colon..self.cursor.at + 1, "a comparison stands without a colon");
                        Err(error.hint(format!("write field {sign} value")))
                    }
                    Some(':') => {
                        let error = QueryError::new(self.cursor.here(), "one colon is enough");
                        Err(error.hint("take it away, or write \\: for the character itself"))
                    }
                    Some('{') => self.nested(&field),
                    Some('(') => self.within('(', ')', |parser| parser.values(&field)),
                    _ => self.value(&field),
                }
            }
            Some('<' | '>') => {
                let field = self.field(literal)?;
                self.comparison(field)
            }
            _ => match literal.into_test() {
                Test::Exists => Ok(Ast::All),
                test => Ok(Ast::Leaf { field: Field::Default, test }),
            },
        }
    }

    fn nested(&mut self, field: &Field) -> Result<Ast, QueryError> {
        let inner = match field {
            Field::Named(name) | Field::Pattern(name) => format!("{name}."),
            Field::Default => String::new(),
        };
        let outer = std::mem::replace(&mut self.prefix, inner);
        let ast = self.within('{', '}', Self::or_query);
        self.prefix = outer;
        ast
    }

    /// `(a or b and not c)` after `field:`.
    fn values(&mut self, field: &Field) -> Result<Ast, QueryError> {
        let mut any = Vec::new();
        loop {
            let mut all = Vec::new();
            loop {
                let negations = self.negations()?;
                let ast = if self.cursor.peek() == Some('(') {
                    self.within('(', ')', |parser| parser.values(field))?
                } else {
                    self.value(field)?
                };
                all.push((0..negations).fold(ast, |ast, _| Ast::not(ast)));
                if !self.keyword("and")? {
                    break;
                }
            }
            any.push(Ast::and(all));
            if !self.keyword("or")? {
                return Ok(Ast::or(any));
            }
        }
    }

    fn value(&mut self, field: &Field) -> Result<Ast, QueryError> {
        let literal = self.literal()?;
        self.refuse_second_condition(&literal)?;
        match (field, literal.into_test()) {
            (Field::Pattern(pattern), Test::Exists) if pattern == "*" => Ok(Ast::All),
            (field, test) => Ok(Ast::Leaf { field: field.clone(), test }),
        }
    }

    fn comparison(&mut self, field: Field) -> Result<Ast, QueryError> {
        let start = self.cursor.at;
        let lower = self.cursor.next() == Some('>');
        let inclusive = self.cursor.eat("=");
        if matches!(self.cursor.peek(), Some('<' | '>' | '=' | ':')) {
            let error = QueryError::new(start..self.cursor.here().end, "this is not a comparison");
            return Err(error.hint(COMPARISONS));
        }
        self.cursor.skip_space();
        let literal = self.literal()?;
        self.refuse_second_condition(&literal)?;
        if literal.pattern.is_some() {
            let error = QueryError::new(literal.span, "a comparison needs one value, not a wildcard");
            return Err(error.hint("put the value in quotation marks if the * is part of it"));
        }
        let bound = Some(Bound { value: literal.text, inclusive });
        let range = if lower { Range { lower: bound, upper: None } } else { Range { lower: None, upper: bound } };
        Ok(Ast::Leaf { field, test: Test::Range(range) })
    }

    fn field(&self, literal: Literal) -> Result<Field, QueryError> {
        if !literal.quoted && literal.text.contains(char::is_whitespace) {
            if literal.text.ends_with('=') && matches!(self.cursor.peek(), Some('<' | '>')) {
                let sign = literal.span.end - 1..self.cursor.here().end;
                return Err(QueryError::new(sign, "this is not a comparison").hint(COMPARISONS));
            }
            return Err(side_by_side(self.cursor.text, &literal.span));
        }
        Ok(match literal.pattern {
            Some(pattern) if pattern.chars().all(|letter| letter == '*') => Field::Pattern("*".to_owned()),
            Some(pattern) => Field::Pattern(format!("{}{pattern}", self.prefix)),
            None => Field::Named(format!("{}{}", self.prefix, literal.text)),
        })
    }

    /// `a: b c: d` reads as the value `b c` followed by a colon.
    fn refuse_second_condition(&mut self, literal: &Literal) -> Result<(), QueryError> {
        self.cursor.skip_space();
        match self.cursor.peek() {
            Some(':' | '<' | '>') if !literal.quoted && literal.text.contains(char::is_whitespace) => {
                Err(side_by_side(self.cursor.text, &literal.span))
            }
            Some(':' | '<' | '>') if literal.quoted => {
                let error = QueryError::new(literal.span.clone(), "two conditions stand side by side");
                Err(error
                    .hint("put `and` or `or` before what is marked if it is a field, or take away what follows it"))
            }
            Some(':') => {
                let span = literal.span.start..self.cursor.at + 1;
                let error = QueryError::new(span, "a value can't hold a colon unless it is escaped or quoted");
                let rest = self.cursor.rest();
                let tail = rest.split_whitespace().next().unwrap_or(":");
                Err(error.hint(format!("write \"{}{tail}\" in quotation marks", literal.text)))
            }
            _ => Ok(()),
        }
    }

    fn within<T>(
        &mut self,
        open: char,
        close: char,
        inner: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let opened = self.cursor.here();
        self.cursor.next();
        self.open.push(open);
        if self.open.len() > DEPTH_MAX {
            return Err(too_deep(opened.clone()));
        }
        self.cursor.skip_space();
        let never_closed =
            || QueryError::new(opened.clone(), format!("this {open} is never closed")).hint(format!("add {close}"));
        match self.cursor.peek() {
            None => return Err(never_closed()),
            Some(letter) if letter == close => {
                let span = opened.start..self.cursor.here().end;
                let error = QueryError::new(span, format!("there is nothing between {open} and {close}"));
                return Err(error.hint("write a condition there, or take both away"));
            }
            Some(_) => {}
        }
        let result = inner(self)?;
        self.cursor.skip_space();
        match self.cursor.peek() {
            Some(letter) if letter == close => {
                self.open.pop();
                self.cursor.next();
                self.cursor.skip_space();
                Ok(result)
            }
            None => Err(never_closed()),
            Some(_) => Err(self.unexpected()),
        }
    }

    /// Takes the keyword, and makes sure that something follows it.
    fn keyword(&mut self, word: &str) -> Result<bool, QueryError> {
        self.cursor.skip_space();
        if !self.cursor.at_word(word) {
            return Ok(false);
        }
        let start = self.cursor.at;
        self.cursor.at += word.len();
        self.cursor.skip_space();
        if matches!(self.cursor.peek(), None | Some(')' | '}')) {
            let error = QueryError::new(start..start + word.len(), format!("`{word}` needs a condition after it"));
            return Err(error.hint(format!("take it away, or write \"{word}\" if it is the word you look for")));
        }
        Ok(true)
    }

    fn at_keyword(cursor: &Cursor<'_>) -> bool {
        ["and", "or", "not"].iter().any(|word| cursor.at_word(word))
    }

    fn literal(&mut self) -> Result<Literal, QueryError> {
        let start = self.cursor.at;
        if self.cursor.eat("\"") {
            let text = self.cursor.quoted()?;
            return Ok(Literal { text, pattern: None, quoted: true, span: start..self.cursor.at });
        }
        if Self::at_keyword(&self.cursor) {
            return Err(self.unexpected());
        }
        let (mut text, mut pattern, mut wild) = (String::new(), String::new(), false);
        while let Some(letter) = self.cursor.peek() {
            if letter == '\\' {
                self.cursor.next();
                let escaped = self.cursor.escaped()?;
                text.push(escaped);
                push_literal(&mut pattern, escaped);
                continue;
            }
            if letter == '*' {
                wild = true;
                text.push('*');
                pattern.push('*');
            } else if letter.is_whitespace() {
                let mut ahead = self.cursor;
                ahead.skip_space();
                let ends = ahead.peek().is_none_or(|next| "():<>\"{}".contains(next));
                if ends || Self::at_keyword(&ahead) {
                    break;
                }
                let space = self.cursor.text.get(self.cursor.at..ahead.at).unwrap_or_default();
                text.push_str(space);
                pattern.push_str(space);
                self.cursor.at = ahead.at;
                continue;
            } else if SPECIAL.contains(letter) {
                break;
            } else {
                text.push(letter);
                push_literal(&mut pattern, letter);
            }
            self.cursor.next();
        }
        if text.is_empty() {
            return Err(self.unexpected());
        }
        Ok(Literal { text, pattern: wild.then_some(pattern), quoted: false, span: start..self.cursor.at })
    }

    fn unexpected(&self) -> QueryError {
        let here = self.cursor.here();
        let missing = |place: &str| {
            QueryError::new(here.start..here.start, format!("a value is missing {place}"))
                .hint("write the value, or * for any value")
        };
        let Some(letter) = self.cursor.peek() else { return missing("at the end") };
        if let Some(word) = ["and", "or", "not"].into_iter().find(|word| self.cursor.at_word(word)) {
            let span = here.start..here.start + word.len();
            return match word {
                "not" => QueryError::new(span, "`not` can't stand directly after a condition")
                    .hint("write `and not` or `or not`"),
                _ => QueryError::new(span, format!("`{word}` needs a condition before it"))
                    .hint(format!("take it away, or write \"{word}\" if it is the word you look for")),
            };
        }
        match letter {
            ')' | '}' => {
                let open = if letter == ')' { '(' } else { '{' };
                if self.open.last() == Some(&open) {
                    return missing(&format!("before {letter}"));
                }
                let error = QueryError::new(here, format!("this {letter} closes nothing"));
                error.hint(format!("take it away, add {open} before it, or write \\{letter} for the character itself"))
            }
            ':' | '<' | '>' => QueryError::new(here, format!("a field name is missing before {letter}"))
                .hint(format!("write \\{letter} for the character itself")),
            '{' => QueryError::new(here, "{ may stand only after a field and a colon")
                .hint("write field: { inner: value }, or \\{ for the character itself"),
            _ => QueryError::new(self.cursor.word_here(), "two conditions stand side by side")
                .hint("put `and` or `or` between them"),
        }
    }
}

fn push_literal(pattern: &mut String, letter: char) {
    if matches!(letter, '*' | '?' | '\\') {
        pattern.push('\\');
    }
    pattern.push(letter);
}

/// The literal at `span` holds the end of one condition and the field of the next.
fn side_by_side(text: &str, span: &Span<usize>) -> QueryError {
    let literal = text.get(span.clone()).unwrap_or_default();
    let split = literal.rfind(char::is_whitespace).unwrap_or(0);
    let (before, field) =
        (literal.get(..split).unwrap_or_default().trim_end(), literal.get(split..).unwrap_or_default());
    let start = span.start + split + (field.len() - field.trim_start().len());
    QueryError::new(start..span.end, "two conditions stand side by side")
        .hint(format!("put `and` or `or` between them: {before} and {}", field.trim_start()))
}

#[cfg(test)]
mod tests;
