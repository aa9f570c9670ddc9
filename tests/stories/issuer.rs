//! An OAuth authorization server on this machine: its metadata, its keys, and access tokens signed by keys that
//! are made here.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Whom its tokens are for, and where that is reached.
pub(crate) const AUDIENCE: &str = "https://music.example.com/mcp";

/// The server. It goes on until the test ends.
pub(crate) struct Issuer {
    pub(crate) url: String,
    keys: Arc<Keys>,
}

struct Keys {
    issuer: String,
    /// What is shown at the address of its keys.
    shown: Mutex<Vec<Value>>,
    asked: AtomicUsize,
    broken: Mutex<bool>,
}

/// A key that signs, and its name.
pub(crate) struct Key {
    id: String,
    pair: Pair,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Key {
    /// A new key on the curve that most issuers use.
    pub(crate) fn es256(id: &str) -> Self {
        let random = SystemRandom::new();
        let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).unwrap();
        Self {
            id: id.to_owned(),
            pair: Pair::Es256(pair),
        }
    }

    /// A new key of the other kind.
    pub(crate) fn eddsa(id: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            id: id.to_owned(),
            pair: Pair::EdDsa(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap()),
        }
    }

    /// What everybody may know of it.
    pub(crate) fn public(&self) -> Value {
        match &self.pair {
            Pair::Es256(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(32);
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
                    "x": encoded(x), "y": encoded(y)})
            }
            Pair::EdDsa(pair) => {
                let x = encoded(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.id, "x": x})
            }
        }
    }

    /// A token with these claims and, beside what a token must say, these fields in its header.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let algorithm = match &self.pair {
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
        };
        let mut full = json!({"typ": "at+jwt", "alg": algorithm, "kid": self.id});
        for (field, value) in header.as_object().unwrap() {
            full[field] = value.clone();
        }
        let signed = unsigned(&full, claims);
        let signature = match &self.pair {
            Pair::Es256(pair) => pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap(),
            Pair::EdDsa(pair) => pair.sign(signed.as_bytes()),
        };
        format!("{signed}.{}", encoded(signature.as_ref()))
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({}), claims)
    }

    /// A token that is "signed" by a secret which everybody has: the public key.
    pub(crate) fn token_by_public_key(&self, claims: &Value) -> String {
        let signed = unsigned(&json!({"alg": "HS256", "kid": self.id}), claims);
        let public = self.public()["x"].as_str().unwrap().to_owned();
        let secret = hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes());
        let signature = hmac::sign(&secret, signed.as_bytes());
        format!("{signed}.{}", encoded(signature.as_ref()))
    }
}

/// Header and claims, without a signature.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| encoded(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    /// A server that shows these keys.
    pub(crate) async fn start(keys: &[&Key]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/realm", listener.local_addr().unwrap());
        let keys = Arc::new(Keys {
            issuer: url.clone(),
            shown: Mutex::new(keys.iter().map(|key| key.public()).collect()),
            asked: AtomicUsize::default(),
            broken: Mutex::default(),
        });
        let router = Router::new()
            .route("/realm/.well-known/openid-configuration", get(metadata))
            .route("/realm/keys", get(shown))
            .with_state(keys.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, keys }
    }

    /// Shows these keys from now on.
    pub(crate) fn show(&self, keys: &[&Key]) {
        *self.keys.shown.lock().unwrap() = keys.iter().map(|key| key.public()).collect();
    }

    /// Breaks, or is mended.
    pub(crate) fn breaks(&self, broken: bool) {
        *self.keys.broken.lock().unwrap() = broken;
    }

    /// How often its keys were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.keys.asked.load(Ordering::Relaxed)
    }

    /// Claims of a good token.
    pub(crate) fn claims(&self) -> Value {
        let now = Timestamp::now().as_second();
        json!({"iss": self.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "nbf": now,
            "exp": now + 600, "client_id": "an-assistant", "scope": "openid music:sync"})
    }

    /// The same with other values; a null takes one out.
    pub(crate) fn claims_but(&self, other: &Value) -> Value {
        let mut claims = self.claims();
        for (name, value) in other.as_object().unwrap() {
            match value {
                Value::Null => _ = claims.as_object_mut().unwrap().remove(name),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }
}

async fn metadata(State(keys): State<Arc<Keys>>) -> Json<Value> {
    let issuer = &keys.issuer;
    Json(json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}))
}

async fn shown(State(keys): State<Arc<Keys>>) -> Result<Json<Value>, StatusCode> {
    keys.asked.fetch_add(1, Ordering::Relaxed);
    match *keys.broken.lock().unwrap() {
        true => Err(StatusCode::INTERNAL_SERVER_ERROR),
        false => Ok(Json(json!({"keys": *keys.shown.lock().unwrap()}))),
    }
}
