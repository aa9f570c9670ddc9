//! The packer of MCP bundles, Anthropic's own `mcpb`: installed by npm under `target/`, in the version and with
//! the digests of `packaging/mcpb/package-lock.json`. None of its install scripts runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::repository;

/// What npm is called.
const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };
/// What is installed, and how it is pinned.
const PINS: [&str; 2] = ["package.json", "package-lock.json"];
/// The program in it.
const CLI: &str = "node_modules/@anthropic-ai/mcpb/dist/cli/cli.js";

/// An installed packer.
#[derive(Debug)]
pub struct Packer {
    cli: PathBuf,
}

impl Packer {
    /// The packer in a folder of its own inside `folder`, installed there if it is not yet.
    ///
    /// # Errors
    /// There is no npm, or it cannot fetch what is pinned; what it said is part of the error.
    pub fn installed_in(folder: &Path) -> anyhow::Result<Self> {
        let pins = repository().join("packaging/mcpb");
        let lock = fs::read(pins.join("package-lock.json")).context("the packer's pins")?;
        // The folder is named after what is in it, and only a finished one gets its name.
        let place = folder.join(format!("mcpb-{}", &hex(&Sha256::digest(lock))[..16]));
        let cli = place.join(CLI);
        if !cli.is_file() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            let scratch = tempfile::tempdir_in(folder)?;
            for file in PINS {
                fs::copy(pins.join(file), scratch.path().join(file))?;
            }
            let mut npm = Command::new(NPM);
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(scratch.path());
            run(&mut npm).context("npm, which comes with Node.js, fetches the packer")?;
            // Somebody else may have been faster, and theirs is as good.
            if let Err(error) = fs::rename(scratch.path(), &place)
                && !cli.is_file()
            {
                return Err(error).with_context(|| place.display().to_string());
            }
        }
        Ok(Self { cli })
    }

    /// Checks a manifest: a file, or a folder with a `manifest.json` in it.
    ///
    /// # Errors
    /// What the packer finds wrong.
    pub fn validate(&self, manifest: &Path) -> anyhow::Result<()> {
        run(self.command("validate").arg(manifest)).map(drop)
    }

    /// Packs a folder into this file.
    ///
    /// # Errors
    /// What the packer finds wrong.
    pub fn pack(&self, folder: &Path, file: &Path) -> anyhow::Result<()> {
        run(self.command("pack").args([folder, file]))?;
        if !file.is_file() {
            bail!("the packer made no {}", file.display());
        }
        Ok(())
    }

    /// Unpacks a bundle into this folder, as an assistant does that installs it.
    ///
    /// # Errors
    /// What the packer finds wrong.
    pub fn unpack(&self, file: &Path, folder: &Path) -> anyhow::Result<()> {
        run(self.command("unpack").args([file, folder])).map(drop)
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new("node");
        command.arg(&self.cli).arg(what);
        command
    }
}

/// Runs it without an input, so that it cannot ask, and gives what it said.
fn run(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} does not start"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if !output.status.success() {
        bail!("{program} failed ({}):\n{said}", output.status);
    }
    Ok(said)
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
