//! Trees as text again: filter pills, saved searches and share links are written by this, and every grammar reads
//! back exactly the tree that was printed.

use crate::ast::{Ast, Bound, Field, Range, Test};

impl Ast {
    /// As KQL; `None` where KQL has no words for it (regular expressions, fuzzy words, slop, `?`, two-sided ranges are
    /// written as two conditions).
    #[must_use]
    pub fn to_kql(&self) -> Option<String> {
        let mut out = String::new();
        kql(self, &mut out, 0).then_some(out)
    }

    /// In Lucene's syntax, which has words for everything.
    #[must_use]
    pub fn to_lucene(&self) -> String {
        let mut out = String::new();
        lucene(self, &mut out, false);
        out
    }
}

/// `level`: 0 anything may stand here, 1 a member of `or`, 2 a member of `and` or `not`.
fn kql(ast: &Ast, out: &mut String, level: u8) -> bool {
    match ast {
        Ast::All => out.push('*'),
        Ast::Or(members) => return joined(members, out, " or ", level > 0, |member, out| kql(member, out, 1)),
        Ast::And(members) => return joined(members, out, " and ", level > 1, |member, out| kql(member, out, 2)),
        // KQL has no words for it.
        Ast::Boosted { .. } => return false,
        Ast::Not(member) => {
            out.push_str("not ");
            return kql(member, out, 2);
        }
        Ast::Leaf { field, test: Test::Range(range) } => return kql_range(field, range, out, level),
        Ast::Leaf { field, test } => {
            if !kql_field(field, out, ": ") {
                return false;
            }
            match test {
                Test::Exists if *field == Field::Default => return false,
                Test::Exists => out.push('*'),
                Test::Words(text) => return kql_text(text, out),
                Test::Phrase { text, slop: 0 } => quoted(text, out),
                Test::Pattern(pattern) => return kql_pattern(pattern, out),
                Test::Phrase { .. } | Test::Regex(_) | Test::Fuzzy { .. } | Test::Range(_) => return false,
            }
        }
    }
    true
}

fn joined(
    members: &[Ast],
    out: &mut String,
    word: &str,
    parentheses: bool,
    mut print: impl FnMut(&Ast, &mut String) -> bool,
) -> bool {
    if parentheses {
        out.push('(');
    }
    for (at, member) in members.iter().enumerate() {
        if at > 0 {
            out.push_str(word);
        }
        if !print(member, out) {
            return false;
        }
    }
    if parentheses {
        out.push(')');
    }
    true
}

fn kql_range(field: &Field, range: &Range, out: &mut String, level: u8) -> bool {
    let bounds = [(&range.lower, '>'), (&range.upper, '<')];
    let both = range.lower.is_some() && range.upper.is_some();
    let parentheses = both && level > 1;
    if *field == Field::Default {
        return false;
    }
    if parentheses {
        out.push('(');
    }
    let mut first = true;
    for (bound, sign) in bounds {
        let Some(Bound { value, inclusive }) = bound else { continue };
        if !first {
            out.push_str(" and ");
        }
        first = false;
        if !kql_field(field, out, " ") {
            return false;
        }
        out.push(sign);
        if *inclusive {
            out.push('=');
        }
        out.push(' ');
        quoted_unless_plain(value, out);
    }
    if parentheses {
        out.push(')');
    }
    true
}

fn kql_field(field: &Field, out: &mut String, after: &str) -> bool {
    match field {
        Field::Default => return true,
        Field::Named(name) if name.contains(char::is_whitespace) => quoted(name, out),
        Field::Named(name) if name.is_empty() => return false,
        Field::Named(name) => {
            if !kql_text(name, out) {
                return false;
            }
        }
        Field::Pattern(pattern) => {
            if pattern.contains(char::is_whitespace) || !kql_pattern(pattern, out) {
                return false;
            }
        }
    }
    out.push_str(after);
    true
}

/// Unquoted, because quotation marks mean a phrase.
fn kql_text(text: &str, out: &mut String) -> bool {
    if text.is_empty() || text.trim() != text {
        return false;
    }
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 {
            out.push(' ');
        }
        if ["and", "or", "not"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) {
            // The backslash only has to keep the word from reading as a keyword; n, r, t and u would mean other letters.
            let (head, tail) = word.split_at(1);
            match head {
                "n" | "N" => {
                    out.push_str(if head == "n" { "\\u006e" } else { "\\N" });
                }
                _ => {
                    out.push('\\');
                    out.push_str(head);
                }
            }
            out.push_str(tail);
        } else {
            word.chars().for_each(|letter| kql_letter(letter, out));
        }
    }
    true
}

