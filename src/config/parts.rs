//! What each part of Segue is told of the configuration.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, anyhow, bail};
use secrecy::{ExposeSecret, SecretString};
use segue_spotify::auth::StorePolicy;
use segue_workflows::{
    comparison::Prices,
    gate::GateSettings,
    model::{self, Model, ModelSettings},
    notices::{Form, Receiver, Webhook},
    review::ReviewTerms,
    upstream::{Endpoint, Upstream},
    worker::WorkerSettings,
};

use super::{
    Config, Secret,
    values::{address, name_of, review_seconds},
};
use crate::{
    cli::TokenStorePlace,
    engine::EngineOptions,
    home::{HOME_VARIABLE, Home},
    http::Names,
    sealing::Sealing,
};

/// The variables that may hold a key to the receiver of traces. An upstream server of somebody else's does not
/// get them.
const RECEIVER_KEYS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
];

impl Config {
    /// What the engine is to be.
    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            temporal: self.temporal_cli.clone(),
            cache_dir: self.engine_cache.clone(),
            search_attributes: segue_workflows::names::search_attributes()
                .map(str::to_owned)
                .to_vec(),
            sealing: Sealing {
                encrypt: self.encrypt_payloads,
                key_file: self.payload_key_file.clone(),
            },
            ..EngineOptions::default()
        }
    }

    /// Where the page of metrics is served; none if there is to be none. A port alone is one of the
    /// loopback address: others see the page only if it is asked for by an address of theirs.
    ///
    /// # Errors
    /// It is neither.
    pub fn metrics_address(&self) -> anyhow::Result<Option<SocketAddr>> {
        let address = |text: &String| address("metrics", text, "127.0.0.1:9464");
        self.metrics.as_ref().map(address).transpose()
    }

    /// Where HTTP is served; none if stdio is. A port alone is one of the loopback address.
    ///
    /// # Errors
    /// It is neither a port nor an address.
    pub fn http_address(&self) -> anyhow::Result<Option<SocketAddr>> {
        let address = |text: &String| address("http", text, "127.0.0.1:8620");
        self.http.as_ref().map(address).transpose()
    }

    /// The names by which the HTTP server is called, and the pages that may call it.
    ///
    /// # Errors
    /// One of them is none.
    pub(crate) fn http_names(&self) -> anyhow::Result<Names> {
        Names::checked(&self.http_hosts, &self.http_origins)
    }

    /// How calls of the upstream are limited.
    pub fn gate_settings(&self) -> GateSettings {
        GateSettings {
            calls_per_window: self.upstream_budget,
            failures: self.breaker_failures,
        }
    }

    /// What the tools are told of the configuration, of a server for clients on this machine.
    pub fn tool_settings(&self) -> segue_tools::Settings {
        segue_tools::Settings {
            match_threshold: self.match_threshold,
            import_folders: self.import_folders.clone(),
            review: ReviewTerms {
                // What cannot be read was refused when the configuration was.
                seconds: review_seconds(&self.review_deadline).unwrap_or_default(),
                at_deadline: self.at_review_deadline,
            },
            notify: self.webhook_url.is_some(),
        }
    }

    /// What the tools are told of agents.
    pub fn agent_settings(&self) -> segue_tools::AgentSettings {
        let prices = self.model_prompt_price.zip(self.model_completion_price);
        segue_tools::AgentSettings {
            share: self.agents_share,
            connection: self.agent_connection,
            prices: prices.map(|(prompt, completion)| Prices { prompt, completion }),
        }
    }

    /// The model, not yet reached. Where it is and its key are OpenAI's own variables, and in no file.
    ///
    /// # Errors
    /// One of them has a form that cannot be used.
    pub fn model(&self) -> anyhow::Result<Model> {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let settings = ModelSettings {
            base_url: variable("OPENAI_BASE_URL").unwrap_or(model::DEFAULT_BASE_URL.to_owned()),
            key: variable("OPENAI_API_KEY").map(SecretString::from),
            name: self.model.clone(),
            patience: Duration::from_secs(self.model_timeout_seconds),
            tokens_per_sync: self.model_tokens_per_sync,
            tokens_per_day: self.model_tokens_per_day,
        };
        Model::new(settings).map_err(|problem| anyhow!(problem))
    }

    /// The way to the webhook, not yet gone; none if there is none.
    ///
    /// # Errors
    /// A setting of it cannot be used; the message tells no secret.
    pub fn webhook(&self) -> anyhow::Result<Option<Webhook>> {
        let webhook = self.receiver()?.map(Webhook::new).transpose();
        webhook.map_err(|problem| anyhow!(problem))
    }

    pub(super) fn receiver(&self) -> anyhow::Result<Option<Receiver>> {
        let secret = self.webhook_secret.as_ref().map(Secret::inner);
        let Some(url) = &self.webhook_url else {
            if secret.is_some() || self.webhook_form != Form::default() {
                bail!("webhook_secret or webhook_form is set, but webhook_url is not");
            }
            return Ok(None);
        };
        let receiver = Receiver::new(url.inner(), secret, self.webhook_form);
        receiver.map(Some).map_err(|problem| anyhow!(problem))
    }

    /// How this process works as a worker.
    ///
    /// # Errors
    /// As [`Config::webhook`].
    pub fn worker_settings(&self) -> anyhow::Result<WorkerSettings> {
        Ok(WorkerSettings {
            member: self.engine_options().identity,
            canary: self.canary,
            version: self.worker_version.clone(),
            import_folders: self.import_folders.clone(),
            webhook: self.webhook()?,
            user: self.user.clone(),
            upstream: self.upstream_label(),
        })
    }

    /// Where the Spotify sign-in is kept.
    pub fn store_policy(&self) -> StorePolicy {
        match self.token_store {
            TokenStorePlace::Auto => StorePolicy::KeyringThenFile,
            TokenStorePlace::File => StorePolicy::FileOnly,
        }
    }

    /// The upstream, not yet reached. The bundled one is this very program, with this home.
    ///
    /// # Errors
    /// The program does not know where it is itself.
    pub fn upstream(&self, home: &Home) -> anyhow::Result<Upstream> {
        let endpoint = match &self.upstream {
            Some(given) => {
                Endpoint::parse(given.expose_secret()).map_err(|problem| anyhow!(problem))?
            }
            None => self.bundled(home)?,
        };
        Ok(Upstream::new(endpoint, self.upstream_profile.clone()))
    }

    /// The upstream in words that tell no secret: a command line or a URL may hold one.
    pub fn upstream_label(&self) -> String {
        let upstream = self.upstream.as_ref().map(SecretString::expose_secret);
        match upstream.map(Endpoint::parse) {
            Some(Ok(endpoint)) => endpoint.label(),
            _ => "the bundled `segue spotify`".to_owned(),
        }
    }

    fn bundled(&self, home: &Home) -> anyhow::Result<Endpoint> {
        let program = std::env::current_exe().context("where this program is")?;
        let mut env = vec![
            ("SEGUE_TOKEN_STORE", name_of(self.token_store)),
            ("SEGUE_LOG", self.log.clone()),
            ("SEGUE_LOG_FORMAT", name_of(self.log_format)),
        ];
        if let Some(root) = home.root() {
            env.push((HOME_VARIABLE, root.display().to_string()));
        }
        // It goes on with our traces, to the same receiver.
        for name in RECEIVER_KEYS {
            env.extend(std::env::var(name).ok().map(|key| (name, key)));
        }
        let env = env.into_iter();
        let env = env.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
        Ok(Endpoint::Command {
            program: program.display().to_string(),
            args: vec!["spotify".to_owned()],
            env: env.collect(),
        })
    }
}
