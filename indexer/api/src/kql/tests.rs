use super::*;

fn named(field: &str, test: Test) -> Ast {
    Ast::Leaf { field: Field::Named(field.into()), test }
}

fn words(field: &str, text: &str) -> Ast {
    named(field, Test::Words(text.into()))
}

fn bare(text: &str) -> Ast {
    Ast::Leaf { field: Field::Default, test: Test::Words(text.into()) }
}

#[test]
fn or_is_weaker_than_and_is_weaker_than_not() {
    let expected = Ast::Or(vec![words("a", "1"), Ast::And(vec![words("b", "2"), Ast::not(words("c", "3"))])]);
    assert_eq!(parse("a:1 OR b: 2 and NOT c :3"), Ok(expected));
}

#[test]
fn unquoted_values_hold_spaces() {
    assert_eq!(
        parse("message: connection refused  and x:y"),
        Ok(Ast::And(vec![words("message", "connection refused"), words("x", "y"),]))
    );
    assert_eq!(parse("  time out  "), Ok(bare("time out")));
    assert_eq!(parse(r"rock \and roll"), Ok(bare("rock and roll")));
}

#[test]
fn values_in_parentheses_share_the_field() {
    let expected =
        Ast::Or(vec![words("level", "error"), Ast::And(vec![words("level", "warn"), Ast::not(words("level", "x y"))])]);
    assert_eq!(parse("level: (error or warn and not x y)"), Ok(expected));
}

#[test]
fn ranges_wildcards_and_existence() {
    let bound = Some(Bound { value: "500".into(), inclusive: true });
    assert_eq!(parse("s>=500"), Ok(named("s", Test::Range(Range { lower: bound, upper: None }))));
    assert_eq!(parse("host: web*?"), Ok(named("host", Test::Pattern(r"web*\?".into()))));
    assert_eq!(parse("host: \"web*\""), Ok(named("host", Test::Phrase { text: "web*".into(), slop: 0 })));
    assert_eq!(parse("host:*"), Ok(named("host", Test::Exists)));
    assert_eq!(parse("*"), Ok(Ast::All));
    assert_eq!(parse("*:*"), Ok(Ast::All));
    let field = Field::Pattern("http.*".into());
    assert_eq!(parse("http.*: x"), Ok(Ast::Leaf { field, test: Test::Words("x".into()) }));
}

#[test]
fn nested_fields_are_prefixed() {
    let expected = Ast::And(vec![words("a.b", "1"), words("a.c", "2")]);
    assert_eq!(parse("a:{ b: 1 and c: 2 }"), Ok(expected));
}

#[test]
fn escapes() {
    assert_eq!(parse(r"path: C\:\\x\*"), Ok(words("path", r"C:\x*")));
    assert_eq!(parse(r#"m: "a \"b\" \u0041\n""#), Ok(named("m", Test::Phrase { text: "a \"b\" A\n".into(), slop: 0 })));
}

#[test]
fn errors_say_where_and_what_to_write() {
    for (text, at, message, hint) in [
        (
            "level: error message: x",
            "message",
            "side by side",
            "level: error and message".trim_start_matches("level: "),
        ),
        ("level: \"error", "\"error", "never closed", "add \""),
        ("(a or b", "(", "never closed", "add )"),
        ("a or", "or", "needs a condition after", "take it away"),
        ("and b", "and", "needs a condition before", "take it away"),
        ("a)", ")", "closes nothing", "take it away"),
        ("level:", "", "value is missing", "* for any"),
        (": x", ":", "field name is missing", "\\:"),
        ("time: 10:30", "10:", "colon", "\"10:30\""),
        ("a not b", "not", "directly after", "and not"),
        ("a > b*", "b*", "wildcard", "quotation"),
        ("a >> 5", ">>", "comparison", ">="),
        ("()", "()", "nothing between", ""),
    ] {
        let error = parse(text).err().unwrap_or_else(|| panic!("{text} was accepted"));
        assert_eq!(text.get(error.span.clone()), Some(at), "{text}: {error:?}");
        assert!(error.message.contains(message), "{text}: {error:?}");
        assert!(error.hint.clone().unwrap_or_default().contains(hint), "{text}: {error:?}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    for deep in
        ["(".repeat(60_000), format!("a:{}", "(".repeat(20_000)), "a:{".repeat(20_000), "not ".repeat(16_000) + "a"]
    {
        assert!(parse(&deep).err().is_some_and(|error| error.message.contains("deep")), "{}", &deep[..9]);
    }
    assert!(parse(&"a".repeat(70_000)).err().is_some_and(|error| error.message.contains("bytes")));
}

proptest::proptest! {
    #[test]
    fn anything_is_parsed_or_refused_within_its_text(text in "[ a-c:()<>=\"*\\\\{}üandort]{0,40}") {
        if let Err(error) = parse(&text) {
            proptest::prop_assert!(text.get(error.span.clone()).is_some(), "{:?} {:?}", text, error);
            let _ = error.caret(&text);
        }
    }
}
