//! Lucene's query syntax as Elasticsearch's `query_string` has it: `f:x`, `"a b"~2`, `x~`, `* ?`, `/re/`,
//! `[a TO b}`, `f:>=n`, `_exists_:f`, `+ - !`, AND OR NOT && ||, parentheses. AND binds stronger than OR, which Lucene's own parser gets wrong.

use crate::ast::{Ast, Bound, Field, Range, Test};
use crate::cursor::{Cursor, DEPTH_MAX, too_deep};
use crate::error::QueryError;

/// What stands between two conditions that nothing stands between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operator {
    /// Lucene's default.
    #[default]
    Or,
    /// Every condition must hold.
    And,
}

/// Parses Lucene's syntax; conditions side by side mean `OR`.
///
/// # Errors
/// When the text can't be understood: what is wrong, where, and what to write instead.
pub fn parse(text: &str) -> Result<Ast, QueryError> {
    parse_with(text, Operator::Or)
}

/// Parses Lucene's syntax with the given meaning of conditions side by side.
///
/// # Errors
/// When the text can't be understood.
pub fn parse_with(text: &str, operator: Operator) -> Result<Ast, QueryError> {
    let mut parser = Parser { cursor: Cursor::new(text)?, depth: 0, operator };
    parser.cursor.skip_space();
    if parser.cursor.peek().is_none() {
        return Ok(Ast::All);
    }
    let ast = parser.clauses(&Field::Default)?;
    match parser.cursor.peek() {
        None => Ok(ast),
        Some(_) => Err(parser.unexpected()),
    }
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    depth: usize,
    operator: Operator,
}

/// A list of clauses on its way to `required and not prohibited and (any optional)`.
#[derive(Default)]
struct Clauses {
    required: Vec<Ast>,
    prohibited: Vec<Ast>,
    optional: Vec<Ast>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    None,
    Required,
    Prohibited,
}

