//! The token file: written whole or not at all, readable by its owner alone.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    path::Path,
};

use secrecy::{ExposeSecret, SecretString};

use super::{StoreError, StorePlace};

/// A sign-in takes less than 1 kB; anything much larger is not ours.
const MAX_BYTES: u64 = 64 * 1024;

/// The file's text, or `None` if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<SecretString>, StoreError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, error)),
    };
    // Asked of the open file, so that it can't be exchanged between the check and the reading.
    check_permissions(
        path,
        &file.metadata().map_err(|error| io_error(path, error))?,
    )?;
    let mut text = String::new();
    match file.take(MAX_BYTES).read_to_string(&mut text) {
        Ok(_) => Ok(Some(text.into())),
        // No text at all, so not ours, and a new sign-in mends it.
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(StoreError::Unreadable {
            place: StorePlace::File(path.to_owned()),
        }),
        Err(error) => Err(io_error(path, error)),
    }
}

/// Replaces the file in one step: a crash leaves the old one or the new one.
pub(super) fn write(path: &Path, text: &SecretString) -> Result<(), StoreError> {
    let failed = |error| io_error(path, error);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    create_folder(folder).map_err(failed)?;
    // On Unix a temporary file is created with mode 0600, so the token is never open to others.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.expose_secret().as_bytes())
        .map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Removes the file; none there is fine.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error(path, error)),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn create_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(not(unix))]
fn create_folder(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(unix)]
fn check_permissions(path: &Path, metadata: &fs::Metadata) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(StoreError::TooOpen {
        path: path.to_owned(),
        mode,
    })
}

/// Elsewhere a file in the user's own folder is private by inheritance.
#[cfg(not(unix))]
fn check_permissions(_path: &Path, _metadata: &fs::Metadata) -> Result<(), StoreError> {
    Ok(())
}

fn io_error(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        source,
    }
}
