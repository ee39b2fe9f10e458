//! Every mistake that the two grammars tell of: exactly where, in which words, and what to write instead.

use std::ops::Range;

use proptest::prelude::*;

use crate::ast::Ast;
use crate::cursor::{DEPTH_MAX, TEXT_BYTES_MAX, steps};
use crate::{QueryError, kql, lucene};

type Parse = fn(&str) -> Result<Ast, QueryError>;

/// A query in which `«` and `»` stand around what is to be marked.
fn unmarked(marked: &str) -> (String, Range<usize>) {
    let (before, rest) = marked.split_once('«').unwrap();
    let (within, after) = rest.split_once('»').unwrap();
    (format!("{before}{within}{after}"), before.len()..before.len() + within.len())
}

/// The mistake of each query, its words and what is to be written instead.
fn check(parse: Parse, mistakes: &[(&str, &str, &str)]) {
    for (marked, message, hint) in mistakes {
        let (query, span) = unmarked(marked);
        let error = parse(&query).err().unwrap_or_else(|| panic!("{query} was accepted"));
        let told = (error.message.as_str(), error.span, error.hint.as_deref().unwrap_or_default());
        assert_eq!(told, (*message, span, *hint), "{query}");
    }
}

#[test]
fn every_mistake_in_kql_is_told() {
    let apart = "put `and` or `or` between them";
    let value = "write the value, or * for any value";
    check(
        kql::parse,
        &[
            (
                "level: error «message»: x",
                "two conditions stand side by side",
                "put `and` or `or` between them: error and message",
            ),
            (
                "level: error «status» > 5",
                "two conditions stand side by side",
                "put `and` or `or` between them: error and status",
            ),
            ("\"a b\" «word» c", "two conditions stand side by side", apart),
            ("(a) «\"b c\"»", "two conditions stand side by side", apart),
            ("(a) «(»b)", "two conditions stand side by side", apart),
            (
                "a: «\"b\"»: c",
                "two conditions stand side by side",
                "put `and` or `or` before what is marked if it is a field, or take away what follows it",
            ),
            (
                "time: «10:»30",
                "a value can't hold a colon unless it is escaped or quoted",
                "write \"10:30\" in quotation marks",
            ),
            (
                "level: «\"error, x»",
                "this quotation mark is never closed",
                "add \" at the end, or write \\\" for the character itself",
            ),
            ("a: b«\\»", "a backslash at the end escapes nothing", "write \\\\ for the character itself"),
            ("«(»a or b", "this ( is never closed", "add )"),
            ("a and «(»", "this ( is never closed", "add )"),
            ("a: «(»b or c", "this ( is never closed", "add )"),
            ("a: «{» b: c", "this { is never closed", "add }"),
            ("a and «( )»", "there is nothing between ( and )", "write a condition there, or take both away"),
            ("a: «{}»", "there is nothing between { and }", "write a condition there, or take both away"),
            (
                "a «or»",
                "`or` needs a condition after it",
                "take it away, or write \"or\" if it is the word you look for",
            ),
            (
                "(a «AND» )",
                "`and` needs a condition after it",
                "take it away, or write \"and\" if it is the word you look for",
            ),
            (
                "«not»",
                "`not` needs a condition after it",
                "take it away, or write \"not\" if it is the word you look for",
            ),
            (
                "«and» b",
                "`and` needs a condition before it",
                "take it away, or write \"and\" if it is the word you look for",
            ),
            (
                "a: (b or «or» c)",
                "`or` needs a condition before it",
                "take it away, or write \"or\" if it is the word you look for",
            ),
            ("a «not» b", "`not` can't stand directly after a condition", "write `and not` or `or not`"),
            ("ä«)»", "this ) closes nothing", "take it away, add ( before it, or write \\) for the character itself"),
            ("(a«}»)", "this } closes nothing", "take it away, add { before it, or write \\} for the character itself"),
            ("level:«»", "a value is missing at the end", value),
            ("status >= «»", "a value is missing at the end", value),
            ("(level: «»)", "a value is missing before )", value),
            ("a: { b: «»}", "a value is missing before }", value),
            ("«:» x", "a field name is missing before :", "write \\: for the character itself"),
            ("«>» 5", "a field name is missing before >", "write \\> for the character itself"),
            ("a:«:» b", "one colon is enough", "take it away, or write \\: for the character itself"),
            ("a«: >»= 5", "a comparison stands without a colon", "write field > value"),
            (
                "«{» a: b }",
                "{ may stand only after a field and a colon",
                "write field: { inner: value }, or \\{ for the character itself",
            ),
            ("a «>>» 5", "this is not a comparison", "write one of <, <=, >, >="),
            ("a «=>» 5", "this is not a comparison", "write one of <, <=, >, >="),
            (
                "a > «b*»",
                "a comparison needs one value, not a wildcard",
                "put the value in quotation marks if the * is part of it",
            ),
        ],
    );
}

