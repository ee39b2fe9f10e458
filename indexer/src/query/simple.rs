//! `simple_query_string`: `+` and, `|` or, `-` not, `"phrase"~2`, `prefix*`, `word~1`, parentheses. Never refuses a text:
//! what makes no sense is read as words.

use logmill_indexer_api::lucene::Operator;
use logmill_indexer_api::{Ast, Field, Test};

use super::error::EsError;
use super::limits::DEPTH_MAX;

/// Which operators are operators; the others are letters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags {
    and: bool,
    not: bool,
    or: bool,
    prefix: bool,
    phrase: bool,
    precedence: bool,
    escape: bool,
    whitespace: bool,
    fuzzy: bool,
    slop: bool,
}

impl Flags {
    const fn all(on: bool) -> Self {
        Self {
            and: on,
            not: on,
            or: on,
            prefix: on,
            phrase: on,
            precedence: on,
            escape: on,
            whitespace: on,
            fuzzy: on,
            slop: on,
        }
    }

    /// `OR|AND|PREFIX`.
    pub(super) fn read(text: &str) -> Result<Self, EsError> {
        let mut flags = Self::all(false);
        for name in text.split('|').map(str::trim).filter(|name| !name.is_empty()) {
            let flag = match name.to_ascii_uppercase().as_str() {
                "ALL" => return Ok(Self::all(true)),
                "NONE" => continue,
                "AND" => &mut flags.and,
                "NOT" => &mut flags.not,
                "OR" => &mut flags.or,
                "PREFIX" => &mut flags.prefix,
                "PHRASE" => &mut flags.phrase,
                "PRECEDENCE" => &mut flags.precedence,
                "ESCAPE" => &mut flags.escape,
                "WHITESPACE" => &mut flags.whitespace,
                "FUZZY" => &mut flags.fuzzy,
                "NEAR" | "SLOP" => &mut flags.slop,
                _ => return Err(EsError::argument(format!("Unknown simple_query_string flag [{name}]"))),
            };
            *flag = true;
        }
        Ok(flags)
    }
}

impl Default for Flags {
    fn default() -> Self {
        Self::all(true)
    }
}

/// What a text asks for; `None` when there is nothing in it.
pub(super) fn parse(text: &str, operator: Operator, flags: Flags) -> Option<Ast> {
    let mut parser = Parser { letters: text.chars().peekable(), operator, flags, depth: 0 };
    let mut members = Vec::new();
    loop {
        members.extend(parser.list());
        // A closing parenthesis that closes nothing.
        if parser.letters.next().is_none() {
            return (!members.is_empty()).then(|| Ast::and(members));
        }
    }
}

struct Parser<'t> {
    letters: std::iter::Peekable<std::str::Chars<'t>>,
    operator: Operator,
    flags: Flags,
    depth: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    Or,
    And,
}

