//! `logmill reference`: every configuration key, as the guide prints it.

use std::process::ExitCode;

use crate::config::Config;

/// Prints the page.
#[allow(clippy::print_stdout)]
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    println!(
        "# Configuration reference\n\nMade by `logmill reference` from the program itself; `./tests/run` checks that it is current.\n"
    );
    print!("{}", logmill_core::config::reference_page::<Config>());
    Ok(ExitCode::SUCCESS)
}
