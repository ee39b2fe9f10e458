//! Configurations good and bad, and what is said of the bad ones.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    /// Where it listens.
    listen: String,
    limits: Limits,
    inputs: Vec<Input>,
    steps: Vec<Step>,
    fields: BTreeMap<String, String>,
    mode: Option<Mode>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    bytes: ByteSize,
    wait: Period,
    #[schemars(range(min = 1, max = 10))]
    tries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: ByteSize(1 << 20), wait: Period::secs(5), tries: 3 }
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Input {
    Filestream { paths: Vec<String> },
    Syslog { listen: String },
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Grok(Grok),
    Drop { r#if: String },
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
struct Grok {
    field: String,
    patterns: Vec<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Quick.
    Fast,
    /// Careful.
    Safe,
}

impl Checked for Sample {
    fn problems(&self) -> Vec<(String, String)> {
        if self.listen == "nowhere" { vec![("listen".into(), "nowhere is not a place".into())] } else { Vec::new() }
    }
}

const GOOD: &str = "
listen: 127.0.0.1:1
limits: {bytes: 64 MiB, wait: 2s}
inputs:
- {type: filestream, paths: [/var/log/*.log]}
steps:
- grok: {field: message, patterns: ['%{WORD:a}']}
- drop: {if: .a == 1}
fields: {env: 7, on: true}
mode: safe
";

fn problems(text: &str) -> Vec<String> {
    match load_str::<Sample>("x.yml", text) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn a_good_file_loads_with_numbers_where_text_is_meant() {
    let config: Sample = load_str("x.yml", GOOD).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.limits, Limits { bytes: ByteSize(64 << 20), wait: Period::secs(2), tries: 3 });
    assert_eq!(config.inputs, [Input::Filestream { paths: vec!["/var/log/*.log".into()] }]);
    assert_eq!(config.fields.get("env").map(String::as_str), Some("7"));
    assert_eq!(config.mode, Some(Mode::Safe));
    assert_eq!(load_str::<Sample>("x.yml", "").map_err(|e| e.to_string()), Ok(Sample::default()));
}

#[test]
fn all_problems_are_told_at_once_with_line_and_nearest_key() {
    let found =
        problems("listn: a\nlimits:\n  bites: 3\n  tries: 99\n  wait: soon\ninputs:\n- {type: filestrem, paths: []}\n");
    assert_eq!(
        found,
        [
            "x.yml:1:1: listn: unknown key `listn`; did you mean `listen`?",
            "x.yml:3:3: limits.bites: unknown key `bites`; did you mean `bytes`?",
            "x.yml:4:10: limits.tries: 99 is too large; the most is 10",
            "x.yml:5:9: limits.wait: expected a duration like 30s, not `soon`",
            "x.yml:7:4: inputs.0: unknown type `filestrem`; did you mean `filestream`?",
        ]
    );
}

#[test]
fn variants_are_checked_as_what_they_mean_to_be() {
    let found = problems("steps:\n- grok: {field: message, pattern: []}\n- drp: {}\n- drop: 7\nmode: slow\n");
    assert_eq!(
        found,
        [
            "x.yml:2:26: steps.0.grok.pattern: unknown key `pattern`; did you mean `patterns`?",
            "x.yml:2:9: steps.0.grok: `patterns` is missing",
            "x.yml:3:3: steps.1: unknown key `drp`; did you mean `drop`?",
            "x.yml:4:9: steps.2.drop: expected keys and values, not `7`",
            "x.yml:5:7: mode: unknown value `slow`; known here: fast, safe",
        ]
    );
}

#[test]
fn rules_beyond_the_schema_point_at_their_key() {
    assert_eq!(problems("\nlisten: nowhere\n"), ["x.yml:2:9: listen: nowhere is not a place"]);
}

#[test]
fn what_is_not_yaml_or_repeats_itself_says_where() {
    assert!(
        problems("listen: [a\n").first().is_some_and(|text| text.starts_with("x.yml:") && text.contains("not YAML"))
    );
    assert!(
        problems("a: 1\na: 2\n").first().is_some_and(|text| text.contains("second time") && text.contains("line 1"))
    );
}

#[test]
fn hostile_nesting_and_alias_bombs_are_refused() {
    let deep = format!("listen: {}{}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(!problems(&deep).is_empty());
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", "));
    }
    assert!(problems(&bomb).first().is_some_and(|text| text.contains("more than")));
}

#[test]
fn overrides_win_in_their_order_and_are_checked_too() {
    let over = |words: &[&str]| -> Vec<Override> {
        words.iter().map(|word| Override::from_word(word).unwrap_or_else(|error| panic!("{error}"))).collect()
    };
    let load = |words: &[&str]| {
        load_node::<Sample>(Node::parse("x.yml", GOOD).unwrap_or_else(|e| panic!("{e}")), &over(words))
    };
    let config = load(&[
        "listen=a",
        "listen=b",
        "limits.wait=9s",
        "inputs=[{\"type\":\"syslog\",\"listen\":\"c\"}]",
        "inputs.0.listen=d",
    ])
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((config.listen.as_str(), config.limits.wait), ("b", Period::secs(9)));
    assert_eq!(config.inputs, [Input::Syslog { listen: "d".into() }]);
    let refused = load(&["limits.byts=1", "listen.deep=2"]).map_err(|error| error.to_string());
    assert_eq!(
        refused.err().as_deref(),
        Some(
            "--set: listen.deep: can't go to `deep`: a plain value stands above it\n--set: limits.byts: unknown key `byts`; did you mean `bytes`?"
        )
    );
    assert!(Override::from_word("novalue").is_err());
}

#[test]
fn the_reference_page_lists_every_key_with_its_text() {
    let page = reference_page::<Sample>();
    for line in
        ["| `listen` | string | `\"\"` | Where it listens. |", "| `limits.bytes` | a size like 64 MiB | `\"1 MiB\"` |"]
    {
        assert!(page.contains(line), "{page}");
    }
}
