//! What a term says of an event. Never fails: a missing field is null, and what can't be compared is not equal.

use std::borrow::Cow;
use std::cmp::Ordering;

use logmill_core::Event;
use serde_json::{Number, Value};

use super::{Comparison, Function, Literal, Term};

/// A value on its way through an expression.
enum Operand<'e> {
    Null,
    Bool(bool),
    Number(Cow<'e, Number>),
    Text(Cow<'e, str>),
    /// A list or an object.
    Nested(&'e Value),
}

pub(super) fn is_true(term: &Term, event: &Event) -> bool {
    match term {
        Term::Not(inner) => !is_true(inner, event),
        Term::And(left, right) => is_true(left, event) && is_true(right, event),
        Term::Or(left, right) => is_true(left, event) || is_true(right, event),
        Term::Compare(comparison, left, right) => compare(*comparison, &value(left, event), &value(right, event)),
        Term::In(item, list) => {
            let item = value(item, event);
            list.iter().any(|literal| order(&item, &operand(literal)) == Some(Ordering::Equal))
        }
        Term::Matches(item, pattern) => match value(item, event) {
            Operand::Text(text) => pattern.regex.is_match(&text),
            Operand::Nested(Value::Array(items)) => {
                items.iter().filter_map(Value::as_str).any(|text| pattern.regex.is_match(text))
            }
            _ => false,
        },
        Term::Call(function, arguments) => call(*function, arguments, event),
        Term::Literal(Literal::Bool(fixed)) => *fixed,
        Term::Field(path) => event.get(path) == Some(&Value::Bool(true)),
        Term::Literal(_) => false,
    }
}

fn call(function: Function, arguments: &[Term], event: &Event) -> bool {
    let Some(first) = arguments.first() else { return false };
    let first = value(first, event);
    match function {
        Function::Exists => !matches!(first, Operand::Null),
        Function::IsText => matches!(first, Operand::Text(_)),
        Function::IsNumber => matches!(first, Operand::Number(_)),
        Function::IsList => matches!(first, Operand::Nested(Value::Array(_))),
        Function::IsObject => matches!(first, Operand::Nested(Value::Object(_))),
        Function::Contains | Function::StartsWith | Function::EndsWith => {
            let second = arguments.get(1).map_or(Operand::Null, |term| value(term, event));
            match (&first, &second) {
                (Operand::Text(text), Operand::Text(part)) => match function {
                    Function::Contains => text.contains(part.as_ref()),
                    Function::StartsWith => text.starts_with(part.as_ref()),
                    _ => text.ends_with(part.as_ref()),
                },
                (Operand::Nested(Value::Array(items)), _) if function == Function::Contains => {
                    items.iter().any(|item| order(&of_value(item), &second) == Some(Ordering::Equal))
                }
                _ => false,
            }
        }
        // These give no truth; the parser has refused them here.
        Function::Matches | Function::Length | Function::Lower | Function::Upper => false,
    }
}

fn value<'e>(term: &'e Term, event: &'e Event) -> Operand<'e> {
    match term {
        Term::Literal(literal) => operand(literal),
        Term::Field(path) => event.get(path).map_or(Operand::Null, of_value),
        Term::Call(function @ (Function::Length | Function::Lower | Function::Upper), arguments) => {
            let inner = arguments.first().map_or(Operand::Null, |term| value(term, event));
            match (function, inner) {
                (Function::Length, Operand::Text(text)) => Operand::Number(Cow::Owned(text.chars().count().into())),
                (Function::Length, Operand::Nested(Value::Array(items))) => {
                    Operand::Number(Cow::Owned(items.len().into()))
                }
                (Function::Length, Operand::Nested(Value::Object(map))) => {
                    Operand::Number(Cow::Owned(map.len().into()))
                }
                (Function::Lower, Operand::Text(text)) => Operand::Text(Cow::Owned(text.to_lowercase())),
                (Function::Upper, Operand::Text(text)) => Operand::Text(Cow::Owned(text.to_uppercase())),
                _ => Operand::Null,
            }
        }
        _ => Operand::Bool(is_true(term, event)),
    }
}

fn of_value(value: &Value) -> Operand<'_> {
    match value {
        Value::Null => Operand::Null,
        Value::Bool(value) => Operand::Bool(*value),
        Value::Number(number) => Operand::Number(Cow::Borrowed(number)),
        Value::String(text) => Operand::Text(Cow::Borrowed(text)),
        nested => Operand::Nested(nested),
    }
}

fn operand(literal: &Literal) -> Operand<'_> {
    match literal {
        Literal::Null => Operand::Null,
        Literal::Bool(value) => Operand::Bool(*value),
        Literal::Number(number) => Operand::Number(Cow::Borrowed(number)),
        Literal::Text(text) => Operand::Text(Cow::Borrowed(text)),
    }
}

fn compare(comparison: Comparison, left: &Operand<'_>, right: &Operand<'_>) -> bool {
    let order = order(left, right);
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        _ if matches!((left, right), (Operand::Null, _) | (Operand::Bool(_), _) | (Operand::Nested(_), _)) => false,
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// `None` when the two are of different kinds.
fn order(left: &Operand<'_>, right: &Operand<'_>) -> Option<Ordering> {
    match (left, right) {
        (Operand::Null, Operand::Null) => Some(Ordering::Equal),
        (Operand::Bool(left), Operand::Bool(right)) => Some(left.cmp(right)),
        (Operand::Text(left), Operand::Text(right)) => Some(left.cmp(right)),
        (Operand::Number(left), Operand::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        (Operand::Nested(left), Operand::Nested(right)) => (left == right).then_some(Ordering::Equal),
        _ => None,
    }
}
