//! The operating system's keyring: Keychain, Credential Manager or Secret Service.
//!
//! A machine without one is normal (a server, a container), so nothing here fails: a keyring that
//! is absent, locked or silent is reported to the log, and the file takes its place.

use std::time::Duration;

use keyring::Entry;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

const SERVICE: &str = "segue";
const USER: &str = "spotify";

/// How long to wait for the keyring. A missing one answers within milliseconds; this bounds one
/// that waits for a password that nobody types.
const PATIENCE: Duration = Duration::from_secs(5);

/// The stored text, if there is a keyring and it holds one.
pub(super) async fn read() -> Option<SecretString> {
    match ask(|entry| entry.get_password()).await {
        Ok(text) => Some(text.into()),
        Err(reason) => {
            tracing::debug!(reason, "nothing read from the system keyring");
            None
        }
    }
}

/// Stores `text`; whether that worked.
pub(super) async fn write(text: SecretString) -> bool {
    match ask(move |entry| entry.set_password(text.expose_secret())).await {
        Ok(()) => true,
        Err(reason) => {
            tracing::info!(reason, "no usable system keyring, a private file is used");
            false
        }
    }
}

/// Runs one blocking question on a thread of its own. Not on tokio's blocking pool: a keyring that
/// hangs there would hold up the end of the process.
async fn ask<T: Send + 'static>(
    question: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
) -> Result<T, &'static str> {
    let (answer, answered) = oneshot::channel();
    std::thread::Builder::new()
        .name("keyring".to_owned())
        .spawn(move || {
            let result = Entry::new(SERVICE, USER).and_then(|entry| question(&entry));
            // The asker may have given up.
            let _ = answer.send(result.map_err(|error| reason(&error)));
        })
        .map_err(|_| "no thread")?;
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("it broke"),
        Err(_) => Err("it did not answer in time"),
    }
}

/// A fixed phrase for each error: keyring's own can carry the stored bytes.
fn reason(error: &keyring::Error) -> &'static str {
    match error {
        keyring::Error::NoEntry => "it holds no Segue sign-in",
        keyring::Error::NoDefaultStore => "there is none",
        keyring::Error::NoStorageAccess(_) => "it can't be opened",
        _ => "it failed",
    }
}
