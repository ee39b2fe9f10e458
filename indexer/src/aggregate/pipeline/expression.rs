//! A small part of Painless: arithmetic, comparisons, conditions and a few functions over numbers. It has no loops, no
//! memory and no side effects, so that evaluating takes a time that its length bounds.

mod parse;

use std::collections::HashMap;

use super::windows;
use crate::query::error::EsError;

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

fn failed(why: impl std::fmt::Display) -> EsError {
    EsError::new(400, "script_exception", format!("runtime error: {why}"))
}

impl Expression {
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

/// A function of one number and its name.
type OfOne = (&'static str, fn(f64) -> f64);
/// A function of two and its name.
type OfTwo = (&'static str, fn(f64, f64) -> f64);

/// Functions of one number.
const MATH: [OfOne; 12] = [
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
const MATH_OF_TWO: [OfTwo; 3] = [("Math.max", f64::max), ("Math.min", f64::min), ("Math.pow", f64::powf)];

fn call(name: &str, arguments: &[Expression], scope: &Scope<'_>) -> Result<Outcome, EsError> {
    let number = |place: usize| match arguments.get(place) {
        Some(argument) => number_of(argument.evaluate(scope)?),
        None => Err(failed(format!("{name} needs more arguments"))),
    };
    if let Some(function) = name.strip_prefix("MovingFunctions.") {
        let rest = (1..arguments.len()).map(number).collect::<Result<Vec<f64>, EsError>>()?;
        return Ok(Outcome::Number(windows::apply(function, scope.values, &rest)));
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
