//! KQL, the grammar of the search bar: `or` binds weakest, then `and`, then `not`; `field: value`,
//! `field: (a or b)`, `field >= n`, `field: { inner: value }`. Unquoted values may hold spaces; `*` is the only
//! wildcard and only where nothing is quoted; `\` escapes `\():<>"*{}` and keywords. The empty query matches all.

use std::ops::Range as Span;

use crate::ast::{Ast, Bound, Field, Range, Test};
use crate::cursor::{Cursor, DEPTH_MAX, too_deep};
use crate::error::QueryError;

const SPECIAL: &str = "\\():<>\"*{}";

/// Parses KQL.
///
/// # Errors
/// When the text is not KQL: what is wrong, where, and what to write instead.
pub fn parse(text: &str) -> Result<Ast, QueryError> {
    let mut parser = Parser { cursor: Cursor::new(text)?, depth: 0, prefix: String::new() };
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
    depth: usize,
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
        self.cursor.skip_space();
        let mut negations = 0;
        while self.keyword("not")? {
            negations += 1;
            if negations > DEPTH_MAX {
                return Err(too_deep(self.cursor.here()));
            }
        }
        let mut ast =
            if self.cursor.peek() == Some('(') { self.within('(', ')', Self::or_query)? } else { self.condition()? };
        for _ in 0..negations {
            ast = Ast::not(ast);
        }
        self.cursor.skip_space();
        Ok(ast)
    }

    fn condition(&mut self) -> Result<Ast, QueryError> {
        let literal = self.literal()?;
        self.cursor.skip_space();
        match self.cursor.peek() {
            Some(':') => {
                let field = self.field(literal)?;
                self.cursor.next();
                self.cursor.skip_space();
                match self.cursor.peek() {
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
        let (Field::Named(name) | Field::Pattern(name)) = field else { return Err(self.unexpected()) };
        let outer = std::mem::replace(&mut self.prefix, format!("{name}."));
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
                self.cursor.skip_space();
                let negated = self.keyword("not")?;
                let ast = if self.cursor.peek() == Some('(') {
                    self.within('(', ')', |parser| parser.values(field))?
                } else {
                    self.value(field)?
                };
                all.push(if negated { Ast::not(ast) } else { ast });
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
            return Err(error.hint("write one of <, <=, >, >="));
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
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep(opened));
        }
        self.cursor.skip_space();
        if self.cursor.peek() == Some(close) {
            let span = opened.start..self.cursor.here().end;
            return Err(QueryError::new(span, format!("there is nothing between {open} and {close}")));
        }
        let result = inner(self)?;
        self.cursor.skip_space();
        self.depth -= 1;
        match self.cursor.peek() {
            Some(letter) if letter == close => {
                self.cursor.next();
                self.cursor.skip_space();
                Ok(result)
            }
            None => Err(QueryError::new(opened, format!("this {open} is never closed")).hint(format!("add {close}"))),
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
        let Some(letter) = self.cursor.peek() else {
            let before = self.cursor.text.get(..self.cursor.at).unwrap_or_default().trim_end();
            return match before.chars().last() {
                Some(':' | '<' | '>' | '=') => {
                    QueryError::new(here, "a value is missing at the end").hint("write the value, or * for any value")
                }
                _ => QueryError::new(here, "the query ends too early"),
            };
        };
        for word in ["and", "or", "not"] {
            if self.cursor.at_word(word) {
                let span = here.start..here.start + word.len();
                return if word == "not" {
                    let error = QueryError::new(span, "`not` can't stand directly after a condition");
                    error.hint("write `and not` or `or not`")
                } else {
                    let error = QueryError::new(span, format!("`{word}` needs a condition before it"));
                    error.hint(format!("take it away, or write \"{word}\" if it is the word you look for"))
                };
            }
        }
        match letter {
            ')' | '}' => {
                let open = if letter == ')' { '(' } else { '{' };
                let error = QueryError::new(here, format!("this {letter} closes nothing"));
                error.hint(format!("take it away, add {open} before it, or write \\{letter} for the character itself"))
            }
            ':' | '<' | '>' => QueryError::new(here, format!("a field name is missing before {letter}"))
                .hint(format!("write \\{letter} for the character itself")),
            '{' => QueryError::new(here, "{ may stand only after a field and a colon")
                .hint("write field: { inner: value }, or \\{ for the character itself"),
            _ => QueryError::new(here, "two conditions stand side by side").hint("put `and` or `or` between them"),
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
mod tests {
    use super::*;

    fn named(field: &str, test: Test) -> Ast {
        Ast::Leaf { field: Field::Named(field.into()), test }
    }

    fn words(field: &str, text: &str) -> Ast {
        named(field, Test::Words(text.into()))
    }

    fn bare(text: &str) -> Ast {
        Ast::Leaf { field: Field::Default, test: Test::Words(text.into()) }
    }

    #[test]
    fn or_is_weaker_than_and_is_weaker_than_not() {
        let expected = Ast::Or(vec![words("a", "1"), Ast::And(vec![words("b", "2"), Ast::not(words("c", "3"))])]);
        assert_eq!(parse("a:1 OR b: 2 and NOT c :3"), Ok(expected));
    }

    #[test]
    fn unquoted_values_hold_spaces() {
        assert_eq!(
            parse("message: connection refused  and x:y"),
            Ok(Ast::And(vec![words("message", "connection refused"), words("x", "y"),]))
        );
        assert_eq!(parse("  time out  "), Ok(bare("time out")));
        assert_eq!(parse(r"rock \and roll"), Ok(bare("rock and roll")));
    }

    #[test]
    fn values_in_parentheses_share_the_field() {
        let expected = Ast::Or(vec![
            words("level", "error"),
            Ast::And(vec![words("level", "warn"), Ast::not(words("level", "x y"))]),
        ]);
        assert_eq!(parse("level: (error or warn and not x y)"), Ok(expected));
    }

    #[test]
    fn ranges_wildcards_and_existence() {
        let bound = Some(Bound { value: "500".into(), inclusive: true });
        assert_eq!(parse("s>=500"), Ok(named("s", Test::Range(Range { lower: bound, upper: None }))));
        assert_eq!(parse("host: web*?"), Ok(named("host", Test::Pattern(r"web*\?".into()))));
        assert_eq!(parse("host: \"web*\""), Ok(named("host", Test::Phrase { text: "web*".into(), slop: 0 })));
        assert_eq!(parse("host:*"), Ok(named("host", Test::Exists)));
        assert_eq!(parse("*"), Ok(Ast::All));
        assert_eq!(parse("*:*"), Ok(Ast::All));
        let field = Field::Pattern("http.*".into());
        assert_eq!(parse("http.*: x"), Ok(Ast::Leaf { field, test: Test::Words("x".into()) }));
    }

    #[test]
    fn nested_fields_are_prefixed() {
        let expected = Ast::And(vec![words("a.b", "1"), words("a.c", "2")]);
        assert_eq!(parse("a:{ b: 1 and c: 2 }"), Ok(expected));
    }

    #[test]
    fn escapes() {
        assert_eq!(parse(r"path: C\:\\x\*"), Ok(words("path", r"C:\x*")));
        assert_eq!(
            parse(r#"m: "a \"b\" \u0041\n""#),
            Ok(named("m", Test::Phrase { text: "a \"b\" A\n".into(), slop: 0 }))
        );
    }

    #[test]
    fn errors_say_where_and_what_to_write() {
        for (text, at, message, hint) in [
            (
                "level: error message: x",
                "message",
                "side by side",
                "level: error and message".trim_start_matches("level: "),
            ),
            ("level: \"error", "\"error", "never closed", "add \""),
            ("(a or b", "(", "never closed", "add )"),
            ("a or", "or", "needs a condition after", "take it away"),
            ("and b", "and", "needs a condition before", "take it away"),
            ("a)", ")", "closes nothing", "take it away"),
            ("level:", "", "value is missing", "* for any"),
            (": x", ":", "field name is missing", "\\:"),
            ("time: 10:30", "10:", "colon", "\"10:30\""),
            ("a not b", "not", "directly after", "and not"),
            ("a > b*", "b*", "wildcard", "quotation"),
            ("a >> 5", ">>", "comparison", ">="),
            ("()", "()", "nothing between", ""),
        ] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text} was accepted"));
            assert_eq!(text.get(error.span.clone()), Some(at), "{text}: {error:?}");
            assert!(error.message.contains(message), "{text}: {error:?}");
            assert!(error.hint.clone().unwrap_or_default().contains(hint), "{text}: {error:?}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        for deep in
            ["(".repeat(60_000), format!("a:{}", "(".repeat(20_000)), "a:{".repeat(20_000), "not ".repeat(16_000) + "a"]
        {
            assert!(parse(&deep).err().is_some_and(|error| error.message.contains("deep")), "{}", &deep[..9]);
        }
        assert!(parse(&"a".repeat(70_000)).err().is_some_and(|error| error.message.contains("bytes")));
    }

    proptest::proptest! {
        #[test]
        fn anything_is_parsed_or_refused_within_its_text(text in "[ a-c:()<>=\"*\\\\{}üandort]{0,40}") {
            if let Err(error) = parse(&text) {
                proptest::prop_assert!(text.get(error.span.clone()).is_some(), "{:?} {:?}", text, error);
                let _ = error.caret(&text);
            }
        }
    }
}
