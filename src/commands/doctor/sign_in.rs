//! The sign-in to Spotify: whether it works, what it may do, how old it is; and Spotify's clock.

use std::time::SystemTime;

use segue_spotify::auth::{
    AuthError, CredentialSource, Credentials, CredentialsError, SCOPES, Session, Settings,
    StoreError, TokenStore,
};

use super::{check::Check, clock};
use crate::{config::Config, home::Home};

const SIGN_IN: &str = "Spotify sign-in";
const GRANTED: &str = "Spotify scopes";
const AGE: &str = "refresh token";
const CLOCK: &str = "Spotify clock";

const LOGIN: &str = "segue login";
/// Of a sign-in from the environment, which goes before a stored one.
const RENEW: &str =
    "put a new SPOTIFY_REFRESH_TOKEN into the environment, or unset it and run segue login";
/// Days before the end of a sign-in from which a new one is advised.
const SOON: u64 = 14;

pub(super) async fn checks(config: &Config, home: &Home) -> Vec<Check> {
    let all = [SIGN_IN, GRANTED, AGE, CLOCK];
    if config.upstream.is_some() {
        let left = |part| Check::not_checked(part, "left to the configured upstream");
        return all.map(left).into();
    }
    let settings = match Settings::from_env() {
        Ok(settings) => settings,
        Err(error) => {
            let mend = "correct the SPOTIFY_… variables";
            return without(Check::broken(SIGN_IN, error.to_string(), mend));
        }
    };
    let store = TokenStore::new(config.store_policy(), home.secrets_file());
    let session = match Session::new(settings.clone(), store.clone()) {
        Ok(session) => session,
        Err(error) => return without(Check::broken(SIGN_IN, error.to_string(), LOGIN)),
    };
    let mut checks = match Credentials::find(&settings, &store).await {
        Ok(Some(credentials)) => of_credentials(&session, &credentials).await,
        Ok(None) => without(Check::broken(SIGN_IN, "not signed in", LOGIN)),
        Err(error) => without(Check::broken(SIGN_IN, error.to_string(), mend(&error))),
    };
    checks.retain(|check| check.part != CLOCK);
    checks.push(match session.seconds_ahead().await {
        Ok(Some(seconds)) => clock::judged(CLOCK, "Spotify's", seconds),
        Ok(None) => Check::not_checked(CLOCK, "Spotify does not tell its time"),
        Err(error) => Check::broken(
            CLOCK,
            error.to_string(),
            "check the network, and SPOTIFY_API_URL if it is set",
        ),
    });
    checks
}

/// The sign-in, and what cannot be looked at without one.
fn without(sign_in: Check) -> Vec<Check> {
    let rest = [GRANTED, AGE, CLOCK].map(|part| Check::not_checked(part, "there is no sign-in"));
    std::iter::once(sign_in).chain(rest).collect()
}

/// How to sign in anew: what stands in the environment goes before what `segue login` stores.
fn anew(credentials: &Credentials) -> &'static str {
    match credentials.source {
        CredentialSource::Environment => RENEW,
        CredentialSource::Store(_) => LOGIN,
    }
}

fn mend(error: &CredentialsError) -> String {
    match error {
        CredentialsError::Store(StoreError::TooOpen { path, .. }) => {
            format!("chmod 600 '{}'", path.display())
        }
        _ => LOGIN.to_owned(),
    }
}

async fn of_credentials(session: &Session, credentials: &Credentials) -> Vec<Check> {
    let source = match credentials.source {
        CredentialSource::Environment => "from the environment",
        CredentialSource::Store(_) => "stored by segue login",
    };
    match session.check().await {
        Ok(granted) => vec![
            Check::ok(SIGN_IN, format!("works, {source}")),
            scopes(&granted, credentials),
            age(credentials),
        ],
        Err(error @ AuthError::Http(_)) => {
            let mend = "check the network, and SPOTIFY_ACCOUNTS_URL if it is set";
            without(Check::broken(SIGN_IN, error.to_string(), mend))
        }
        Err(error) => {
            let mut checks = without(Check::broken(SIGN_IN, error.to_string(), anew(credentials)));
            // An end that came by itself is told from one that somebody made.
            if credentials.consented_at.is_some() {
                checks.retain(|check| check.part != AGE);
                checks.push(age(credentials));
            }
            checks
        }
    }
}

/// What Spotify says that the sign-in may do; where it does not say, what was granted at the time.
fn scopes(granted: &[String], credentials: &Credentials) -> Check {
    let known = match granted.is_empty() {
        true => &credentials.scopes[..],
        false => granted,
    };
    if known.is_empty() {
        return Check::not_checked(GRANTED, "Spotify does not tell them");
    }
    let missing: Vec<&str> = SCOPES
        .into_iter()
        .filter(|scope| !known.iter().any(|one| one == scope))
        .collect();
    match missing.is_empty() {
        true => Check::ok(GRANTED, "all that a sync needs"),
        false => Check::broken(
            GRANTED,
            format!("missing: {}", missing.join(", ")),
            anew(credentials),
        ),
    }
}

fn age(credentials: &Credentials) -> Check {
    let left = credentials.time_left(SystemTime::now());
    match left.map(|left| left.as_secs() / (24 * 3600)) {
        None => Check::not_checked(AGE, "one from the environment does not tell its age"),
        Some(0) => Check::broken(AGE, "six months old: it has ended, or ends today", LOGIN),
        Some(days) if days < SOON => {
            Check::attention(AGE, format!("it ends in {days} days"), LOGIN)
        }
        Some(days) => Check::ok(AGE, format!("good for {days} days more")),
    }
}
