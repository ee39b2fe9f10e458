//! Regular expressions as Lucene writes them, in the syntax of the library that runs them. They are about whole terms,
//! `^` and `$` are letters, and `<1-20>`, `@`, `#` and `"…"` are operators. `~` and `&` can't be had and are refused: read
//! as letters they would find something else.

/// Which of the optional operators are operators: `flags` of a `regexp` query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operators {
    complement: bool,
    interval: bool,
    intersection: bool,
    any_string: bool,
    empty: bool,
    /// `"…"`; not a flag of its own.
    quoted: bool,
}

/// Digits of a bound of an interval: as many as 64 bits surely hold.
const DIGITS_MAX: usize = 18;

impl Operators {
    const fn all(on: bool) -> Self {
        Self { complement: on, interval: on, intersection: on, any_string: on, empty: on, quoted: on }
    }

    /// `INTERVAL|EMPTY`, `ALL`, `NONE`.
    ///
    /// # Errors
    /// The word that is none of Lucene's flags.
    pub fn read(flags: &str) -> Result<Self, &str> {
        let mut operators = Self { quoted: true, ..Self::all(false) };
        for word in flags.split('|').map(str::trim) {
            match word {
                "" | "ALL" => operators = Self::all(true),
                "NONE" => {}
                "COMPLEMENT" => operators.complement = true,
                "INTERVAL" => operators.interval = true,
                "INTERSECTION" => operators.intersection = true,
                "ANYSTRING" => operators.any_string = true,
                "EMPTY" => operators.empty = true,
                other => return Err(other),
            }
        }
        Ok(operators)
    }
}

impl Default for Operators {
    fn default() -> Self {
        Self::all(true)
    }
}

/// Translates an expression; what comes out matches whole terms when `^(?:…)$` is put around it.
///
/// # Errors
/// What can't be done, in words. Other mistakes are left to the library that compiles it.
pub fn translated(pattern: &str, operators: Operators) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 4);
    // A dot is any letter, also a line feed.
    out.push_str("(?s:");
    let mut letters = pattern.chars().peekable();
    let mut opened = false;
    while let Some(letter) = letters.next() {
        let after_bracket = std::mem::replace(&mut opened, letter == '(');
        match letter {
            '\\' => escaped(letters.next().ok_or("a backslash stands at the end")?, &mut out),
            '[' => class(&mut letters, &mut out)?,
            '"' if operators.quoted => loop {
                match letters.next() {
                    None => return Err("a quotation mark is never closed".to_owned()),
                    Some('"') => break,
                    Some(letter) => literal(letter, &mut out),
                }
            },
            '@' if operators.any_string => out.push_str(".*"),
            '#' if operators.empty => out.push_str("[^\\s\\S]"),
            '<' if operators.interval => interval(&mut letters, &mut out)?,
            '~' if operators.complement => return Err("the complement ~ is not supported".to_owned()),
            '&' if operators.intersection => return Err("the intersection & is not supported".to_owned()),
            // Behind a bracket a question mark would begin what only the library knows.
            '?' if after_bracket => out.push_str("\\?"),
            '(' | ')' | '|' | '*' | '+' | '?' | '.' | '{' | '}' => out.push(letter),
            other => literal(other, &mut out),
        }
    }
    out.push(')');
    Ok(out)
}

fn literal(letter: char, out: &mut String) {
    out.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
}

/// A letter after a backslash: itself, but for the names of classes.
fn escaped(letter: char, out: &mut String) {
    if matches!(letter, 'd' | 'D' | 'w' | 'W' | 's' | 'S') {
        out.push('\\');
        out.push(letter);
    } else {
        literal(letter, out);
    }
}

/// `[a-z]`, after its bracket. What only the library knows in there (`&&`, `[[:alpha:]]`) is letters.
fn class(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.push('[');
    if letters.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut is_first = true;
    loop {
        match letters.next() {
            None => return Err("a bracket [ is never closed".to_owned()),
            Some(']') if !is_first => break,
            Some('\\') => escaped(letters.next().ok_or("a backslash stands at the end")?, out),
            // Two in a row would take one set from another.
            Some('-') if !out.ends_with('-') => out.push('-'),
            Some(letter) => literal(letter, out),
        }
        is_first = false;
    }
    out.push(']');
    Ok(())
}

