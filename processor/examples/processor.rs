//! The processor alone, for trying it with a real broker: `processor DATA BROKER [CONFIG]`.

use logmill_bus_client::Connection;
use logmill_core::telemetry::{LogConfig, init_log};
use logmill_core::{Shutdown, Stage, config};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    init_log(&LogConfig::default())?;
    let mut words = std::env::args().skip(1);
    let (data, broker) = (words.next().ok_or("no folder")?, words.next().ok_or("no broker")?);
    let file = words.next().map(std::path::PathBuf::from);
    let config: logmill_processor::Config = config::load(file.as_deref(), &[])?;
    let stage = Stage::new("processor", data.into())?;
    let board = stage.board.clone();
    let service = logmill_processor::Service::build(config, Connection::new(vec![broker], "processor"), stage).await?;
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        asked.trigger();
    });
    service.run(shutdown).await?;
    tracing::info!(status = %serde_json::to_string(&board.snapshot())?, "stopped");
    Ok(())
}
