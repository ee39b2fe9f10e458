//! A small part of Painless: arithmetic, comparisons, conditions and a few functions over numbers. It has no loops, no
//! memory and no side effects, so that evaluating takes a time that its length bounds.

use std::collections::HashMap;

use super::moving;
use crate::query::error::EsError;

/// Longer scripts are refused.
const SCRIPT_BYTES_MAX: usize = 4096;
/// Parentheses and operators within each other.
const DEPTH_MAX: usize = 64;

/// A script that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Literal(Outcome),
    /// `params.x`, or `x` in the language `expression`.
    Param(String),
    /// The window of `moving_fn`.
    Values,
    Unary(char, Box<Expression>),
    Binary(&'static str, Box<Expression>, Box<Expression>),
    Condition(Box<Expression>, Box<Expression>, Box<Expression>),
    Call(String, Vec<Expression>),
}

/// What a script makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    Whole(i64),
    Number(f64),
    Flag(bool),
    Nothing,
}

/// What a script may read.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) params: HashMap<&'a str, Outcome>,
    pub(super) values: &'a [f64],
}

impl Outcome {
    pub(super) fn as_f64(self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(number as f64),
            Self::Number(number) => Some(number),
            Self::Flag(_) | Self::Nothing => None,
        }
    }
}

fn refused(why: impl std::fmt::Display, script: &str) -> EsError {
    EsError::new(400, "script_exception", format!("compile error: {why} in the script [{script}]"))
}

fn failed(why: impl std::fmt::Display) -> EsError {
    EsError::new(400, "script_exception", format!("runtime error: {why}"))
}

