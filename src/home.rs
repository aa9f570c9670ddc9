//! Where every file that Segue writes lives.
//!
//! `SEGUE_HOME` moves all of it into one folder. Without it the files go where the XDG base
//! directories say on Linux and macOS (macOS too: people edit the configuration by hand, and
//! look for a command-line tool's in `~/.config`), and to the known folders on Windows.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;

/// The environment variable that moves every file of Segue into one folder.
pub const HOME_VARIABLE: &str = "SEGUE_HOME";

/// The folders of one Segue installation. Nothing is created until it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: Option<PathBuf>,
    config: PathBuf,
    data: PathBuf,
    cache: PathBuf,
}

/// The home could not be found or prepared.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The user has no home directory, and `SEGUE_HOME` is not set.
    #[error("no home directory was found; set {HOME_VARIABLE} to a folder that Segue may write to")]
    NoHome,
    /// A folder could not be created or made private.
    #[error("cannot prepare the folder {path}: {source}; make it writable, or set {HOME_VARIABLE}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Home {
    /// The home that the environment names: `SEGUE_HOME`, else the platform's folders.
    ///
    /// # Errors
    /// [`HomeError::NoHome`] if neither exists.
    pub fn from_env() -> Result<Self, HomeError> {
        match env::var_os(HOME_VARIABLE).filter(|value| !value.is_empty()) {
            Some(root) => Self::at(root),
            None => {
                let base = etcetera::choose_base_strategy().map_err(|_| HomeError::NoHome)?;
                Ok(Self {
                    root: None,
                    config: base.config_dir().join("segue"),
                    data: base.data_dir().join("segue"),
                    cache: base.cache_dir().join("segue"),
                })
            }
        }
    }

    /// A home with everything under `root`, as `SEGUE_HOME` makes it. A relative path is taken
    /// from the current directory, once, so that a later change of directory moves nothing.
    ///
    /// # Errors
    /// [`HomeError::Folder`] if the path is empty or the current directory is gone.
    pub fn at(root: impl Into<PathBuf>) -> Result<Self, HomeError> {
        let root = root.into();
        let root = std::path::absolute(&root)
            .map_err(|source| HomeError::Folder { path: root, source })?;
        Ok(Self {
            root: Some(root.clone()),
            config: root.clone(),
            data: root.clone(),
            cache: root.join("cache"),
        })
    }

    /// The folder that holds everything, if one was named; for a child process that is to have
    /// the same home.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The configuration file. It may not exist.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("segue.toml")
    }

    /// Where secrets are kept when the system has no keyring. It may not exist; whoever writes it
    /// creates it with mode 0600.
    #[must_use]
    pub fn secrets_file(&self) -> PathBuf {
        self.data.join("secrets.json")
    }

    /// The bearer tokens of those who may call over HTTP, as hashes. It may not exist.
    #[must_use]
    pub fn tokens_file(&self) -> PathBuf {
        self.data.join("tokens.json")
    }

    /// The keys by which payloads are encrypted, unless another file is named. It may not exist.
    #[must_use]
    pub fn payload_keys_file(&self) -> PathBuf {
        self.data.join("payload-keys.json")
    }

    /// The folder of durable data, created private to the user.
    ///
    /// # Errors
    /// [`HomeError::Folder`] if it cannot be created.
    pub fn data(&self) -> Result<PathBuf, HomeError> {
        private_folder(self.data.clone())
    }

    /// The folder of the configuration file, created private to the user.
    ///
    /// # Errors
    /// [`HomeError::Folder`] if it cannot be created.
    pub fn config(&self) -> Result<PathBuf, HomeError> {
        private_folder(self.config.clone())
    }

    /// The folder of what can be fetched or computed again, created private to the user.
    ///
    /// # Errors
    /// [`HomeError::Folder`] if it cannot be created.
    pub fn cache(&self) -> Result<PathBuf, HomeError> {
        private_folder(self.cache.clone())
    }

    /// The folder of the managed engine: its database, locks and log. It is created private, and
    /// made so if it was not: the database holds what the user listens to.
    ///
    /// # Errors
    /// [`HomeError::Folder`] if it cannot be created.
    pub fn engine_dir(&self) -> Result<PathBuf, HomeError> {
        self.data()?;
        let folder = private_folder(self.data.join("engine"))?;
        keep_others_out(&folder)?;
        Ok(folder)
    }
}

/// Creates `path` and its missing parents, mode 0700 where modes exist. A folder that was there
/// keeps its mode: `SEGUE_HOME` may name one that the user shares on purpose.
fn private_folder(path: PathBuf) -> Result<PathBuf, HomeError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(&path) {
        Ok(()) => Ok(path),
        Err(source) => Err(HomeError::Folder { path, source }),
    }
}

/// Takes a folder that is ours alone away from everybody else, whoever created it.
fn keep_others_out(path: &Path) -> Result<(), HomeError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|source| {
            HomeError::Folder {
                path: path.to_owned(),
                source,
            }
        })?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn everything_is_under_the_root() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path()).unwrap();
        for path in [
            home.data().unwrap(),
            home.config().unwrap(),
            home.cache().unwrap(),
            home.engine_dir().unwrap(),
            home.config_file(),
            home.secrets_file(),
        ] {
            assert!(path.starts_with(root.path()), "{}", path.display());
        }
    }

    #[test]
    fn a_relative_root_is_made_absolute() {
        let home = Home::at("somewhere").unwrap();
        assert!(home.config_file().is_absolute());
    }

    #[cfg(unix)]
    #[test]
    fn folders_are_private_even_if_they_were_not() {
        use std::os::unix::fs::PermissionsExt;

        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("engine")).unwrap();
        fs::set_permissions(
            root.path().join("engine"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        let home = Home::at(root.path()).unwrap();
        for folder in [home.engine_dir().unwrap(), home.cache().unwrap()] {
            let mode = fs::metadata(&folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
        }
    }
}
