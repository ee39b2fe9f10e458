//! Reads a script: into tokens, then by precedence into a tree.

use super::{Expression, MATH, MATH_OF_TWO, Outcome, windows};
use crate::query::error::EsError;

/// Longer scripts are refused.
const SCRIPT_BYTES_MAX: usize = 4096;
/// Parentheses and operators within each other.
const DEPTH_MAX: usize = 64;

fn refused(why: impl std::fmt::Display, script: &str) -> EsError {
    EsError::new(400, "script_exception", format!("compile error: {why} in the script [{script}]"))
}

impl Expression {
    /// Reads a script. In the language `expression` names stand for parameters.
    pub(in crate::aggregate::pipeline) fn read(script: &str, bare_names: bool) -> Result<Self, EsError> {
        if script.len() > SCRIPT_BYTES_MAX {
            return Err(refused(format!("more than {SCRIPT_BYTES_MAX} bytes"), "…"));
        }
        let tokens = tokens(script)?;
        let mut parser = Parser { tokens: &tokens, script, bare_names, depth: 0 };
        if parser.tokens.first() == Some(&Token::Name("return".to_owned())) {
            parser.tokens = parser.tokens.get(1..).unwrap_or_default();
        }
        let expression = parser.condition()?;
        parser.take(";");
        match parser.tokens.first() {
            None => Ok(expression),
            Some(token) => {
                Err(refused(format!("[{token}] is not supported: only one expression of numbers is"), script))
            }
        }
    }
}

fn is_known(name: &str, arguments: &[Expression]) -> bool {
    match arguments.len() {
        1 if MATH.iter().any(|(known, _)| *known == name) => true,
        1 if matches!(name, "Math.round" | "Double.isNaN" | "Double.isInfinite") => true,
        2 if MATH_OF_TWO.iter().any(|(known, _)| *known == name) => true,
        number => {
            let arity = name.strip_prefix("MovingFunctions.").and_then(windows::arity);
            arity == Some(number) && arguments.first() == Some(&Expression::Values)
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Number(Outcome),
    Text(String),
    Sign(&'static str),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(text) | Self::Text(text) => f.write_str(text),
            Self::Number(Outcome::Whole(number)) => write!(f, "{number}"),
            Self::Number(outcome) => write!(f, "{:?}", outcome.as_f64().unwrap_or_default()),
            Self::Sign(sign) => f.write_str(sign),
        }
    }
}

/// The longer ones first.
const SIGNS: [&str; 22] = [
    "===", "!==", "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")", ",",
    ";",
];
/// For `params['x']`; the point only so that what stands beside it can be named.
const OTHERS: [&str; 3] = ["[", "]", "."];
/// What begins a statement, which there are none of.
const STATEMENTS: [&str; 11] = ["for", "while", "do", "if", "def", "int", "long", "double", "float", "boolean", "new"];

