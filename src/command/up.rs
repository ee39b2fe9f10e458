//! `logmill up`: the whole chain in one process.

use std::process::ExitCode;

use crate::chain::{Chain, Part, stop_on_signals};
use crate::config::Config;
use crate::terminal::StatusLine;

/// Where a Linux machine keeps its own logs; what is read when nothing at all is configured.
const SYSTEM_LOGS: [&str; 5] =
    ["/var/log/*.log", "/var/log/syslog", "/var/log/messages", "/var/log/secure", "/var/log/*/*.log"];

/// Runs the chain until it is asked to stop.
pub(crate) async fn run(mut config: Config) -> anyhow::Result<ExitCode> {
    if config.file.is_none() && config.shipper.inputs.is_empty() {
        config.shipper.inputs = serde_json::from_value(
            serde_json::json!([{ "type": "filestream", "id": "system", "paths": SYSTEM_LOGS }]),
        )?;
        tracing::info!("no configuration file: reading this machine's own logs in /var/log");
    }
    run_chain(&config).await
}

/// Starts the parts that this configuration needs here, says where, and runs them.
pub(super) async fn run_chain(config: &Config) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signals()?;
    let external_bus = !config.bus.brokers.is_empty();
    let here = |part: &Part| !(*part == Part::Bus && external_bus);
    let parts: Vec<Part> = Part::ALL.into_iter().filter(here).collect();
    let chain = Chain::start(config, &parts).await?;
    announce(&chain);
    let line = StatusLine::start(chain.boards());
    let outcome = chain.run(&stop).await;
    line.stop().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Says where the dashboard is and, at the first start, how to log in.
#[allow(clippy::print_stdout)]
pub(super) fn announce(chain: &Chain) {
    if let Some(address) = chain.dashboard {
        println!("Logmill's dashboard: http://{address}");
    }
    if let Some(link) = &chain.login_link {
        println!("Log in with: {link}");
    }
}
