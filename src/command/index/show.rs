//! `logmill index list` and `show`.

use anyhow::Result;
use logmill_indexer_api::Client;
use serde_json::Value;

use crate::terminal::Table;

/// A member as text, as it stands in a table.
pub(super) fn cell(object: &Value, key: &str) -> String {
    match object.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[allow(clippy::print_stdout)]
pub(super) async fn list(client: &Client, index: &str, json: bool) -> Result<()> {
    let path = format!("_cat/indices/{}?format=json&bytes=b", logmill_indexer_api::encode(index));
    let found = client.get(&path).await?;
    if json {
        println!("{found}");
        return Ok(());
    }
    let mut table = Table::new(&["index", "health", "documents", "bytes"]);
    for row in found.as_array().into_iter().flatten() {
        table.row([cell(row, "index"), cell(row, "health"), cell(row, "docs.count"), cell(row, "store.size")]);
    }
    print!("{table}");
    Ok(())
}

#[allow(clippy::print_stdout)]
pub(super) async fn splits(client: &Client, index: &str, json: bool) -> Result<()> {
    let found = client.get(&format!("_logmill/store/{}", logmill_indexer_api::encode(index))).await?;
    if json {
        println!("{found}");
        return Ok(());
    }
    let rows = |key: &str| found.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let columns = ["index", "split", "place", "docs", "deleted", "bytes", "oldest", "newest"];
    let mut table = Table::new(&columns);
    for split in rows("splits") {
        table.row(columns.map(|column| cell(split, column)));
    }
    print!("{table}");
    if let Some(memory) = found.get("memory") {
        println!("\nin memory: {} documents, {} bytes", cell(memory, "docs"), cell(memory, "bytes"));
    }
    for damage in rows("damaged") {
        println!(
            "damaged: {} documents of {}: {}",
            cell(damage, "docs"),
            cell(damage, "index"),
            cell(damage, "reason")
        );
    }
    Ok(())
}
