//! `logmill generate`: writes the workload and says how much it was.

use std::process::ExitCode;

use crate::chain::stop_on_signals;
use crate::config::Config;

/// Writes until the workload is done or it is asked to stop.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signals()?;
    let out = config.generate.out.clone();
    let summary = logmill_generate::Service::build(config.generate).run(stop).await?;
    println!("{} lines, {} bytes written to {}", summary.lines, summary.bytes, out.display());
    Ok(ExitCode::SUCCESS)
}