#[test]
fn every_mistake_in_lucenes_syntax_is_told() {
    let value = "write a value, or * for any value";
    let colon = "put the value in quotation marks, or write \\: for the character itself";
    let word = "put the word in quotation marks if it is what you look for";
    check(
        lucene::parse,
        &[
            ("«(»a OR b", "this ( is never closed", "add )"),
            ("a AND «(»", "this ( is never closed", "add )"),
            ("f:«(»", "this ( is never closed", "add )"),
            ("a «( )»", "there is nothing between ( and )", "write a condition there, or take both away"),
            ("a«)»", "this ) closes nothing", "take it away, add ( before it, or write \\) for the character itself"),
            ("a «AND»", "AND needs a condition after it", "take it away, or write \"AND\" if it is what you look for"),
            ("(a «||» )", "|| needs a condition after it", "take it away, or write \"||\" if it is what you look for"),
            ("«AND» a", "an operator needs a condition on each side", word),
            ("a AND «OR» b", "an operator needs a condition on each side", word),
            ("«&&» a", "an operator needs a condition on each side", word),
            (
                "f:«/ab»",
                "this regular expression is never closed",
                "add / at the end, or put a path in quotation marks",
            ),
            (
                "f:«\"ab»",
                "this quotation mark is never closed",
                "add \" at the end, or write \\\" for the character itself",
            ),
            ("ab«\\»", "a backslash at the end escapes nothing", "write \\\\ for the character itself"),
            ("f:[10 «20»]", "a range needs TO between its bounds", "write [low TO high]; * leaves a side open"),
            ("f:[10«»", "a range needs TO between its bounds", "write [low TO high]; * leaves a side open"),
            ("f:«[»1 TO 2", "this range is never closed", "add ], or } to exclude the bound"),
            (
                "f:[a TO b «cd»]",
                "a range ends after its second bound",
                "write ] or } before it, or put a bound that has spaces in quotation marks",
            ),
            ("f:[1 TO «»]", "a bound is missing", "write a value, or * to leave the side open"),
            ("f:[«»", "a bound is missing", "write a value, or * to leave the side open"),
            ("a «[1 TO 2}»", "a range needs a field before it", "write field:[1 TO 2}"),
            ("«>=5»^2", "a range needs a field before it", "write field:>=5"),
            ("f:«»", "something is missing at the end", value),
            ("a -«»", "something is missing at the end", value),
            ("(f:«»)", "a value is missing before )", value),
            ("f:10«:»30", "a colon may stand only between a field and its value", colon),
            ("«:»x", "a colon may stand only between a field and its value", colon),
            (
                "a «]» b",
                "] can't stand here",
                "put the value in quotation marks, or write \\] for the character itself",
            ),
            ("f:«~»1", "~ can't stand here", "put the value in quotation marks, or write \\~ for the character itself"),
            ("a«^»", "a boost is a number, as in word^2", "write the number, or \\^ for the character itself"),
            ("a«^1.2.3»", "a boost is a number, as in word^2", "write the number, or \\^ for the character itself"),
        ],
    );
}

