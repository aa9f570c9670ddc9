//! Settings of the Spotify side, from the environment: addresses, client id, refresh token.

use secrecy::SecretString;
use url::{Host, Url};

/// Base address of the Web API; for tests and proxies.
pub const API_URL_VARIABLE: &str = "SPOTIFY_API_URL";
/// Base address of the accounts service (`/authorize`, `/api/token`).
pub const ACCOUNTS_URL_VARIABLE: &str = "SPOTIFY_ACCOUNTS_URL";
/// Client id of the user's Spotify app.
pub const CLIENT_ID_VARIABLE: &str = "SPOTIFY_CLIENT_ID";
/// Refresh token for machines without a browser.
pub const REFRESH_TOKEN_VARIABLE: &str = "SPOTIFY_REFRESH_TOKEN";

const DEFAULT_API_URL: &str = "https://api.spotify.com/v1/";
const DEFAULT_ACCOUNTS_URL: &str = "https://accounts.spotify.com/";

/// Longer than any client id or refresh token that Spotify gives out (they have 32 and about 130
/// characters), and short enough for a header or a form.
const MAX_CREDENTIAL_LENGTH: usize = 4096;

/// What the Spotify server and the sign-in need to know. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Base address of the Web API; its path ends with `/`.
    pub api_url: Url,
    /// Base address of the accounts service; its path ends with `/`.
    pub accounts_url: Url,
    /// Client id of the user's Spotify app, if one was given.
    pub client_id: Option<String>,
    /// Refresh token from the environment; goes before a stored one.
    pub refresh_token: Option<SecretString>,
}

/// A setting that can't be used. The message names the variable, never its value if it is secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// An address that is no `https:` URL, nor an `http:` URL of this machine.
    #[error(
        "{variable} is not usable: {reason}; give an https:// address, or http:// on 127.0.0.1"
    )]
    Url {
        /// The variable at fault.
        variable: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// A client id or token with characters that none of Spotify's has.
    #[error("{variable} is not usable: it must be 1 to 4096 visible ASCII characters")]
    Credential {
        /// The variable at fault.
        variable: &'static str,
    },
}

impl Settings {
    /// Reads the `SPOTIFY_*` variables of this process. An empty variable counts as unset.
    ///
    /// # Errors
    ///
    /// A variable whose value can't be used.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// As [`Settings::from_env`], with the variables given by `lookup`.
    ///
    /// # Errors
    ///
    /// A variable whose value can't be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let get = |name| {
            lookup(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let url = |variable, default: &str| {
            let value = get(variable).unwrap_or_else(|| default.to_owned());
            base_url(&value).map_err(|reason| SettingsError::Url { variable, reason })
        };
        Ok(Self {
            api_url: url(API_URL_VARIABLE, DEFAULT_API_URL)?,
            accounts_url: url(ACCOUNTS_URL_VARIABLE, DEFAULT_ACCOUNTS_URL)?,
            client_id: credential(CLIENT_ID_VARIABLE, get(CLIENT_ID_VARIABLE))?,
            refresh_token: credential(REFRESH_TOKEN_VARIABLE, get(REFRESH_TOKEN_VARIABLE))?
                .map(SecretString::from),
        })
    }

    /// Whether both services are on this machine, so that no proxy may stand between.
    pub(crate) fn is_local(&self) -> bool {
        is_loopback(&self.api_url) && is_loopback(&self.accounts_url)
    }
}

/// Parses and checks a base address, and gives its path the final `/` that joining needs.
fn base_url(value: &str) -> Result<Url, String> {
    let mut url = Url::parse(value).map_err(|error| error.to_string())?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err("http:// would show the access token to the network".to_owned()),
        other => return Err(format!("{other}: is not a web address")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a query or fragment".to_owned());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

fn credential(
    variable: &'static str,
    value: Option<String>,
) -> Result<Option<String>, SettingsError> {
    match value {
        Some(value) if is_credential(&value) => Ok(Some(value)),
        Some(_) => Err(SettingsError::Credential { variable }),
        None => Ok(None),
    }
}

/// Whether `value` can be a client id or a token at all.
pub(super) fn is_credential(value: &str) -> bool {
    (1..=MAX_CREDENTIAL_LENGTH).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_lookup(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_are_spotifys_own_addresses() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.api_url.as_str(), DEFAULT_API_URL);
        assert_eq!(settings.accounts_url.as_str(), DEFAULT_ACCOUNTS_URL);
        assert!(settings.client_id.is_none() && settings.refresh_token.is_none());
        assert!(!settings.is_local());
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let settings = settings(&[
            (API_URL_VARIABLE, ""),
            (CLIENT_ID_VARIABLE, "  "),
            (REFRESH_TOKEN_VARIABLE, ""),
        ])
        .unwrap();
        assert_eq!(settings.api_url.as_str(), DEFAULT_API_URL);
        assert!(settings.client_id.is_none() && settings.refresh_token.is_none());
    }

    #[test]
    fn a_missing_final_slash_is_added() {
        let settings = settings(&[
            (API_URL_VARIABLE, "http://127.0.0.1:8080/v1"),
            (ACCOUNTS_URL_VARIABLE, "http://[::1]:8080"),
        ])
        .unwrap();
        assert_eq!(settings.api_url.as_str(), "http://127.0.0.1:8080/v1/");
        assert_eq!(settings.accounts_url.as_str(), "http://[::1]:8080/");
        assert!(settings.is_local());
    }

    #[test]
    fn unsafe_addresses_are_refused() {
        for value in [
            "http://api.spotify.com/v1/",
            "http://127.0.0.1.example.com/",
            "ftp://127.0.0.1/",
            "https://user:secret@api.spotify.com/",
            "https://api.spotify.com/v1/?x=1",
            "not a url",
        ] {
            let error = settings(&[(API_URL_VARIABLE, value)]).unwrap_err();
            assert!(error.to_string().contains(API_URL_VARIABLE), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_in_no_error_and_no_debug_output() {
        let error = settings(&[(REFRESH_TOKEN_VARIABLE, "s3cret\u{7}token")]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
        let good = settings(&[(REFRESH_TOKEN_VARIABLE, "s3cret-token")]).unwrap();
        assert!(!format!("{good:?}").contains("s3cret"));
    }
}
