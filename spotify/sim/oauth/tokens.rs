//! Grants, codes and tokens: what the accounts service remembers. Pure: the clock is handed in.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::sim::ids;

/// How long an access token lasts: one hour, as on Spotify.
pub(crate) const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(3_600);
/// How long an authorization code may be redeemed (RFC 6749 recommends at most ten minutes).
const CODE_LIFE: Duration = Duration::from_secs(600);

/// A set of OAuth scopes.
pub(crate) type Scopes = BTreeSet<String>;

/// The accounts service's memory. Its values are secrets of a simulation, but it has no `Debug`
/// all the same: a client's log must look the same with the real service.
pub(crate) struct Tokens {
    grants: Vec<Grant>,
    codes: HashMap<String, PendingCode>,
    access: HashMap<String, AccessToken>,
    /// Whether a refresh hands out a new refresh token and ends the old one.
    pub(crate) rotate: bool,
    /// Whether the simulated user refuses consent.
    pub(crate) deny_consent: bool,
}

/// A user's consent, and the refresh token that stands for it.
struct Grant {
    scopes: Scopes,
    refresh_token: String,
    revoked: bool,
}

/// A code that waits to be redeemed, with all that it is bound to.
struct PendingCode {
    redirect_uri: String,
    challenge: String,
    scopes: Scopes,
    expires: Instant,
}

struct AccessToken {
    grant: usize,
    expires: Instant,
}

/// The tokens of a successful request to the token endpoint.
pub(crate) struct Issued {
    pub(crate) access_token: String,
    /// `None` if the refresh token in use stays good.
    pub(crate) refresh_token: Option<String>,
    pub(crate) scopes: Scopes,
}

/// Why a code is not redeemed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CodeError {
    Unknown,
    OtherRedirect,
    WrongVerifier,
}

/// Why a refresh token is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RefreshError {
    Unknown,
    Revoked,
}

/// Why an access token opens nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AccessError {
    Unknown,
    Expired,
}

impl Tokens {
    /// Every refresh token and access token that is remembered.
    pub(crate) fn issued(&self) -> Vec<String> {
        let refresh = self.grants.iter().map(|grant| &grant.refresh_token);
        refresh.chain(self.access.keys()).cloned().collect()
    }

    /// Begins with one grant for `scopes`; returns its refresh token too.
    pub(crate) fn new(scopes: Scopes, rotate: bool) -> (Self, String) {
        let mut tokens = Self {
            grants: Vec::new(),
            codes: HashMap::new(),
            access: HashMap::new(),
            rotate,
            deny_consent: false,
        };
        let grant = tokens.grant(scopes);
        let refresh_token = tokens.grants[grant].refresh_token.clone();
        (tokens, refresh_token)
    }

    /// Records consent, and returns the code to redeem for it.
    pub(crate) fn issue_code(
        &mut self,
        redirect_uri: String,
        challenge: String,
        scopes: Scopes,
        now: Instant,
    ) -> String {
        self.codes.retain(|_, pending| pending.expires > now);
        let code = format!("AQ{}", ids::random_text(126));
        let expires = now + CODE_LIFE;
        self.codes.insert(
            code.clone(),
            PendingCode {
                redirect_uri,
                challenge,
                scopes,
                expires,
            },
        );
        code
    }

    /// Redeems a code, once, if `challenge` (derived from the verifier) fits.
    pub(crate) fn redeem_code(
        &mut self,
        code: &str,
        redirect_uri: &str,
        challenge: &str,
        now: Instant,
    ) -> Result<Issued, CodeError> {
        let pending = self.codes.remove(code).ok_or(CodeError::Unknown)?;
        if pending.expires <= now {
            return Err(CodeError::Unknown);
        }
        if pending.redirect_uri != redirect_uri {
            return Err(CodeError::OtherRedirect);
        }
        if pending.challenge != challenge {
            return Err(CodeError::WrongVerifier);
        }
        let grant = self.grant(pending.scopes);
        let refresh_token = self.grants[grant].refresh_token.clone();
        Ok(self.issue(grant, Some(refresh_token), now))
    }

    /// Issues a new access token for a refresh token.
    pub(crate) fn refresh(
        &mut self,
        refresh_token: &str,
        now: Instant,
    ) -> Result<Issued, RefreshError> {
        let at = self
            .grants
            .iter()
            .position(|grant| grant.refresh_token == refresh_token);
        let at = at.ok_or(RefreshError::Unknown)?;
        if self.grants[at].revoked {
            return Err(RefreshError::Revoked);
        }
        let renewed = self.rotate.then(refresh_token_text);
        if let Some(renewed) = &renewed {
            self.grants[at].refresh_token.clone_from(renewed);
        }
        Ok(self.issue(at, renewed, now))
    }

