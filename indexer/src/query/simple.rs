//! `simple_query_string`: `+` and, `|` or, `-` not, `"phrase"~2`, `prefix*`, `word~1`, parentheses. Never refuses a text:
//! what makes no sense is read as words.

use logmill_indexer_api::lucene::Operator;
use logmill_indexer_api::{Ast, Field, Test};

use super::limits::DEPTH_MAX;

pub(super) fn parse(text: &str, operator: Operator) -> Ast {
    let mut parser = Parser { letters: text.chars().peekable(), operator, depth: 0 };
    let mut members = Vec::new();
    loop {
        members.extend(parser.list());
        // A closing parenthesis that closes nothing.
        if parser.letters.next().is_none() {
            return Ast::and(members);
        }
    }
}

struct Parser<'t> {
    letters: std::iter::Peekable<std::str::Chars<'t>>,
    operator: Operator,
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
        while let Some(letter) = self.letters.peek().copied().filter(|letter| *letter != ')') {
            match letter {
                '+' | '|' => {
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
            Some('-') => {
                self.letters.next();
                let starts = self.letters.peek().is_some_and(|next| !next.is_whitespace() && !"-)+|".contains(*next));
                if starts { self.member().map(Ast::not) } else { None }
            }
            Some('(') if self.depth < DEPTH_MAX => {
                self.letters.next();
                self.depth += 1;
                let inner = self.list();
                self.letters.next_if_eq(&')');
                self.depth -= 1;
                inner
            }
            Some('(') => {
                self.letters.next();
                None
            }
            Some('"') => {
                self.letters.next();
                let text = self.until(|letter| letter == '"');
                self.letters.next();
                let slop = self.edits().unwrap_or(0);
                Some(leaf(Test::Phrase { text, slop }))
            }
            _ => {
                let text = self.until(|letter| letter.is_whitespace() || "()\"+|~".contains(letter));
                if let Some(distance) = self.edits() {
                    return Some(leaf(Test::Fuzzy { text, distance: u8::try_from(distance).unwrap_or(2).min(2) }));
                }
                match text.strip_suffix('*') {
                    _ if text.is_empty() => {
                        self.letters.next();
                        None
                    }
                    Some("") => Some(Ast::All),
                    Some(prefix) => Some(leaf(Test::Pattern(format!("{}*", escaped(prefix))))),
                    None => Some(leaf(Test::Words(text))),
                }
            }
        }
    }

    fn until(&mut self, ends: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(letter) = self.letters.next_if(|letter| !ends(*letter)) {
            if letter == '\\' { text.extend(self.letters.next()) } else { text.push(letter) }
        }
        text
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
            ("", Operator::Or, "*:*"),
        ] {
            assert_eq!(parse(text, operator).to_lucene(), lucene, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[ab()+|\"*~ -]{0,30}") {
            let _ = parse(&text, Operator::Or);
        }
    }
}
