//! What a user can say about the shipper, in Filebeat's spellings where a Filebeat user would type them.

use std::collections::BTreeMap;

use logmill_core::FieldPath;
use logmill_core::config::{ByteSize, Checked, Period};
use logmill_core::topics;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The shipper: reads files and sends their lines to the bus.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is read.
    pub inputs: Vec<Input>,
    /// The topic that events are sent to.
    pub topic: String,
    /// How events are compressed on the way and on the bus's disk.
    pub compression: Compression,
    /// The name of this machine in the events (`host.name`); the kernel's when absent.
    pub host: Option<String>,
    /// Read but not yet acknowledged bytes, in all; beyond it reading waits.
    pub queue_size: ByteSize,
    /// Files held open at the same time; more wait their turn.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub max_open_files: usize,
    /// What is known of a file that is gone is forgotten after this.
    pub forget_after: Period,
}

/// How events are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Least time.
    Lz4,
    /// Least bytes.
    Zstd,
}

/// One thing that is read.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Input {
    /// Files that grow and are rotated.
    Filestream(Box<Filestream>),
}

/// Files that grow and are rotated.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filestream {
    /// A name for the status page and the program's own log.
    pub id: Option<String>,
    /// Which files: patterns with `*`, `?`, `[...]`, `{a,b}` and `**`. Let them match the rotated files too
    /// (`/var/log/app/*.log*`), compressed ones included: that is how nothing is lost or doubled over a downtime.
    pub paths: Vec<String>,
    /// Only files whose path matches one of these regular expressions.
    pub include_files: Vec<String>,
    /// Not the files whose path matches one of these regular expressions.
    pub exclude_files: Vec<String>,
    /// Only lines (after multiline) that match one of these regular expressions.
    pub include_lines: Vec<String>,
    /// Not the lines (after multiline) that match one of these regular expressions.
    pub exclude_lines: Vec<String>,
    /// Files that are new to the shipper and were last written longer ago than this are left alone; 0 reads all.
    pub ignore_older: Period,
    /// What the text is encoded in (`utf-16le`, `gbk`, `big5`, `shift_jis`, `latin1`, ...); UTF-8 when absent.
    pub encoding: Option<String>,
    /// Joins lines to events.
    pub multiline: Option<Multiline>,
    /// The same in Filebeat's newer spelling.
    pub parsers: Vec<Parser>,
    /// Added to every event, under `fields` unless `fields_under_root` is set.
    pub fields: BTreeMap<String, Value>,
    /// Adds `fields` at the event's root.
    pub fields_under_root: bool,
    /// Added to every event's `tags`.
    pub tags: Vec<String>,
    /// `service.name` of every event.
    pub service: Option<String>,
    /// `event.dataset` of every event.
    pub dataset: Option<String>,
    /// Where the files that are there at the very first start are read from; later ones are read from their beginning.
    pub start_at: StartAt,
    /// A line larger than this is sent in several parts.
    pub max_bytes: ByteSize,
    /// How often the patterns are looked through for files that no notification told of.
    pub scan_frequency: Period,
    /// A file without news for this long is closed until it has some.
    pub close_inactive: Period,
    /// Sends a last line without a line end after this; 0 waits for the line end as long as the file may get one.
    pub incomplete_line_timeout: Period,
    /// A file whose content is the same as another's is taken for a copy being made (copytruncate), and
    /// is read as a file of its own only when it stays the same, and small, for this long.
    pub copy_hold: Period,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartAt {
    /// At the first line.
    Beginning,
    /// After the last line.
    End,
}

/// A parser of an input.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Parser {
    /// Joins lines to events.
    Multiline(Multiline),
}

/// Joins lines to events.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Multiline {
    /// How it is told which lines belong together; only `pattern` is known.
    #[serde(rename = "type")]
    pub kind: MultilineKind,
    /// A regular expression for the lines that belong to a neighbour.
    pub pattern: String,
    /// Lines that do not match belong to a neighbour.
    pub negate: bool,
    /// Which neighbour: the line they come `after`, or the line they come `before`.
    #[serde(rename = "match")]
    pub joins: Joins,
    /// An event of more lines than this is sent in several parts.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_lines: usize,
    /// The last lines are sent when no other came for this long; at least 5 s.
    pub timeout: Period,
}

/// How lines are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MultilineKind {
    /// By a regular expression.
    Pattern,
}

/// Which neighbour a line is joined to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Joins {
    /// The line before it.
    After,
    /// The line after it.
    Before,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            topic: topics::RAW.to_owned(),
            compression: Compression::Zstd,
            host: None,
            queue_size: ByteSize(16 << 20),
            max_open_files: 512,
            forget_after: Period::secs(7 * 86_400),
        }
    }
}

impl Default for Filestream {
    fn default() -> Self {
        Self {
            id: None,
            paths: Vec::new(),
            include_files: Vec::new(),
            exclude_files: Vec::new(),
            include_lines: Vec::new(),
            exclude_lines: Vec::new(),
            ignore_older: Period::secs(0),
            encoding: None,
            multiline: None,
            parsers: Vec::new(),
            fields: BTreeMap::new(),
            fields_under_root: false,
            tags: Vec::new(),
            service: None,
            dataset: None,
            start_at: StartAt::Beginning,
            max_bytes: ByteSize(10 << 20),
            scan_frequency: Period::secs(10),
            close_inactive: Period::secs(300),
            incomplete_line_timeout: Period::secs(0),
            copy_hold: Period::secs(15),
        }
    }
}

