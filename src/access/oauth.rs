//! Access tokens of an OAuth 2.1 authorization server: this server is a resource server (RFC 9068, 9728).

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    OAUTH_PREFIX,
    keys::{self, Keys},
    refusal::Reason,
    signatures,
    tokens::hex,
};
use crate::config::Config;

/// Seconds that the clocks of the issuer and of this machine may be apart.
const LEEWAY: u64 = 30;
/// Bytes of an issuer's, an audience's or a scope's name.
const LONGEST_NAME: usize = 500;
/// Bytes of a subject; OpenID Connect allows 255.
const LONGEST_SUBJECT: usize = 255;
/// Bytes of the hash that stands for issuer and subject.
const USER_BYTES: usize = 16;
/// What kind of token it says it is: none, or an access token. An ID token or a logout token is none.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// What is configured of the authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    issuer: String,
    audience: String,
    resource: Url,
    jwks_url: Option<Url>,
    scope: Option<String>,
}

impl Settings {
    /// What the configuration says; none if it names no issuer.
    pub(super) fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(issuer) = &config.oauth_issuer else {
            let others = [
                ("oauth_audience", &config.oauth_audience),
                ("oauth_resource", &config.oauth_resource),
                ("oauth_jwks_url", &config.oauth_jwks_url),
                ("oauth_scope", &config.oauth_scope),
            ];
            return match others.iter().find(|(_, value)| value.is_some()) {
                Some((key, _)) => bail!("{key} is set without oauth_issuer: set that too"),
                None => Ok(None),
            };
        };
        let issuer_url = private_url("oauth_issuer", issuer)?;
        if issuer_url.query().is_some() || issuer_url.fragment().is_some() {
            bail!("oauth_issuer must be a URL without a query and a fragment");
        }
        let audience = config.oauth_audience.clone().context(
            "oauth_issuer is set without oauth_audience: tokens for other servers would be taken",
        )?;
        if audience.is_empty() || audience.len() > LONGEST_NAME {
            bail!("oauth_audience must be a text of 1 to {LONGEST_NAME} bytes");
        }
        let resource = match &config.oauth_resource {
            Some(url) => private_url("oauth_resource", url)?,
            None => private_url("oauth_audience", &audience).map_err(|_| {
                anyhow!(
                    "oauth_audience is no https URL: set oauth_resource to the URL at which clients \
                     reach /mcp"
                )
            })?,
        };
        let jwks_url = config.oauth_jwks_url.as_deref();
        let jwks_url = jwks_url.map(|url| private_url("oauth_jwks_url", url));
        if let Some(scope) = &config.oauth_scope
            && !is_scope(scope)
        {
            bail!("oauth_scope must be one scope, of 1 to {LONGEST_NAME} plain characters");
        }
        Ok(Some(Self {
            issuer: issuer.clone(),
            audience,
            resource,
            jwks_url: jwks_url.transpose()?,
            scope: config.oauth_scope.clone(),
        }))
    }
}

/// A URL that nobody on the way can speak for.
fn private_url(key: &str, text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text).ok().filter(keys::is_private);
    match url {
        Some(url) if text.len() <= LONGEST_NAME && url.username().is_empty() => Ok(url),
        _ => bail!("{key} must be an https URL, or an http one on this machine"),
    }
}

/// What RFC 6749 calls a scope-token; it goes into a quoted header as it is.
fn is_scope(text: &str) -> bool {
    let plain = |b: u8| (0x21..=0x7e).contains(&b) && !b"\"\\".contains(&b);
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(plain)
}

/// What of a token's claims is read here; `jsonwebtoken` judges the others.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: f64,
    #[serde(default)]
    scope: Value,
    #[serde(default)]
    scp: Value,
    /// What ID tokens have, and access tokens have not.
    #[serde(default, alias = "at_hash", alias = "c_hash")]
    nonce: Option<Value>,
}

/// Whether a claim has this scope: as one text with spaces, as RFC 9068 has it, or as a list, as some
/// issuers do.
fn grants(claim: &Value, scope: &str) -> bool {
    match claim {
        Value::String(text) => text.split(' ').any(|one| one == scope),
        Value::Array(list) => list.iter().any(|one| one.as_str() == Some(scope)),
        _ => false,
    }
}

/// The authorization server whose tokens are taken.
#[derive(Debug)]
pub(super) struct OAuth {
    settings: Settings,
    keys: Keys,
}

impl OAuth {
    pub(super) fn new(settings: Settings) -> anyhow::Result<Self> {
        signatures::install();
        let keys = Keys::new(settings.issuer.clone(), settings.jwks_url.clone())?;
        Ok(Self { settings, keys })
    }

