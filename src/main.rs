//! `segue`: see `segue --help`.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use segue::cli::Cli;

/// Time for tasks that are still under way when a command has ended. Reading stdin cannot be
/// interrupted, so it is not waited for any longer.
const LAST_TASKS: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the system gives no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(segue::commands::run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    };
    runtime.shutdown_timeout(LAST_TASKS);
    code
}
