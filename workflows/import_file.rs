//! An export file on this machine, read for whoever names its path: a call, or a schedule.
//!
//! A client is told nothing of the machine beyond the folders that the configuration allows: of a path
//! that leads elsewhere, by `..` or through a link, it does not even learn whether there is a file.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use crate::imports::{ImportError, MAX_BYTES};

/// Bytes of a path: the longest that Linux takes.
const LONGEST_PATH: usize = 4_096;

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The configuration allows no folder.
    #[error(
        "the file cannot be read: there is no folder to import from; import_folders in segue.toml (or \
         SEGUE_IMPORT_FOLDERS, or --import-folder) allows one"
    )]
    NoFolder,
    /// Whatever else is not to be read. There is one refusal for all of it.
    #[error(
        "the path names no file that can be read inside the folders to import from ({folders})"
    )]
    Outside {
        /// The folders.
        folders: String,
    },
    /// It is larger than any export.
    #[error(transparent)]
    TooLarge(ImportError),
}

/// The bytes of the file.
///
/// # Errors
/// It is no file inside one of the folders, or too large. It waits for the disk.
pub fn read(path: &str, folders: &[PathBuf]) -> Result<Vec<u8>, FileError> {
    if folders.is_empty() {
        return Err(FileError::NoFolder);
    }
    let file = open(path, folders).ok_or_else(|| outside(folders))?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > MAX_BYTES {
        return Err(FileError::TooLarge(ImportError::TooLarge { bytes: size }));
    }
    let mut bytes = Vec::with_capacity(size);
    // It may grow while it is read; the parser counts once more.
    match file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(outside(folders)),
    }
}

/// The file, if it is a regular one inside a folder.
fn open(path: &str, folders: &[PathBuf]) -> Option<File> {
    let path = Path::new(path);
    // To what a relative one is relative is not for the client to know.
    if path.as_os_str().len() > LONGEST_PATH || !path.is_absolute() {
        return None;
    }
    let real = path.canonicalize().ok()?;
    let mut allowed = folders
        .iter()
        .filter_map(|folder| folder.canonicalize().ok());
    if !allowed.any(|folder| real.starts_with(folder)) {
        return None;
    }
    // Before it is opened: opening a pipe waits for its writer.
    if !real.metadata().ok()?.is_file() {
        return None;
    }
    let file = File::open(real).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

fn outside(folders: &[PathBuf]) -> FileError {
    let folders: Vec<String> = folders.iter().map(|folder| format!("{folder:?}")).collect();
    FileError::Outside {
        folders: folders.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder that is allowed, and a secret beside it.
    fn world() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().expect("a folder");
        let allowed = root.path().join("music");
        fs::create_dir_all(allowed.join("deep")).expect("made");
        fs::write(allowed.join("deep/list.txt"), "A - B").expect("written");
        let secret = root.path().join("secret.txt");
        fs::write(&secret, "C - D").expect("written");
        (root, allowed, secret)
    }

    fn read_at(path: &Path, folders: &[PathBuf]) -> Result<Vec<u8>, FileError> {
        read(path.to_str().expect("text"), folders)
    }

    #[test]
    fn a_file_inside_is_read_and_nothing_else_is_and_all_refusals_are_alike() {
        let (_root, allowed, secret) = world();
        let folders = vec![allowed.join("gone"), allowed.clone()];
        let inside = allowed.join("deep/../deep/list.txt");
        assert_eq!(read_at(&inside, &folders), Ok(b"A - B".to_vec()));
        let refusal = outside(&folders);
        for path in [
            secret.clone(),
            secret.with_file_name("no such file"),
            allowed.join("../secret.txt"),
            allowed.join("../no such file"),
            allowed.join("deep"),
            allowed.clone(),
            allowed.with_file_name("music.txt"),
            PathBuf::from("deep/list.txt"),
            PathBuf::from(""),
            PathBuf::from("a\0b"),
            allowed.join("x".repeat(LONGEST_PATH)),
        ] {
            assert_eq!(read_at(&path, &folders), Err(refusal.clone()), "{path:?}");
        }
        assert!(refusal.to_string().contains("music"), "{refusal}");
        let none = read_at(&inside, &[]).expect_err("refused");
        assert!(none.to_string().contains("import_folders"), "{none}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_inside_and_not_out() {
        use std::os::unix::fs::symlink;
        let (_root, allowed, secret) = world();
        let folders = vec![allowed.clone()];
        let link = |to: &Path, name: &str| {
            let at = allowed.join(name);
            symlink(to, &at).expect("linked");
            at
        };
        let inside = link(&allowed.join("deep/list.txt"), "inside");
        assert!(read_at(&inside, &folders).is_ok());
        let out = [
            link(&secret, "out"),
            link(&secret.with_file_name("nothing"), "dangling"),
            link(&allowed.join(".."), "up").join("secret.txt"),
        ];
        for path in out {
            assert_eq!(read_at(&path, &folders), Err(outside(&folders)), "{path:?}");
        }
        // The folder itself may be a link.
        let linked = link(&allowed, "linked");
        assert!(read_at(&allowed.join("deep/list.txt"), &[linked]).is_ok());
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_read() {
        let (_root, allowed, _) = world();
        let large = allowed.join("large.csv");
        let file = File::create(&large).expect("made");
        file.set_len(MAX_BYTES as u64 + 1).expect("grown");
        let error = read_at(&large, &[allowed]).expect_err("refused");
        assert!(error.to_string().contains("at most 20 MB"), "{error}");
    }
}