    /// Whose access token it is, and until when it is good.
    pub(super) async fn user_of(&self, token: &str) -> Result<(String, Timestamp), Reason> {
        let header = decode_header(token).map_err(refused)?;
        let is_type = |kind: &String| TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known));
        let is_access_token = header.typ.as_ref().is_none_or(is_type);
        // What a token calls critical would have to be understood.
        if !is_access_token || header.crit.is_some() || !signatures::is_asymmetric(header.alg) {
            return Err(Reason::Invalid);
        }
        let key = self.keys.find(header.kid.as_deref(), header.alg).await?;
        let mut rules = Validation::new(header.alg);
        rules.leeway = LEEWAY;
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.set_issuer(&[&self.settings.issuer]);
        rules.set_audience(&[&self.settings.audience]);
        let claims = decode::<Claims>(token, &key, &rules)
            .map_err(refused)?
            .claims;
        // As one text: an issuer in a list may be one of several.
        if claims.nonce.is_some()
            || claims.iss != self.settings.issuer
            || !(1..=LONGEST_SUBJECT).contains(&claims.sub.len())
        {
            return Err(Reason::Invalid);
        }
        if let Some(scope) = &self.settings.scope
            && !grants(&claims.scope, scope)
            && !grants(&claims.scp, scope)
        {
            return Err(Reason::Scope);
        }
        // The time was judged above; of one beyond what can be written the cast makes the last there is.
        let seconds = (claims.exp as i64).saturating_add(LEEWAY.cast_signed());
        let until = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        Ok((user_id(&claims.iss, &claims.sub), until))
    }

    /// The issuer, and how many keys it has.
    pub(super) async fn look(&self) -> (String, anyhow::Result<usize>) {
        (self.settings.issuer.clone(), self.keys.count().await)
    }

    /// What is told of this server, after RFC 9728.
    pub(super) fn metadata(&self) -> Value {
        let settings = &self.settings;
        let mut metadata = json!({
            "resource": settings.resource.as_str(),
            "resource_name": "Segue",
            "authorization_servers": [settings.issuer],
            "bearer_methods_supported": ["header"],
        });
        if let Some(scope) = &settings.scope {
            metadata["scopes_supported"] = json!([scope]);
        }
        metadata
    }

    /// Where that is: the path of the resource stands behind the well-known one.
    pub(super) fn metadata_url(&self) -> Url {
        let mut url = self.settings.resource.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("/.well-known/oauth-protected-resource{path}"));
        url
    }

    /// The scope that a token must have.
    pub(super) fn scope(&self) -> Option<&str> {
        self.settings.scope.as_deref()
    }
}

/// What a client learns of a token that is not good is that it is not; why, whoever reads the log.
fn refused(error: jsonwebtoken::errors::Error) -> Reason {
    tracing::debug!("an access token was refused: {error}");
    Reason::Invalid
}

/// The user that a subject of an issuer is. A hash, because a subject may be any text, or somebody's address:
/// it goes into ids, queries and search attributes. No other issuer and no local user has the same.
fn user_id(issuer: &str, subject: &str) -> String {
    let mut digest = Sha256::new();
    for part in [issuer, subject] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    format!("{OAUTH_PREFIX}{}", hex(&digest.finalize()[..USER_BYTES]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_two_issuers_are_never_the_same() {
        let ids = [
            user_id("https://a", "ann"),
            user_id("https://b", "ann"),
            user_id("https://a", "bob"),
            user_id("https://aa", "nn"),
            user_id("https://a", "Ann"),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert!(ids.iter().all(|id| id.starts_with(OAUTH_PREFIX)));
        assert_eq!(user_id("https://a", "ann"), ids[0]);
    }

    #[test]
    fn the_metadata_is_where_rfc_9728_looks_for_it() {
        for (audience, expected) in [
            (
                "https://music.example.com/mcp",
                "https://music.example.com/.well-known/oauth-protected-resource/mcp",
            ),
            (
                "https://music.example.com",
                "https://music.example.com/.well-known/oauth-protected-resource",
            ),
        ] {
            let config = Config {
                oauth_issuer: Some("https://id.example.com".into()),
                oauth_audience: Some(audience.into()),
                ..Config::default()
            };
            let settings = Settings::of(&config).unwrap().unwrap();
            let oauth = OAuth::new(settings).unwrap();
            assert_eq!(oauth.metadata_url().as_str(), expected);
        }
    }

    #[test]
    fn a_scope_cannot_leave_its_quotes() {
        assert!(is_scope("music:sync") && is_scope("https://a/b"));
        for wrong in ["", "a b", "a\"b", "a\\b", "a\nb", "é"] {
            assert!(!is_scope(wrong), "{wrong:?}");
        }
    }
}
