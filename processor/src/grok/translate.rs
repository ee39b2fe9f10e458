//! From the regular expressions that grok users write (Oniguruma's dialect) to those of a linear-time engine,
//! expanding `%{NAME:field:type}` on the way.
//!
//! Classes are ASCII and spelled out, so that the fast engine never leaves its path on a non-ASCII byte, while a
//! dot stays a whole character. Only named captures are kept. Look-around is passed on and reported: it needs the
//! other engine. Back-references are refused.

use logmill_core::FieldPath;

use super::patterns::Definitions;
use super::{Capture, GrokError, Kind};

/// Patterns that expand to more than this are refused: definitions that double at each level reach it at once.
const EXPANDED_BYTES_MAX: usize = 256 << 10;
/// Definitions deeper than this refer to themselves; the deepest built-in one has seven levels.
const DEPTH_MAX: usize = 32;

/// A pattern in the engine's own dialect.
#[derive(Debug, Default)]
pub(super) struct Translated {
    pub(super) regex: String,
    /// What the numbered groups hold, from group 1.
    pub(super) captures: Vec<Capture>,
    /// Look-around stands in it.
    pub(super) lookaround: bool,
    /// It can match at the start of a line only.
    pub(super) line_start: bool,
    /// A definition with a faster twin was used.
    pub(super) has_fast: bool,
}

/// Translates a plain regular expression, all its groups kept.
pub(crate) fn translate(text: &str) -> String {
    let mut writer = Writer::new(None, false);
    match writer.pattern(text, 0) {
        Ok(()) => writer.out.regex,
        // What can't be translated is left to the engine to refuse, with its own words.
        Err(_) => text.to_owned(),
    }
}

/// Expands a grok pattern; `fast` takes the faster twins of definitions where there are any.
pub(super) fn expand(text: &str, definitions: &Definitions<'_>, fast: bool) -> Result<Translated, GrokError> {
    let mut writer = Writer::new(Some(definitions), fast);
    writer.pattern(text, 0)?;
    let anchored = text.starts_with('^') || text.starts_with("\\A");
    writer.out.line_start = anchored && !writer.alternation;
    Ok(writer.out)
}

struct Writer<'d> {
    definitions: Option<&'d Definitions<'d>>,
    fast: bool,
    out: Translated,
    /// A `|` stands outside every group.
    alternation: bool,
}

impl<'d> Writer<'d> {
    fn new(definitions: Option<&'d Definitions<'d>>, fast: bool) -> Self {
        Self { definitions, fast, out: Translated::default(), alternation: false }
    }

    fn pattern(&mut self, text: &str, depth: usize) -> Result<(), GrokError> {
        if depth > DEPTH_MAX {
            return Err(GrokError::Circle);
        }
        let (mut rest, mut groups, mut quantified) = (text, 0usize, false);
        while let Some(first) = rest.chars().next() {
            if self.out.regex.len() > EXPANDED_BYTES_MAX {
                return Err(GrokError::TooLarge(EXPANDED_BYTES_MAX));
            }
            let was_quantified = std::mem::take(&mut quantified);
            rest = match first {
                '\\' => self.escape(rest, false)?,
                '[' => self.class(rest)?,
                '(' => {
                    groups += 1;
                    self.group(rest)?
                }
                '%' if rest.starts_with("%{") && self.definitions.is_some() => self.reference(rest, depth)?,
                '{' => {
                    let length = quantifier_length(rest).filter(|_| rest.len() < text.len());
                    quantified = length.is_some();
                    self.brace(rest, length)
                }
                // A plus after a quantifier makes it possessive, which a linear-time engine has no need of.
                '+' if was_quantified => &rest[1..],
                '*' | '+' | '?' => {
                    quantified = !was_quantified;
                    self.copy(rest, 1)
                }
                '}' => {
                    self.out.regex.push_str("\\}");
                    &rest[1..]
                }
                '|' => {
                    self.alternation |= groups == 0 && depth == 0;
                    self.copy(rest, 1)
                }
                ')' => {
                    groups = groups.saturating_sub(1);
                    self.copy(rest, 1)
                }
                _ => self.copy(rest, first.len_utf8()),
            };
        }
        Ok(())
    }

