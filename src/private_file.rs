//! Files that hold secrets: for their owner alone, and written whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

/// A file with secrets could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivateFileError {
    /// Somebody else may read or change it.
    #[error("others may read or change {path} (mode {mode:o}); run: chmod 600 {path}")]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is larger than anything that Segue writes there.
    #[error("{path} is larger than {limit} bytes, so Segue did not write it; move it away")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes that it may have.
        limit: u64,
    },
    /// The system refused.
    #[error("{path}: {source}; see that the folder is there and yours")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The file's bytes, of which there are `limit` at most; none if there is no file.
///
/// # Errors
/// See [`PrivateFileError`].
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, PrivateFileError> {
    let failed = failed_at(path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // Asked of the open file, so that it cannot be exchanged between the check and the reading.
    check_mode(path, &file.metadata().map_err(&failed)?)?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(&failed)?;
    match bytes.len() as u64 > limit {
        true => Err(PrivateFileError::TooLarge {
            path: path.to_owned(),
            limit,
        }),
        false => Ok(Some(bytes)),
    }
}

/// Puts these bytes in the place of the file, in one step: a crash leaves the old ones or the new ones.
///
/// # Errors
/// See [`PrivateFileError`].
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    let failed = failed_at(path);
    let file = written_beside(path, bytes).map_err(&failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Makes the file with these bytes, in one step, unless there is one: of two processes that try at once,
/// one does. Whether it was this one.
///
/// # Errors
/// See [`PrivateFileError`].
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<bool, PrivateFileError> {
    let failed = failed_at(path);
    let file = written_beside(path, bytes).map_err(&failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error.error)),
    }
}

/// Keeps other processes from changing the file until what this gives is dropped. The lock is a file of
/// its own, which is never removed, since the file itself is replaced.
///
/// # Errors
/// See [`PrivateFileError`].
pub(crate) fn lock(path: &Path) -> Result<File, PrivateFileError> {
    let path = path.with_extension("lock");
    let failed = failed_at(&path);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(&failed)?;
    file.lock().map_err(&failed)?;
    Ok(file)
}

/// The bytes in a file of another name in the same folder, which on Unix is made with mode 0600.
fn written_beside(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    create_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(PrivateFileError::TooOpen {
            path: path.to_owned(),
            mode,
        }),
    }
}

/// Elsewhere a file in the user's own folder is private by inheritance.
#[cfg(not(unix))]
fn check_mode(_path: &Path, _metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    Ok(())
}

fn failed_at(path: &Path) -> impl Fn(io::Error) -> PrivateFileError {
    let path = path.to_owned();
    move |source| PrivateFileError::Io {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/secret.json");
        assert_eq!(read(&path, 10).unwrap(), None);
        assert!(create(&path, b"one").unwrap());
        assert!(!create(&path, b"two").unwrap());
        assert_eq!(read(&path, 10).unwrap().unwrap(), b"one");
        replace(&path, b"three").unwrap();
        assert_eq!(read(&path, 5).unwrap().unwrap(), b"three");
        assert!(matches!(
            read(&path, 4),
            Err(PrivateFileError::TooLarge { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn it_is_its_owners_alone_or_is_not_read() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.json");
        replace(&path, b"x").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for open in [0o640, 0o604, 0o620, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            let error = read(&path, 10).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
    }
}