fn kql_letter(letter: char, out: &mut String) {
    match letter {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ if letter.is_whitespace() => {
            out.push('\\');
            out.push(letter);
        }
        _ => {
            if "\\():<>\"*{}".contains(letter) {
                out.push('\\');
            }
            out.push(letter);
        }
    }
}

fn kql_pattern(pattern: &str, out: &mut String) -> bool {
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => out.push('*'),
            '?' => return false,
            '\\' => match letters.next() {
                Some(escaped) => kql_letter(escaped, out),
                None => return false,
            },
            _ if letter.is_whitespace() => {
                // Escaped, so that a keyword beside it can't be read as one.
                out.push('\\');
                out.push(match letter {
                    '\n' => 'n',
                    '\r' => 'r',
                    '\t' => 't',
                    other => other,
                });
            }
            _ => kql_letter(letter, out),
        }
    }
    // What would read as a keyword or as "any value" is something else.
    !["and", "or", "not"].iter().any(|word| pattern.eq_ignore_ascii_case(word)) && pattern.contains('*')
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                out.push('\\');
                out.push(letter);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(letter),
        }
    }
    out.push('"');
}

fn quoted_unless_plain(text: &str, out: &mut String) {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        out.push_str(text);
    } else {
        quoted(text, out);
    }
}

fn lucene(ast: &Ast, out: &mut String, inner: bool) {
    match ast {
        Ast::All => out.push_str("*:*"),
        Ast::Or(members) | Ast::And(members) => {
            let word = if matches!(ast, Ast::Or(_)) { " OR " } else { " AND " };
            joined(members, out, word, inner, |member, out| {
                lucene(member, out, true);
                true
            });
        }
        Ast::Boosted { member, by } => {
            out.push('(');
            lucene(member, out, false);
            out.push_str(")^");
            out.push_str(by);
        }
        Ast::Not(member) => {
            out.push_str("NOT ");
            let grouped = matches!(**member, Ast::Not(_));
            if grouped {
                out.push('(');
            }
            lucene(member, out, true);
            if grouped {
                out.push(')');
            }
        }
        Ast::Leaf { field, test } => lucene_leaf(field, test, out),
    }
}

fn lucene_leaf(field: &Field, test: &Test, out: &mut String) {
    match field {
        Field::Default => {}
        Field::Named(name) => lucene_text(name, out),
        Field::Pattern(pattern) => lucene_pattern(pattern, out),
    }
    if *field != Field::Default {
        out.push(':');
    }
    match test {
        Test::Words(text) => lucene_text(text, out),
        Test::Phrase { text, slop } => {
            quoted(text, out);
            if *slop > 0 {
                out.push_str(&format!("~{slop}"));
            }
        }
        Test::Pattern(pattern) => lucene_pattern(pattern, out),
        Test::Regex(pattern) => {
            out.push('/');
            let mut escaped = false;
            for letter in pattern.chars() {
                if letter == '/' && !escaped {
                    out.push('\\');
                }
                escaped = letter == '\\' && !escaped;
                out.push(letter);
            }
            out.push('/');
        }
        Test::Fuzzy { text, distance } => {
            lucene_text(text, out);
            out.push_str(&format!("~{distance}"));
        }
        Test::Exists => out.push('*'),
        Test::Range(Range { lower, upper }) => {
            out.push(if lower.as_ref().is_some_and(|bound| !bound.inclusive) { '{' } else { '[' });
            range_bound(lower.as_ref(), out);
            out.push_str(" TO ");
            range_bound(upper.as_ref(), out);
            out.push(if upper.as_ref().is_some_and(|bound| !bound.inclusive) { '}' } else { ']' });
        }
    }
}

fn range_bound(bound: Option<&Bound>, out: &mut String) {
    match bound {
        Some(bound) => quoted_unless_plain(&bound.value, out),
        None => out.push('*'),
    }
}

fn lucene_text(text: &str, out: &mut String) {
    let keyword = ["AND", "OR", "NOT", "_exists_"].contains(&text);
    for (at, letter) in text.chars().enumerate() {
        lucene_letter(letter, out, keyword && at == 0);
    }
}

fn lucene_letter(letter: char, out: &mut String, force: bool) {
    match letter {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ => {
            if force && letter == 'N' {
                out.push_str("\\u004e");
                return;
            }
            if force || letter.is_whitespace() || "\\+-!():^[]\"{}~*?|&/<>".contains(letter) {
                out.push('\\');
            }
            out.push(letter);
        }
    }
}

