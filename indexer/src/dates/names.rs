//! Elasticsearch's names for date formats, as patterns. Each stands also with `strict_` before it; how many digits there
//! must be is not told apart.

/// Names for a date that may have a time.
pub(super) fn is_iso(name: &str) -> bool {
    matches!(
        name,
        "date_optional_time" | "dateOptionalTime" | "date_optional_time_nanos" | "iso8601" | "rfc3339_lenient"
    )
}

/// The pattern that a name stands for; `None` when it is no name.
pub(super) fn pattern(name: &str) -> Option<&'static str> {
    Some(match name {
        "basic_date" => "yyyyMMdd",
        "basic_date_time" => "yyyyMMdd'T'HHmmss.SSSXX",
        "basic_date_time_no_millis" => "yyyyMMdd'T'HHmmssXX",
        "basic_ordinal_date" => "yyyyDDD",
        "basic_ordinal_date_time" => "yyyyDDD'T'HHmmss.SSSXX",
        "basic_ordinal_date_time_no_millis" => "yyyyDDD'T'HHmmssXX",
        "basic_time" => "HHmmss.SSSXX",
        "basic_time_no_millis" => "HHmmssXX",
        "basic_t_time" => "'T'HHmmss.SSSXX",
        "basic_t_time_no_millis" => "'T'HHmmssXX",
        "basic_week_date" => "YYYY'W'wwe",
        "basic_week_date_time" => "YYYY'W'wwe'T'HHmmss.SSSXX",
        "basic_week_date_time_no_millis" => "YYYY'W'wwe'T'HHmmssXX",
        "date" | "year_month_day" => "yyyy-MM-dd",
        "date_hour" => "yyyy-MM-dd'T'HH",
        "date_hour_minute" => "yyyy-MM-dd'T'HH:mm",
        "date_hour_minute_second" => "yyyy-MM-dd'T'HH:mm:ss",
        "date_hour_minute_second_millis" | "date_hour_minute_second_fraction" => "yyyy-MM-dd'T'HH:mm:ss.SSS",
        "date_time" => "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "date_time_no_millis" => "yyyy-MM-dd'T'HH:mm:ssXXX",
        "hour" => "HH",
        "hour_minute" => "HH:mm",
        "hour_minute_second" => "HH:mm:ss",
        "hour_minute_second_millis" | "hour_minute_second_fraction" => "HH:mm:ss.SSS",
        "ordinal_date" => "yyyy-DDD",
        "ordinal_date_time" => "yyyy-DDD'T'HH:mm:ss.SSSXXX",
        "ordinal_date_time_no_millis" => "yyyy-DDD'T'HH:mm:ssXXX",
        "time" => "HH:mm:ss.SSSXXX",
        "time_no_millis" => "HH:mm:ssXXX",
        "t_time" => "'T'HH:mm:ss.SSSXXX",
        "t_time_no_millis" => "'T'HH:mm:ssXXX",
        "week_date" => "YYYY-'W'ww-e",
        "week_date_time" => "YYYY-'W'ww-e'T'HH:mm:ss.SSSXXX",
        "week_date_time_no_millis" => "YYYY-'W'ww-e'T'HH:mm:ssXXX",
        "weekyear" => "YYYY",
        "weekyear_week" => "YYYY-'W'ww",
        "weekyear_week_day" => "YYYY-'W'ww-e",
        "year" => "yyyy",
        "year_month" => "yyyy-MM",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Formats;

    #[test]
    fn every_name_is_a_pattern() {
        let text = include_str!("names.rs");
        let names = text.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" "));
        let names: Vec<_> = names.filter_map(|(name, rest)| rest.contains("=> \"").then_some(name)).collect();
        assert!(names.len() > 30, "{names:?}");
        for name in names {
            for name in [name.to_owned(), format!("strict_{name}")] {
                Formats::read_to_write(&name).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }
}
