//! `logmill bus|shipper|processor|indexer|dashboard`: one stage a process.

use std::process::ExitCode;

use crate::chain::{Chain, Part, stop_on_signals};
use crate::config::Config;

/// Runs one stage until it is asked to stop.
pub(crate) async fn run(config: Config, part: Part) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signals()?;
    let chain = Chain::start(&config, &[part]).await?;
    for board in chain.boards() {
        tracing::info!(stage = part.name(), addresses = ?board.snapshot().addresses, "started");
    }
    super::up::announce(&chain);
    chain.run(&stop).await?;
    Ok(ExitCode::SUCCESS)
}
