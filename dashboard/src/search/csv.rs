//! Rows of CSV (RFC 4180) that no spreadsheet will take for formulas: log text is whatever somebody sent.

use std::fmt::Write as _;

use serde_json::Value;

/// One row with its line end.
pub(crate) fn row<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_cell(&mut out, cell);
    }
    out.push_str("\r\n");
    out
}

/// A value as the text of a cell: lists and objects as JSON.
pub(crate) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn write_cell(out: &mut String, cell: &str) {
    // A leading apostrophe makes spreadsheets show the text as it is. Plain numbers may keep their sign.
    // The name of the time field is none, and whoever reads the file by its header needs it as it is.
    let formula =
        cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err() && cell != "@timestamp";
    let guard = if formula { "'" } else { "" };
    if formula || cell.contains([',', '"', '\n', '\r']) {
        // Writing to a string can't fail.
        let _ = write!(out, "\"{guard}{}\"", cell.replace('"', "\"\""));
    } else {
        out.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn formulas_and_separators_are_made_harmless() {
        for (cell, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "\"'=1+1\""),
            ("+cmd|' /C calc'!A0", "\"'+cmd|' /C calc'!A0\""),
            ("-2+3", "\"'-2+3\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\tx", "\"'\tx\""),
            ("-5", "-5"),
            ("@timestamp", "@timestamp"),
            ("", ""),
        ] {
            assert_eq!(row([cell].into_iter()), format!("{written}\r\n"), "{cell:?}");
        }
        assert_eq!(row(["a", "b"].into_iter()), "a,b\r\n");
        assert_eq!(cell(Some(&json!(["x", 1]))), "[\"x\",1]");
        assert_eq!(cell(Some(&json!(null))), "");
    }
}
