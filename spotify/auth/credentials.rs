//! What a sign-in leaves behind: the refresh token, whose app it belongs to, and when consent was given.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;

use super::{
    Settings, StoreError, StorePlace, TokenStore,
    settings::{CLIENT_ID_VARIABLE, REFRESH_TOKEN_VARIABLE},
};

/// The permissions Segue asks for: to read the user's playlists and to change them.
pub const SCOPES: [&str; 4] = [
    "playlist-read-private",
    "playlist-read-collaborative",
    "playlist-modify-private",
    "playlist-modify-public",
];

/// How long a refresh token lives after the user's consent: six months since July 2026, and using
/// it does not extend it. Counted in short months, so that a warning comes early rather than late.
pub const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_secs(181 * 24 * 60 * 60);

/// Where credentials were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// `SPOTIFY_CLIENT_ID` and `SPOTIFY_REFRESH_TOKEN`.
    Environment,
    /// What `segue login` stored.
    Store(StorePlace),
}

/// A refresh token and what belongs to it. `Debug` does not show the token.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Client id of the app that the consent was given to.
    pub client_id: String,
    /// The refresh token itself.
    pub refresh_token: SecretString,
    /// Granted scopes; empty if unknown (from the environment).
    pub scopes: Vec<String>,
    /// When the user consented; unknown for a token from the environment.
    pub consented_at: Option<SystemTime>,
    /// Where they were found.
    pub source: CredentialSource,
}

/// Why no credentials could be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A refresh token works only with the client id it was given to.
    #[error("{REFRESH_TOKEN_VARIABLE} is set, but {CLIENT_ID_VARIABLE} is not; set both")]
    MissingClientId,
    /// The stored sign-in belongs to another app than the one configured.
    #[error(
        "the stored sign-in is for another Spotify app than {CLIENT_ID_VARIABLE} names; \
         run `segue login` again"
    )]
    OtherClient,
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Credentials {
    /// The credentials in force: those of the environment, else those stored by `segue login`;
    /// `None` if the user has not signed in.
    ///
    /// # Errors
    ///
    /// Settings that contradict each other, or a store that can't be read.
    pub async fn find(
        settings: &Settings,
        store: &TokenStore,
    ) -> Result<Option<Self>, CredentialsError> {
        if let Some(refresh_token) = &settings.refresh_token {
            let client_id = settings
                .client_id
                .clone()
                .ok_or(CredentialsError::MissingClientId)?;
            return Ok(Some(Self {
                client_id,
                refresh_token: refresh_token.clone(),
                scopes: Vec::new(),
                consented_at: None,
                source: CredentialSource::Environment,
            }));
        }
        let Some(stored) = store.load().await? else {
            return Ok(None);
        };
        match &settings.client_id {
            Some(client_id) if *client_id != stored.client_id => Err(CredentialsError::OtherClient),
            _ => Ok(Some(stored)),
        }
    }

    /// How long the refresh token still lives at `now`; zero if it has ended, `None` if the time
    /// of consent is unknown.
    #[must_use]
    pub fn time_left(&self, now: SystemTime) -> Option<Duration> {
        let age = now.duration_since(self.consented_at?).unwrap_or_default();
        Some(REFRESH_TOKEN_LIFETIME.saturating_sub(age))
    }
}
