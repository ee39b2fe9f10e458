//! The many spellings of how severe an event is, as the few names that the histogram has colours for.

/// The name for a spelling; `other` for what is no level.
pub(super) fn normalised(spelling: &str) -> &'static str {
    match spelling.trim().to_lowercase().as_str() {
        "fatal" | "panic" | "emerg" | "emergency" | "alert" => "fatal",
        "critical" | "crit" => "critical",
        "error" | "err" | "severe" | "e" | "fail" => "error",
        "warn" | "warning" | "w" => "warn",
        "info" | "information" | "informational" | "notice" | "i" => "info",
        "debug" | "fine" | "config" | "verbose" | "d" => "debug",
        "trace" | "finer" | "finest" | "t" => "trace",
        "" => "",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_syslog_java_and_people() {
        for (spelling, level) in [
            ("WARNING", "warn"),
            (" Err ", "error"),
            ("SEVERE", "error"),
            ("notice", "info"),
            ("crit", "critical"),
            ("", ""),
            ("200", "other"),
        ] {
            assert_eq!(normalised(spelling), level, "{spelling}");
        }
    }
}