fn lucene_pattern(pattern: &str, out: &mut String) {
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '*' | '?' => out.push(letter),
            '\\' => letters.next().into_iter().for_each(|escaped| lucene_letter(escaped, out, false)),
            _ => lucene_letter(letter, out, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9./-]{1,8}",
            "[a-zA-Zü \\\\:()<>*?{}\"\\[\\]/~^+!&|\t\n-]{0,10}[a-z]",
            Just("and".to_owned()),
            Just("NOT".to_owned()),
            Just("not x or".to_owned()),
            Just("OR".to_owned()),
        ]
    }

    fn pattern() -> impl Strategy<Value = String> {
        "([a-z]|\\\\[*?\\\\]| ){0,4}\\*[a-z]([a-z?]|\\\\[*?\\\\]|[:(] [a-z]|or){0,4}"
    }

    fn field() -> impl Strategy<Value = Field> {
        prop_oneof![
            Just(Field::Default),
            "[a-z@_]{1,6}(\\.[a-z]{1,4}){0,2}".prop_map(Field::Named),
            "[a-z]{1,6}\\.\\*".prop_map(Field::Pattern),
        ]
    }

    fn bound() -> impl Strategy<Value = Option<Bound>> {
        prop::option::of((text(), any::<bool>()).prop_map(|(value, inclusive)| Bound { value, inclusive }))
    }

    fn leaf() -> impl Strategy<Value = Ast> {
        let test = prop_oneof![
            text().prop_map(Test::Words),
            (text(), 0u32..3).prop_map(|(text, slop)| Test::Phrase { text, slop }),
            pattern().prop_map(Test::Pattern),
            "[a-z][a-z/.]{0,5}".prop_map(Test::Regex),
            (text(), 0u8..3).prop_map(|(text, distance)| Test::Fuzzy { text, distance }),
            (bound(), bound()).prop_map(|(lower, upper)| Test::Range(Range { lower, upper })),
            Just(Test::Exists),
        ];
        (field(), test).prop_map(|(field, test)| match (&field, &test) {
            (Field::Default, Test::Exists | Test::Range(_)) => Ast::All,
            (_, Test::Range(Range { lower: None, upper: None })) => Ast::Leaf { field, test: Test::Exists },
            _ => Ast::Leaf { field, test },
        })
    }

    fn ast() -> impl Strategy<Value = Ast> {
        prop_oneof![1 => Just(Ast::All), 9 => leaf()].prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Ast::and),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Ast::or),
                inner.clone().prop_map(Ast::not),
                (inner, prop::sample::select(&["2", "0.5"][..]))
                    .prop_map(|(member, by)| Ast::Boosted { member: Box::new(member), by: by.to_owned() }),
            ]
        })
    }

    /// KQL has no two-sided range: it becomes two conditions.
    fn split_ranges(ast: Ast) -> Ast {
        match ast {
            Ast::And(members) => Ast::and(members.into_iter().map(split_ranges).collect()),
            Ast::Or(members) => Ast::or(members.into_iter().map(split_ranges).collect()),
            Ast::Not(member) => Ast::not(split_ranges(*member)),
            Ast::Boosted { member, by } => Ast::Boosted { member: Box::new(split_ranges(*member)), by },
            Ast::Leaf { field, test: Test::Range(Range { lower: Some(lower), upper: Some(upper) }) } => {
                let side = |lower, upper| Ast::Leaf { field: field.clone(), test: Test::Range(Range { lower, upper }) };
                Ast::and(vec![side(Some(lower), None), side(None, Some(upper))])
            }
            other => other,
        }
    }

    proptest! {
        #[test]
        fn lucene_reads_back_what_is_printed(ast in ast()) {
            let printed = ast.to_lucene();
            prop_assert_eq!(crate::lucene::parse(&printed), Ok(ast), "{}", printed);
        }

        #[test]
        fn kql_reads_back_what_is_printed(ast in ast()) {
            if let Some(printed) = ast.to_kql() {
                prop_assert_eq!(crate::kql::parse(&printed), Ok(split_ranges(ast)), "{}", printed);
            }
        }
    }

    #[test]
    fn pills_are_plain() {
        let pill = Ast::and(vec![Ast::is("service.name", "a \"b\""), Ast::not(Ast::exists("x"))]);
        assert_eq!(pill.to_kql().as_deref(), Some("service.name: \"a \\\"b\\\"\" and not x: *"));
        assert_eq!(pill.to_lucene(), "service.name:\"a \\\"b\\\"\" AND NOT x:*");
    }
}
