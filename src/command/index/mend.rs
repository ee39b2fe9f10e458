//! `logmill index verify` and `repair`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use logmill_indexer::Offline;
use logmill_indexer_api::{ClientError, Method};
use serde_json::Value;

use super::show::cell;
use super::{client, worked};
use crate::chain::connection;
use crate::cli::Index;
use crate::config::Config;
use crate::terminal::Table;

#[allow(clippy::print_stdout)]
pub(super) async fn verify(config: &Config, asked: &Index) -> Result<ExitCode> {
    let found = match asked_running(config, asked, "_logmill/verify").await? {
        Some(found) => found,
        None => offline(config, |store| Ok(store.verify()?)).await?,
    };
    let list = |name: &str| found.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (damaged, away) = (list("damaged"), list("away"));
    if asked.json {
        println!("{found}");
    } else {
        println!("{} splits read", cell(&found, "checked"));
        for damage in damaged {
            println!("damaged: {}", damage.as_str().unwrap_or_default());
        }
        for away in away {
            println!("away: {}", away.as_str().unwrap_or_default());
        }
    }
    Ok(if damaged.is_empty() && away.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[allow(clippy::print_stdout)]
pub(super) async fn repair(config: &Config, asked: &Index) -> Result<ExitCode> {
    let found = match asked_running(config, asked, "_logmill/repair").await? {
        Some(found) => found,
        None => {
            let bus = connection(config, "logmill-repair")?;
            offline(config, move |store| {
                // What is damaged and not found yet would otherwise stay so until the next verification.
                store.verify()?;
                Ok(store.repair(&bus)?)
            })
            .await?
        }
    };
    let repaired = found.get("repaired").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let lost: u64 = repaired.iter().filter_map(|split| split.get("lost")?.as_u64()).sum();
    if asked.json {
        println!("{found}");
    } else if repaired.is_empty() {
        println!("nothing is damaged");
    } else {
        let columns = ["index", "split", "documents", "restored", "superseded", "lost"];
        let mut table = Table::new(&columns);
        for split in repaired {
            table.row(columns.map(|column| cell(split, column)));
        }
        print!("{table}");
        if lost > 0 {
            println!("\n{lost} documents are lost for good: the bus no longer has them");
        }
    }
    Ok(if lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks the running indexer; `None` when none runs here.
async fn asked_running(config: &Config, asked: &Index, path: &str) -> Result<Option<Value>> {
    let reached = client(config, asked);
    let client = match reached {
        // Where it picks its port itself and does not run, it has no address.
        Err(_) if asked.url.is_none() => return Ok(None),
        other => other?,
    };
    match worked(&client, Method::POST, &format!("{path}?wait_for_completion=false"), None).await {
        Err(ClientError::Unreachable { .. }) if asked.url.is_none() => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// Works on the store of an indexer that is stopped.
async fn offline(config: &Config, work: impl FnOnce(&Offline) -> Result<Value> + Send + 'static) -> Result<Value> {
    let (folder, settings) = (config.stage_dir("indexer"), config.indexer.clone());
    let done = tokio::task::spawn_blocking(move || {
        let store = Offline::open(&folder, settings).context("no indexer answers, and its store can't be opened")?;
        work(&store)
    });
    done.await?
}
