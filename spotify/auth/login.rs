//! `segue login`: authorization code with PKCE, by way of the user's browser.

use std::time::{Duration, SystemTime};

use rspotify::{
    AuthCodePkceSpotify, OAuth,
    clients::{BaseClient, OAuthClient},
};

use super::{
    CredentialSource, Credentials, HttpFailure, SCOPES, Settings, StoreError, StorePlace,
    TokenStore,
    redirect::{self, RedirectListener},
    settings::is_credential,
    transport::Transport,
};

/// The redirect address to register in the Spotify app: Spotify ignores the port of a loopback
/// address that was registered without one.
pub const REDIRECT_URI_TO_REGISTER: &str = "http://127.0.0.1/callback";

/// Length of the PKCE verifier; RFC 7636 allows 43 to 128 characters.
const VERIFIER_LENGTH: usize = 128;

/// How a login is done.
#[derive(Clone, Debug)]
pub struct LoginOptions {
    /// Permissions to ask for.
    pub scopes: Vec<String>,
    /// How long to wait for the user.
    pub patience: Duration,
}

impl Default for LoginOptions {
    /// The four playlist scopes, and five minutes.
    fn default() -> Self {
        Self {
            scopes: SCOPES.map(str::to_owned).to_vec(),
            patience: Duration::from_secs(5 * 60),
        }
    }
}

/// A login that worked.
#[derive(Clone, Debug)]
pub struct LoginOutcome {
    /// Where the sign-in was stored.
    pub place: StorePlace,
    /// What the user granted.
    pub scopes: Vec<String>,
    /// What was asked for and not granted; tools that need it will say so.
    pub missing_scopes: Vec<String>,
    /// From now the six months of the refresh token count.
    pub consented_at: SystemTime,
}

/// Why a login did not work. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The user's Spotify app is not known.
    #[error("no client id: set SPOTIFY_CLIENT_ID to that of your Spotify app")]
    MissingClientId,
    /// No port of this machine could be bound.
    #[error("can't listen on 127.0.0.1 for the browser's return: {0}")]
    Listen(std::io::Error),
    /// The user, or Spotify, said no.
    #[error("Spotify did not grant access: {0}")]
    Denied(String),
    /// Nobody came back in time.
    #[error("nobody signed in within {} s; run `segue login` again", .0.as_secs())]
    TimedOut(Duration),
    /// The code could not be exchanged for tokens.
    #[error("the sign-in could not be completed: {0}")]
    Exchange(#[from] HttpFailure),
    /// Signed in, but not stored.
    #[error("the sign-in could not be stored: {0}")]
    Store(#[from] StoreError),
}

/// Signs in: listens on a loopback port, hands the address that the user must open to `show`,
/// waits for the browser to come back, exchanges the code, and stores what came of it.
///
/// Prints nothing and opens no browser: that is `show`'s part.
///
/// # Errors
///
/// See [`LoginError`]; nothing is stored then.
pub async fn login(
    settings: &Settings,
    options: LoginOptions,
    store: &TokenStore,
    show: impl FnOnce(&str) + Send,
) -> Result<LoginOutcome, LoginError> {
    let client_id = settings
        .client_id
        .clone()
        .ok_or(LoginError::MissingClientId)?;
    let (listener, redirect_uri) = redirect::bind().await.map_err(LoginError::Listen)?;
    // The default brings a random state.
    let oauth = OAuth {
        redirect_uri,
        scopes: options.scopes.iter().cloned().collect(),
        ..OAuth::default()
    };
    let mut browser = RedirectListener::start(listener, &oauth.state);
    let mut accounts = Transport::new(settings)?.accounts_client(&client_id, oauth, None);
    let address = match accounts.get_authorize_url(Some(VERIFIER_LENGTH)) {
        Ok(address) => address,
        Err(error) => return Err(HttpFailure::of(error).await.into()),
    };
    show(&address);

    let visit = tokio::time::timeout(options.patience, browser.visit())
        .await
        .map_err(|_| LoginError::TimedOut(options.patience))?
        .ok_or_else(|| LoginError::Listen(std::io::ErrorKind::ConnectionAborted.into()))?;
    let outcome = match visit.result {
        Ok(code) => complete(&accounts, &code, client_id, options.scopes, store).await,
        Err(reason) => Err(LoginError::Denied(reason)),
    };
    // The browser may be gone; what counts is the outcome.
    let _ = visit.signed_in.send(outcome.is_ok());
    browser.close().await;
    outcome
}

/// From the code to the stored sign-in.
async fn complete(
    accounts: &AuthCodePkceSpotify,
    code: &str,
    client_id: String,
    asked: Vec<String>,
    store: &TokenStore,
) -> Result<LoginOutcome, LoginError> {
    if let Err(error) = accounts.request_token(code).await {
        return Err(HttpFailure::of(error).await.into());
    }
    let token = accounts
        .get_token()
        .lock()
        .await
        .map_or(None, |mut token| token.take())
        .ok_or_else(HttpFailure::unreadable)?;
    let refresh_token = token
        .refresh_token
        .filter(|token| is_credential(token))
        .ok_or_else(HttpFailure::unreadable)?;
    // Where the answer does not name the scopes, they are those asked for (RFC 6749, 5.1).
    let mut scopes: Vec<String> = if token.scopes.is_empty() {
        asked.clone()
    } else {
        token.scopes.into_iter().collect()
    };
    scopes.sort_unstable();
    let consented_at = SystemTime::now();
    let credentials = Credentials {
        client_id,
        refresh_token: refresh_token.into(),
        scopes: scopes.clone(),
        consented_at: Some(consented_at),
        source: CredentialSource::Store(StorePlace::File(store.path().to_owned())),
    };
    let place = store.save(&credentials).await?;
    Ok(LoginOutcome {
        place,
        missing_scopes: asked
            .into_iter()
            .filter(|scope| !scopes.contains(scope))
            .collect(),
        scopes,
        consented_at,
    })
}
