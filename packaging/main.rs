//! `segue-bundle`: what `just bundle` runs, once the program is built.

#![expect(
    clippy::print_stdout,
    reason = "it speaks to the one who builds, and to nobody else"
)]

use std::process::ExitCode;

use anyhow::{Context, bail};
use segue_packaging::{Bundle, Packer, STAGED_PROGRAM};

fn main() -> ExitCode {
    match bundle() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the bundle in `target/bundle`, out of the program that was built beside this one.
fn bundle() -> anyhow::Result<()> {
    let here = std::env::current_exe().context("where this program is")?;
    let profile = here.parent().context("this program is in no folder")?;
    let target = profile.parent().context("it is in no target folder")?;
    let program = profile.join(STAGED_PROGRAM);
    if !program.is_file() {
        bail!("{} is not there: run `just bundle`", program.display());
    }
    let folder = target.join("bundle");
    let packer = Packer::installed_in(&folder)?;
    let bundle = Bundle::make(&program, &folder, &packer)?;
    for made in [&bundle.file, &bundle.registry_entry] {
        println!("{}", made.display());
    }
    Ok(())
}
