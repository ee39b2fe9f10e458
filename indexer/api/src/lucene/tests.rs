use super::*;

fn words(field: &str, text: &str) -> Ast {
    Ast::Leaf { field: Field::Named(field.into()), test: Test::Words(text.into()) }
}

fn a(name: &str) -> Ast {
    words("f", name)
}

#[test]
fn operators() {
    for (text, expected) in [
        ("f:a f:b", Ast::or(vec![a("a"), a("b")])),
        ("f:a OR f:b AND f:c", Ast::or(vec![a("a"), Ast::and(vec![a("b"), a("c")])])),
        ("f:a && !f:b || f:c", Ast::or(vec![Ast::and(vec![a("a"), Ast::not(a("b"))]), a("c")])),
        ("+f:a f:b -f:c", Ast::and(vec![a("a"), Ast::not(a("c"))])),
        ("f:a NOT f:b", Ast::and(vec![a("a"), Ast::not(a("b"))])),
        ("f:a OR NOT f:b", Ast::or(vec![a("a"), Ast::not(a("b"))])),
        ("NOT f:a", Ast::not(a("a"))),
        ("f:(a OR b)^2", boosted(Ast::or(vec![a("a"), a("b")]), Some("2".to_owned()))),
        ("*:* AND f:a", Ast::and(vec![Ast::All, a("a")])),
    ] {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
    let both = Ast::and(vec![a("a"), a("b"), Ast::not(a("c"))]);
    assert_eq!(parse_with("f:a f:b -f:c", Operator::And), Ok(both));
}

#[test]
fn conditions() {
    let leaf = |test| Ast::Leaf { field: Field::Named("f".into()), test };
    let bound = |value: &str, inclusive| Some(Bound { value: value.into(), inclusive });
    for (text, test) in [
        ("f:\"a b\"~3", Test::Phrase { text: "a b".into(), slop: 3 }),
        ("f:roam~1", Test::Fuzzy { text: "roam".into(), distance: 1 }),
        (r"f:/ab\/[0-9]+/", Test::Regex("ab/[0-9]+".into())),
        ("f:we?b*", Test::Pattern("we?b*".into())),
        ("f:*", Test::Exists),
        ("_exists_:f", Test::Exists),
        ("f:[1 TO 5}", Test::Range(Range { lower: bound("1", true), upper: bound("5", false) })),
        ("f:{* TO now-1h]", Test::Range(Range { lower: None, upper: bound("now-1h", true) })),
        ("f:>=5", Test::Range(Range { lower: bound("5", true), upper: None })),
        (r"f:a\ b\:c", Test::Words("a b:c".into())),
        ("f:a/b-c", Test::Words("a/b-c".into())),
    ] {
        assert_eq!(parse(text), Ok(leaf(test)), "{text}");
    }
}

#[test]
fn errors_say_where() {
    for (text, at, message) in [
        ("(a OR b", "(", "never closed"),
        ("a AND", "AND", "after it"),
        ("AND a", "AND", "each side"),
        ("f:/ab", "/ab", "never closed"),
        ("f:[1 2]", "2", "TO"),
        ("f:[1 TO 2", "[", "never closed"),
        ("f:", "", "missing"),
        ("a)", ")", "closes nothing"),
        ("f:10:30", ":", "colon"),
    ] {
        let error = parse(text).err().unwrap_or_else(|| panic!("{text} was accepted"));
        assert_eq!(text.get(error.span.clone()), Some(at), "{text}: {error:?}");
        assert!(error.message.contains(message), "{text}: {error:?}");
    }
    assert!(parse(&"(".repeat(60_000)).is_err());
    assert!(parse(&"f:(".repeat(20_000)).is_err());
    assert!(parse(&"-".repeat(60_000)).is_err());
}

proptest::proptest! {
    #[test]
    fn anything_is_parsed_or_refused_within_its_text(text in "[ a-c:()<>=\"*\\\\{}\\[\\]/~^+!üANDORT-]{0,40}") {
        if let Err(error) = parse(&text) {
            proptest::prop_assert!(text.get(error.span.clone()).is_some(), "{:?} {:?}", text, error);
        }
    }
}
