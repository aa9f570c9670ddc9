//! The keys of an authorization server: fetched when they are first needed, kept, and fetched anew when
//! they are old or a token names one that is not known. How often is ours to say, not a client's.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{Jwk, PublicKeyUse},
};
use reqwest::redirect;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::refusal::Reason;

/// The shortest time between two fetches, whatever tokens come.
pub(super) const PAUSE: Duration = Duration::from_secs(10);
/// Time for one answer of the authorization server.
const PATIENCE: Duration = Duration::from_secs(5);
/// After this time keys are fetched anew.
const FRESH: Duration = Duration::from_secs(3600);
/// After this time keys that could not be fetched anew are no longer believed.
const BELIEVED: Duration = Duration::from_secs(24 * 3600);
/// Bytes of an answer of the authorization server.
const LONGEST_ANSWER: usize = 256 * 1024;
/// Keys of one set.
const MOST_KEYS: usize = 100;

/// The keys of one authorization server. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Keys(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    issuer: String,
    jwks_url: Option<Url>,
    http: reqwest::Client,
    known: RwLock<Option<Arc<Known>>>,
    /// When keys were last asked for. Whoever holds it asks.
    asked: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Known {
    keys: Vec<Key>,
    fetched: Instant,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    /// Of a curve or of RSA: what the key fits.
    family: AlgorithmFamily,
    key: DecodingKey,
}

/// What of an issuer's metadata is read.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    /// The keys of this issuer, not yet fetched: from this address, else from where its metadata says.
    pub(super) fn new(issuer: String, jwks_url: Option<Url>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(PATIENCE)
            .user_agent(concat!("segue/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(Arc::new(Parts {
            issuer,
            jwks_url,
            http,
            known: RwLock::default(),
            asked: Mutex::default(),
        })))
    }

    /// The key by which a token is signed.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, Reason> {
        if let Some(known) = self.known()
            && let Some(key) = known.find(id, algorithm)
        {
            if known.fetched.elapsed() >= FRESH {
                let keys = self.clone();
                tokio::spawn(async move { keys.renew().await });
            }
            return Ok(key);
        }
        self.renew().await;
        match self.known() {
            Some(known) => known.find(id, algorithm).ok_or(Reason::Invalid),
            None => Err(Reason::Unavailable),
        }
    }

    /// How many keys the issuer has now, asked anew.
    pub(super) async fn count(&self) -> anyhow::Result<usize> {
        Ok(self.fetch().await?.len())
    }

    /// What is known, and still believed.
    fn known(&self) -> Option<Arc<Known>> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.clone();
        known.filter(|known| known.fetched.elapsed() < BELIEVED)
    }

    /// Fetches the keys, unless that was done a moment ago.
    async fn renew(&self) {
        let mut asked = self.0.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        *asked = Some(Instant::now());
        match self.fetch().await {
            Ok(keys) => {
                let known = Arc::new(Known {
                    keys,
                    fetched: Instant::now(),
                });
                let mut place = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
                *place = Some(known);
            }
            Err(error) => {
                let issuer = &self.0.issuer;
                tracing::error!("the keys of {issuer} cannot be had: {error:#}");
            }
        }
    }

    async fn fetch(&self) -> anyhow::Result<Vec<Key>> {
        let url = match &self.0.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        read_set(&self.get(&url).await?).with_context(|| format!("the keys at {url}"))
    }

    /// Where the issuer's metadata says that its keys are.
    async fn discover(&self) -> anyhow::Result<Url> {
        let mut problems = Vec::new();
        for url in metadata_urls(&self.0.issuer)? {
            match self.metadata(&url).await {
                Ok(keys) => return Ok(keys),
                Err(error) => problems.push(format!("{error:#}")),
            }
        }
        bail!(
            "its metadata names none ({}); set oauth_jwks_url if it has no metadata",
            problems.join("; ")
        )
    }

    async fn metadata(&self, url: &Url) -> anyhow::Result<Url> {
        let answer = self.get(url).await?;
        let metadata: Metadata =
            serde_json::from_slice(&answer).with_context(|| format!("{url} is no metadata"))?;
        if metadata.issuer != self.0.issuer {
            bail!("{url} is the metadata of another issuer");
        }
        let keys = Url::parse(&metadata.jwks_uri).ok().filter(is_private);
        keys.with_context(|| format!("{url} names no keys behind https, or on this machine"))
    }

    async fn get(&self, url: &Url) -> anyhow::Result<Vec<u8>> {
        let mut answer = self
            .0
            .http
            .get(url.clone())
            .header(http::header::ACCEPT, "application/json")
            .send()
            .await?;
        if answer.status() != http::StatusCode::OK {
            bail!("{url} answers {}", answer.status());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST_ANSWER {
                bail!("{url} answers more than {LONGEST_ANSWER} bytes");
            }
        }
        Ok(bytes)
    }
}

