//! The bundle: one file with the program and its manifest, which an assistant installs by a click.
//!
//! The manifest of the repository is for every platform; that of a bundle is for the one that its program runs
//! on, so that no assistant offers it elsewhere.

use std::{
    env::consts,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    packer::{Packer, hex},
    registry, repository,
};

/// The program's name on this platform.
pub const STAGED_PROGRAM: &str = if cfg!(windows) { "segue.exe" } else { "segue" };

/// Where it lies in a bundle.
const PROGRAM_FOLDER: &str = "server";

/// Files of the repository that go along, and what they are called there.
const COMPANIONS: [(&str, &str); 3] = [
    ("packaging/icon.png", "icon.png"),
    ("README.md", "README.md"),
    ("LICENSE", "LICENSE"),
];

/// A bundle that was made.
#[derive(Debug)]
pub struct Bundle {
    /// The `.mcpb` file.
    pub file: PathBuf,
    /// Its SHA-256, in hexadecimal digits.
    pub digest: String,
    /// `server.json`, with that digest in it, ready for the registry.
    pub registry_entry: PathBuf,
}

impl Bundle {
    /// Makes the bundle of this program in `folder`.
    ///
    /// # Errors
    /// A file that cannot be read or written, or what the packer finds wrong.
    pub fn make(program: &Path, folder: &Path, packer: &Packer) -> anyhow::Result<Self> {
        let staged = folder.join("segue");
        stage(program, &staged)?;
        packer.validate(&staged)?;
        let file = folder.join(registry::file_name());
        packer.pack(&staged, &file)?;

        let digest = hex(&Sha256::digest(fs::read(&file)?));
        let registry_entry = folder.join("server.json");
        write(&registry_entry, &registry::entry(&digest)?)?;
        Ok(Self {
            file,
            digest,
            registry_entry,
        })
    }
}

/// Lays out what is packed.
fn stage(program: &Path, staged: &Path) -> anyhow::Result<()> {
    if staged.exists() {
        fs::remove_dir_all(staged).with_context(|| staged.display().to_string())?;
    }
    let server = staged.join(PROGRAM_FOLDER);
    fs::create_dir_all(&server).with_context(|| server.display().to_string())?;
    // With its mode: the packer keeps it, and so do those who unpack.
    let copy = |from: &Path, to: PathBuf| {
        fs::copy(from, &to).with_context(|| format!("{} to {}", from.display(), to.display()))
    };
    copy(program, server.join(STAGED_PROGRAM))?;
    for (from, to) in COMPANIONS {
        copy(&repository().join(from), staged.join(to))?;
    }
    write(&staged.join("manifest.json"), &manifest()?)
}

/// The repository's manifest, made that of a bundle for this platform.
fn manifest() -> anyhow::Result<Value> {
    let mut manifest = read(&repository().join("mcp-manifest.json"))?;
    let place = format!("{PROGRAM_FOLDER}/{STAGED_PROGRAM}");
    manifest["icon"] = json!("icon.png");
    manifest["server"]["entry_point"] = json!(place);
    manifest["compatibility"]["platforms"] = json!([platform()?]);
    let start = &mut manifest["server"]["mcp_config"];
    start["command"] = json!(format!("${{__dirname}}/{place}"));
    if let Some(start) = start.as_object_mut() {
        start.remove("platform_overrides");
    }
    Ok(manifest)
}

/// What a manifest calls this platform.
fn platform() -> anyhow::Result<&'static str> {
    match consts::OS {
        "linux" => Ok("linux"),
        "macos" => Ok("darwin"),
        "windows" => Ok("win32"),
        other => bail!("no assistant takes bundles for {other}"),
    }
}

/// A JSON file of the repository.
pub(crate) fn read(file: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

fn write(file: &Path, json: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(json)? + "\n";
    fs::write(file, text).with_context(|| file.display().to_string())
}