    /// The scopes that an access token carries.
    pub(crate) fn check(&self, access_token: &str, now: Instant) -> Result<&Scopes, AccessError> {
        let token = self.access.get(access_token).ok_or(AccessError::Unknown)?;
        if token.expires <= now {
            return Err(AccessError::Expired);
        }
        Ok(&self.grants[token.grant].scopes)
    }

    /// Ends the life of every access token.
    pub(crate) fn expire_access(&mut self, now: Instant) {
        for token in self.access.values_mut() {
            token.expires = token.expires.min(now);
        }
    }

    /// Revokes every refresh token, as when a user removes the app. Access tokens live on.
    pub(crate) fn revoke_refresh(&mut self) {
        for grant in &mut self.grants {
            grant.revoked = true;
        }
    }

    /// Replaces the scopes of every grant, and so of every token in use.
    pub(crate) fn set_scopes(&mut self, scopes: &Scopes) {
        for grant in &mut self.grants {
            grant.scopes.clone_from(scopes);
        }
    }

    fn grant(&mut self, scopes: Scopes) -> usize {
        self.grants.push(Grant {
            scopes,
            refresh_token: refresh_token_text(),
            revoked: false,
        });
        self.grants.len() - 1
    }

    fn issue(&mut self, grant: usize, refresh_token: Option<String>, now: Instant) -> Issued {
        let access_token = format!("BQ{}", ids::random_text(126));
        let expires = now + ACCESS_TOKEN_LIFE;
        self.access
            .insert(access_token.clone(), AccessToken { grant, expires });
        Issued {
            access_token,
            refresh_token,
            scopes: self.grants[grant].scopes.clone(),
        }
    }
}

fn refresh_token_text() -> String {
    format!("AQ{}", ids::random_text(129))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes() -> Scopes {
        Scopes::from(["playlist-read-private".to_owned()])
    }

    #[test]
    fn an_access_token_lasts_an_hour() {
        let now = Instant::now();
        let (mut tokens, refresh) = Tokens::new(scopes(), false);
        let access = tokens.refresh(&refresh, now).unwrap().access_token;
        let last = now + ACCESS_TOKEN_LIFE - Duration::from_millis(1);
        assert_eq!(tokens.check(&access, last), Ok(&scopes()));
        assert_eq!(
            tokens.check(&access, now + ACCESS_TOKEN_LIFE),
            Err(AccessError::Expired)
        );
        assert_eq!(tokens.check("made up", now), Err(AccessError::Unknown));
    }

    #[test]
    fn a_refresh_token_stays_unless_rotation_is_on() {
        let now = Instant::now();
        let (mut tokens, refresh) = Tokens::new(scopes(), false);
        assert!(
            tokens
                .refresh(&refresh, now)
                .unwrap()
                .refresh_token
                .is_none()
        );
        tokens.rotate = true;
        let renewed = tokens
            .refresh(&refresh, now)
            .unwrap()
            .refresh_token
            .unwrap();
        assert_eq!(
            tokens.refresh(&refresh, now).err(),
            Some(RefreshError::Unknown)
        );
        assert!(tokens.refresh(&renewed, now).is_ok());
    }

    #[test]
    fn a_code_is_good_once_and_for_ten_minutes() {
        let now = Instant::now();
        let (mut tokens, _) = Tokens::new(scopes(), false);
        let code = tokens.issue_code("r".into(), "c".into(), scopes(), now);
        assert!(tokens.redeem_code(&code, "r", "c", now).is_ok());
        assert_eq!(
            tokens.redeem_code(&code, "r", "c", now).err(),
            Some(CodeError::Unknown)
        );
        let late = tokens.issue_code("r".into(), "c".into(), scopes(), now);
        let redeemed = tokens.redeem_code(&late, "r", "c", now + CODE_LIFE);
        assert_eq!(redeemed.err(), Some(CodeError::Unknown));
    }

    #[test]
    fn a_code_is_bound_to_its_redirect_and_verifier() {
        let now = Instant::now();
        let (mut tokens, _) = Tokens::new(scopes(), false);
        let code = tokens.issue_code("r".into(), "c".into(), scopes(), now);
        assert_eq!(
            tokens.redeem_code(&code, "x", "c", now).err(),
            Some(CodeError::OtherRedirect)
        );
        let code = tokens.issue_code("r".into(), "c".into(), scopes(), now);
        assert_eq!(
            tokens.redeem_code(&code, "r", "x", now).err(),
            Some(CodeError::WrongVerifier)
        );
    }

    #[test]
    fn revoking_ends_refreshing_and_spares_access() {
        let now = Instant::now();
        let (mut tokens, refresh) = Tokens::new(scopes(), false);
        let access = tokens.refresh(&refresh, now).unwrap().access_token;
        tokens.revoke_refresh();
        assert_eq!(
            tokens.refresh(&refresh, now).err(),
            Some(RefreshError::Revoked)
        );
        assert!(tokens.check(&access, now).is_ok());
        tokens.expire_access(now);
        assert_eq!(tokens.check(&access, now), Err(AccessError::Expired));
    }
}