fn tokens(script: &str) -> Result<Vec<Token>, EsError> {
    let mut tokens = Vec::new();
    let mut rest = script.trim_start();
    while let Some(first) = rest.chars().next() {
        let until = |fits: &dyn Fn(char) -> bool| rest.find(|letter| !fits(letter)).unwrap_or(rest.len());
        let length = if first.is_ascii_alphabetic() || first == '_' {
            let length = until(&|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.');
            let name = rest.get(..length).unwrap_or_default();
            if STATEMENTS.contains(&name) {
                return Err(refused(format!("[{name}] is not supported: only one expression of numbers is"), script));
            }
            tokens.push(Token::Name(name.to_owned()));
            length
        } else if first.is_ascii_digit() || first == '.' && rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
            let (length, number) = number(rest).ok_or_else(|| refused("a number can't be read", script))?;
            tokens.push(Token::Number(number));
            length
        } else if first == '\'' || first == '"' {
            let inner = rest.get(1..).unwrap_or_default();
            let end = inner.find(first).ok_or_else(|| refused("a quote without an end", script))?;
            tokens.push(Token::Text(inner.get(..end).unwrap_or_default().to_owned()));
            end + 2
        } else {
            let sign = SIGNS.iter().chain(&OTHERS).find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| refused(format!("[{first}] is not supported"), script))?;
            tokens.push(Token::Sign(sign));
            sign.len()
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

/// A number's length and value: `1`, `1L`, `1.5`, `1e3`, `2f`, `2d`.
fn number(text: &str) -> Option<(usize, Outcome)> {
    let digits = |text: &str| text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let mut length = digits(text);
    let mut is_whole = true;
    if text.get(length..)?.starts_with('.') {
        is_whole = false;
        length += 1 + digits(text.get(length + 1..)?);
    }
    if text.get(length..)?.starts_with(['e', 'E']) {
        let sign = usize::from(text.get(length + 1..)?.starts_with(['+', '-']));
        let exponent = digits(text.get(length + 1 + sign..)?);
        if exponent == 0 {
            return None;
        }
        is_whole = false;
        length += 1 + sign + exponent;
    }
    let written = text.get(..length)?;
    let suffix = text.get(length..)?.chars().next().filter(char::is_ascii_alphabetic);
    match suffix {
        Some('l' | 'L') if is_whole => Some((length + 1, Outcome::Whole(written.parse().ok()?))),
        Some('f' | 'F' | 'd' | 'D') => Some((length + 1, Outcome::Number(written.parse().ok()?))),
        Some(_) => None,
        None if is_whole => Some((length, Outcome::Whole(written.parse().ok()?))),
        None => Some((length, Outcome::Number(written.parse().ok()?))),
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    script: &'t str,
    bare_names: bool,
    depth: usize,
}

/// Operators that bind equally, the loosest first.
const LEVELS: [&[&str]; 6] =
    [&["||"], &["&&"], &["==", "!=", "===", "!=="], &["<", "<=", ">", ">="], &["+", "-"], &["*", "/", "%"]];

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn take(&mut self, sign: &str) -> bool {
        match self.tokens.split_first() {
            Some((Token::Sign(found), rest)) if *found == sign => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, sign: &str) -> Result<(), EsError> {
        if self.take(sign) {
            return Ok(());
        }
        let found = self.tokens.first().map_or_else(|| "the end".to_owned(), |token| format!("[{token}]"));
        Err(refused(format!("[{sign}] is missing before {found}"), self.script))
    }

    fn deeper(&mut self) -> Result<(), EsError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(refused(format!("nested more than {DEPTH_MAX} levels deep"), self.script));
        }
        Ok(())
    }

    fn condition(&mut self) -> Result<Expression, EsError> {
        self.deeper()?;
        let test = self.level(0)?;
        let found = if self.take("?") {
            let yes = self.condition()?;
            self.expect(":")?;
            let no = self.condition()?;
            Expression::Condition(Box::new(test), Box::new(yes), Box::new(no))
        } else {
            test
        };
        self.depth -= 1;
        Ok(found)
    }

    fn level(&mut self, level: usize) -> Result<Expression, EsError> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        let mut length = 0;
        loop {
            let operator = match self.tokens.first() {
                Some(Token::Sign(sign)) => operators.iter().find(|operator| *operator == sign),
                _ => None,
            };
            let Some(operator) = operator else { return Ok(left) };
            // A long chain is as deep as a tree of its own when it is evaluated.
            length += 1;
            if length > DEPTH_MAX {
                return Err(refused(format!("more than {DEPTH_MAX} operators in a row"), self.script));
            }
            self.next();
            let right = self.level(level + 1)?;
            let operator = match *operator {
                "===" => "==",
                "!==" => "!=",
                other => other,
            };
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Result<Expression, EsError> {
        self.deeper()?;
        let found = if self.take("-") {
            Expression::Unary('-', Box::new(self.unary()?))
        } else if self.take("!") {
            Expression::Unary('!', Box::new(self.unary()?))
        } else if self.take("+") {
            self.unary()?
        } else {
            self.atom()?
        };
        self.depth -= 1;
        Ok(found)
    }

    fn atom(&mut self) -> Result<Expression, EsError> {
        if self.take("(") {
            let inner = self.condition()?;
            self.expect(")")?;
            return Ok(inner);
        }
        match self.next() {
            Some(Token::Number(number)) => Ok(Expression::Literal(number)),
            Some(Token::Name(name)) => self.name(name),
            Some(other) => Err(refused(format!("[{other}] is not supported here"), self.script)),
            None => Err(refused("something is missing at the end", self.script)),
        }
    }

    fn name(&mut self, name: String) -> Result<Expression, EsError> {
        match name.as_str() {
            "true" => return Ok(Expression::Literal(Outcome::Flag(true))),
            "false" => return Ok(Expression::Literal(Outcome::Flag(false))),
            "null" => return Ok(Expression::Literal(Outcome::Nothing)),
            "values" => return Ok(Expression::Values),
            "Math.PI" => return Ok(Expression::Literal(Outcome::Number(std::f64::consts::PI))),
            "Math.E" => return Ok(Expression::Literal(Outcome::Number(std::f64::consts::E))),
            "Double.NaN" => return Ok(Expression::Literal(Outcome::Number(f64::NAN))),
            "params" if self.take("[") => {
                let Some(Token::Text(name)) = self.next() else {
                    return Err(refused("params[…] needs a name in quotes", self.script));
                };
                self.expect("]")?;
                return Ok(Expression::Param(name));
            }
            _ => {}
        }
        if self.take("(") {
            let mut arguments = Vec::new();
            if !self.take(")") {
                loop {
                    arguments.push(self.condition()?);
                    if !self.take(",") {
                        break;
                    }
                }
                self.expect(")")?;
            }
            // The language `expression` has the same functions without their class.
            let name = if self.bare_names && !name.contains('.') { format!("Math.{name}") } else { name };
            if !is_known(&name, &arguments) {
                let reason = format!("the function [{name}] with {} arguments is not supported", arguments.len());
                return Err(refused(reason, self.script));
            }
            return Ok(Expression::Call(name, arguments));
        }
        match name.strip_prefix("params.") {
            Some(param) => Ok(Expression::Param(param.to_owned())),
            None if self.bare_names => Ok(Expression::Param(name)),
            None => Err(refused(format!("[{name}] is not supported: use params.NAME"), self.script)),
        }
    }
}
