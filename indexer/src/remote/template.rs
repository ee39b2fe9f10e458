//! The index template that engines need which have none for logs of their own: without it every text would be cut into
//! words, and neither counted nor sorted by.

use axum::http::Method;
use logmill_indexer_api::Client;
use serde_json::{Value, json};

/// What it is called there.
const NAME: &str = "logmill-logs";
/// Below that of Elasticsearch's own template for `logs-*-*` (100), which does the same and more.
const PRIORITY: u32 = 90;
/// A term of Lucene has at most 32,766 bytes, and a character at most four.
const KEYWORD_CHARS_MAX: u32 = 8191;

/// Puts the template there unless one of this name is: somebody may have made it their own.
pub(super) async fn ensure(client: &Client) {
    let path = format!("_index_template/{NAME}");
    match client.get(&path).await {
        Ok(_) => return,
        Err(error) if error.status() == Some(404) => {}
        Err(error) => {
            tracing::info!(%error, "the index template is left alone");
            return;
        }
    }
    match client.json(Method::PUT, &path, Some(&template())).await {
        Ok(_) => tracing::info!(name = NAME, "the index template was made"),
        // Not every engine has templates; the events are taken all the same.
        Err(error) => {
            tracing::warn!(%error, "the index template can't be made: fields get the types that the engine guesses");
        }
    }
}

/// Words in messages, whole values elsewhere: as our own store reads events.
fn template() -> Value {
    let text = json!({ "type": "text" });
    let by_words = |path: &str| json!({ (path.replace(['.', '*'], "_")): { "path_match": path, "match_mapping_type": "string", "mapping": text } });
    json!({
        "index_patterns": ["logs-*"],
        "priority": PRIORITY,
        "template": { "mappings": {
            "date_detection": false,
            "dynamic_templates": [
                by_words("error.message"),
                by_words("error.stack_trace"),
                by_words("*.text"),
                { "values": { "match_mapping_type": "string", "mapping": { "type": "keyword", "ignore_above": KEYWORD_CHARS_MAX } } },
            ],
            "properties": { "@timestamp": { "type": "date" }, "message": text },
        } },
        "_meta": { "description": "logs of Logmill" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_template_are_plain() {
        let template = template();
        assert_eq!(
            template["template"]["mappings"]["dynamic_templates"][0]["error_message"]["mapping"]["type"],
            "text"
        );
        assert_eq!(template["template"]["mappings"]["properties"]["message"]["type"], "text");
    }
}