impl Expression {
    /// Reads a script. In the language `expression` names stand for parameters.
    pub(super) fn read(script: &str, bare_names: bool) -> Result<Self, EsError> {
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

    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Outcome, EsError> {
        Ok(match self {
            Self::Literal(outcome) => *outcome,
            Self::Param(name) => scope.params.get(name.as_str()).copied().unwrap_or(Outcome::Nothing),
            Self::Values => return Err(failed("[values] can only be given to a function of MovingFunctions")),
            Self::Unary('!', inner) => Outcome::Flag(!inner.flag(scope)?),
            Self::Unary(_, inner) => match inner.evaluate(scope)? {
                Outcome::Whole(number) => Outcome::Whole(number.wrapping_neg()),
                other => Outcome::Number(-number_of(other)?),
            },
            Self::Binary("&&", left, right) => Outcome::Flag(left.flag(scope)? && right.flag(scope)?),
            Self::Binary("||", left, right) => Outcome::Flag(left.flag(scope)? || right.flag(scope)?),
            Self::Binary(operator, left, right) => binary(operator, left.evaluate(scope)?, right.evaluate(scope)?)?,
            Self::Condition(test, yes, no) => if test.flag(scope)? { yes } else { no }.evaluate(scope)?,
            Self::Call(name, arguments) => call(name, arguments, scope)?,
        })
    }

    pub(super) fn flag(&self, scope: &Scope<'_>) -> Result<bool, EsError> {
        match self.evaluate(scope)? {
            Outcome::Flag(flag) => Ok(flag),
            // The language `expression` has no truth values of its own.
            Outcome::Whole(number) => Ok(number != 0),
            Outcome::Number(number) => Ok(number != 0.0 && !number.is_nan()),
            Outcome::Nothing => Err(failed("a condition is null")),
        }
    }
}

fn number_of(outcome: Outcome) -> Result<f64, EsError> {
    outcome.as_f64().ok_or_else(|| match outcome {
        Outcome::Nothing => failed("null can't be calculated with"),
        _ => failed("a truth value can't be calculated with"),
    })
}

fn binary(operator: &str, left: Outcome, right: Outcome) -> Result<Outcome, EsError> {
    use Outcome::{Flag, Nothing, Whole};
    match (operator, left, right) {
        ("==" | "!=", Flag(a), Flag(b)) => return Ok(Flag((a == b) == (operator == "=="))),
        ("==" | "!=", Nothing, _) | ("==" | "!=", _, Nothing) => {
            return Ok(Flag((left == right) == (operator == "==")));
        }
        ("/" | "%", Whole(_), Whole(0)) => return Err(failed("/ by zero")),
        ("+", Whole(a), Whole(b)) => return Ok(Whole(a.wrapping_add(b))),
        ("-", Whole(a), Whole(b)) => return Ok(Whole(a.wrapping_sub(b))),
        ("*", Whole(a), Whole(b)) => return Ok(Whole(a.wrapping_mul(b))),
        ("/", Whole(a), Whole(b)) => return Ok(Whole(a.wrapping_div(b))),
        ("%", Whole(a), Whole(b)) => return Ok(Whole(a.wrapping_rem(b))),
        _ => {}
    }
    let (a, b) = (number_of(left)?, number_of(right)?);
    Ok(match operator {
        "+" => Outcome::Number(a + b),
        "-" => Outcome::Number(a - b),
        "*" => Outcome::Number(a * b),
        "/" => Outcome::Number(a / b),
        "%" => Outcome::Number(a % b),
        "<" => Flag(a < b),
        "<=" => Flag(a <= b),
        ">" => Flag(a > b),
        ">=" => Flag(a >= b),
        "==" => Flag(a == b),
        _ => Flag(a != b),
    })
}

/// Functions of one number.
const MATH: [(&str, fn(f64) -> f64); 12] = [
    ("Math.abs", f64::abs),
    ("Math.ceil", f64::ceil),
    ("Math.floor", f64::floor),
    ("Math.sqrt", f64::sqrt),
    ("Math.cbrt", f64::cbrt),
    ("Math.exp", f64::exp),
    ("Math.log", f64::ln),
    ("Math.log10", f64::log10),
    ("Math.sin", f64::sin),
    ("Math.cos", f64::cos),
    ("Math.tan", f64::tan),
    ("Math.signum", |number| if number == 0.0 { number } else { number.signum() }),
];
/// Functions of two.
const MATH_OF_TWO: [(&str, fn(f64, f64) -> f64); 3] =
    [("Math.max", f64::max), ("Math.min", f64::min), ("Math.pow", f64::powf)];

fn is_known(name: &str, arguments: &[Expression]) -> bool {
    match arguments.len() {
        1 if MATH.iter().any(|(known, _)| *known == name) => true,
        1 if matches!(name, "Math.round" | "Double.isNaN" | "Double.isInfinite") => true,
        2 if MATH_OF_TWO.iter().any(|(known, _)| *known == name) => true,
        number => {
            let arity = name.strip_prefix("MovingFunctions.").and_then(moving::arity);
            arity == Some(number) && arguments.first() == Some(&Expression::Values)
        }
    }
}

fn call(name: &str, arguments: &[Expression], scope: &Scope<'_>) -> Result<Outcome, EsError> {
    let number = |place: usize| match arguments.get(place) {
        Some(argument) => number_of(argument.evaluate(scope)?),
        None => Err(failed(format!("{name} needs more arguments"))),
    };
    if let Some(function) = name.strip_prefix("MovingFunctions.") {
        let rest = (1..arguments.len()).map(number).collect::<Result<Vec<f64>, EsError>>()?;
        return Ok(Outcome::Number(moving::apply(function, scope.values, &rest)));
    }
    if let Some((_, function)) = MATH.iter().find(|(known, _)| *known == name) {
        return Ok(match (name, arguments.first().map(|argument| argument.evaluate(scope)).transpose()?) {
            ("Math.abs", Some(Outcome::Whole(whole))) => Outcome::Whole(whole.wrapping_abs()),
            _ => Outcome::Number(function(number(0)?)),
        });
    }
    if let Some((_, function)) = MATH_OF_TWO.iter().find(|(known, _)| *known == name) {
        return Ok(Outcome::Number(function(number(0)?, number(1)?)));
    }
    Ok(match name {
        // Halves go up, as Java's do.
        "Math.round" => Outcome::Whole((number(0)? + 0.5).floor() as i64),
        "Double.isNaN" => Outcome::Flag(number(0)?.is_nan()),
        _ => Outcome::Flag(number(0)?.is_infinite()),
    })
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
const BRACKETS: [&str; 2] = ["[", "]"];
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
        } else if first.is_ascii_digit() || first == '.' {
            let (length, number) = number(rest).ok_or_else(|| refused("a number can't be read", script))?;
            tokens.push(Token::Number(number));
            length
        } else if first == '\'' || first == '"' {
            let inner = rest.get(1..).unwrap_or_default();
            let end = inner.find(first).ok_or_else(|| refused("a quote without an end", script))?;
            tokens.push(Token::Text(inner.get(..end).unwrap_or_default().to_owned()));
            end + 2
        } else {
            let sign = SIGNS.iter().chain(&BRACKETS).find(|sign| rest.starts_with(**sign));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Result<Outcome, EsError> {
        let params = HashMap::from([
            ("a", Outcome::Number(6.0)),
            ("b", Outcome::Number(4.0)),
            ("nan", Outcome::Number(f64::NAN)),
            ("n", Outcome::Whole(7)),
        ]);
        Expression::read(script, false)?.evaluate(&Scope { params, values: &[1.0, 3.0] })
    }

    #[test]
    fn what_painless_would_say() {
        for (script, outcome) in [
            ("params.a / params.b * 100", Outcome::Number(150.0)),
            ("return 1 + 2 * 3 - -4;", Outcome::Whole(11)),
            ("7 / 2", Outcome::Whole(3)),
            ("7 / 2.0", Outcome::Number(3.5)),
            ("params['a'] % 4 == 2 ? 'x' == null : false", Outcome::Nothing),
            ("params.a > params.b && !(params.b > 5)", Outcome::Flag(true)),
            ("params.nan > 1 || params.gone == null", Outcome::Flag(true)),
            ("params.a > 5 ? params.b < 5 ? 1 : 2 : 3", Outcome::Whole(1)),
            ("Math.max(Math.abs(-3), 2) + Math.round(2.5)", Outcome::Number(6.0)),
            ("MovingFunctions.unweightedAvg(values) * 2", Outcome::Number(4.0)),
            ("1.5e2 + 1L", Outcome::Number(151.0)),
        ] {
            if outcome == Outcome::Nothing {
                assert!(run(script).is_err(), "{script}");
            } else {
                assert_eq!(run(script), Ok(outcome), "{script}");
            }
        }
        let bare = Expression::read("sqrt(x) + 1", true).unwrap();
        let params = HashMap::from([("x", Outcome::Number(9.0))]);
        assert_eq!(bare.evaluate(&Scope { params, values: &[] }), Ok(Outcome::Number(4.0)));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (script, named) in [
            ("for (int i = 0; i < 3; i++) {}", "[for]"),
            ("doc['x'].value", "[doc]"),
            ("params.a; params.b", "[params.b]"),
            ("Math.random()", "[Math.random]"),
            ("params.a +", "missing"),
            ("(1", "[)]"),
            ("1 @ 2", "[@]"),
            ("values", "values"),
            ("1 / 0", "by zero"),
            ("params.gone + 1", "null"),
        ] {
            let error = run(script).unwrap_err();
            assert!(error.status == 400 && error.reason.contains(named), "{script}: {error}");
        }
        assert!(run(&"(".repeat(4000)).is_err());
        assert!(run(&format!("1{}", "+1".repeat(2000))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn anything_is_a_script_or_not(script in "[-+*/%()!<>=&|?:.,;0-9a-z\\['\" ]{0,40}") {
            let _ = run(&script);
        }
    }
}