#[test]
fn what_is_too_long_or_too_deep_is_marked() {
    let long = format!("{}ä{}", "a".repeat(TEXT_BYTES_MAX - 1), "b".repeat(10));
    for parse in [kql::parse as Parse, lucene::parse] {
        let error = parse(&long).unwrap_err();
        assert_eq!(error.message, format!("the query has {} bytes; at most {TEXT_BYTES_MAX} are allowed", long.len()));
        assert_eq!(error.span, TEXT_BYTES_MAX - 1..long.len());
        assert_eq!(error.hint.as_deref(), Some("take away what is marked, or ask in several queries"));
    }
    let deep: [(Parse, &str, &str); 7] = [
        (kql::parse, "(", "("),
        (kql::parse, "a:{", "{"),
        (kql::parse, "not ", "not"),
        (lucene::parse, "(", "("),
        (lucene::parse, "-", "-"),
        (lucene::parse, "!", "!"),
        (lucene::parse, "NOT ", "NOT"),
    ];
    for (parse, unit, marked) in deep {
        let text = format!("{}x", unit.repeat(DEPTH_MAX * 100));
        let error = parse(&text).unwrap_err();
        assert_eq!(error.message, format!("the query is nested more than {DEPTH_MAX} levels deep"), "{unit}");
        assert_eq!(error.span.start, unit.len() * DEPTH_MAX + unit.find(marked).unwrap(), "{unit}");
        assert_eq!(text.get(error.span), Some(marked), "{unit}");
        assert_eq!(error.hint.as_deref(), Some("take parentheses away that change nothing"));
    }
}

/// What queries are made of, right and wrong.
const TOKENS: [&str; 44] = [
    "a",
    "b.c",
    "ü",
    "日本",
    "🦀",
    "5",
    "10:30",
    " ",
    "  ",
    "\n",
    "\u{a0}",
    "and",
    "or",
    "not",
    "AND",
    "OR",
    "NOT",
    "TO",
    "&&",
    "||",
    ":",
    "<",
    ">",
    "<=",
    ">=",
    "=",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\"x y\"",
    "\\",
    "\\u00",
    "*",
    "?",
    "/",
    "~",
    "^",
    "+",
    "-",
    "_exists_:",
];

fn told_within(text: &str) -> Result<(), TestCaseError> {
    for parse in [kql::parse as Parse, lucene::parse] {
        let (outcome, taken) = steps::of(|| parse(text));
        // Both look at a place a few times; at a rest that is read again and again they would look far more often.
        prop_assert!(taken <= 64 * (text.len() + 4), "{} steps for {} bytes: {:?}", taken, text.len(), text);
        if let Err(error) = outcome {
            prop_assert!(text.get(error.span.clone()).is_some(), "{:?} in {:?}", error, text);
            prop_assert!(!error.message.is_empty() && error.hint.is_some(), "{:?}", error);
            prop_assert!(error.caret(text).contains('^'));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_understood_or_told_what_is_wrong(text in any::<String>()) {
        told_within(&text)?;
    }

    #[test]
    fn any_mix_of_tokens_is_understood_or_told_what_is_wrong(
        tokens in proptest::collection::vec(proptest::sample::select(&TOKENS[..]), 0..60),
    ) {
        told_within(&tokens.concat())?;
    }
}

/// Long texts of one thing: whatever reads ahead or goes back would read them again and again.
#[test]
fn time_grows_with_the_length() {
    for unit in TOKENS
        .iter()
        .copied()
        .chain(["(a) ", "a:b ", "a and ", "(a or ", "f:(", "a:{b:(", "\"a ", "a \\", "[a TO ", "-a ", "a OR "])
    {
        let text = unit.repeat(TEXT_BYTES_MAX / unit.len());
        told_within(&text).unwrap_or_else(|error| panic!("{unit:?}: {error}"));
        told_within(&format!("a:{}", text.get(2..).unwrap_or_default()))
            .unwrap_or_else(|error| panic!("a:{unit:?}: {error}"));
    }
}
