//! `date`: reads a time and sets the event's, or another field.

use logmill_core::{Event, FieldPath};
use serde_json::Value;

use super::{Compile, Failure, Scene, Step, put, required, step_config};
use crate::pipeline::Problems;
use crate::time::{DateFormat, Zone, rfc3339};

fn timestamp() -> String {
    "@timestamp".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

step_config! {
    /// Reads a time.
    DateConfig {
        /// The text or number that tells the time.
        field: String,
        /// How it is written, tried in order: `ISO8601`, `UNIX`, `UNIX_MS`, or letters as Java has them
        /// (`dd/MMM/yyyy:HH:mm:ss Z`).
        formats: Vec<String>,
        /// The zone of times that name none: `UTC`, `local`, `+02:00`, `Europe/Paris`.
        #[serde(default = "utc")]
        timezone: String,
        /// Where the time goes.
        #[serde(default = "timestamp")]
        into: String,
    }
}

#[derive(Debug)]
struct Date {
    field: FieldPath,
    formats: Vec<DateFormat>,
    zone: Zone,
    into: FieldPath,
}

impl Compile for DateConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let (field, into) = (problems.field("field", &self.field), problems.field("into", &self.into));
        let zone = problems.zone("timezone", &self.timezone);
        let mut formats = Vec::new();
        for (index, format) in self.formats.iter().enumerate() {
            match DateFormat::compile(format) {
                Ok(format) => formats.push(format),
                Err(error) => problems.add(&format!("formats.{index}"), error.to_string()),
            }
        }
        if self.formats.is_empty() {
            problems.add("formats", "name at least one format");
        }
        (formats.len() == self.formats.len() && !formats.is_empty()).then_some(())?;
        Some(Box::new(Date { field: field?, formats, zone: zone?, into: into? }))
    }
}

impl Step for Date {
    fn run(&self, event: &mut Event, scene: &mut Scene) -> Result<(), Failure> {
        let number;
        let text = match required(event, &self.field)? {
            Value::String(text) => text.as_str(),
            Value::Number(value) => {
                number = value.to_string();
                &number
            }
            _ => return Err(Failure::because(format!("the field {} holds neither text nor number", self.field))),
        };
        let found = self.formats.iter().find_map(|format| format.parse(text, &self.zone, scene.now));
        let Some(found) = found else {
            let text: String = text.chars().take(100).collect();
            return Err(Failure::because(format!("{text:?} in {} fits none of the formats", self.field)));
        };
        put(event, &self.into, Value::String(rfc3339(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{changed, failed, refused};
    use serde_json::json;

    #[test]
    fn times_become_the_events() {
        let step = "date: {field: t, formats: ['dd/MMM/yyyy:HH:mm:ss Z', UNIX]}";
        let expected = json!("2026-11-22T13:10:24.000Z");
        assert_eq!(changed(step, json!({"t": "22/Nov/2026:14:10:24 +0100"}))["@timestamp"], expected);
        assert_eq!(changed(step, json!({"t": 1_795_353_024}))["@timestamp"], expected);
        assert_eq!(failed(step, &json!({"t": "soon"})), "\"soon\" in t fits none of the formats");
        let zoned = "date: {field: t, formats: [ISO8601], timezone: Europe/Paris, into: event.created}";
        let created = json!("2026-07-01T10:00:00.000Z");
        assert_eq!(changed(zoned, json!({"t": "2026-07-01 12:00:00"}))["event"]["created"], created);
    }

    #[test]
    fn bad_formats_and_zones_are_told_with_their_place() {
        let said = refused("date: {field: t, formats: [ISO8601, yyyy-bb], timezone: Mars}");
        assert!(said.contains("steps.0.date.formats.1: `b` means nothing"), "{said}");
        assert!(said.contains("steps.0.date.timezone"), "{said}");
    }
}
