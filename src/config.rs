//! The configuration: flags over `SEGUE_…` variables over `segue.toml` over the defaults.
//!
//! Here are its keys and their defaults; it is read in `reading.rs`, checked in `checking.rs`, and handed to those
//! who work by it in `parts.rs`.

mod checking;
mod parts;
#[cfg(test)]
mod properties;
mod reading;
mod secret;
#[cfg(test)]
mod tests;
mod values;

use std::path::PathBuf;

use secrecy::SecretString;
use segue_workflows::{
    gate, matching::DEFAULT_THRESHOLD, model, notices::Form, review::AtDeadline,
    sync::McpConnection,
};
use serde::{Deserialize, Serialize};

pub use self::secret::Secret;
use crate::{
    access,
    cli::{LogFormat, TokenStorePlace},
};

/// Who the user is when nobody says: on a person's own machine there is only one.
const DEFAULT_USER: &str = "local";
/// What is logged when nobody says. rmcp reports a client that has left as an error; it is none.
/// Where the page of metrics is, is told: nobody else knows the port when the system chooses it.
const DEFAULT_LOG: &str = "warn,segue::metrics=info,segue::http=info,rmcp::service=off";
/// How long a review waits when nobody says.
const DEFAULT_REVIEW: &str = "7d";

/// The effective configuration. Its fields are the keys of `segue.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The user whose syncs these are.
    pub user: String,
    /// The upstream: a command line or an http(s) URL. Unset: the bundled server.
    /// Either may hold a secret.
    #[serde(deserialize_with = "values::secret", serialize_with = "values::untold")]
    pub upstream: Option<SecretString>,
    /// The profile by which the upstream is spoken to. Unset: found from its tools.
    pub upstream_profile: Option<String>,
    /// The Temporal CLI for the managed engine. Unset: found or fetched.
    pub temporal_cli: Option<PathBuf>,
    /// Where a fetched Temporal CLI is kept. Unset: Segue's cache.
    pub engine_cache: Option<PathBuf>,
    /// How sure a match must be, 0.0 to 1.0.
    pub match_threshold: f64,
    /// The folders whose files a call may name for an import, as absolute paths.
    #[serde(deserialize_with = "values::folders")]
    pub import_folders: Vec<PathBuf>,
    /// How long a review waits for the user: a number with a unit, such as "7d" or "36h".
    pub review_deadline: String,
    /// What becomes of a track whose review was not answered by then: `skip` or `best`.
    pub at_review_deadline: AtDeadline,
    /// Calls of the upstream that all workers of the engine make together in 30 s.
    pub upstream_budget: u32,
    /// Failures of the upstream in a row after which nobody calls it for a while.
    pub breaker_failures: u32,
    /// The share of new syncs that take a path which is new in this build, 0.0 to 1.0.
    pub canary: f64,
    /// The build by which an external engine routes syncs to this worker. Unset: it takes any.
    pub worker_version: Option<String>,
    /// What is logged.
    pub log: String,
    /// The form of the log.
    pub log_format: LogFormat,
    /// Where `segue serve` serves HTTP instead of stdio: a port of this machine's own, or an address with
    /// one. Unset: it serves stdio.
    pub http: Option<String>,
    /// The names by which clients call the HTTP server, beside those of the machine itself.
    #[serde(deserialize_with = "values::listed")]
    pub http_hosts: Vec<String>,
    /// The web pages that may call it, by origin.
    #[serde(deserialize_with = "values::listed")]
    pub http_origins: Vec<String>,
    /// Where the page of metrics is served: a port of this machine's own, or an address with one. Unset:
    /// an HTTP server has it at its own address, and nobody else counts.
    pub metrics: Option<String>,
    /// The OAuth authorization server whose access tokens are taken over HTTP. Unset: none is.
    pub oauth_issuer: Option<String>,
    /// Whom such a token must be meant for.
    pub oauth_audience: Option<String>,
    /// The URL at which clients reach /mcp. Unset: the audience, which is a URL then.
    pub oauth_resource: Option<String>,
    /// Where the issuer's keys are. Unset: where its metadata says.
    pub oauth_jwks_url: Option<String>,
    /// The scope that a token must have. Unset: none.
    pub oauth_scope: Option<String>,
    /// Calls over HTTP that one user may make in a minute.
    pub user_calls_per_minute: u32,
    /// Calls over HTTP that one user may have open at once.
    pub user_calls_at_once: u32,
    /// Where the user is told of batches, dead letters, reviews and sign-ins: an https URL. It may hold a secret.
    /// Unset: nowhere.
    pub webhook_url: Option<Secret>,
    /// The secret by which the receiver knows our messages: `whsec_` and base64.
    pub webhook_secret: Option<Secret>,
    /// The form of the messages: `json` or `slack`.
    pub webhook_form: Form,
    /// Where the Spotify sign-in is kept.
    pub token_store: TokenStorePlace,
    /// Whether what the engine keeps is encrypted. Unset: on the managed engine it is, on an external one if
    /// `payload_key_file` is set.
    pub encrypt_payloads: Option<bool>,
    /// The file with the keys for that, as an absolute path. Unset: one in the home.
    pub payload_key_file: Option<PathBuf>,
    /// The name of the model that decides between close matches. Unset: there is none.
    pub model: Option<String>,
    /// The share of syncs of one song that agents do when a call does not say, 0.0 to 1.0.
    pub agents_share: f64,
    /// How an agent speaks with the upstream server: `stateless` or `stateful`.
    pub agent_connection: McpConnection,
    /// What a million tokens of questions to the model cost, in any currency. Unset: unknown.
    pub model_prompt_price: Option<f64>,
    /// What a million tokens of its answers cost.
    pub model_completion_price: Option<f64>,
    /// Seconds that a whole answer of the model may take.
    pub model_timeout_seconds: u64,
    /// Tokens of the model that one sync may use.
    pub model_tokens_per_sync: u64,
    /// Tokens of the model that one user's syncs may use in a day, by UTC.
    pub model_tokens_per_day: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user: DEFAULT_USER.to_owned(),
            upstream: None,
            upstream_profile: None,
            temporal_cli: None,
            engine_cache: None,
            match_threshold: DEFAULT_THRESHOLD,
            import_folders: Vec::new(),
            review_deadline: DEFAULT_REVIEW.to_owned(),
            at_review_deadline: AtDeadline::default(),
            upstream_budget: gate::DEFAULT_CALLS_PER_WINDOW,
            breaker_failures: gate::DEFAULT_FAILURES,
            canary: 1.0,
            worker_version: None,
            log: DEFAULT_LOG.to_owned(),
            log_format: LogFormat::default(),
            http: None,
            http_hosts: Vec::new(),
            http_origins: Vec::new(),
            metrics: None,
            oauth_issuer: None,
            oauth_audience: None,
            oauth_resource: None,
            oauth_jwks_url: None,
            oauth_scope: None,
            user_calls_per_minute: access::DEFAULT_CALLS_PER_MINUTE,
            user_calls_at_once: access::DEFAULT_CALLS_AT_ONCE,
            webhook_url: None,
            webhook_secret: None,
            webhook_form: Form::default(),
            token_store: TokenStorePlace::default(),
            encrypt_payloads: None,
            payload_key_file: None,
            model: None,
            agents_share: 0.0,
            agent_connection: McpConnection::default(),
            model_prompt_price: None,
            model_completion_price: None,
            model_timeout_seconds: model::LONGEST_ANSWER_SECONDS,
            model_tokens_per_sync: model::DEFAULT_TOKENS_PER_SYNC,
            model_tokens_per_day: model::DEFAULT_TOKENS_PER_DAY,
        }
    }
}
