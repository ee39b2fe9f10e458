//! Sizes for people: `human=true`.

use serde_json::Value;

/// Beside each size in bytes the same for people: `human=true`.
pub(super) fn humanize(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let told: Vec<(String, Value)> = map
                .iter()
                .filter_map(|(key, value)| {
                    let name = key.strip_suffix("_in_bytes")?;
                    Some((name.to_owned(), size(value.as_u64()?).into()))
                })
                .collect();
            map.extend(told);
            map.values_mut().for_each(humanize);
        }
        Value::Array(items) => items.iter_mut().for_each(humanize),
        _ => {}
    }
}

/// A size as Elasticsearch writes it: `1.5gb`, one digit after the point unless it is 0.
pub(super) fn size(bytes: u64) -> String {
    let units = [("pb", 50), ("tb", 40), ("gb", 30), ("mb", 20), ("kb", 10)];
    match units.into_iter().find(|(_, shift)| bytes >> shift > 0) {
        None => format!("{bytes}b"),
        Some((name, shift)) => {
            let tenths = bytes as f64 / (1u64 << shift) as f64;
            let text = format!("{:.1}", (tenths * 10.0).trunc() / 10.0);
            format!("{}{name}", text.strip_suffix(".0").unwrap_or(&text))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_told_to_people() {
        for (bytes, told) in [(0, "0b"), (1023, "1023b"), (1024, "1kb"), (1587, "1.5kb"), (5 << 30, "5gb")] {
            assert_eq!(size(bytes), told);
        }
        let mut value = json!({ "a": [{ "size_in_bytes": 2048 }], "count_in_bytes": "none" });
        humanize(&mut value);
        assert_eq!(value, json!({ "a": [{ "size_in_bytes": 2048, "size": "2kb" }], "count_in_bytes": "none" }));
    }
}