    fn copy<'t>(&mut self, rest: &'t str, length: usize) -> &'t str {
        let (head, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        self.out.regex.push_str(head);
        tail
    }

    fn brace<'t>(&mut self, rest: &'t str, quantifier: Option<usize>) -> &'t str {
        match quantifier {
            Some(length) if rest.starts_with("{,") => {
                self.out.regex.push_str("{0");
                self.copy(&rest[1..], length - 1)
            }
            Some(length) => self.copy(rest, length),
            None => {
                self.out.regex.push_str("\\{");
                &rest[1..]
            }
        }
    }

    fn escape<'t>(&mut self, rest: &'t str, in_class: bool) -> Result<&'t str, GrokError> {
        let Some(letter) = rest.chars().nth(1) else { return Err(GrokError::LoneBackslash) };
        let after = rest.get(1 + letter.len_utf8()..).unwrap_or_default();
        let set = match letter.to_ascii_lowercase() {
            'd' => Some("0-9"),
            'w' => Some("0-9A-Za-z_"),
            's' => Some("\\t-\\r "),
            'h' => Some("0-9A-Fa-f"),
            _ => None,
        };
        if let Some(set) = set {
            let (open, close) = match (letter.is_ascii_uppercase(), in_class) {
                (true, _) => ("[^", "]"),
                (false, false) => ("[", "]"),
                (false, true) => ("", ""),
            };
            self.out.regex.extend([open, set, close]);
            return Ok(after);
        }
        let fixed = match letter {
            'b' if in_class => "\\x08",
            'b' => "(?-u:\\b)",
            'B' => "(?-u:\\B)",
            'Z' => "(?:\\n?\\z)",
            'R' => "(?:\\r\\n|[\\n-\\r])",
            'e' => "\\x1B",
            '<' => "<",
            '>' => ">",
            '1'..='9' | 'k' | 'g' if !in_class => return Err(GrokError::BackReference),
            'G' | 'K' => return Err(GrokError::Unsupported(letter)),
            'p' | 'P' | 'x' | 'u' if after.starts_with('{') => {
                let end = after.find('}').map_or(after.len(), |end| end + 1);
                let (braces, tail) = after.split_at(end);
                self.out.regex.extend(["\\", letter.encode_utf8(&mut [0; 4]), braces]);
                return Ok(tail);
            }
            // Escaped letters beyond those above mean control characters or nothing; punctuation means itself.
            _ => {
                if letter.is_ascii() {
                    self.out.regex.push('\\');
                }
                self.out.regex.push(letter);
                return Ok(after);
            }
        };
        self.out.regex.push_str(fixed);
        Ok(after)
    }

    fn class<'t>(&mut self, rest: &'t str) -> Result<&'t str, GrokError> {
        self.out.regex.push('[');
        let mut rest = &rest[1..];
        if rest.starts_with('^') {
            rest = self.copy(rest, 1);
        }
        if rest.starts_with(']') {
            self.out.regex.push_str("\\]");
            rest = &rest[1..];
        }
        while let Some(first) = rest.chars().next() {
            rest = match first {
                ']' => return Ok(self.copy(rest, 1)),
                '\\' => self.escape(rest, true)?,
                '[' if rest.starts_with("[:") => match rest.find(":]") {
                    Some(end) => self.copy(rest, end + 2),
                    None => return Err(GrokError::OpenClass),
                },
                // In the engine's dialect these are set operators.
                '[' | '&' | '~' => {
                    self.out.regex.push('\\');
                    self.copy(rest, 1)
                }
                '-' if rest.starts_with("--") => {
                    self.out.regex.push_str("\\-");
                    &rest[1..]
                }
                _ => self.copy(rest, first.len_utf8()),
            };
        }
        Err(GrokError::OpenClass)
    }

    fn group<'t>(&mut self, rest: &'t str) -> Result<&'t str, GrokError> {
        if let Some(comment) = rest.strip_prefix("(?#") {
            let end = comment.find(')').ok_or(GrokError::OpenGroup)?;
            // The caller counted a group, and a closing bracket is what it waits for.
            self.out.regex.push_str("(?:");
            return Ok(&comment[end..]);
        }
        for look in ["(?=", "(?!", "(?<=", "(?<!"] {
            if let Some(tail) = rest.strip_prefix(look) {
                self.out.lookaround = true;
                self.out.regex.push_str(look);
                return Ok(tail);
            }
        }
        if let Some(tail) = rest.strip_prefix("(?>") {
            self.out.regex.push_str("(?:");
            return Ok(tail);
        }
        for (open, close) in [("(?P<", '>'), ("(?<", '>'), ("(?'", '\'')] {
            if let Some(tail) = rest.strip_prefix(open) {
                let (name, tail) = tail.split_once(close).ok_or(GrokError::OpenGroup)?;
                if self.definitions.is_some() {
                    let capture = Capture { path: field_path(name)?, kind: Kind::Text };
                    self.out.captures.push(capture);
                }
                self.out.regex.push('(');
                return Ok(tail);
            }
        }
        if let Some(tail) = rest.strip_prefix("(?") {
            // Flags: what others call s, Ruby calls m.
            let end = tail.find([':', ')']).ok_or(GrokError::OpenGroup)?;
            let (flags, tail) = tail.split_at(end);
            self.out.regex.extend(["(?", &flags.replace('m', "s")]);
            return Ok(tail);
        }
        self.out.regex.push_str(if self.definitions.is_some() { "(?:" } else { "(" });
        Ok(&rest[1..])
    }

    fn reference<'t>(&mut self, rest: &'t str, depth: usize) -> Result<&'t str, GrokError> {
        let (inside, tail) = rest[2..].split_once('}').ok_or(GrokError::OpenReference)?;
        let mut parts = inside.splitn(3, ':');
        let name = parts.next().unwrap_or_default().trim();
        let (field, kind) = (parts.next(), parts.next());
        let Some(definition) = self.definitions.and_then(|definitions| definitions.find(name)) else {
            let known = self.definitions.map(|definitions| definitions.nearest(name)).unwrap_or_default();
            return Err(GrokError::UnknownPattern { name: name.to_owned(), known });
        };
        self.out.has_fast |= definition.fast.is_some();
        match field.filter(|field| !field.is_empty()) {
            None => self.out.regex.push_str("(?:"),
            Some(field) => {
                let kind = kind.map_or(Ok(Kind::Text), Kind::parse)?;
                self.out.captures.push(Capture { path: field_path(field)?, kind });
                self.out.regex.push('(');
            }
        }
        let text = if self.fast { definition.fast.unwrap_or(definition.text) } else { definition.text };
        self.pattern(text, depth + 1)?;
        self.out.regex.push(')');
        Ok(tail)
    }
}

