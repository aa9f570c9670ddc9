//! The model: any endpoint that speaks OpenAI's chat completions.
//!
//! What is pure is apart: [`talk`] has the words of a conversation, [`fence`] makes data of what comes from
//! outside, [`choice`] asks which candidate is meant and reads the answer, [`pieces`] puts a streamed answer
//! together. `client` speaks to the endpoint; it tries nothing again, because attempts cost money and belong
//! to the policy of the workflow's step.

pub mod choice;
mod client;
pub mod fence;
pub mod pieces;
#[cfg(test)]
mod properties;
mod refusal;
mod sender;
pub mod talk;

use std::{fmt, sync::Arc, time::Duration};

use schemars::JsonSchema;
use secrecy::SecretString;
use segue_spans::{attribute, failed};
use serde::Serialize;
use tracing::{Instrument, Span};

use self::client::Endpoint;
pub use self::talk::{Ask, Message, Reply, ToolCall, ToolSpec, Usage};
use crate::{
    error::ErrorCode,
    upstream::{UpstreamError, clean},
};

/// Where a model is when nobody says.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";
/// Tokens that one sync may use when nobody says: some 600 uncertain tracks.
pub const DEFAULT_TOKENS_PER_SYNC: u64 = 200_000;
/// Tokens that one user's syncs may use in a day when nobody says.
pub const DEFAULT_TOKENS_PER_DAY: u64 = 2_000_000;

/// Seconds that an answer may take when nobody says: less than an attempt of the activity has, so that the
/// attempt fails with our words.
pub const LONGEST_ANSWER_SECONDS: u64 = 110;

/// How the model is reached, and how much of it may be used.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// The address of the endpoint, with its path and without `/chat/completions`.
    pub base_url: String,
    /// The key. It goes nowhere but into the request.
    pub key: Option<SecretString>,
    /// The name of the model.
    pub name: Option<String>,
    /// How long a whole answer may take; at most [`LONGEST_ANSWER_SECONDS`].
    pub patience: Duration,
    /// Tokens that one sync may use.
    pub tokens_per_sync: u64,
    /// Tokens that one user's syncs may use in a day, by UTC.
    pub tokens_per_day: u64,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            base_url: DEFAULT_BASE_URL.to_owned(),
            key: None,
            name: None,
            patience: Duration::from_secs(LONGEST_ANSWER_SECONDS),
            tokens_per_sync: DEFAULT_TOKENS_PER_SYNC,
            tokens_per_day: DEFAULT_TOKENS_PER_DAY,
        }
    }
}

/// Whether there is a model, and what is missing if not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ModelStanding {
    /// Whether it can be asked.
    pub configured: bool,
    /// The model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The host of the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The settings that are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<&'static str>,
    /// What it adds, or would.
    pub adds: &'static str,
    /// Tokens that one sync may use.
    pub tokens_per_sync: u64,
    /// Tokens that one user's syncs may use in a day.
    pub tokens_per_day: u64,
}

/// The model, or its absence. Clones are the same one.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ModelSettings,
    endpoint: Option<Endpoint>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of the endpoint, whose headers hold the key.
        f.debug_struct("Model")
            .field("standing", &self.standing())
            .finish()
    }
}

impl Model {
    /// The model of these settings, not yet reached.
    ///
    /// # Errors
    /// The address or the key has a form that cannot be sent; the sentence says which, without the key.
    pub fn new(settings: ModelSettings) -> Result<Self, String> {
        let endpoint = match (&settings.key, &settings.name) {
            (Some(key), Some(name)) => {
                let patience = settings.patience;
                Some(Endpoint::new(&settings.base_url, key, name, patience)?)
            }
            _ => None,
        };
        Ok(Self {
            inner: Arc::new(Inner { settings, endpoint }),
        })
    }

    /// How it is configured.
    pub fn settings(&self) -> &ModelSettings {
        &self.inner.settings
    }

    /// Whether there is one, and what is missing if not.
    pub fn standing(&self) -> ModelStanding {
        let settings = &self.inner.settings;
        let missing = [
            (settings.key.is_none(), "OPENAI_API_KEY"),
            (settings.name.is_none(), "SEGUE_MODEL"),
        ];
        let host = url::Url::parse(&settings.base_url).ok();
        ModelStanding {
            configured: self.inner.endpoint.is_some(),
            name: settings.name.as_deref().map(clean),
            endpoint: host.and_then(|url| url.host_str().map(str::to_owned)),
            missing: missing
                .into_iter()
                .filter_map(|(is_missing, what)| is_missing.then_some(what))
                .collect(),
            adds: "A model decides between close matches (on_ambiguous: ai), and can do a \
                   sync as agents (strategy: agents). Everything else works \
                   without one.",
            tokens_per_sync: settings.tokens_per_sync,
            tokens_per_day: settings.tokens_per_day,
        }
    }

    /// Whether the endpoint takes the key and lists this model, which costs nothing: for `segue doctor`. Nothing
    /// if there is no model, or the endpoint lists none.
    ///
    /// # Errors
    /// As the [`ErrorCode`]s of the model say.
    pub async fn is_listed(&self) -> Result<Option<bool>, UpstreamError> {
        match &self.inner.endpoint {
            Some(endpoint) => endpoint.lists_it().await,
            None => Ok(None),
        }
    }

    /// Asks it once. `told` gets the text as far as it has come, each time that there is more of it.
    ///
    /// # Errors
    /// As the [`ErrorCode`]s of the model say.
    pub async fn ask(&self, ask: &Ask, told: impl Fn(&str) + Send) -> Result<Reply, UpstreamError> {
        let Some(endpoint) = &self.inner.endpoint else {
            let missing = self.standing().missing.join(" and ");
            return Err(UpstreamError::new(
                ErrorCode::ModelNotConfigured,
                format!("no model is configured: {missing} is not set"),
            ));
        };
        let span = self.span();
        let reply = endpoint.ask(ask, told).instrument(span.clone()).await;
        match &reply {
            Ok(reply) => {
                let tokens = [
                    ("gen_ai.usage.input_tokens", reply.usage.prompt_tokens),
                    ("gen_ai.usage.output_tokens", reply.usage.completion_tokens),
                ];
                for (name, tokens) in tokens {
                    attribute(&span, name, i64::try_from(tokens).unwrap_or(i64::MAX));
                }
            }
            Err(error) => failed(&span, error.code.as_str()),
        }
        reply
    }

    /// The span of a question. The model is not told of the trace.
    fn span(&self) -> Span {
        let standing = self.standing();
        let name = standing.name.unwrap_or_default();
        let span = tracing::info_span!(
            "model",
            otel.name = format!("chat {name}"),
            otel.kind = "client",
        );
        attribute(&span, "gen_ai.operation.name", "chat");
        attribute(&span, "gen_ai.request.model", name);
        if let Some(host) = standing.endpoint {
            attribute(&span, "server.address", host);
        }
        span
    }
}
