//! Who may call over HTTP, as whom, and how much.
//!
//! A call comes with a bearer token of ours ([`tokens`]) or with an access token of an OAuth
//! authorization server ([`oauth`]); each stands for a user. Where neither is configured, every call is
//! the configured user's, and the server may listen on a loopback address alone.

mod keys;
mod limits;
mod oauth;
mod refusal;
mod signatures;
pub mod tokens;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use http::{HeaderMap, header::AUTHORIZATION};
use jiff::Timestamp;
use serde_json::Value;

pub use self::refusal::Refusal;
use self::{
    limits::{Place, Users},
    oauth::OAuth,
    refusal::Reason,
    tokens::Tokens,
};
use crate::{config::Config, home::Home};

/// Calls that one user may make in a minute when nobody says: 200 a second, far beyond any assistant, also one that
/// polls for many syncs at once.
pub const DEFAULT_CALLS_PER_MINUTE: u32 = 12_000;
/// Calls that one user may have open at once when nobody says.
pub const DEFAULT_CALLS_AT_ONCE: u32 = 256;
/// The most calls that either limit may allow.
const MOST_CALLS: u32 = 1_000_000;
/// What the ids of users from an authorization server begin with, and no other user's.
const OAUTH_PREFIX: &str = "oauth:";
/// Bytes of a token that is looked at.
const LONGEST_TOKEN: usize = 8 * 1024;
/// Time between two looks at whether a call may stay open.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who may call. Clones are the same.
#[derive(Debug, Clone)]
pub struct Access(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    tokens: Tokens,
    oauth: Option<OAuth>,
    users: Users,
    local_user: String,
}

/// A call that was let in. Its place among the user's open calls is free again when this is dropped.
#[derive(Debug)]
pub struct Admitted {
    /// The user whose call it is.
    pub user_id: String,
    ticket: Ticket,
    access: Access,
    _place: Place,
}

/// By what a call was let in.
#[derive(Debug)]
enum Ticket {
    /// There is no authentication.
    None,
    /// A token of ours.
    Token(String),
    /// One of an authorization server, good until then.
    OAuth(Timestamp),
}

/// Refuses settings that cannot be used.
///
/// # Errors
/// The message names the setting.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    for (key, calls) in [
        ("user_calls_per_minute", config.user_calls_per_minute),
        ("user_calls_at_once", config.user_calls_at_once),
    ] {
        if !(1..=MOST_CALLS).contains(&calls) {
            bail!("{key} is {calls}; it must be from 1 to {MOST_CALLS}");
        }
    }
    if config.user.starts_with(OAUTH_PREFIX) {
        bail!("user must not begin with {OAUTH_PREFIX:?}: such users come from an OAuth issuer");
    }
    oauth::Settings::of(config).map(|_| ())
}

impl Access {
    /// Who may call by this configuration and the tokens of this home. Nothing is asked of an
    /// authorization server before the first token comes.
    ///
    /// # Errors
    /// The settings cannot be used, or the tokens cannot be read.
    pub fn open(config: &Config, home: &Home) -> anyhow::Result<Self> {
        let oauth = oauth::Settings::of(config)?.map(OAuth::new).transpose()?;
        let users = Users::new(config.user_calls_per_minute, config.user_calls_at_once)
            .context("the limits of a user's calls")?;
        Ok(Self(Arc::new(Parts {
            tokens: Tokens::open(home.tokens_file())?,
            oauth,
            users,
            local_user: config.user.clone(),
        })))
    }

    /// Whether every call needs a token. It does from the first token on, and as soon as an OAuth issuer
    /// is configured; and a server that has once asked for tokens goes on to, whatever becomes of them.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.0.oauth.is_some() || self.0.tokens.are_in_use()
    }

    /// Whether a server may listen there.
    ///
    /// # Errors
    /// Others could reach it, and nothing tells them from its owner.
    pub fn may_listen(&self, address: SocketAddr) -> anyhow::Result<()> {
        if address.ip().to_canonical().is_loopback() || self.is_required() {
            return Ok(());
        }
        bail!(
            "{address} can be reached from other machines, and nobody has to say who they are. Make a \
             token for each user (segue token create --user NAME), or set oauth_issuer and \
             oauth_audience, or listen at 127.0.0.1"
        )
    }

    /// Lets a call in, or refuses it. What is looked at is the header `Authorization`, and nothing else.
    ///
    /// # Errors
    /// There is no token or a wrong one, or its user makes too many calls.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<Admitted, Refusal> {
        let challenge = |reason| Refusal::new(reason, self.0.oauth.as_ref());
        let (user_id, ticket) = match self.is_required() {
            false => (self.0.local_user.clone(), Ticket::None),
            true => self.whose(headers).await.map_err(challenge)?,
        };
        let place = self.0.users.enter(&user_id).map_err(challenge)?;
        Ok(Admitted {
            user_id,
            ticket,
            access: self.clone(),
            _place: place,
        })
    }

    async fn whose(&self, headers: &HeaderMap) -> Result<(String, Ticket), Reason> {
        let token = bearer(headers)?;
        if let Some(id) = tokens::id_of(token) {
            let user = self.0.tokens.user_of(token).ok_or(Reason::Invalid)?;
            return Ok((user, Ticket::Token(id.to_owned())));
        }
        let oauth = self.0.oauth.as_ref().ok_or(Reason::Invalid)?;
        let (user, until) = oauth.user_of(token).await?;
        Ok((user, Ticket::OAuth(until)))
    }

    /// The OAuth issuer, and how many keys it has now; none if no issuer is configured.
    pub async fn look_at_issuer(&self) -> Option<(String, anyhow::Result<usize>)> {
        match &self.0.oauth {
            Some(oauth) => Some(oauth.look().await),
            None => None,
        }
    }

    /// What `/.well-known/oauth-protected-resource` says (RFC 9728); none without an OAuth issuer.
    #[must_use]
    pub fn protected_resource_metadata(&self) -> Option<Value> {
        self.0.oauth.as_ref().map(OAuth::metadata)
    }
}

impl Admitted {
    /// Waits until the call must not stay open: its token was revoked or has ended. For answers that are
    /// streams; one that was let in without a token stays open until tokens are asked for.
    pub async fn ended(&self) {
        loop {
            let over = match &self.ticket {
                // Tokens may be asked for by now.
                Ticket::None => self.access.is_required(),
                Ticket::Token(id) => !self.access.0.tokens.is_good(id),
                Ticket::OAuth(until) => *until <= Timestamp::now(),
            };
            if over {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Result<&str, Reason> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let field = fields.next().ok_or(Reason::Missing)?;
    // Of two, what is in between may have looked at the other one.
    if fields.next().is_some() {
        return Err(Reason::Invalid);
    }
    let text = field.to_str().map_err(|_| Reason::Invalid)?;
    let (scheme, token) = text.split_once(' ').ok_or(Reason::Invalid)?;
    let token = token.trim_matches(' ');
    match scheme.eq_ignore_ascii_case("bearer") && (1..=LONGEST_TOKEN).contains(&token.len()) {
        true => Ok(token),
        false => Err(Reason::Invalid),
    }
}

#[cfg(test)]
mod tests;
