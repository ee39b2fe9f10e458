//! From tokens to a checked term. Nesting is bounded, so no expression can exhaust the stack.

use std::sync::Arc;

use logmill_core::FieldPath;

use super::token::{Token, error, tokens};
use super::{Comparison, ExpressionError, Function, Kind, Literal, Pattern, Term};

/// Deeper brackets and negations are refused; people write two or three.
const DEPTH_MAX: usize = 50;
/// Longer chains of `and`/`or` are refused: printing and evaluating them recurses.
const TOKENS_MAX: usize = 2_000;

pub(super) fn parse(text: &str) -> Result<Term, ExpressionError> {
    let tokens = tokens(text)?;
    if tokens.len() > TOKENS_MAX {
        return Err(error(text, 0, format!("more than {TOKENS_MAX} words"), Some("use `in` with a list".into())));
    }
    let mut parser = Parser { text, tokens, next: 0, depth: 0 };
    let (at, term) = parser.or()?;
    parser.truth(at, &term)?;
    match parser.peek() {
        Token::End => Ok(term),
        Token::Sign("=") => Err(parser.here("one equals sign", Some("equality is written =="))),
        Token::Sign("=~") => {
            Err(parser.here("no such operator", Some("write matches(.field, \"regular expression\")")))
        }
        _ => Err(parser.here("the expression should have ended", Some("join conditions by `and` or `or`"))),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

type Parsed = Result<(usize, Term), ExpressionError>;

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |(at, _)| *at)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn take_if(&mut self, signs: &[&str], name: &str) -> bool {
        let is_it = match self.peek() {
            Token::Sign(sign) => signs.contains(sign),
            Token::Name(word) => !name.is_empty() && word == name,
            _ => false,
        };
        self.next += usize::from(is_it);
        is_it
    }

    fn here(&self, message: impl Into<String>, hint: Option<&str>) -> ExpressionError {
        error(self.text, self.at(), message, hint.map(str::to_owned))
    }

    /// Refuses what can never be true or false.
    fn truth(&self, at: usize, term: &Term) -> Result<(), ExpressionError> {
        match term.kind() {
            Kind::Bool | Kind::Any => Ok(()),
            kind => {
                let hint = "compare it with something, for example .status >= 500";
                Err(error(self.text, at, format!("a condition can't be {}", kind.name()), Some(hint.into())))
            }
        }
    }

    fn or(&mut self) -> Parsed {
        let (at, mut left) = self.and()?;
        while self.take_if(&["||"], "or") {
            self.truth(at, &left)?;
            let (right_at, right) = self.and()?;
            self.truth(right_at, &right)?;
            left = Term::Or(left.into(), right.into());
        }
        Ok((at, left))
    }

    fn and(&mut self) -> Parsed {
        let (at, mut left) = self.not()?;
        while self.take_if(&["&&"], "and") {
            self.truth(at, &left)?;
            let (right_at, right) = self.not()?;
            self.truth(right_at, &right)?;
            left = Term::And(left.into(), right.into());
        }
        Ok((at, left))
    }

    fn not(&mut self) -> Parsed {
        let at = self.at();
        if !self.take_if(&["!"], "not") {
            return self.compare();
        }
        let (inner_at, inner) = self.deeper(Self::not)?;
        self.truth(inner_at, &inner)?;
        Ok((at, Term::Not(inner.into())))
    }

    fn deeper(&mut self, inner: fn(&mut Self) -> Parsed) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.here(format!("nested deeper than {DEPTH_MAX}"), None));
        }
        let parsed = inner(self);
        self.depth -= 1;
        parsed
    }

    fn compare(&mut self) -> Parsed {
        let (at, left) = self.operand()?;
        let sign_at = self.at();
        match self.peek().clone() {
            Token::Sign(sign) => {
                let Some((_, comparison)) = Comparison::ALL.iter().find(|(word, _)| *word == sign) else {
                    return Ok((at, left));
                };
                self.next += 1;
                let (_, right) = self.operand()?;
                self.comparable(sign_at, *comparison, &left, &right)?;
                Ok((at, Term::Compare(*comparison, left.into(), right.into())))
            }
            Token::Name(name) if name == "in" => {
                self.next += 1;
                Ok((at, Term::In(left.into(), self.list()?)))
            }
            Token::Name(name) if name == "not" => {
                self.next += 1;
                if !self.take_if(&[], "in") {
                    return Err(self.here("`not` here must be followed by `in`", None));
                }
                Ok((at, Term::Not(Term::In(left.into(), self.list()?).into())))
            }
            _ => Ok((at, left)),
        }
    }

    fn comparable(&self, at: usize, comparison: Comparison, left: &Term, right: &Term) -> Result<(), ExpressionError> {
        let (left, right) = (left.kind(), right.kind());
        let ordered = |kind| matches!(kind, Kind::Any | Kind::Number | Kind::Text);
        if comparison.is_order() && !(ordered(left) && ordered(right)) {
            let kind = if ordered(left) { right } else { left };
            return Err(error(self.text, at, format!("{} has no order", kind.name()), None));
        }
        let free = |kind| matches!(kind, Kind::Any | Kind::Null);
        if left != right && !free(left) && !free(right) {
            let message = format!("{} never equals {}", left.name(), right.name());
            return Err(error(self.text, at, message, Some("numbers stand without quotes, texts with them".into())));
        }
        Ok(())
    }

    fn operand(&mut self) -> Parsed {
        let at = self.at();
        let term = match self.take() {
            Token::Field(name) => self.field(at, &name)?,
            Token::Text(text) => Term::Literal(Literal::Text(text)),
            Token::Number(number) => Term::Literal(Literal::Number(number)),
            Token::Sign("(") => {
                let (_, inner) = self.deeper(Self::or)?;
                if !self.take_if(&[")"], "") {
                    return Err(self.here("a closing bracket is missing", None));
                }
                inner
            }
            Token::Name(name) => self.named(at, &name)?,
            Token::Sign("[") => return Err(error(self.text, at, "a list stands only after `in`", None)),
            Token::End => return Err(error(self.text, at, "the expression ends too early", None)),
            Token::Sign(_) => {
                return Err(error(self.text, at, "a field, a value or a function should stand here", None));
            }
        };
        Ok((at, term))
    }

    fn field(&self, at: usize, name: &str) -> Result<Term, ExpressionError> {
        FieldPath::parse(name).map(Term::Field).map_err(|problem| error(self.text, at, problem.to_string(), None))
    }

    fn named(&mut self, at: usize, name: &str) -> Result<Term, ExpressionError> {
        match name {
            "true" => return Ok(Term::Literal(Literal::Bool(true))),
            "false" => return Ok(Term::Literal(Literal::Bool(false))),
            "null" => return Ok(Term::Literal(Literal::Null)),
            _ => {}
        }
        let Some((_, function)) = Function::ALL.iter().find(|(word, _)| *word == name) else {
            let names: Vec<_> = Function::ALL.iter().map(|(word, _)| *word).collect();
            let hint = if matches!(self.peek(), Token::Sign("(")) {
                format!("functions are {}", names.join(", "))
            } else {
                format!("a field is written .{name}, a text \"{name}\"")
            };
            return Err(error(self.text, at, format!("`{name}` is not known"), Some(hint)));
        };
        if !self.take_if(&["("], "") {
            return Err(self.here(format!("`{name}` takes its arguments in round brackets"), None));
        }
        let (_, term) = {
            let arguments = self.arguments(*function)?;
            (at, self.call(at, *function, arguments)?)
        };
        Ok(term)
    }

    fn arguments(&mut self, function: Function) -> Result<Vec<(usize, Term)>, ExpressionError> {
        let mut arguments = vec![self.deeper(Self::or)?];
        while self.take_if(&[","], "") {
            arguments.push(self.deeper(Self::or)?);
        }
        if !self.take_if(&[")"], "") {
            return Err(self.here("a closing bracket is missing", None));
        }
        if arguments.len() != function.arguments() {
            let (name, wanted, given) = (function.word(), function.arguments(), arguments.len());
            return Err(self.here(format!("`{name}` takes {wanted} argument(s), not {given}"), None));
        }
        Ok(arguments)
    }

    fn call(&self, at: usize, function: Function, arguments: Vec<(usize, Term)>) -> Result<Term, ExpressionError> {
        if function == Function::Exists && !matches!(arguments.first(), Some((_, Term::Field(_)))) {
            return Err(error(self.text, at, "`exists` takes a field", Some("exists(.log.level)".into())));
        }
        let arguments: Vec<Term> = arguments.into_iter().map(|(_, term)| term).collect();
        if function != Function::Matches {
            return Ok(Term::Call(function, arguments));
        }
        match <[Term; 2]>::try_from(arguments) {
            Ok([value, Term::Literal(Literal::Text(text))]) => {
                // ASCII classes: Unicode word boundaries would leave the fast engine on the first non-ASCII byte.
                let regex = regex::RegexBuilder::new(&crate::grok::translate(&text)).multi_line(true).build();
                let regex = regex.map_err(|problem| {
                    let last = problem.to_string().lines().last().unwrap_or_default().trim().to_owned();
                    error(self.text, at, format!("not a regular expression: {last}"), None)
                })?;
                Ok(Term::Matches(value.into(), Pattern { text, regex: Arc::new(regex) }))
            }
            _ => Err(error(self.text, at, "`matches` takes a field and a regular expression in quotes", None)),
        }
    }

    fn list(&mut self) -> Result<Vec<Literal>, ExpressionError> {
        if !self.take_if(&["["], "") {
            return Err(self.here("`in` is followed by a list", Some("for example [\"ERROR\", \"FATAL\"]")));
        }
        let mut items = Vec::new();
        while !self.take_if(&["]"], "") {
            if !items.is_empty() && !self.take_if(&[","], "") {
                return Err(self.here("a comma or the list's end is missing", None));
            }
            let at = self.at();
            items.push(match self.take() {
                Token::Text(text) => Literal::Text(text),
                Token::Number(number) => Literal::Number(number),
                Token::Name(name) if name == "true" => Literal::Bool(true),
                Token::Name(name) if name == "false" => Literal::Bool(false),
                Token::Name(name) if name == "null" => Literal::Null,
                _ => return Err(error(self.text, at, "a list holds texts and numbers only", None)),
            });
        }
        Ok(items)
    }
}