impl Parser<'_> {
    /// Up to a closing parenthesis or the end; `None` when there is nothing.
    fn list(&mut self) -> Option<Ast> {
        let default = if self.operator == Operator::And { Joint::And } else { Joint::Or };
        let (mut any, mut all): (Vec<Ast>, Vec<Ast>) = (Vec::new(), Vec::new());
        let mut joint = default;
        while let Some(letter) = self.letters.peek().copied().filter(|letter| *letter != ')' || !self.flags.precedence)
        {
            match letter {
                '+' | '|' if (letter == '+' && self.flags.and) || (letter == '|' && self.flags.or) => {
                    self.letters.next();
                    joint = if letter == '+' { Joint::And } else { Joint::Or };
                }
                _ if letter.is_whitespace() => {
                    self.letters.next();
                }
                _ => {
                    let Some(member) = self.member() else { continue };
                    if joint == Joint::Or && !all.is_empty() {
                        any.push(Ast::and(std::mem::take(&mut all)));
                    }
                    all.push(member);
                    joint = default;
                }
            }
        }
        if !all.is_empty() {
            any.push(Ast::and(all));
        }
        (!any.is_empty()).then(|| Ast::or(any))
    }

    fn member(&mut self) -> Option<Ast> {
        match self.letters.peek() {
            Some('-') if self.flags.not => {
                self.letters.next();
                let starts = self.letters.peek().is_some_and(|next| !next.is_whitespace() && !"-)+|".contains(*next));
                if starts { self.member().map(Ast::not) } else { None }
            }
            Some('(') if self.depth < DEPTH_MAX && self.flags.precedence => {
                self.letters.next();
                self.depth += 1;
                let inner = self.list();
                self.letters.next_if_eq(&')');
                self.depth -= 1;
                inner
            }
            Some('(') if self.flags.precedence => {
                self.letters.next();
                None
            }
            Some('"') if self.flags.phrase => {
                self.letters.next();
                let (text, _) = self.until(|letter| letter == '"');
                self.letters.next();
                let slop = if self.flags.slop { self.edits().unwrap_or(0) } else { 0 };
                Some(leaf(Test::Phrase { text, slop }))
            }
            _ => {
                let flags = self.flags;
                let (text, is_literal) = self.until(|letter| match letter {
                    '(' | ')' => flags.precedence,
                    '"' => flags.phrase,
                    '+' => flags.and,
                    '|' => flags.or,
                    '~' => flags.fuzzy,
                    _ => flags.whitespace && letter.is_whitespace(),
                });
                if flags.fuzzy
                    && let Some(distance) = self.edits()
                {
                    return Some(leaf(Test::Fuzzy { text, distance: u8::try_from(distance).unwrap_or(2).min(2) }));
                }
                match text.strip_suffix('*').filter(|_| !is_literal) {
                    _ if text.is_empty() => {
                        self.letters.next();
                        None
                    }
                    Some("") if flags.prefix => Some(Ast::All),
                    Some(prefix) if flags.prefix => Some(leaf(Test::Pattern(format!("{}*", escaped(prefix))))),
                    _ => Some(leaf(Test::Words(text))),
                }
            }
        }
    }

    /// The letters before the one that ends them, and whether the last of them stands for itself.
    fn until(&mut self, ends: impl Fn(char) -> bool) -> (String, bool) {
        let (mut text, mut is_literal) = (String::new(), false);
        while let Some(letter) = self.letters.next_if(|letter| !ends(*letter)) {
            is_literal = letter == '\\' && self.flags.escape;
            if is_literal {
                text.extend(self.letters.next());
            } else {
                text.push(letter);
            }
        }
        (text, is_literal)
    }

    fn edits(&mut self) -> Option<u32> {
        self.letters.next_if_eq(&'~')?;
        let mut number = 0u32;
        let mut written = false;
        while let Some(digit) = self.letters.peek().and_then(|letter| letter.to_digit(10)) {
            self.letters.next();
            number = number.saturating_mul(10).saturating_add(digit);
            written = true;
        }
        Some(if written { number } else { 2 })
    }
}

fn leaf(test: Test) -> Ast {
    Ast::Leaf { field: Field::Default, test }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if matches!(letter, '*' | '?' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_and_forms() {
        for (text, operator, lucene) in [
            ("a b", Operator::Or, "a OR b"),
            ("a b", Operator::And, "a AND b"),
            ("a + -b", Operator::Or, "a AND NOT b"),
            ("a + (b | c*)", Operator::And, "a AND (b OR c*)"),
            ("\"x y\"~2 | z~1", Operator::And, "\"x y\"~2 OR z~1"),
            ("a)", Operator::Or, "a"),
            ("a\\* *", Operator::And, "a\\* AND *:*"),
        ] {
            assert_eq!(parse(text, operator, Flags::default()).unwrap().to_lucene(), lucene, "{text}");
        }
        for nothing in ["", "  ", "-", "()", ")"] {
            assert_eq!(parse(nothing, Operator::Or, Flags::default()), None, "{nothing}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[ab()+|\"*~ -]{0,30}") {
            let _ = parse(&text, Operator::Or, Flags::default());
            let _ = parse(&text, Operator::And, Flags::all(false));
        }
    }
}
