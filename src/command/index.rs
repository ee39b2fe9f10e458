//! `logmill index`: indexes and their splits, through the REST API of a running indexer; checking and mending also on the
//! store of a stopped one.

mod mend;
mod show;
mod snapshot;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use logmill_indexer_api::{Client, ClientError, Method};
use serde_json::Value;

use crate::chain::indexer;
use crate::cli::{Index, IndexVerb};
use crate::config::Config;

/// How often a long work is asked whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Does what was asked.
pub(crate) async fn run(config: &Config, asked: &Index) -> Result<ExitCode> {
    match &asked.verb {
        IndexVerb::List { index } => show::list(&client(config, asked)?, index, asked.json).await?,
        IndexVerb::Show { index } => show::splits(&client(config, asked)?, index, asked.json).await?,
        IndexVerb::Snapshot { name, repository, location, index } => {
            let client = client(config, asked)?;
            if let Some(location) = location {
                snapshot::register(&client, repository, location).await?;
            }
            snapshot::make(&client, repository, name, index, asked.json).await?;
        }
        IndexVerb::Restore { name, repository, index, prefix } => {
            snapshot::restore(&client(config, asked)?, repository, name, index, prefix, asked.json).await?;
        }
        IndexVerb::Verify => return mend::verify(config, asked).await,
        IndexVerb::Repair => return mend::repair(config, asked).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn client(config: &Config, asked: &Index) -> Result<Client> {
    match &asked.url {
        Some(url) => Ok(Client::with_access(url, &config.indexer.client)?),
        None => indexer(config),
    }
}

/// Asks for a work that may take long, and waits for what comes of it.
async fn worked(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
    let begun = client.json(method, path, body).await?;
    let Some(task) = begun.get("task").and_then(Value::as_str) else { return Ok(begun) };
    loop {
        let looked = client.get(&format!("_tasks/{task}")).await?;
        if looked.get("completed").and_then(Value::as_bool) != Some(true) {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        if let Some(error) = looked.get("error") {
            let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (kind, reason) = (text("type"), text("reason"));
            return Err(ClientError::Refused { status: 500, kind, reason, body: Box::new(looked.clone()) });
        }
        return Ok(looked.get("response").cloned().unwrap_or_default());
    }
}
