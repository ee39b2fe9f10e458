//! `minimum_should_match`: how many of the optional clauses must match, by their number.

use serde_json::Value;

use super::clause::Minimum;
use super::error::EsError;
use super::strict::kind;

impl Minimum {
    /// `2`, `"-1"`, `"75%"`, `"2<75%"`, `"2<-25% 9<-3"`.
    pub(crate) fn read(written: &Value) -> Result<Self, EsError> {
        let refused = || {
            EsError::parsing(format!(
                "[minimum_should_match] can't be {}: write a number, a percentage, or conditions like 2<75%",
                kind(written)
            ))
        };
        let text = match written {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return Err(refused()),
        };
        let minimum = Self(text);
        minimum.count(1).ok_or_else(refused)?;
        Ok(minimum)
    }

    /// How many of so many clauses.
    pub(crate) fn of(&self, clauses: usize) -> usize {
        self.count(clauses).unwrap_or(0)
    }

    fn count(&self, clauses: usize) -> Option<usize> {
        let all = i64::try_from(clauses).unwrap_or(i64::MAX);
        let text = self.0.replace(" <", "<").replace("< ", "<");
        if !text.contains('<') {
            return simple(&text, all);
        }
        let mut result = usize::try_from(all.max(0)).ok()?;
        let mut parts = 0;
        let mut decided = false;
        for part in text.split_whitespace() {
            let (bound, wanted) = part.split_once('<')?;
            let (bound, wanted): (i64, usize) = (bound.parse().ok()?, simple(wanted, all)?);
            decided |= all <= bound;
            if !decided {
                result = wanted;
            }
            parts += 1;
        }
        (parts > 0).then_some(result)
    }
}

fn simple(text: &str, all: i64) -> Option<usize> {
    let number = match text.strip_suffix('%') {
        Some(percent) => {
            let percent: i64 = percent.parse().ok()?;
            // Towards zero, as Elasticsearch casts.
            all.saturating_mul(percent) / 100
        }
        None => text.parse().ok()?,
    };
    let negative = number < 0 || text.starts_with('-');
    let wanted = if negative { all.saturating_add(number) } else { number };
    Some(usize::try_from(wanted.max(0)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_least_number_of_optional_clauses() {
        for (written, clauses, number) in [
            (json!(2), 3, 2),
            (json!("-1"), 3, 2),
            (json!("75%"), 4, 3),
            (json!("-25%"), 4, 3),
            (json!("-25%"), 3, 3),
            (json!("2<75%"), 2, 2),
            (json!("2<75%"), 4, 3),
            (json!("2<-25% 9<-3"), 2, 2),
            (json!("2<-25% 9<-3"), 8, 6),
            (json!("2<-25% 9<-3"), 12, 9),
            (json!("3 < 90%"), 10, 9),
            (json!(5), 2, 5),
            (json!("-9"), 2, 0),
        ] {
            assert_eq!(Minimum::read(&written).map(|minimum| minimum.of(clauses)), Ok(number), "{written} {clauses}");
        }
        for wrong in [json!("many"), json!("2<"), json!(true), json!("<3"), json!("2<3 x")] {
            assert!(Minimum::read(&wrong).is_err(), "{wrong}");
        }
    }
}