/// `<1-20>`, after its bracket. Bounds of one length are numbers of that many digits, others may have zeros in front.
fn interval(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<(), String> {
    let text: String = letters.by_ref().take_while(|letter| *letter != '>').collect();
    let refused = || format!("<{text}> is no interval of numbers such as <1-20>");
    let (from, to) = text.split_once('-').ok_or_else(refused)?;
    let number = |digits: &str| {
        let fits = !digits.is_empty() && digits.len() <= DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| digits.parse::<u64>().ok()).flatten().ok_or_else(refused)
    };
    let (one, other) = (number(from)?, number(to)?);
    let (least, greatest) = (one.min(other), one.max(other));
    let width = if from.len() == to.len() { from.len() } else { 0 };
    let mut pieces = Vec::new();
    // Numbers of as many digits at a time, for those compare digit by digit.
    let mut low = least;
    for digits in 1..=DIGITS_MAX {
        let last = 10u64.pow(u32::try_from(digits).unwrap_or(1)) - 1;
        if low > greatest {
            break;
        }
        if low <= last {
            let high = greatest.min(last);
            let zeros = width.saturating_sub(digits);
            let (low_text, high_text) = (format!("{low:0digits$}"), format!("{high:0digits$}"));
            let mut found = String::from(if width == 0 { "0*" } else { "" });
            found.extend(std::iter::repeat_n('0', zeros));
            found.push_str(&between(low_text.as_bytes(), high_text.as_bytes()));
            pieces.push(found);
            low = last + 1;
        }
    }
    out.push_str(&format!("(?:{})", pieces.join("|")));
    Ok(())
}

/// The numbers from one to another of as many digits.
fn between(low: &[u8], high: &[u8]) -> String {
    let ([first, low_rest @ ..], [last, high_rest @ ..]) = (low, high) else { return String::new() };
    let digit = |byte: &u8| char::from(*byte);
    if first == last {
        return format!("{}{}", digit(first), between(low_rest, high_rest));
    }
    let rest = low_rest.len();
    let free = if rest > 0 { format!("[0-9]{{{rest}}}") } else { String::new() };
    let (nines, zeros) = (vec![b'9'; rest], vec![b'0'; rest]);
    let mut pieces = vec![
        format!("{}{}", digit(first), between(low_rest, &nines)),
        format!("{}{}", digit(last), between(&zeros, high_rest)),
    ];
    if last - first > 1 {
        pieces.push(format!("[{}-{}]{free}", digit(&(first + 1)), digit(&(last - 1))));
    }
    format!("(?:{})", pieces.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let translated = translated(pattern, Operators::default()).unwrap();
        regex::Regex::new(&format!("^(?:{translated})$")).unwrap().is_match(text)
    }

    #[test]
    fn operators_mean_what_lucene_says() {
        for (pattern, text, fits) in [
            ("ab.?c", "abc", true),
            ("a|b|cd", "cd", true),
            ("^web$", "web", false),
            ("^web$", "^web$", true),
            ("foo<1-100>", "foo1", true),
            ("foo<1-100>", "foo007", true),
            ("foo<1-100>", "foo101", false),
            ("foo<01-100>", "foo1", true),
            ("v<08-12>", "v9", false),
            ("v<08-12>", "v09", true),
            ("@abc", "xabc", true),
            ("#|abc", "abc", true),
            ("#", "", false),
            ("\"a.b\"c", "a.bc", true),
            ("\"a.b\"c", "axbc", false),
            ("a\\.b\\d", "a.b7", true),
            ("[a-c&&]x", "&x", true),
            ("[^ab]", "c", true),
            ("a.b", "a\nb", true),
            ("(?i)", "", false),
            ("a/b-c=d%e", "a/b-c=d%e", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text:?}");
        }
        for (pattern, named) in
            [("a~bc", "~"), ("aaa.+&.+bbb", "&"), ("<a-b>", "<a-b>"), ("\"a", "quotation"), ("[a", "[")]
        {
            assert!(translated(pattern, Operators::default()).unwrap_err().contains(named), "{pattern}");
        }
        assert_eq!(Operators::read("INTERVAL|ODD"), Err("ODD"));
        let none = Operators::read("NONE").unwrap();
        assert_eq!(translated("a~<b>", none).as_deref(), Ok("(?s:a\\~<b>)"));
    }

    proptest! {
        #[test]
        fn intervals_hold_exactly_their_numbers(a in 0u64..20_000, b in 0u64..20_000, at in 0u64..20_000) {
            let (least, greatest) = (a.min(b), a.max(b));
            let found = matches(&format!("<{least}-{greatest}>"), &at.to_string());
            prop_assert_eq!(found, (least..=greatest).contains(&at));
        }

        #[test]
        fn any_expression_is_translated_or_refused(pattern in "[ab<>0-9@#\"~&^$?*+|()\\[\\]{}.\\\\-]{0,20}") {
            if let Ok(translated) = translated(&pattern, Operators::default()) {
                let _ = regex::Regex::new(&translated);
            }
        }
    }
}
