//! An expression's words: fields, literals, operators and names, each with its place.

use serde_json::Number;

use super::ExpressionError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Field(String),
    Text(String),
    Number(Number),
    Name(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Longest first, so that `<=` is not read as `<`.
const SIGNS: [&str; 16] = ["==", "!=", "<=", ">=", "&&", "||", "=~", "<", ">", "=", "!", "(", ")", "[", "]", ","];

/// Splits `text`; every token comes with the byte offset at which it begins.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let (token, length) = match first {
            '"' | '\'' => quoted(text, at, first)?,
            '.' => field(text, at)?,
            '0'..='9' | '-' => number(text, at)?,
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                (Token::Name(rest.get(..length).unwrap_or_default().to_owned()), length)
            }
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => return Err(error(text, at, "a character that means nothing here", None)),
            },
        };
        found.push((at, token));
        at += length;
    }
    found.push((text.len(), Token::End));
    Ok(found)
}

pub(super) fn error(text: &str, at: usize, message: impl Into<String>, hint: Option<String>) -> ExpressionError {
    let near: String = text.get(at..).unwrap_or_default().chars().take(20).collect();
    let near = if near.is_empty() { "the end".to_owned() } else { near };
    let column = text.get(..at).map_or(0, |before| before.chars().count()) + 1;
    ExpressionError { message: message.into(), column, near, hint }
}

fn quoted(text: &str, at: usize, quote: char) -> Result<(Token, usize), ExpressionError> {
    let mut value = String::new();
    let mut letters = text.get(at + 1..).unwrap_or_default().char_indices();
    while let Some((offset, letter)) = letters.next() {
        match letter {
            _ if letter == quote => return Ok((Token::Text(value), offset + 2)),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, other @ ('\\' | '"' | '\''))) => value.push(other),
                // Regular expressions are full of backslashes: one that escapes nothing known stays.
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            _ => value.push(letter),
        }
    }
    Err(error(text, at, "a text without its closing quote", None))
}

fn field(text: &str, at: usize) -> Result<(Token, usize), ExpressionError> {
    let rest = text.get(at..).unwrap_or_default();
    let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '@' | '-'));
    let length = rest.find(ends).unwrap_or(rest.len());
    let name = rest.get(1..length).unwrap_or_default();
    if name.is_empty() {
        return Err(error(text, at, "a dot without a field's name", Some("fields are written .log.level".into())));
    }
    Ok((Token::Field(name.to_owned()), length))
}

fn number(text: &str, at: usize) -> Result<(Token, usize), ExpressionError> {
    let rest = text.get(at..).unwrap_or_default();
    let mut previous = ' ';
    let ends = |c: char| {
        let sign_in_exponent = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E' | ' ');
        previous = c;
        !(c.is_ascii_alphanumeric() || c == '.' || sign_in_exponent)
    };
    let length = rest.find(ends).unwrap_or(rest.len());
    let digits = rest.get(..length).unwrap_or_default();
    match digits.parse::<Number>() {
        Ok(number) => Ok((Token::Number(number), length)),
        Err(_) => Err(error(text, at, format!("`{digits}` is not a number"), Some("texts stand in quotes".into()))),
    }
}
