//! A session with Spotify: access tokens from the refresh token, renewed one at a time.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rspotify::{AuthCodePkceSpotify, OAuth, Token, clients::BaseClient};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    CredentialSource, Credentials, CredentialsError, HttpFailure, Settings, TokenStore,
    transport::Transport,
};

/// An access token is renewed this long before it ends, so that none ends on its way to Spotify.
const RENEW_EARLY: Duration = Duration::from_secs(60);

/// Spotify's access tokens live an hour; one that claims more than a day is renewed after a day.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No credentials, neither in the environment nor in the store.
    #[error("not signed in to Spotify; run `segue login`")]
    NotSignedIn,
    /// Spotify no longer takes the refresh token: revoked, or older than six months.
    #[error("the sign-in to Spotify has ended; run `segue login`")]
    Ended,
    /// Spotify does not know the client id, or refuses the app.
    #[error("Spotify refused the app ({0}); check the client id, then run `segue login`")]
    AppRefused(String),
    /// The credentials can't be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The accounts service failed or asks to wait.
    #[error(transparent)]
    Http(#[from] HttpFailure),
}

/// Obtains access tokens, and hands out rspotify clients that act with them.
///
/// Cloning is cheap, and clones share the token. Other processes may use the same store.
#[derive(Clone, Debug)]
pub struct Session {
    settings: Arc<Settings>,
    store: TokenStore,
    transport: Transport,
    /// Held for the length of a renewal, so that there is at most one.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    credentials: Option<Credentials>,
    current: Option<Authorized>,
    renewals: u64,
}

/// A client of the Web API with a live access token.
#[derive(Clone, Debug)]
pub(crate) struct Authorized {
    pub(crate) client: AuthCodePkceSpotify,
    /// Which renewal it came from, to tell a refused token from its successor.
    renewal: u64,
    renew_at: Instant,
    /// What the token may do; empty if Spotify did not say.
    scopes: Vec<String>,
}

impl Session {
    /// A session by these settings. Nothing is read or sent before the first client is asked for.
    ///
    /// # Errors
    ///
    /// The HTTP client could not be made.
    pub fn new(settings: Settings, store: TokenStore) -> Result<Self, HttpFailure> {
        Ok(Self {
            transport: Transport::new(&settings)?,
            settings: Arc::new(settings),
            store,
            state: Arc::default(),
        })
    }

    /// Checks that an access token can be had, renewing it if need be, and gives the scopes that it was
    /// granted, none if Spotify does not say: for `segue doctor`.
    ///
    /// # Errors
    ///
    /// Why it can't.
    pub async fn check(&self) -> Result<Vec<String>, AuthError> {
        Ok(self.client().await?.scopes)
    }

