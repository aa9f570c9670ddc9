//! The token store: the operating system's keyring first, else a file that only its owner can read.

mod file;
mod keyring;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{CredentialSource, Credentials, settings::is_credential};

/// Where tokens may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorePolicy {
    /// The keyring if this session has one, else the file.
    KeyringThenFile,
    /// The file alone: for tests, containers and services.
    FileOnly,
}

/// Where a sign-in was found or put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePlace {
    /// Keychain, Credential Manager or Secret Service.
    Keyring,
    /// A file with mode 0600.
    File(PathBuf),
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyring => f.write_str("the system keyring"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Why the store could not be read or written. No message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Others than the owner can read the file.
    #[error(
        "{} can be read by other users (mode {mode:o}); run `chmod 600` on it, \
         or `segue login` again if it was not you who changed it",
        path.display()
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file or the keyring entry holds something else than a sign-in.
    #[error("{place} does not hold a Segue sign-in; run `segue login` again")]
    Unreadable {
        /// Where it was found.
        place: StorePlace,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Keeps one sign-in. Several processes may share it: writes are atomic, the newest wins.
#[derive(Clone, Debug)]
pub struct TokenStore {
    policy: StorePolicy,
    path: PathBuf,
}

impl TokenStore {
    /// A store by `policy`, whose file, where one is needed, is `path`. Touches nothing yet.
    #[must_use]
    pub fn new(policy: StorePolicy, path: impl Into<PathBuf>) -> Self {
        Self {
            policy,
            path: path.into(),
        }
    }

    /// The file used where there is no keyring.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The stored sign-in, or `None`. If keyring and file both hold one (the keyring was out of
    /// reach for a while), the one saved last counts.
    ///
    /// # Errors
    ///
    /// A file that others can read, or contents that are no sign-in.
    pub async fn load(&self) -> Result<Option<Credentials>, StoreError> {
        let file_place = StorePlace::File(self.path.clone());
        let from_file = file::read(&self.path)?
            .map(|text| Record::parse(&text, file_place))
            .transpose()?;
        let from_keyring = match self.policy {
            StorePolicy::FileOnly => None,
            StorePolicy::KeyringThenFile => keyring::read()
                .await
                .map(|text| Record::parse(&text, StorePlace::Keyring))
                .transpose()?,
        };
        Ok([from_keyring, from_file]
            .into_iter()
            .flatten()
            .max_by_key(|(record, _)| record.saved_at_ms)
            .map(|(record, place)| record.into_credentials(place)))
    }

    /// Saves `credentials` in place of any other, and says where.
    ///
    /// # Errors
    ///
    /// The file could not be written. (A missing keyring is no error: the file is used.)
    pub async fn save(&self, credentials: &Credentials) -> Result<StorePlace, StoreError> {
        let text = Record::of(credentials).to_json();
        if self.policy == StorePolicy::KeyringThenFile && keyring::write(text.clone()).await {
            // A stale copy on disk would only be one more place to lose it from.
            file::remove(&self.path)?;
            return Ok(StorePlace::Keyring);
        }
        file::write(&self.path, &text)?;
        Ok(StorePlace::File(self.path.clone()))
    }
}

/// What is written, as JSON. Has no `Debug`: it holds the token in clear.
#[derive(Serialize, Deserialize)]
struct Record {
    /// Version of this layout.
    version: u32,
    client_id: String,
    refresh_token: String,
    #[serde(default)]
    scopes: Vec<String>,
    /// Unix time in seconds.
    consented_at: Option<u64>,
    /// Unix time in milliseconds; decides which of two copies is newer.
    saved_at_ms: u64,
}

const RECORD_VERSION: u32 = 1;

impl Record {
    fn of(credentials: &Credentials) -> Self {
        let since_epoch = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            version: RECORD_VERSION,
            client_id: credentials.client_id.clone(),
            refresh_token: credentials.refresh_token.expose_secret().to_owned(),
            scopes: credentials.scopes.clone(),
            consented_at: credentials
                .consented_at
                .map(|time| since_epoch(time).as_secs()),
            saved_at_ms: u64::try_from(since_epoch(SystemTime::now()).as_millis())
                .unwrap_or(u64::MAX),
        }
    }

    fn to_json(&self) -> SecretString {
        // A struct of strings and numbers always has a JSON form.
        serde_json::to_string(self).unwrap_or_default().into()
    }

    fn parse(text: &SecretString, place: StorePlace) -> Result<(Self, StorePlace), StoreError> {
        // serde's message is dropped: it may quote what it found, and that may be the token.
        match serde_json::from_str::<Self>(text.expose_secret()) {
            Ok(record)
                if record.version == RECORD_VERSION
                    && is_credential(&record.client_id)
                    && is_credential(&record.refresh_token) =>
            {
                Ok((record, place))
            }
            _ => Err(StoreError::Unreadable { place }),
        }
    }

    fn into_credentials(self, place: StorePlace) -> Credentials {
        Credentials {
            client_id: self.client_id,
            refresh_token: self.refresh_token.into(),
            scopes: self.scopes,
            consented_at: self
                .consented_at
                .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))),
            source: CredentialSource::Store(place),
        }
    }
}

#[cfg(test)]
mod tests;
