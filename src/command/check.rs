//! `logmill check`: the configuration was read to get here; what is left is to compile its pipelines.

use std::process::ExitCode;

use crate::config::Config;

/// Says that all is well, or what is not.
#[allow(clippy::print_stdout)]
pub(crate) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    logmill_processor::check(&config.processor)?;
    match &config.file {
        Some(file) => println!("{} is fine", file.display()),
        None => println!("no configuration file; the defaults are fine"),
    }
    Ok(ExitCode::SUCCESS)
}
