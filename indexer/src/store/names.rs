//! Index names and the expressions that choose among them: `logs-*,metrics,-logs-test`.

/// Elasticsearch's bound.
const NAME_BYTES_MAX: usize = 255;

/// A name that an expression spells out is no index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such index [{0}]")]
pub(crate) struct NoSuchIndex(pub(crate) String);

/// Whether an index may be called so, by Elasticsearch's rules.
pub(crate) fn is_valid(name: &str) -> bool {
    let forbidden = |letter: char| {
        matches!(letter, '\\' | '/' | '*' | '?' | '"' | '<' | '>' | '|' | ' ' | ',' | '#' | ':')
            || letter.is_control()
            || letter.is_uppercase()
    };
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with(['-', '_', '+', '.'])
        && !name.contains(forbidden)
}

/// What wildcards stand for: `expand_wildcards`. A name that is spelt out is always itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expand {
    /// Every index.
    All,
    /// Every index that is not hidden.
    Visible,
    /// Only indexes that are closed, of which there are none.
    Nothing,
    /// They are none: a name with a star in it is a name like any other.
    Literal,
}

impl Expand {
    /// Reads a list such as `open,hidden`; each word adds to those before it, but for `none`, which takes them back.
    ///
    /// # Errors
    /// The first word that is none of Elasticsearch's.
    pub(crate) fn read(text: &str) -> Result<Self, &str> {
        let (mut open, mut closed, mut hidden) = (false, false, false);
        for word in text.split(',').map(str::trim) {
            match word {
                "open" => open = true,
                "closed" => closed = true,
                "hidden" => hidden = true,
                "all" => (open, closed, hidden) = (true, true, true),
                "none" => (open, closed, hidden) = (false, false, false),
                other => return Err(other),
            }
        }
        Ok(match (open, hidden) {
            (true, true) => Self::All,
            (true, false) => Self::Visible,
            (false, false) if !closed => Self::Literal,
            (false, _) => Self::Nothing,
        })
    }
}

/// The names and patterns of an expression; the one without a letter, which means all, only where there is no other.
pub(crate) fn items(expression: &str) -> Vec<&str> {
    let items: Vec<&str> = expression.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.is_empty() { vec![""] } else { items }
}

/// Which of the known `names` an expression means, in their order.
///
/// # Errors
/// When a name without a wildcard is not known.
pub(crate) fn select<'n>(
    expression: &str,
    names: &(impl Iterator<Item = &'n str> + Clone),
) -> Result<Vec<&'n str>, NoSuchIndex> {
    select_expanding(expression, names, Expand::All, |_| false)
}

/// As [`select`], with wildcards that stand for some of the names only.
///
/// # Errors
/// When a name without a wildcard is not known.
pub(crate) fn select_expanding<'n>(
    expression: &str,
    names: &(impl Iterator<Item = &'n str> + Clone),
    expand: Expand,
    is_hidden: impl Fn(&str) -> bool,
) -> Result<Vec<&'n str>, NoSuchIndex> {
    let expanded = |name: &&str| match expand {
        Expand::All => true,
        Expand::Visible => !is_hidden(name),
        Expand::Nothing | Expand::Literal => false,
    };
    let mut chosen: Vec<&str> = Vec::new();
    for (place, item) in items(expression).into_iter().enumerate() {
        if let Some(excluded) = item.strip_prefix('-').filter(|_| place > 0) {
            chosen.retain(|name| !matches(excluded, name));
        } else if matches!(item, "" | "_all") || item == "*" && expand != Expand::Literal {
            chosen.extend(names.clone().filter(expanded));
        } else if item.contains(['*', '?']) && expand != Expand::Literal {
            chosen.extend(names.clone().filter(expanded).filter(|name| matches(item, name)));
        } else {
            chosen.push(names.clone().find(|name| *name == item).ok_or_else(|| NoSuchIndex(item.to_owned()))?);
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// Whether a name fits a pattern of `*` (any letters) and `?` (one letter). Linear for one star, and never
/// worse than pattern times name.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on when the letters after the last star turn out not to fit.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, n));
                p += 1;
            }
            Some(letter) if *letter == b'?' || name.get(n) == Some(letter) => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((star, taken)) => {
                    retry = Some((star, taken + 1));
                    p = star + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(expression: &str) -> Result<Vec<&'static str>, NoSuchIndex> {
        select(expression, &["logs-a-x", "logs-b-x", "other"].into_iter())
    }

    #[test]
    fn expressions_choose_by_name_wildcard_and_exclusion() {
        assert_eq!(choose("other,logs-a-x"), Ok(vec!["logs-a-x", "other"]));
        assert_eq!(choose("logs-*"), Ok(vec!["logs-a-x", "logs-b-x"]));
        assert_eq!(choose("logs-?-x,-logs-a*"), Ok(vec!["logs-b-x"]));
        assert_eq!(choose("_all,-other"), Ok(vec!["logs-a-x", "logs-b-x"]));
        assert_eq!(choose("*"), choose("_all"));
        assert_eq!(choose("nothing*"), Ok(vec![]));
        assert_eq!(choose(",other,"), Ok(vec!["other"]));
        assert_eq!(choose(" , "), choose("_all"));
        assert_eq!(choose("other,missing"), Err(NoSuchIndex("missing".into())));
    }

    #[test]
    fn wildcards_stand_for_what_is_asked_for() {
        let choose = |expression: &str, expand: &str| {
            let names = ["logs-a-x", "logs-b-x", "other"].into_iter();
            select_expanding(expression, &names, Expand::read(expand).unwrap(), |name| name == "logs-b-x")
        };
        for (expression, expand, chosen) in [
            ("logs-*", "open", vec!["logs-a-x"]),
            ("_all", "open,closed", vec!["logs-a-x", "other"]),
            ("logs-b-x,oth*", "open", vec!["logs-b-x", "other"]),
            ("logs-*", "open,hidden", vec!["logs-a-x", "logs-b-x"]),
            ("*", "all", vec!["logs-a-x", "logs-b-x", "other"]),
            ("*", "closed", vec![]),
            ("logs-*", "hidden", vec![]),
            ("_all", "none", vec![]),
            ("other", "none", vec!["other"]),
            ("*", "none, open", vec!["logs-a-x", "other"]),
        ] {
            assert_eq!(choose(expression, expand), Ok(chosen), "{expression} {expand}");
        }
        assert_eq!(choose("other,logs-*", "none"), Err(NoSuchIndex("logs-*".into())));
        assert_eq!(Expand::read("open,shut"), Err("shut"));
        assert_eq!(Expand::read(""), Err(""));
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, fits) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("*b*", "abc", true),
            ("a?c", "ac", false),
            ("**", "", true),
            ("a*a*a", "aa", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn names_follow_the_rules() {
        for name in ["logs-nginx.access-default", "a", "logs_2026"] {
            assert!(is_valid(name), "{name}");
        }
        for name in ["", "_all", "-a", "A", "a b", "a/b", "..", ".hidden", "a*", "a\u{0}"] {
            assert!(!is_valid(name), "{name:?}");
        }
    }
}
