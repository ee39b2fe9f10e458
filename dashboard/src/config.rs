//! What a user may set about the dashboard, and its defaults.

use logmill_core::config::{Checked, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::AllowList;

/// The dashboard.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the browser finds it, `host:port`; port 0 picks a free one.
    pub listen: String,
    /// Allows listening beyond loopback although there is no TLS here; put a proxy with TLS before it instead.
    pub insecure: bool,
    /// The address that people type, such as `https://logs.example.org`, when a proxy stands before the dashboard.
    /// Links in webhooks begin with it, and with `https` cookies are sent over TLS only.
    pub public_url: Option<String>,
    /// The printed link logs straight in, and webhooks may go to this machine: for trying things out only.
    pub demo: bool,
    /// The index pattern that is searched where a request names none.
    pub index: String,
    /// The field that tells how severe an event is.
    pub level_field: String,
    /// The topic that the live tail reads.
    pub tail_topic: String,
    /// How long a login lasts after it was last used.
    pub session_lifetime: Period,
    /// The stages whose fresh and good news `/healthz` waits for.
    pub expect_stages: Vec<String>,
    /// The most rows that one export may hold.
    pub export_rows_max: u64,
    /// Alert rules and their webhooks.
    pub alerts: AlertConfig,
}

/// Alert rules and their webhooks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertConfig {
    /// Address ranges within private networks that webhooks may go to, such as `10.1.0.0/16`. Public ones always may.
    pub allow_internal: Vec<String>,
    /// Rules that are evaluated at the same time.
    pub concurrency: usize,
    /// How much later than its own time an event may become searchable and still be counted by a `match` rule.
    pub late_by_max: Period,
    /// Where the search engine does not tell how far it has indexed: how long after its time an event is taken to be searchable.
    pub assumed_delay: Period,
    /// How long the log of deliveries is kept.
    pub keep_deliveries: Period,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:5601".to_owned(),
            insecure: false,
            public_url: None,
            demo: false,
            index: "logs-*".to_owned(),
            level_field: "log.level".to_owned(),
            tail_topic: logmill_core::topics::PARSED.to_owned(),
            session_lifetime: Period::secs(7 * 86_400),
            expect_stages: ["shipper", "bus", "processor", "indexer"].map(str::to_owned).to_vec(),
            export_rows_max: 1_000_000,
            alerts: AlertConfig::default(),
        }
    }
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            allow_internal: Vec::new(),
            concurrency: 4,
            late_by_max: Period::secs(3600),
            assumed_delay: Period::secs(30),
            keep_deliveries: Period::secs(30 * 86_400),
        }
    }
}

impl Config {
    /// Whether browsers reach the dashboard over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// The internal ranges that webhooks may go to; a demo's receiver is on the same machine.
    pub(crate) fn webhook_allow_list(&self) -> Result<AllowList, String> {
        let demo = if self.demo { &["127.0.0.0/8", "::1/128"][..] } else { &[] };
        AllowList::parse(self.alerts.allow_internal.iter().map(String::as_str).chain(demo.iter().copied()))
    }
}

impl Checked for Config {
    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: String| problems.push((key.to_owned(), message));
        if let Some(url) = &self.public_url {
            match reqwest::Url::parse(url) {
                Ok(parsed) if ["http", "https"].contains(&parsed.scheme()) && parsed.has_host() => {}
                _ => problem("public_url", format!("`{url}` is not an address like https://logs.example.org")),
            }
        }
        if let Err(message) = self.webhook_allow_list() {
            problem("alerts.allow_internal", message);
        }
        if self.alerts.concurrency == 0 {
            problem("alerts.concurrency", "at least one rule must be evaluated at a time".to_owned());
        }
        if self.session_lifetime < Period::secs(60) {
            problem("session_lifetime", "a login must last a minute at least".to_owned());
        }
        let known = ["shipper", "bus", "processor", "indexer"];
        for (place, stage) in self.expect_stages.iter().enumerate() {
            if !known.contains(&stage.as_str()) {
                let message = format!("`{stage}` is not a stage; known: {}", known.join(", "));
                problem(&format!("expect_stages.{place}"), message);
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_fine_and_mistakes_are_told_by_key() {
        assert_eq!(Config::default().problems(), []);
        let mistaken = Config {
            public_url: Some("logs.example.org".to_owned()),
            expect_stages: vec!["bus".to_owned(), "kafka".to_owned()],
            alerts: AlertConfig { allow_internal: vec!["10.0.0.0/99".to_owned()], ..AlertConfig::default() },
            ..Config::default()
        };
        let keys: Vec<_> = mistaken.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["public_url", "alerts.allow_internal", "expect_stages.1"]);
    }
}
