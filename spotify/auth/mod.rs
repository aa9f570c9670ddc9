//! Sign-in to Spotify: where the credentials are, how they become an access token, and `segue login`.
//!
//! Spotify's authorization code flow with PKCE gives a *refresh token*, kept in the operating
//! system's keyring or in a private file. From it a [`Session`] obtains *access tokens*, valid for
//! an hour and held in memory only.

// For the fuzz targets alone, which stand outside this crate.
#[doc(hidden)]
pub mod border;
mod credentials;
mod failure;
mod login;
mod redirect;
mod session;
mod settings;
mod store;
mod transport;

#[cfg(test)]
mod properties;

pub use credentials::{
    CredentialSource, Credentials, CredentialsError, REFRESH_TOKEN_LIFETIME, SCOPES,
};
pub use failure::HttpFailure;
pub use login::{LoginError, LoginOptions, LoginOutcome, REDIRECT_URI_TO_REGISTER, login};
pub use session::{AuthError, Session};
pub use settings::{
    ACCOUNTS_URL_VARIABLE, API_URL_VARIABLE, CLIENT_ID_VARIABLE, REFRESH_TOKEN_VARIABLE, Settings,
    SettingsError,
};
pub use store::{StoreError, StorePlace, StorePolicy, TokenStore};
pub use transport::{HTTP_TIMEOUT, MAX_ANSWER_BYTES};
