//! The `logmill` program: reads its arguments and hands over to a command. Nothing else happens here.

mod chain;
mod cli;
mod command;
mod config;
mod moment;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The program worked, and something it depends on or was asked to do failed.
const EXIT_FAILED: u8 = 1;
/// The arguments or the configuration are wrong; nothing was started.
const EXIT_MISUSED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Completions(asked) = &cli.command {
        // A shell asks at every press of a key: no configuration is read for it, and none can stand in its way.
        return command::completions::run(asked);
    }
    let config = match config::load(&cli) {
        Ok(config) => config,
        Err(error) => return complain(&error, EXIT_MISUSED),
    };
    if let Err(error) = logmill_core::telemetry::init_log(&config.log_for(&cli.command)) {
        return complain(&error.into(), EXIT_MISUSED);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.into(), EXIT_FAILED),
    };
    match runtime.block_on(Box::pin(run(cli.command, config))) {
        Ok(code) => code,
        Err(error) => complain(&error, EXIT_FAILED),
    }
}

async fn run(command: Command, config: config::Config) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(options) => command::demo::run(config, &options).await,
        Command::Up => command::up::run(config).await,
        Command::Shipper => command::stage::run(config, chain::Part::Shipper).await,
        Command::Bus => command::stage::run(config, chain::Part::Bus).await,
        Command::Processor => command::stage::run(config, chain::Part::Processor).await,
        Command::Indexer => command::stage::run(config, chain::Part::Indexer).await,
        Command::Dashboard => command::stage::run(config, chain::Part::Dashboard).await,
        Command::Generate(_) => command::generate::run(config).await,
        Command::Check => command::check::run(&config),
        Command::Pipeline(action) => command::pipeline::run(&action),
        Command::Search(query) => command::search::run(&config, &query).await,
        Command::Tail(query) => command::tail::run(&config, &query).await,
        Command::Status(options) => command::status::run(&config, &options).await,
        Command::Index(asked) => command::index::run(&config, &asked).await,
        Command::Topics(asked) => command::topics::run(&config, &asked).await,
        Command::Groups(asked) => command::groups::run(&config, &asked).await,
        Command::Acls(asked) => command::acls::run(&config, &asked),
        Command::Completions(asked) => Ok(command::completions::run(&asked)),
        Command::Reference => command::reference::run(),
    }
}

/// Says on standard error what went wrong, once, and gives the exit code back.
#[allow(clippy::print_stderr)]
fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("logmill: {error:#}");
    ExitCode::from(code)
}
