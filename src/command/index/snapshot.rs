//! `logmill index snapshot` and `restore`.

use anyhow::Result;
use logmill_indexer_api::{Client, Method, encode};
use serde_json::{Value, json};

/// Registers a folder as a repository.
pub(super) async fn register(client: &Client, repository: &str, location: &str) -> Result<()> {
    let body = json!({ "type": "fs", "settings": { "location": location } });
    client.json(Method::PUT, &format!("_snapshot/{}", encode(repository)), Some(&body)).await?;
    Ok(())
}

#[allow(clippy::print_stdout)]
pub(super) async fn make(client: &Client, repository: &str, name: &str, index: &[String], json: bool) -> Result<()> {
    let path = format!("_snapshot/{}/{}?wait_for_completion=true", encode(repository), encode(name));
    let made = client.json(Method::PUT, &path, Some(&body(index))).await?;
    if json {
        println!("{made}");
    } else {
        let indexes = made.pointer("/snapshot/indices").and_then(Value::as_array).map_or(0, Vec::len);
        println!("{indexes} indexes are kept as {name} in {repository}");
    }
    Ok(())
}

#[allow(clippy::print_stdout)]
pub(super) async fn restore(
    client: &Client,
    repository: &str,
    name: &str,
    index: &[String],
    prefix: &str,
    json: bool,
) -> Result<()> {
    let path = format!("_snapshot/{}/{}/_restore?wait_for_completion=true", encode(repository), encode(name));
    let mut body = body(index);
    if let (false, Some(map)) = (prefix.is_empty(), body.as_object_mut()) {
        map.insert("rename_pattern".to_owned(), "^".into());
        map.insert("rename_replacement".to_owned(), prefix.replace('$', "$$").into());
    }
    let restored = client.json(Method::POST, &path, Some(&body)).await?;
    if json {
        println!("{restored}");
        return Ok(());
    }
    for index in restored.pointer("/snapshot/indices").and_then(Value::as_array).into_iter().flatten() {
        println!("restored {}", index.as_str().unwrap_or_default());
    }
    Ok(())
}

fn body(index: &[String]) -> Value {
    if index.is_empty() { json!({}) } else { json!({ "indices": index.join(",") }) }
}