impl Known {
    /// The key of this id; of a token that names none, the only one that fits.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let name = format!("{algorithm:?}");
        let mut fitting = self.keys.iter().filter(|key| {
            key.family == algorithm.family()
                && key.algorithm.as_ref().is_none_or(|own| *own == name)
                && id.is_none_or(|id| key.id.as_deref() == Some(id))
        });
        let first = fitting.next()?;
        let alone = fitting.next().is_none();
        alone.then(|| first.key.clone())
    }
}

/// Whether nobody on the way can change what is fetched from there.
pub(super) fn is_private(url: &Url) -> bool {
    let on_this_machine = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && on_this_machine)
}

/// Where an issuer's metadata may be: OpenID Connect puts its path behind the issuer's, RFC 8414 before.
fn metadata_urls(issuer: &str) -> anyhow::Result<Vec<Url>> {
    let root = Url::parse(issuer)?;
    let path = root.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut url = root.clone();
        url.set_path(&path);
        url
    };
    let mut urls = vec![
        at(format!("{path}/.well-known/openid-configuration")),
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("/.well-known/openid-configuration{path}")),
    ];
    urls.dedup();
    if path.is_empty() {
        urls.truncate(2);
    }
    Ok(urls)
}

/// The keys of a set that tokens can be checked by; others are left out.
fn read_set(bytes: &[u8]) -> anyhow::Result<Vec<Key>> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(bytes).context("they are no JSON Web Key Set")?;
    if set.keys.len() > MOST_KEYS {
        bail!("there are more than {MOST_KEYS} of them");
    }
    let keys: Vec<Key> = set.keys.into_iter().filter_map(read_key).collect();
    if keys.is_empty() {
        bail!("there is none among them that an access token can be checked by");
    }
    Ok(keys)
}

fn read_key(value: Value) -> Option<Key> {
    let algorithm = value["alg"].as_str().map(str::to_owned);
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let signs = match &jwk.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => true,
        Some(_) => false,
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let family = key.family();
    (signs && family != AlgorithmFamily::Hmac).then_some(Key {
        id: jwk.common.key_id,
        algorithm,
        family,
        key,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    fn known(keys: Value) -> Known {
        let keys = read_set(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        Known {
            keys,
            fetched: Instant::now(),
        }
    }

    #[test]
    fn a_key_is_found_by_its_id_and_only_for_its_algorithm() {
        let ec = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "one", "alg": "ES256"});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "two", "use": "sig"});
        let known = known(json!([ec, ed]));
        assert!(known.find(Some("one"), Algorithm::ES256).is_some());
        assert!(known.find(Some("one"), Algorithm::ES384).is_none());
        assert!(known.find(Some("one"), Algorithm::EdDSA).is_none());
        assert!(known.find(Some("two"), Algorithm::EdDSA).is_some());
        assert!(known.find(Some("three"), Algorithm::ES256).is_none());
        assert!(known.find(None, Algorithm::ES256).is_some());
    }

    #[test]
    fn of_several_keys_without_a_name_none_is_guessed() {
        let one = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "one"});
        let two = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "two"});
        let known = known(json!([one, two]));
        assert!(known.find(None, Algorithm::ES256).is_none());
        assert!(known.find(Some("two"), Algorithm::ES256).is_some());
    }

    #[test]
    fn keys_that_sign_nothing_or_are_no_secret_are_left_out() {
        let ec = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "one"});
        let shared = json!({"kty": "oct", "k": "AAAA", "kid": "one"});
        let encrypts =
            json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "one", "use": "enc"});
        let strange = json!({"kty": "none", "kid": "one", "alg": "XY1"});
        let known = known(json!([ec, shared, encrypts, strange]));
        assert_eq!(known.keys.len(), 1);
        for none in [json!([]), json!([{"kty": "oct", "k": "AAAA"}])] {
            assert!(read_set(json!({ "keys": none }).to_string().as_bytes()).is_err());
        }
        assert!(read_set(b"<html>").is_err());
    }

    #[test]
    fn metadata_is_looked_for_where_it_may_be() {
        let urls = |issuer| -> Vec<String> {
            let urls = metadata_urls(issuer).unwrap();
            urls.iter().map(Url::to_string).collect()
        };
        assert_eq!(
            urls("https://id.example.com/"),
            [
                "https://id.example.com/.well-known/openid-configuration",
                "https://id.example.com/.well-known/oauth-authorization-server",
            ]
        );
        assert_eq!(
            urls("https://id.example.com/realms/me"),
            [
                "https://id.example.com/realms/me/.well-known/openid-configuration",
                "https://id.example.com/.well-known/oauth-authorization-server/realms/me",
                "https://id.example.com/.well-known/openid-configuration/realms/me",
            ]
        );
    }

    #[test]
    fn keys_come_by_https_or_from_this_machine() {
        for (url, private) in [
            ("https://id.example.com/keys", true),
            ("http://127.0.0.1:80/keys", true),
            ("http://[::1]/keys", true),
            ("http://localhost/keys", true),
            ("http://id.example.com/keys", false),
            ("http://localhost.example.com/keys", false),
            ("file:///etc/keys", false),
        ] {
            assert_eq!(is_private(&Url::parse(url).unwrap()), private, "{url}");
        }
    }
}
