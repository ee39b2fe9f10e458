//! How the commands that speak Kafka's protocol reach a cluster.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// The Kafka brokers to ask, host:port separated by commas [default: the bus of the configuration].
    #[arg(long, short = 'b', global = true, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) brokers: Vec<String>,
    /// A setting of librdkafka, for instance security.protocol=SSL; may be repeated.
    #[arg(long, short = 'X', global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) client_config: Vec<(String, String)>,
    /// Prints JSON, for programs to read.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// `KEY=VALUE`; the value may be empty and may hold further signs of equality.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("say KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("=b").is_err() && key_value("a").is_err());
    }
}
