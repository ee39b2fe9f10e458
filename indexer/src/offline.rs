//! What can be done with a store that no process uses, in the shapes of the REST API.

use std::path::Path;
use std::sync::Arc;

use logmill_bus_client::Connection;
use serde_json::{Value, json};

use crate::config::Config;
use crate::ingest::repair::{RepairError, repair};
use crate::store::{OpenError, Store};

/// It could not be done.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct OfflineError(#[from] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Repair(#[from] RepairError),
    #[error("can't show what was found: {0}")]
    Shape(#[from] serde_json::Error),
    #[error("there is no store in {0}")]
    NoStore(String),
}

/// A store that was opened for upkeep. Until it is dropped no process can use it.
pub struct Offline {
    store: Arc<Store>,
    config: Config,
    /// What opening it found damaged, in words.
    found: Vec<String>,
}

impl std::fmt::Debug for Offline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Offline")
    }
}

impl Offline {
    /// Opens the store in the stage's folder.
    ///
    /// # Errors
    /// When there is none, or another process uses it.
    pub fn open(data_dir: &Path, config: Config) -> Result<Self, OfflineError> {
        Ok(Self::begin(data_dir, config)?)
    }

    fn begin(data_dir: &Path, config: Config) -> Result<Self, Cause> {
        let folder = data_dir.join("store");
        if !folder.join("manifest").exists() {
            return Err(Cause::NoStore(folder.display().to_string()));
        }
        let (store, findings) = Store::open(&folder, config.clone())?;
        Ok(Self { store: Arc::new(store), config, found: findings.damaged })
    }

    /// The splits, as `_logmill/store` shows them.
    ///
    /// # Errors
    /// When they can't be shown.
    pub fn inventory(&self) -> Result<Value, OfflineError> {
        Ok(serde_json::to_value(self.store.inventory(|_| true)).map_err(Cause::from)?)
    }

    /// Reads every split and compares it with what was written, as `_logmill/verify` does.
    ///
    /// # Errors
    /// When the outcome can't be shown.
    pub fn verify(&self) -> Result<Value, OfflineError> {
        let mut verified = self.store.verify(|_| true, || true);
        verified.damaged.extend(self.found.iter().cloned());
        Ok(serde_json::to_value(verified).map_err(Cause::from)?)
    }

    /// Rebuilds what is damaged from the bus, as `_logmill/repair` does. Blocks.
    ///
    /// # Errors
    /// When the bus is away or the disk refuses; nothing has changed then.
    pub fn repair(&self, bus: &Connection) -> Result<Value, OfflineError> {
        let repaired = repair(&self.store, bus, &self.config.topic, self.config.fields_max).map_err(Cause::from)?;
        Ok(json!({ "repaired": repaired }))
    }
}