/// `[a][b]`, `a.b` or `a`.
fn field_path(name: &str) -> Result<FieldPath, GrokError> {
    let refused = || GrokError::Field(name.to_owned());
    match name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => FieldPath::parse(&inner.replace("][", ".")).map_err(|_| refused()),
        None => FieldPath::parse(name).map_err(|_| refused()),
    }
}

/// The length of `{n}`, `{n,}`, `{,m}` or `{n,m}`.
fn quantifier_length(rest: &str) -> Option<usize> {
    let end = rest.find('}')?;
    let inside = rest.get(1..end)?;
    let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (inside.len() > usize::from(inside.contains(',')) && digits(least) && digits(most)).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_the_engines_dialect() {
        let cases = [
            (r"\h+", "[0-9A-Fa-f]+"),
            (r"[\h\s]", r"[0-9A-Fa-f\t-\r ]"),
            (r"\bx\b", r"(?-u:\b)x(?-u:\b)"),
            ("a{2,3}", "a{2,3}"),
            ("a{,3}", "a{0,3}"),
            (r#"{"k":1}"#, r#"\{"k":1\}"#),
            ("a++b*+", "a+b*"),
            ("[[:alpha:]_[]", r"[[:alpha:]_\[]"),
            ("[]x]", r"[\]x]"),
            ("(?>a|b)(?m:.)", "(?:a|b)(?s:.)"),
            (r"\<b\>", "<b>"),
            ("a(?#note)b", "a(?:)b"),
        ];
        for (from, to) in cases {
            assert_eq!(translate(from), to, "{from}");
            assert!(regex::Regex::new(to).is_ok(), "{to}");
        }
    }

    #[test]
    fn back_references_and_unknown_names_are_refused() {
        let definitions = Definitions::standard();
        for text in [r"(a)\1", "%{NOPE:x}", "%{WORD", "[abc", "(?<x", "%{WORD:a..b}", "%{INT:a:colour}", "x\\"] {
            assert!(expand(text, &definitions, false).is_err(), "{text}");
        }
    }
}
