//! Expressions good and bad, and the round trip through text.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn event() -> Event {
    let value = json!({
        "log": {"level": "ERROR", "source": "nginx"}, "status": 503, "ratio": 0.5, "ok": true,
        "tags": ["a", "b"], "url.path": "/health", "empty": null,
    });
    Event::from_value(value).expect("an object")
}

#[test]
fn tells_true_from_false() {
    let cases = [
        (r#".log.source == "nginx""#, true),
        (r#".log.source != "nginx""#, false),
        (r#".missing != "x""#, true),
        (".missing == null", true),
        (".empty == null", true),
        ("exists(.empty)", false),
        (".missing < 5", false),
        (".status >= 500 and .status < 600", true),
        (".status == 503.0", true),
        (".ratio < 1", true),
        (r#".log.level in ["ERROR", 'FATAL']"#, true),
        (".status not in [200, 503]", false),
        ("not exists(.missing)", true),
        ("!.ok || .ratio > 0.1", true),
        (".ok", true),
        (r#"contains(.tags, "b")"#, true),
        (r#"starts_with(.url.path, "/he")"#, true),
        (r#"ends_with(.url.path, "x")"#, false),
        (r#"matches(.url.path, "^/h\w+$")"#, true),
        (r#"lower(.log.level) == "error" and length(.tags) == 2"#, true),
        ("is_number(.status) and is_text(.log.level) and is_list(.tags) and is_object(.log)", true),
        (r#".status == "503" or .ok"#, true),
        ("true and (false or not false)", true),
    ];
    for (text, expected) in cases {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expression.is_true(&event()), expected, "{text}");
    }
}

#[test]
fn says_what_is_wrong_where_and_what_to_do() {
    let cases = [
        (".a = 1", 4, "equality is written =="),
        ("a == 1", 1, "a field is written .a"),
        ("\"x\"", 1, "compare it with something"),
        ("5 == \"x\"", 3, "never equals"),
        (".a ==", 6, "ends too early"),
        ("(.a", 4, "closing bracket"),
        (".a in \"x\"", 7, "followed by a list"),
        ("matches(.a, \"(\")", 1, "not a regular expression"),
        ("lenght(.a) > 1", 1, "functions are"),
        (".a =~ \"x\"", 4, "write matches("),
        (".a == 'x", 7, "closing quote"),
        (".a == 1 .b == 2", 9, "join conditions"),
        (".a < true", 4, "no order"),
        ("", 1, "ends too early"),
    ];
    for (text, column, message) in cases {
        let error = Expression::parse(text).expect_err(text);
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
}

#[test]
fn deep_and_long_expressions_are_refused() {
    assert!(Expression::parse(&format!("{}.a{}", "(".repeat(10_000), ")".repeat(10_000))).is_err());
    assert!(Expression::parse(&vec![".a"; 100_000].join(" or ")).is_err());
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Bool),
        any::<i64>().prop_map(|number| Literal::Number(number.into())),
        any::<String>().prop_map(Literal::Text),
    ]
}

fn field() -> impl Strategy<Value = Term> {
    "[a-z@_]{1,4}(\\.[a-z]{1,3}){0,2}".prop_map(|name| Term::Field(FieldPath::parse(&name).expect("a path")))
}

fn condition() -> impl Strategy<Value = Term> {
    let comparison = prop::sample::select(Comparison::ALL.map(|(_, comparison)| comparison).to_vec());
    let leaf = prop_oneof![
        field(),
        (comparison, field(), field()).prop_map(|(comparison, left, right)| Term::Compare(
            comparison,
            left.into(),
            right.into()
        )),
        (field(), literal()).prop_map(|(left, right)| Term::Compare(
            Comparison::Equal,
            left.into(),
            Term::Literal(right).into()
        )),
        (field(), prop::collection::vec(literal(), 0..4)).prop_map(|(item, list)| Term::In(item.into(), list)),
        (field(), any::<String>()).prop_map(|(item, text)| {
            Term::Call(Function::StartsWith, vec![item, Term::Literal(Literal::Text(text))])
        }),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Term::Not(inner.into())),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| Term::And(left.into(), right.into())),
            (inner.clone(), inner).prop_map(|(left, right)| Term::Or(left.into(), right.into())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_the_same(term in condition()) {
        let expression = Expression(term);
        let text = expression.to_string();
        let again = Expression::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(&again, &expression);
        prop_assert_eq!(again.is_true(&event()), expression.is_true(&event()));
    }

    #[test]
    fn junk_is_refused_not_panicked_on(text: String) {
        let _ = Expression::parse(&text);
    }
}
