//! Puts what was recognised into the event, where nothing that is there is overwritten but the time.

use jiff::Timestamp;
use logmill_core::Event;
use serde_json::{Map, Value};

use crate::time::{Civil, Zone, rfc3339};

pub(super) struct Fields<'e> {
    pub(super) event: &'e mut Event,
    pub(super) zone: &'e Zone,
    pub(super) now: Timestamp,
    /// The level that an envelope tells: what it holds may know better.
    pub(super) envelope_level: Option<&'static str>,
}

impl Fields<'_> {
    /// Sets the event's time: what the line says is truer than when it was read.
    pub(super) fn time(&mut self, civil: Civil) -> bool {
        match civil.timestamp(self.zone, self.now) {
            Some(at) => {
                self.timestamp(at);
                true
            }
            None => false,
        }
    }

    pub(super) fn timestamp(&mut self, at: Timestamp) {
        self.event.0.insert("@timestamp".to_owned(), Value::String(rfc3339(at)));
    }

    /// Sets `group.name` unless it is there.
    pub(super) fn put(&mut self, group: &str, name: &str, value: impl Into<Value>) {
        insert_if_absent(self.event, group, name, value.into());
    }

    pub(super) fn level(&mut self, level: &str) {
        self.put("log", "level", level);
    }

    /// The object called `group`, made when it is missing; `None` when something else stands there.
    pub(super) fn group(&mut self, group: &str) -> Option<&mut Map<String, Value>> {
        self.event.0.entry(group).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
    }
}

pub(super) fn insert_if_absent(event: &mut Event, group: &str, name: &str, value: Value) {
    if let Some(map) = event.0.entry(group).or_insert_with(|| Value::Object(Map::new())).as_object_mut() {
        map.entry(name).or_insert(value);
    }
}
