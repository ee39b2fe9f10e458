//! Where the stages listen, kept in `<data>/run/<stage>.json` while they run, so that stages and commands of one
//! data folder find each other even when a port of 0 was asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use logmill_bus_client::Connection;
use logmill_core::StatusBoard;
use logmill_indexer_api::Client;
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// A running stage and where it listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) stage: String,
    pub(crate) pid: u32,
    pub(crate) addresses: BTreeMap<String, String>,
}

fn file_of(data: &Path, stage: &str) -> PathBuf {
    data.join("run").join(format!("{stage}.json"))
}

/// Writes down where a stage listens.
pub(super) fn remember(data: &Path, board: &StatusBoard) -> std::io::Result<()> {
    let status = board.snapshot();
    let place = Place { stage: status.stage, pid: status.pid, addresses: status.addresses };
    let file = file_of(data, &place.stage);
    std::fs::create_dir_all(data.join("run"))?;
    // Whoever reads sees the old place or the new one, never half of it.
    let fresh = file.with_extension("tmp");
    std::fs::write(&fresh, serde_json::to_vec(&place)?)?;
    std::fs::rename(&fresh, &file)
}

/// Forgets a stage that has stopped.
pub(super) fn forget(data: &Path, stage: &str) {
    // A leftover does no harm: readers check that the process lives.
    let _ = std::fs::remove_file(file_of(data, stage));
}

/// All stages of this data folder whose processes live.
pub(crate) fn read_places(data: &Path) -> Vec<Place> {
    super::Part::ALL.iter().filter_map(|part| read_place(data, part.name())).collect()
}

fn read_place(data: &Path, stage: &str) -> Option<Place> {
    let place: Place = serde_json::from_slice(&std::fs::read(file_of(data, stage)).ok()?).ok()?;
    Path::new("/proc").join(place.pid.to_string()).exists().then_some(place)
}

fn address_of(config: &Config, stage: &str, name: &str, listen: &str) -> Result<String> {
    if let Some(address) = read_place(&config.data.0, stage).and_then(|place| place.addresses.get(name).cloned()) {
        return Ok(address);
    }
    if listen.ends_with(":0") {
        bail!(
            "the {stage} picks its port itself (`{stage}.listen: {listen}`) and does not run here; start it first, or give it a port"
        );
    }
    Ok(listen.to_owned())
}

/// The brokers that clients of the bus talk to: those configured, or the embedded one.
pub(crate) fn brokers(config: &Config) -> Result<Vec<String>> {
    if config.bus.brokers.is_empty() {
        let first = config.bus.listeners.first();
        // A certificate is for the name that others are told, not for the address that is listened on.
        if let Some(advertised) = first.and_then(|first| first.advertised.clone()) {
            return Ok(vec![advertised]);
        }
        let listen = first.map_or(&config.bus.listen, |first| &first.listen);
        address_of(config, "bus", "kafka", listen).map(|address| vec![address]).context("where is the bus?")
    } else {
        Ok(config.bus.brokers.clone())
    }
}

/// A connection to those brokers, as `bus.client` says.
pub(crate) fn connection(config: &Config, client: &str) -> Result<Connection> {
    Ok(Connection::new(brokers(config)?, client).with_access(config.bus.client.clone()))
}

/// The Elasticsearch API that is searched, the one configured or our own, reached as `indexer.client` says.
pub(crate) fn indexer(config: &Config) -> Result<Client> {
    let url = match &config.indexer.url {
        Some(url) => url.clone(),
        None => {
            let scheme = if config.indexer.tls.is_some() { "https" } else { "http" };
            // A certificate is for the name that others are told, not for the address that is listened on.
            let address = match &config.indexer.advertised {
                Some(advertised) => advertised.clone(),
                None => address_of(config, "indexer", "elasticsearch", &config.indexer.listen)
                    .context("where is the indexer?")?,
            };
            format!("{scheme}://{address}")
        }
    };
    Ok(Client::with_access(&url, &config.indexer.client)?)
}