impl Default for Multiline {
    fn default() -> Self {
        Self {
            kind: MultilineKind::Pattern,
            pattern: String::new(),
            negate: false,
            joins: Joins::After,
            max_lines: 500,
            timeout: Period::secs(5),
        }
    }
}

impl Filestream {
    /// The multiline rule, however it was spelled.
    pub(crate) fn joined(&self) -> Option<&Multiline> {
        let parsed = self.parsers.iter().map(|Parser::Multiline(rule)| rule).next();
        self.multiline.as_ref().or(parsed)
    }

    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut wrong = |key: String, message: String| problems.push((key, message));
        if self.paths.is_empty() {
            wrong("paths".into(), "name at least one path or pattern, like /var/log/app/*.log*".into());
        }
        for (index, path) in self.paths.iter().enumerate() {
            if !path.starts_with('/') {
                wrong(format!("paths.{index}"), format!("`{path}` does not begin with /: write the whole path"));
            } else if let Err(error) = crate::input::file::discover::Pattern::new(path) {
                wrong(format!("paths.{index}"), error.to_string());
            }
        }
        let lists = [
            ("include_files", &self.include_files),
            ("exclude_files", &self.exclude_files),
            ("include_lines", &self.include_lines),
            ("exclude_lines", &self.exclude_lines),
        ];
        for (name, list) in lists {
            for (index, pattern) in list.iter().enumerate() {
                if let Err(error) = regex::bytes::Regex::new(pattern) {
                    wrong(format!("{name}.{index}"), error.to_string());
                }
            }
        }
        if let Some(label) = &self.encoding
            && encoding_rs::Encoding::for_label(label.as_bytes()).is_none()
        {
            wrong("encoding".into(), format!("`{label}` is not an encoding of the WHATWG list (utf-16le, gbk, ...)"));
        }
        if !(1024..=10 << 20).contains(&self.max_bytes.0) {
            wrong("max_bytes".into(), format!("{} is not between 1 KiB and 10 MiB", self.max_bytes));
        }
        if self.scan_frequency.0.as_millis() < 100 {
            wrong("scan_frequency".into(), format!("{} is too often; the least is 100ms", self.scan_frequency));
        }
        if self.multiline.is_some() && !self.parsers.is_empty() || self.parsers.len() > 1 {
            wrong("parsers".into(), "only one multiline rule can be given".into());
        }
        if let Some(rule) = self.joined() {
            if rule.pattern.is_empty() {
                wrong("multiline".into(), "`pattern` is missing".into());
            } else if let Err(error) = regex::bytes::Regex::new(&rule.pattern) {
                wrong("multiline.pattern".into(), error.to_string());
            }
            if rule.timeout.0.as_secs() < 5 {
                wrong("multiline.timeout".into(), format!("{} is too short; the least is 5s", rule.timeout));
            }
        }
        for name in self.fields.keys() {
            let taken = ["@timestamp", "message", "log", "tags"]
                .iter()
                .any(|own| name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
            if self.fields_under_root && taken {
                wrong(format!("fields.{name}"), "the shipper writes this itself; choose another name".into());
            } else if FieldPath::parse(name).is_err() {
                wrong(format!("fields.{name}"), "not a field name".into());
            }
        }
        problems
    }
}

impl Checked for Config {
    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (index, Input::Filestream(files)) in self.inputs.iter().enumerate() {
            problems.extend(files.problems().into_iter().map(|(key, text)| (format!("inputs.{index}.{key}"), text)));
        }
        if self.topic.is_empty() {
            problems.push(("topic".into(), "name the topic that events are sent to".into()));
        }
        if self.queue_size.0 < 1 << 20 {
            problems.push(("queue_size".into(), format!("{} is too small; the least is 1 MiB", self.queue_size)));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use logmill_core::config::load_str;

    use super::*;

    #[test]
    fn reads_filebeats_spellings() {
        let config: Config = load_str(
            "t",
            r"
inputs:
  - type: filestream
    id: app
    paths: ['/var/log/app/*.log*']
    exclude_files: ['\.bz2$']
    parsers:
      - multiline: {type: pattern, pattern: '^\s', match: after}
    fields: {env: prod, team.name: core}
    fields_under_root: true
",
        )
        .unwrap();
        let [Input::Filestream(files)] = config.inputs.as_slice() else { unreachable!() };
        assert_eq!(files.joined().unwrap().joins, Joins::After);
        assert_eq!(files.fields.len(), 2);
    }

    #[test]
    fn says_everything_that_is_wrong() {
        let text = "
inputs:
  - {type: filestream, paths: [var/log, '/a/[']}
  - {type: filestream, paths: [/a], exclude_lines: ['('], encoding: klingon, multiline: {pattern: x, timeout: 1s}}
  - {type: filestream, paths: [/a], fields_under_root: true, fields: {message: 1}}
";
        let error = load_str::<Config>("t", text).unwrap_err().to_string();
        for part in ["inputs.0.paths.0", "inputs.0.paths.1", "exclude_lines.0", "klingon", "timeout", "fields.message"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
        let error = load_str::<Config>("t", "inputs: [{type: winlog, paths: [/a]}]").unwrap_err().to_string();
        assert!(error.contains("filestream"), "{error}");
        let error = load_str::<Config>("t", "inputs: [{type: filestream, path: [/a]}]").unwrap_err().to_string();
        assert!(error.contains("did you mean `paths`"), "{error}");
    }
}
