//! The broker alone, for trying it with real clients.
use logmill_core::{Shutdown, Stage};
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = logmill_core::telemetry::init_log(&Default::default());
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("broker DIR [ADDR]")?;
    let listen = args.next().unwrap_or_else(|| "127.0.0.1:9092".into());
    let config = logmill_bus::Config { listen, ..Default::default() };
    let service = logmill_bus::Service::build(config, Stage::new("bus", dir.into())?).await?;
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        tokio::select! { _ = term.recv() => {}, _ = tokio::signal::ctrl_c() => {} }
        stop.trigger();
    });
    service.run(shutdown).await?;
    Ok(())
}
