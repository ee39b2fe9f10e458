//! `logmill pipeline test`: runs the tests that stand in pipeline files.

use std::process::ExitCode;

use crate::cli::Pipeline;

/// Prints a line a test, and what differs where one fails.
#[allow(clippy::print_stdout)]
pub(crate) fn run(action: &Pipeline) -> anyhow::Result<ExitCode> {
    let Pipeline::Test { files } = action;
    let report = logmill_processor::test_pipelines(files)?;
    print!("{report}");
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