impl Parser<'_> {
    fn clauses(&mut self, field: &Field) -> Result<Ast, QueryError> {
        let mut clauses = Clauses::default();
        let mut explicit_or = false;
        loop {
            let (first, sign) = self.signed(field)?;
            let mut members = vec![apply(first.clone(), sign)];
            while self.operator_here(&["AND", "&&"])? {
                let (next, sign) = self.signed(field)?;
                members.push(apply(next, sign));
            }
            let or_follows = self.operator_here(&["OR", "||"])?;
            let side_by_side = !or_follows && !explicit_or;
            match sign {
                _ if members.len() > 1 && side_by_side && self.operator == Operator::And => {
                    clauses.required.push(Ast::and(members));
                }
                _ if members.len() > 1 => clauses.optional.push(Ast::and(members)),
                Sign::Required => clauses.required.push(first),
                Sign::Prohibited if side_by_side => clauses.prohibited.push(Ast::not(first)),
                Sign::None if side_by_side && self.operator == Operator::And => clauses.required.push(first),
                _ => clauses.optional.append(&mut members),
            }
            explicit_or = or_follows;
            self.cursor.skip_space();
            if !or_follows && matches!(self.cursor.peek(), None | Some(')')) {
                return Ok(clauses.into_ast());
            }
        }
    }

    /// One clause with its `+`, `-`, `!` or `NOT`.
    fn signed(&mut self, field: &Field) -> Result<(Ast, Sign), QueryError> {
        let mut sign = Sign::None;
        let mut signs = 0;
        loop {
            self.cursor.skip_space();
            let mut at = self.cursor.here();
            let negates = self.cursor.rest().starts_with(['-', '!']);
            if negates || self.cursor.peek() == Some('+') {
                self.cursor.next();
            } else if self.word("NOT") {
                self.cursor.at += 3;
                at.end = self.cursor.at;
            } else {
                break;
            }
            sign = match (at.is_empty(), self.cursor.text.get(at.clone()) == Some("+"), sign) {
                (_, true, Sign::None) => Sign::Required,
                (_, true, kept) => kept,
                (_, false, Sign::Prohibited) => Sign::Required,
                (_, false, _) => Sign::Prohibited,
            };
            signs += 1;
            if signs > DEPTH_MAX {
                return Err(too_deep(at));
            }
        }
        Ok((self.clause(field)?, sign))
    }

    fn clause(&mut self, field: &Field) -> Result<Ast, QueryError> {
        self.cursor.skip_space();
        if self.cursor.peek() == Some('(') {
            return self.group(field);
        }
        let start = self.cursor;
        if !matches!(self.cursor.peek(), Some('"' | '/' | '[' | '{' | '<' | '>')) {
            let name = self.term()?;
            if self.cursor.eat(":") {
                return self.field_clause(&name);
            }
            self.cursor = start;
        }
        self.value(field)
    }

    fn field_clause(&mut self, name: &Term) -> Result<Ast, QueryError> {
        self.cursor.skip_space();
        if name.text == "_exists_" {
            let field = self.term()?;
            return Ok(Ast::Leaf { field: field.into_field(), test: Test::Exists });
        }
        let field = name.clone().into_field();
        if self.cursor.peek() == Some('(') {
            return self.group(&field);
        }
        self.value(&field)
    }

    fn group(&mut self, field: &Field) -> Result<Ast, QueryError> {
        let opened = self.cursor.here();
        let never_closed = || QueryError::new(opened.clone(), "this ( is never closed").hint("add )");
        self.cursor.next();
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep(opened.clone()));
        }
        self.cursor.skip_space();
        match self.cursor.peek() {
            None => return Err(never_closed()),
            Some(')') => {
                let error = QueryError::new(opened.start..self.cursor.at + 1, "there is nothing between ( and )");
                return Err(error.hint("write a condition there, or take both away"));
            }
            Some(_) => {}
        }
        let ast = self.clauses(field)?;
        self.cursor.skip_space();
        if !self.cursor.eat(")") {
            return Err(never_closed());
        }
        self.depth -= 1;
        Ok(boosted(ast, self.boost()?))
    }

    fn value(&mut self, field: &Field) -> Result<Ast, QueryError> {
        let start = self.cursor.at;
        let test = match self.cursor.peek() {
            Some('"') => self.phrase()?,
            Some('/') => self.regex()?,
            Some('[' | '{') => self.range()?,
            Some('<' | '>') => self.comparison()?,
            _ => {
                let term = self.term()?;
                if self.cursor.eat("~") {
                    let distance = self.digits().map_or(2, |digits| digits.parse().unwrap_or(2).min(2));
                    Test::Fuzzy { text: term.text, distance }
                } else {
                    term.into_test()
                }
            }
        };
        let written = start..self.cursor.at;
        let by = self.boost()?;
        match (field, test) {
            (Field::Default, Test::Exists) => Ok(boosted(Ast::All, by)),
            (Field::Pattern(pattern), Test::Exists) if pattern == "*" => Ok(boosted(Ast::All, by)),
            (Field::Default, Test::Range(_)) => {
                let hint = format!("write field:{}", self.cursor.text.get(written.clone()).unwrap_or_default());
                Err(QueryError::new(written, "a range needs a field before it").hint(hint))
            }
            (field, test) => Ok(boosted(Ast::Leaf { field: field.clone(), test }, by)),
        }
    }

    fn phrase(&mut self) -> Result<Test, QueryError> {
        self.cursor.next();
        let text = self.cursor.quoted()?;
        let slop =
            if self.cursor.eat("~") { self.digits().and_then(|digits| digits.parse().ok()).unwrap_or(2) } else { 0 };
        Ok(Test::Phrase { text, slop })
    }

    fn regex(&mut self) -> Result<Test, QueryError> {
        let start = self.cursor.at;
        self.cursor.next();
        let mut pattern = String::new();
        loop {
            match self.cursor.next() {
                None => {
                    let error = QueryError::new(start..self.cursor.at, "this regular expression is never closed");
                    return Err(error.hint("add / at the end, or put a path in quotation marks"));
                }
                Some('/') => return Ok(Test::Regex(pattern)),
                Some('\\') if self.cursor.peek() == Some('/') => {
                    self.cursor.next();
                    pattern.push('/');
                }
                Some('\\') => {
                    pattern.push('\\');
                    pattern.extend(self.cursor.next());
                }
                Some(letter) => pattern.push(letter),
            }
        }
    }

    fn range(&mut self) -> Result<Test, QueryError> {
        let opened = self.cursor.here();
        let lower_inclusive = self.cursor.next() == Some('[');
        let lower = self.range_bound()?;
        self.cursor.skip_space();
        if !self.word("TO") {
            let error = QueryError::new(self.cursor.word_here(), "a range needs TO between its bounds");
            return Err(error.hint("write [low TO high]; * leaves a side open"));
        }
        self.cursor.at += 2;
        let upper = self.range_bound()?;
        self.cursor.skip_space();
        let upper_inclusive = match self.cursor.peek() {
            Some(']') => true,
            Some('}') => false,
            Some(_) => {
                let error = QueryError::new(self.cursor.word_here(), "a range ends after its second bound");
                return Err(error.hint("write ] or } before it, or put a bound that has spaces in quotation marks"));
            }
            None => {
                return Err(
                    QueryError::new(opened, "this range is never closed").hint("add ], or } to exclude the bound")
                );
            }
        };
        self.cursor.next();
        let bound = |value: Option<String>, inclusive| value.map(|value| Bound { value, inclusive });
        let (lower, upper) = (bound(lower, lower_inclusive), bound(upper, upper_inclusive));
        Ok(if lower.is_none() && upper.is_none() { Test::Exists } else { Test::Range(Range { lower, upper }) })
    }

    fn range_bound(&mut self) -> Result<Option<String>, QueryError> {
        self.cursor.skip_space();
        if self.cursor.eat("\"") {
            return self.cursor.quoted().map(Some);
        }
        let start = self.cursor.at;
        let mut text = String::new();
        let mut plain = true;
        while let Some(letter) = self.cursor.peek().filter(|letter| !letter.is_whitespace() && !"]}".contains(*letter))
        {
            self.cursor.next();
            let escaped = letter == '\\';
            plain &= !escaped;
            text.push(if escaped { self.cursor.escaped()? } else { letter });
        }
        match text.as_str() {
            "" => {
                Err(QueryError::new(start..start, "a bound is missing")
                    .hint("write a value, or * to leave the side open"))
            }
            "*" if plain => Ok(None),
            _ => Ok(Some(text)),
        }
    }

    fn comparison(&mut self) -> Result<Test, QueryError> {
        let lower = self.cursor.next() == Some('>');
        let inclusive = self.cursor.eat("=");
        self.cursor.skip_space();
        let mut value = if self.cursor.eat("\"") { self.cursor.quoted()? } else { self.term()?.text };
        // No field can follow a comparison, so the colons of a time of day need no escape.
        while self.cursor.eat(":") {
            value.push(':');
            value.push_str(&self.term()?.text);
        }
        let bound = Some(Bound { value, inclusive });
        Ok(Test::Range(if lower { Range { lower: bound, upper: None } } else { Range { lower: None, upper: bound } }))
    }

    fn term(&mut self) -> Result<Term, QueryError> {
        let mut term = Term::default();
        if self.operator_word() {
            return Err(self.unexpected());
        }
        while let Some(letter) = self.cursor.peek() {
            if letter.is_whitespace() || "():\"[]{}^~".contains(letter) {
                break;
            }
            self.cursor.next();
            match letter {
                '\\' => {
                    let escaped = self.cursor.escaped()?;
                    term.text.push(escaped);
                    if matches!(escaped, '*' | '?' | '\\') {
                        term.pattern.push('\\');
                    }
                    term.pattern.push(escaped);
                }
                '*' | '?' => {
                    term.wild = true;
                    term.text.push(letter);
                    term.pattern.push(letter);
                }
                _ => {
                    term.text.push(letter);
                    term.pattern.push(letter);
                }
            }
        }
        if term.text.is_empty() { Err(self.unexpected()) } else { Ok(term) }
    }

    fn boost(&mut self) -> Result<Option<String>, QueryError> {
        let start = self.cursor.at;
        if !self.cursor.eat("^") {
            return Ok(None);
        }
        let digits = self.digits().filter(|digits| digits.parse::<f32>().is_ok()).map(str::to_owned);
        let refused = || {
            QueryError::new(start..self.cursor.at, "a boost is a number, as in word^2")
                .hint("write the number, or \\^ for the character itself")
        };
        digits.map(Some).ok_or_else(refused)
    }

    fn digits(&mut self) -> Option<&str> {
        let rest = self.cursor.rest();
        let length = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        self.cursor.at += length;
        rest.get(..length).filter(|digits| !digits.is_empty())
    }

    /// Operators are words in capitals.
    fn word(&self, word: &str) -> bool {
        self.cursor.rest().starts_with(word) && self.cursor.at_word(word)
    }

    fn operator_word(&self) -> bool {
        ["AND", "OR", "NOT"].iter().any(|word| self.word(word))
            || self.cursor.rest().starts_with("&&")
            || self.cursor.rest().starts_with("||")
    }

    /// Takes one of the operator's spellings, and makes sure that something follows it.
    fn operator_here(&mut self, spellings: &[&str]) -> Result<bool, QueryError> {
        self.cursor.skip_space();
        let found = spellings.iter().find(|spelling| {
            let symbol = spelling.starts_with(['&', '|']) && self.cursor.rest().starts_with(**spelling);
            symbol || self.word(spelling)
        });
        let Some(spelling) = found else { return Ok(false) };
        let start = self.cursor.at;
        self.cursor.at += spelling.len();
        self.cursor.skip_space();
        if matches!(self.cursor.peek(), None | Some(')')) {
            let error =
                QueryError::new(start..start + spelling.len(), format!("{spelling} needs a condition after it"));
            return Err(error.hint(format!("take it away, or write \"{spelling}\" if it is what you look for")));
        }
        Ok(true)
    }

    fn unexpected(&self) -> QueryError {
        let here = self.cursor.here();
        match self.cursor.peek() {
            None => QueryError::new(here, "something is missing at the end").hint("write a value, or * for any value"),
            Some(')') if self.depth > 0 => QueryError::new(here.start..here.start, "a value is missing before )")
                .hint("write a value, or * for any value"),
            Some(')') => QueryError::new(here, "this ) closes nothing")
                .hint("take it away, add ( before it, or write \\) for the character itself"),
            Some(':') => QueryError::new(here, "a colon may stand only between a field and its value")
                .hint("put the value in quotation marks, or write \\: for the character itself"),
            Some(_) if self.operator_word() => {
                let length = if self.cursor.rest().starts_with(['&', '|', 'O']) { 2 } else { 3 };
                QueryError::new(here.start..here.start + length, "an operator needs a condition on each side")
                    .hint("put the word in quotation marks if it is what you look for")
            }
            Some(letter) => QueryError::new(here, format!("{letter} can't stand here"))
                .hint(format!("put the value in quotation marks, or write \\{letter} for the character itself")),
        }
    }
}

impl Clauses {
    fn into_ast(mut self) -> Ast {
        // Beside a required clause, optional ones only change the score.
        if self.required.is_empty() && !self.optional.is_empty() {
            self.required.push(Ast::or(self.optional));
        }
        self.required.append(&mut self.prohibited);
        Ast::and(self.required)
    }
}

fn boosted(member: Ast, by: Option<String>) -> Ast {
    match by {
        Some(by) => Ast::Boosted { member: Box::new(member), by },
        None => member,
    }
}

fn apply(ast: Ast, sign: Sign) -> Ast {
    if sign == Sign::Prohibited { Ast::not(ast) } else { ast }
}

#[derive(Clone, Default)]
struct Term {
    text: String,
    pattern: String,
    wild: bool,
}

impl Term {
    fn into_field(self) -> Field {
        if self.wild { Field::Pattern(self.pattern) } else { Field::Named(self.text) }
    }

    fn into_test(self) -> Test {
        match self.wild {
            true if self.pattern.chars().all(|letter| letter == '*') => Test::Exists,
            true => Test::Pattern(self.pattern),
            false => Test::Words(self.text),
        }
    }
}

#[cfg(test)]
mod tests;
