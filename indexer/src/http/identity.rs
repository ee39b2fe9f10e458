//! As whom the API presents itself: some programs refuse to talk to anything but the engine that they were made for.

use axum::extract::State;
use axum::http::Uri;
use serde_json::{Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;
use crate::config::Identity;

/// The version of Elasticsearch's API that is spoken; clients choose what they send by it.
pub(super) const ELASTICSEARCH: &str = "8.17.0";
/// The version of OpenSearch's API that is spoken where that identity is chosen.
pub(super) const OPENSEARCH: &str = "2.19.0";
/// Names the cluster. Clients compare it, nobody shows it.
pub(super) const CLUSTER_UUID: &str = "logmill";

impl Identity {
    /// The version that is told.
    pub(super) const fn version(self) -> &'static str {
        match self {
            Self::Elasticsearch => ELASTICSEARCH,
            Self::Opensearch => OPENSEARCH,
        }
    }
}

/// `GET /`.
pub(super) async fn info(State(api): State<Api>, uri: Uri) -> Answer {
    Params::new(uri.query()).end("/")?;
    let build_date = "2026-01-01T00:00:00.000Z";
    let (version, tagline): (Value, &str) = match api.identity {
        Identity::Elasticsearch => (
            json!({
                "number": ELASTICSEARCH,
                "build_flavor": "default",
                "build_type": "logmill",
                "build_hash": env!("CARGO_PKG_VERSION"),
                "build_date": build_date,
                "build_snapshot": false,
                "lucene_version": "9.12.0",
                "minimum_wire_compatibility_version": "7.17.0",
                "minimum_index_compatibility_version": "7.0.0",
            }),
            "You Know, for Search",
        ),
        Identity::Opensearch => (
            json!({
                "distribution": "opensearch",
                "number": OPENSEARCH,
                "build_type": "logmill",
                "build_hash": env!("CARGO_PKG_VERSION"),
                "build_date": build_date,
                "build_snapshot": false,
                "lucene_version": "9.12.1",
                "minimum_wire_compatibility_version": "7.10.0",
                "minimum_index_compatibility_version": "7.0.0",
            }),
            "The OpenSearch Project: https://opensearch.org/",
        ),
    };
    Ok(answer::json(&json!({
        "name": "logmill",
        "cluster_name": "logmill",
        "cluster_uuid": CLUSTER_UUID,
        "version": version,
        "tagline": tagline,
    })))
}

/// What Logstash and Filebeat ask for before they send: that there is a licence and that it is active.
pub(super) fn license() -> Value {
    json!({ "status": "active", "uid": CLUSTER_UUID, "type": "basic", "mode": "basic", "issued_to": "logmill", "issuer": "logmill" })
}

/// `GET /_license`.
pub(super) async fn get_license() -> Answer {
    Ok(answer::json(&json!({ "license": license() })))
}

/// `GET /_xpack`: the licence again, and which of Elastic's additions there are.
pub(super) async fn xpack(State(api): State<Api>) -> Answer {
    let there = |is_there: bool| json!({ "available": is_there, "enabled": is_there });
    let license = license();
    Ok(answer::json(&json!({
        "build": { "hash": env!("CARGO_PKG_VERSION"), "date": "2026-01-01T00:00:00.000Z" },
        "license": { "uid": license["uid"], "type": license["type"], "mode": license["mode"], "status": license["status"] },
        "features": {
            "data_streams": there(true),
            "ilm": there(true),
            "security": { "available": true, "enabled": api.is_login_needed },
            "ml": there(false),
            "sql": there(false),
            "eql": there(false),
            "esql": there(false),
            "watcher": there(false),
        },
        "tagline": "You know, for X",
    })))
}