    /// Seconds that the Web API's clock is ahead of ours, by the second, if it tells: for `segue doctor`. No
    /// access token is needed for it.
    ///
    /// # Errors
    ///
    /// The Web API can't be reached.
    pub async fn seconds_ahead(&self) -> Result<Option<f64>, HttpFailure> {
        let before = SystemTime::now();
        let Some(there) = self.transport.time_at(&self.settings.api_url).await? else {
            return Ok(None);
        };
        // A time in a header has lost its fraction, and was some time between question and answer.
        let seconds = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            since.as_secs_f64()
        };
        let (from, to) = (seconds(before).floor(), seconds(SystemTime::now()));
        Ok(Some(there - there.clamp(from, to.max(from))))
    }

    /// A client with an access token that is not about to end.
    pub(crate) async fn client(&self) -> Result<Authorized, AuthError> {
        self.obtain(None).await
    }

    /// A client with another access token than `refused`, to which Spotify said 401.
    pub(crate) async fn client_after(&self, refused: &Authorized) -> Result<Authorized, AuthError> {
        self.obtain(Some(refused.renewal)).await
    }

    async fn obtain(&self, refused: Option<u64>) -> Result<Authorized, AuthError> {
        let state = Arc::clone(&self.state).lock_owned().await;
        if let Some(current) = &state.current
            && Some(current.renewal) != refused
            && Instant::now() < current.renew_at
        {
            return Ok(current.clone());
        }
        // On a task of its own: a caller that gives up must not leave a new refresh token unsaved.
        let session = self.clone();
        tokio::spawn(async move { session.renew(state).await })
            .await
            .unwrap_or_else(|_| {
                Err(HttpFailure::Unavailable("the renewal was broken off".to_owned()).into())
            })
    }

    async fn renew(&self, mut state: OwnedMutexGuard<State>) -> Result<Authorized, AuthError> {
        state.current = None;
        // Taken out, and put back only when they worked: else the next call reads them anew, and
        // finds a sign-in made meanwhile.
        let credentials = match state.credentials.take() {
            Some(known) => known,
            None => self.find().await?,
        };
        let (credentials, token) = match self.exchange(credentials.clone()).await {
            Err(AuthError::Ended) => {
                // Another process may have renewed, and Spotify may have changed the token for it.
                let stored = self.find().await?;
                if stored.refresh_token.expose_secret() == credentials.refresh_token.expose_secret()
                {
                    return Err(AuthError::Ended);
                }
                self.exchange(stored).await?
            }
            Err(AuthError::Http(failure)) => {
                state.credentials = Some(credentials);
                return Err(failure.into());
            }
            other => other?,
        };
        state.renewals += 1;
        let lifetime = u64::try_from(token.expires_in.num_seconds()).unwrap_or(0);
        let lifetime = Duration::from_secs(lifetime).min(MAX_LIFETIME);
        let client = self
            .transport
            .api_client(
                &credentials.client_id,
                &SecretString::from(token.access_token),
            )
            .ok_or_else(HttpFailure::unreadable)?;
        let authorized = Authorized {
            client,
            renewal: state.renewals,
            renew_at: Instant::now() + lifetime.saturating_sub(RENEW_EARLY),
            scopes: token.scopes.into_iter().collect(),
        };
        state.credentials = Some(credentials);
        state.current = Some(authorized.clone());
        Ok(authorized)
    }

    async fn find(&self) -> Result<Credentials, AuthError> {
        Credentials::find(&self.settings, &self.store)
            .await?
            .ok_or(AuthError::NotSignedIn)
    }

    /// Exchanges the refresh token for an access token. If Spotify sends a new refresh token it is
    /// kept; if it sends none, the old one stays good.
    async fn exchange(
        &self,
        mut credentials: Credentials,
    ) -> Result<(Credentials, Token), AuthError> {
        let token = Token {
            refresh_token: Some(credentials.refresh_token.expose_secret().to_owned()),
            ..Token::default()
        };
        let accounts =
            self.transport
                .accounts_client(&credentials.client_id, OAuth::default(), Some(token));
        let token = match accounts.refetch_token().await {
            Ok(Some(token)) => token,
            Ok(None) => return Err(AuthError::NotSignedIn),
            Err(error) => return Err(refusal(HttpFailure::of(error).await)),
        };
        if let Some(fresh) = token
            .refresh_token
            .clone()
            .filter(|fresh| fresh != credentials.refresh_token.expose_secret())
        {
            credentials.refresh_token = fresh.into();
            if matches!(credentials.source, CredentialSource::Store(_))
                && let Err(error) = self.store.save(&credentials).await
            {
                // This process goes on with it; the next one has to sign in again.
                tracing::warn!(%error, "Spotify's new refresh token could not be stored");
            }
        }
        Ok((credentials, token))
    }
}

/// What the accounts service's refusal means.
fn refusal(failure: HttpFailure) -> AuthError {
    match &failure {
        HttpFailure::Status {
            oauth_error: Some(name),
            message,
            ..
        } => match name.as_str() {
            "invalid_grant" => AuthError::Ended,
            "invalid_client" | "unauthorized_client" => AuthError::AppRefused(message.clone()),
            _ => failure.into(),
        },
        _ => failure.into(),
    }
}
