//! The command line: one file a subcommand. The only room that knows all the others and wires them together.

mod arguments;
mod attach;
mod console;
mod cycle;
mod desk;
pub mod embedded;
mod failure;
mod feed;
mod halt;
mod heartbeat;
mod init;
mod logs;
mod panics;
mod plain;
mod prompt;
mod reception;
mod running;
mod screenshots;
mod serve;
mod serving;
mod setup;
mod simsar;
mod socket;
mod venue;
mod world;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Subcommand};
use failure::Failure;

/// Parses the command line, runs it, and says how it ended by the exit code.
pub fn main() -> ExitCode {
    panics::install();
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout and are no failure; clap knows which is which.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(failure::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(Failure::failed(format!("the runtime could not be started: {error}"))),
    };
    result.unwrap_or_else(|failure| failure.report())
}

async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let global = arguments.global;
    match arguments.command {
        None if arguments.plain => plain::run(&global).await,
        None => console::run(&global, arguments.read_only).await,
        Some(Subcommand::Serve) => serve::run(&global).await,
        Some(Subcommand::Attach(options)) if options.plain => plain::attach(&global).await,
        Some(Subcommand::Attach(options)) => attach::run(&global, options.read_only).await,
        Some(Subcommand::Cycle(options)) => cycle::run(&global, &options).await,
        Some(Subcommand::Simsar(options)) => simsar::run(&global, &options).await,
        Some(Subcommand::World(options)) => world::run(&global, &options).await,
        Some(Subcommand::Screenshots(options)) => Box::pin(screenshots::run(&global, &options)).await,
        Some(Subcommand::Prompt { command }) => prompt::run(&global, &command).await,
        Some(Subcommand::Halt(options)) => halt::halt(&global, options).await,
        Some(Subcommand::Resume(options)) => halt::resume(&global, &options).await,
        Some(Subcommand::Halts) => halt::list(&global),
        Some(Subcommand::Init) => init::run(&global),
    }
}

/// Prints one line on stdout. Only this room may print, and only through here.
///
/// A reader that went away (`| head`) is not a failure of what was done: the line is dropped.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints one line on stderr.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
