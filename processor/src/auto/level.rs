//! The levels of many programs, brought to one set of words.

/// One of `trace debug info notice warn error critical alert emergency fatal` for a word that means it.
pub(super) fn level(word: &str) -> Option<&'static str> {
    // Longest word known: "information".
    if word.len() > 11 || word.is_empty() {
        return None;
    }
    let mut small = [0u8; 11];
    let small = small.get_mut(..word.len())?;
    small.copy_from_slice(word.as_bytes());
    small.make_ascii_lowercase();
    Some(match &*small {
        b"trace" | b"trc" | b"finest" | b"finer" | b"verbose" | b"silly" => "trace",
        b"debug" | b"dbg" | b"debu" | b"fine" | b"debug1" | b"debug2" | b"debug3" => "debug",
        b"info" | b"inf" | b"information" | b"config" | b"log" | b"statement" | b"system" => "info",
        b"notice" | b"note" => "notice",
        b"warn" | b"warning" | b"wrn" => "warn",
        b"error" | b"err" | b"eror" | b"severe" | b"erro" => "error",
        b"critical" | b"crit" | b"dpanic" => "critical",
        b"alert" => "alert",
        b"emergency" | b"emerg" => "emergency",
        b"fatal" | b"ftl" | b"panic" => "fatal",
        _ => return None,
    })
}

/// As [`level`], for a word that stands in running text: only those that nobody writes by chance.
pub(super) fn level_in_text(word: &str) -> Option<&'static str> {
    match word {
        "LOG" | "STATEMENT" => return level(word),
        _ => {}
    }
    let known = level(word)?;
    let chance = ["log", "fine", "note", "config", "system", "silly", "statement", "finer", "finest", "verbose"];
    (!chance.iter().any(|other| other.eq_ignore_ascii_case(word)) || word == "CONFIG" || word == "NOTE")
        .then_some(known)
}

/// The level of a syslog severity.
pub(super) const fn of_severity(severity: u8) -> &'static str {
    match severity {
        0 => "emergency",
        1 => "alert",
        2 => "critical",
        3 => "error",
        4 => "warn",
        5 => "notice",
        6 => "info",
        _ => "debug",
    }
}

/// The level of bunyan's and pino's numbers.
pub(super) const fn of_number(number: i64) -> Option<&'static str> {
    Some(match number {
        10 => "trace",
        20 => "debug",
        30 => "info",
        40 => "warn",
        50 => "error",
        60 => "fatal",
        _ => return None,
    })
}

/// The level of the single letters of glog and logcat.
pub(super) const fn of_letter(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'V' | b'T' => "trace",
        b'D' => "debug",
        b'I' => "info",
        b'W' => "warn",
        b'E' => "error",
        b'F' => "fatal",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_meet_in_one_set() {
        for (word, expected) in
            [("WARNING", Some("warn")), ("Err", Some("error")), ("SEVERE", Some("error")), ("x", None)]
        {
            assert_eq!(level(word), expected, "{word}");
        }
        assert_eq!(level_in_text("fine"), None);
        assert_eq!(level_in_text("INFO"), Some("info"));
    }
}
