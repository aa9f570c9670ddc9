//! The configuration: flags over `SEGUE_…` variables over `segue.toml` over the defaults.

mod secret;

use std::{
    collections::BTreeSet,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use config::{Environment, File, FileFormat, Source};
use secrecy::{ExposeSecret, SecretString};
use segue_spotify::auth::StorePolicy;
use segue_workflows::{
    comparison::Prices,
    gate::{self, GateSettings},
    matching::DEFAULT_THRESHOLD,
    model::{self, Model, ModelSettings},
    notices::{Form, Receiver, Webhook},
    review::{AtDeadline, ReviewTerms},
    sync::McpConnection,
    upstream::{Endpoint, Profile, Upstream, clean},
    worker::WorkerSettings,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
};

pub use self::secret::Secret;
use crate::{
    access,
    cli::{LogFormat, ServeArgs, Settings, TokenStorePlace},
    engine::EngineOptions,
    home::{HOME_VARIABLE, Home},
    http::Names,
    sealing::Sealing,
};

/// Who the user is when nobody says: on a person's own machine there is only one.
const DEFAULT_USER: &str = "local";
/// What is logged when nobody says. rmcp reports a client that has left as an error; it is none.
/// Where the page of metrics is, is told: nobody else knows the port when the system chooses it.
const DEFAULT_LOG: &str = "warn,segue::metrics=info,segue::http=info,rmcp::service=off";
/// Bytes of a user's name: what a search attribute holds.
const LONGEST_USER: usize = 255;
/// How long a review waits when nobody says.
const DEFAULT_REVIEW: &str = "7d";
/// The longest time that a review may wait, in seconds: a year.
const LONGEST_REVIEW: u64 = 366 * 24 * 3600;
/// Bytes of a model's name.
const LONGEST_MODEL: usize = 200;
/// The highest price of a million tokens that is believed.
const MOST_EXPENSIVE: f64 = 1e6;
/// The largest budget of calls in 30 s: far more than any upstream bears.
const MOST_CALLS: u32 = 100_000;

/// The effective configuration. Its fields are the keys of `segue.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The user whose syncs these are.
    pub user: String,
    /// The upstream: a command line or an http(s) URL. Unset: the bundled server.
    /// Either may hold a secret.
    #[serde(deserialize_with = "secret", serialize_with = "untold")]
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
    #[serde(deserialize_with = "folders")]
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
    #[serde(deserialize_with = "listed")]
    pub http_hosts: Vec<String>,
    /// The web pages that may call it, by origin.
    #[serde(deserialize_with = "listed")]
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

impl Config {
    /// The home and the configuration that these flags, the environment and the file make.
    ///
    /// # Errors
    /// A key or a value that is not right; the message names it, where it stands, and the nearest
    /// key there is.
    pub fn load(flags: &Settings) -> anyhow::Result<(Home, Self)> {
        let home = match &flags.home {
            Some(root) => Home::at(root)?,
            None => Home::from_env()?,
        };
        let config = Self::read(flags, &home, Environment::with_prefix("SEGUE"))?;
        Ok((home, config))
    }

    /// As [`Config::load`], with this home and these variables.
    ///
    /// # Errors
    /// As there.
    pub fn read(flags: &Settings, home: &Home, environment: Environment) -> anyhow::Result<Self> {
        let file = home.config_file();
        let in_file = File::from(file.clone())
            .format(FileFormat::Toml)
            .required(false);
        let environment = environment.ignore_empty(true);
        let unreadable = || format!("the configuration cannot be read ({})", file.display());
        // Where the home is has been decided by now. In the file it would come too late.
        let mut keys = environment.collect().with_context(unreadable)?;
        keys.remove("home");
        keys.extend(in_file.collect().with_context(unreadable)?);
        // Before anything is built from them: to the builder `user[99999999]` is a place in a list,
        // which it would make.
        if let Some(key) = keys.keys().filter(|key| !keys_known().contains(*key)).min() {
            bail!(
                "there is no setting {key:?} (in {} or as {HOME_PREFIX}{} in the environment); \
                 the nearest is {:?}",
                file.display(),
                key.to_uppercase(),
                nearest(key),
            );
        }
        let sources = config::Config::builder()
            .add_source(in_file)
            .add_source(environment)
            .set_override_option("user", flags.user.clone())?
            .set_override_option("upstream", told(&flags.upstream))?
            .set_override_option("upstream_profile", flags.upstream_profile.clone())?
            .set_override_option("temporal_cli", path(&flags.temporal_cli)?)?
            .set_override_option("engine_cache", path(&flags.engine_cache)?)?
            .set_override_option("match_threshold", flags.match_threshold)?
            .set_override_option("import_folders", paths(&flags.import_folders)?)?
            .set_override_option("review_deadline", flags.review_deadline.clone())?
            .set_override_option("at_review_deadline", flags.at_review_deadline.clone())?
            .set_override_option("upstream_budget", flags.upstream_budget)?
            .set_override_option("breaker_failures", flags.breaker_failures)?
            .set_override_option("canary", flags.canary)?
            .set_override_option("worker_version", flags.worker_version.clone())?
            .set_override_option("log", flags.log.clone())?
            .set_override_option("log_format", flags.log_format.map(name_of))?
            .set_override_option("metrics", flags.metrics.clone())?
            .set_override_option("oauth_issuer", flags.oauth_issuer.clone())?
            .set_override_option("oauth_audience", flags.oauth_audience.clone())?
            .set_override_option("oauth_resource", flags.oauth_resource.clone())?
            .set_override_option("oauth_jwks_url", flags.oauth_jwks_url.clone())?
            .set_override_option("oauth_scope", flags.oauth_scope.clone())?
            .set_override_option("user_calls_per_minute", flags.user_calls_per_minute)?
            .set_override_option("user_calls_at_once", flags.user_calls_at_once)?
            .set_override_option("token_store", flags.token_store.map(name_of))?
            .set_override_option("encrypt_payloads", flags.encrypt_payloads)?
            .set_override_option("payload_key_file", path(&flags.payload_key_file)?)?
            .set_override_option("model", flags.model.clone())?
            .set_override_option("agents_share", flags.agents_share)?
            .set_override_option("agent_connection", flags.agent_connection.clone())?
            .set_override_option("model_prompt_price", flags.model_prompt_price)?
            .set_override_option("model_completion_price", flags.model_completion_price)?
            .set_override_option("model_timeout_seconds", flags.model_timeout_seconds)?
            .set_override_option("model_tokens_per_sync", flags.model_tokens_per_sync)?
            .set_override_option("model_tokens_per_day", flags.model_tokens_per_day)?
            .build()
            .with_context(unreadable)?;
        let config: Self = sources
            .try_deserialize()
            .context("the configuration has a value that is not right")?;
        config.check()
    }

    fn check(self) -> anyhow::Result<Self> {
        if !(0.0..=1.0).contains(&self.match_threshold) {
            bail!(
                "match_threshold is {}; it must be from 0.0 to 1.0",
                self.match_threshold
            );
        }
        if let Some(folder) = self.import_folders.iter().find(|f| !f.is_absolute()) {
            bail!("import_folders has {folder:?}; it must be an absolute path");
        }
        if let Some(file) = self.payload_key_file.as_ref().filter(|f| !f.is_absolute()) {
            bail!("payload_key_file is {file:?}; it must be an absolute path");
        }
        review_seconds(&self.review_deadline)?;
        if !(1..=MOST_CALLS).contains(&self.upstream_budget) {
            bail!(
                "upstream_budget is {}; it must be from 1 to {MOST_CALLS} calls in 30 s",
                self.upstream_budget
            );
        }
        if !(0.0..=1.0).contains(&self.agents_share) {
            bail!(
                "agents_share is {}; it must be from 0.0 to 1.0",
                self.agents_share
            );
        }
        if !(1..=model::LONGEST_ANSWER_SECONDS).contains(&self.model_timeout_seconds) {
            bail!(
                "model_timeout_seconds is {}; it must be from 1 to {}",
                self.model_timeout_seconds,
                model::LONGEST_ANSWER_SECONDS
            );
        }
        let prices = [
            ("model_prompt_price", self.model_prompt_price),
            ("model_completion_price", self.model_completion_price),
        ];
        for (key, price) in prices {
            if price.is_some_and(|price| !(0.0..=MOST_EXPENSIVE).contains(&price)) {
                bail!(
                    "{key} must be what a million tokens cost, from 0 to {MOST_EXPENSIVE} of any currency"
                );
            }
        }
        if self.model_prompt_price.is_some() != self.model_completion_price.is_some() {
            bail!("model_prompt_price and model_completion_price go together: set both or neither");
        }
        if self.model_tokens_per_sync == 0 || self.model_tokens_per_day == 0 {
            bail!(
                "model_tokens_per_sync and model_tokens_per_day must be at least 1; to use no model, \
                 leave model unset"
            );
        }
        if let Some(name) = &self.model
            && (name.trim().is_empty() || name.len() > LONGEST_MODEL || clean(name) != *name)
        {
            bail!("model must be the name of a model, of 1 to {LONGEST_MODEL} bytes");
        }
        if self.breaker_failures == 0 {
            bail!("breaker_failures is 0; it must be at least 1");
        }
        if !(0.0..=1.0).contains(&self.canary) {
            bail!("canary is {}; it must be from 0.0 to 1.0", self.canary);
        }
        if let Some(version) = &self.worker_version
            && !is_version(version)
        {
            bail!("worker_version is {version:?}; it must be 1 to 100 letters, digits and \"._-\"");
        }
        if self.user.trim().is_empty() || self.user.len() > LONGEST_USER {
            bail!("user must be a name of 1 to {LONGEST_USER} bytes");
        }
        self.metrics_address()?;
        self.http_address()?;
        self.http_names()?;
        access::check(&self)?;
        self.receiver()?;
        if let Some(upstream) = &self.upstream {
            let upstream = Endpoint::parse(upstream.expose_secret());
            upstream.map_err(|problem| anyhow!("upstream: {problem}"))?;
        }
        if let Some(name) = &self.upstream_profile {
            Profile::choose(Some(name), &BTreeSet::new()).context("upstream_profile")?;
        }
        Ok(self)
    }

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

    /// The same configuration, with the flags of `segue serve` over it.
    ///
    /// # Errors
    /// One of them is not right.
    pub(crate) fn serving(mut self, flags: &ServeArgs) -> anyhow::Result<Self> {
        if let Some(http) = &flags.http {
            self.http = Some(http.clone());
        }
        for (flags, setting) in [
            (&flags.hosts, &mut self.http_hosts),
            (&flags.origins, &mut self.http_origins),
        ] {
            if !flags.is_empty() {
                setting.clone_from(flags);
            }
        }
        self.check()
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

    fn receiver(&self) -> anyhow::Result<Option<Receiver>> {
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

fn secret<'de, D: Deserializer<'de>>(value: D) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(value).map(|text| text.map(SecretString::from))
}

/// Serialised is only what keys there are, and what doctor shows; that shows the upstream's label.
fn untold<S: Serializer>(_: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_none()
}

fn told(given: &Option<SecretString>) -> Option<String> {
    given.as_ref().map(|text| text.expose_secret().to_owned())
}

/// The time that a review has, in seconds; a day is 24 hours.
fn review_seconds(text: &str) -> anyhow::Result<u64> {
    let span: Option<jiff::Span> = text.parse().ok();
    let time = span.and_then(|span| {
        let days = jiff::SpanRelativeTo::days_are_24_hours();
        span.to_duration(days).ok()
    });
    let seconds = time.and_then(|time| u64::try_from(time.as_secs()).ok());
    match seconds {
        Some(seconds @ 1..=LONGEST_REVIEW) => Ok(seconds),
        _ => bail!(
            "review_deadline is {text:?}; it must be a number with a unit, such as \"7d\" or \"36h\", \
             from a second to a year"
        ),
    }
}

/// The address that a setting names; a port alone is one of the loopback address.
fn address(key: &str, text: &str, example: &str) -> anyhow::Result<SocketAddr> {
    let on_loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let port = text.parse().map(on_loopback);
    port.or_else(|_| text.parse()).map_err(|_| {
        anyhow!("{key} is {text:?}; it must be a port, or an address such as {example}")
    })
}

/// What Temporal takes as a build id.
fn is_version(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The variables that may hold a key to the receiver of traces. An upstream server of somebody else's does not
/// get them.
const RECEIVER_KEYS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
];

const HOME_PREFIX: &str = "SEGUE_";

fn path(given: &Option<PathBuf>) -> anyhow::Result<Option<String>> {
    given.as_deref().map(absolute).transpose()
}

/// As [`path`], of a flag that may be repeated; nothing if it was not given.
fn paths(given: &[PathBuf]) -> anyhow::Result<Option<Vec<String>>> {
    let paths: Result<Vec<_>, _> = given.iter().map(|path| absolute(path)).collect();
    paths.map(|paths| Some(paths).filter(|paths| !paths.is_empty()))
}

/// A path of the command line as text; a relative one begins where the program was started.
fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)?;
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| anyhow!("{} is not UTF-8", path.display()))
}

/// A list of folders, or in the environment a text as of `PATH`.
fn folders<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let split = |text: &str| std::env::split_paths(text).collect::<Vec<_>>();
    let folders = deserializer.deserialize_any(List {
        split,
        what: "a list of folders",
    })?;
    let folders = folders.into_iter();
    Ok(folders.filter(|f| !f.as_os_str().is_empty()).collect())
}

/// A list of names, or in the environment a text with commas between them.
fn listed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let split = |text: &str| {
        let names = text.split(',').map(str::trim);
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let names = deserializer.deserialize_any(List {
        split,
        what: "a list of names",
    })?;
    Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
}

/// Reads a list, or a text that is one.
struct List<T> {
    split: fn(&str) -> Vec<T>,
    what: &'static str,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.what)
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<T>, E> {
        Ok((self.split)(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

/// The name that a setting's value has in the file.
fn name_of(value: impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The keys that there are.
fn keys_known() -> BTreeSet<String> {
    let keys = serde_json::to_value(Config::default()).unwrap_or_default();
    let keys = keys.as_object().into_iter().flat_map(|keys| keys.keys());
    keys.cloned().collect()
}

fn nearest(key: &str) -> String {
    // A key made to be long would take long to compare.
    let key: String = key.chars().take(100).collect();
    keys_known()
        .into_iter()
        .min_by_key(|known| strsim::damerau_levenshtein(known, &key))
        .unwrap_or_default()
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    pub(super) fn read(
        flags: &Settings,
        file: &str,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Config> {
        let folder = tempfile::tempdir()?;
        let home = Home::at(folder.path())?;
        std::fs::write(home.config_file(), file)?;
        let variables: HashMap<String, String> = variables
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        Config::read(
            flags,
            &home,
            Environment::with_prefix("SEGUE").source(Some(variables)),
        )
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = "user = 'file'\nlog = 'info'\nmatch_threshold = 0.5";
        let variables = [("SEGUE_USER", "variable"), ("SEGUE_LOG", "debug")];
        let flags = Settings {
            user: Some("flag".into()),
            ..Settings::default()
        };
        let config = read(&flags, file, &variables).expect("readable");
        assert_eq!(
            (config.user.as_str(), config.log.as_str()),
            ("flag", "debug")
        );
        assert_eq!(config.match_threshold, 0.5);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest() {
        for (file, variables) in [
            ("upsteam = 'x'", &[][..]),
            ("", &[("SEGUE_UPSTEAM", "x")][..]),
        ] {
            let error = read(&Settings::default(), file, variables).expect_err("refused");
            let message = format!("{error:#}");
            assert!(message.contains("\"upsteam\""), "{message}");
            assert!(message.contains("nearest is \"upstream\""), "{message}");
        }
    }

    #[test]
    fn a_key_is_never_a_place_in_a_list() {
        // The library would make the list, of some hundred gigabytes.
        for (file, variables) in [
            ("'user[4000000000]' = 'x'", &[][..]),
            ("'user.log' = 'x'", &[][..]),
            ("", &[("SEGUE_USER[-4000000000]", "x")][..]),
        ] {
            let error = read(&Settings::default(), file, variables).expect_err("refused");
            assert!(error.to_string().contains("nearest is \"user\""), "{error}");
        }
    }

    #[test]
    fn a_home_in_the_file_comes_too_late() {
        let error = read(&Settings::default(), "home = '/x'", &[("SEGUE_HOME", "/y")]);
        let message = error.expect_err("refused").to_string();
        assert!(message.contains("\"home\""), "{message}");
    }

    #[test]
    fn a_wrong_value_is_an_error_that_names_its_key() {
        for (file, key) in [
            ("match_threshold = 2.0", "match_threshold"),
            ("match_threshold = 'high'", "match_threshold"),
            ("import_folders = ['music']", "import_folders"),
            ("import_folders = [5]", "import_folders"),
            ("import_folders = 5", "import_folders"),
            ("review_deadline = 'soon'", "review_deadline"),
            ("review_deadline = '0s'", "review_deadline"),
            ("review_deadline = '2y'", "review_deadline"),
            ("at_review_deadline = 'ask'", "at_review_deadline"),
            ("upstream = \"uvx 'open\"", "upstream"),
            ("upstream_profile = 'nobody'", "upstream_profile"),
            ("user = ' '", "user"),
            ("upstream_budget = 0", "upstream_budget"),
            ("upstream_budget = -5", "upstream_budget"),
            ("breaker_failures = 0", "breaker_failures"),
            ("canary = 5", "canary"),
            ("canary = 'half'", "canary"),
            ("worker_version = 'a b'", "worker_version"),
            ("log_format = 'xml'", "log_format"),
            ("metrics = 'everywhere'", "metrics"),
            ("metrics = 70000", "metrics"),
            ("metrics = 'localhost'", "metrics"),
            ("oauth_issuer = 'https://id.example.com'", "oauth_audience"),
            (
                "oauth_issuer = 'http://id.example.com'\noauth_audience = 'https://a/mcp'",
                "oauth_issuer",
            ),
            (
                "oauth_issuer = 'https://a'\noauth_audience = 'segue'",
                "oauth_resource",
            ),
            ("oauth_audience = 'https://a/mcp'", "oauth_issuer"),
            ("encrypt_payloads = 'perhaps'", "encrypt_payloads"),
            ("payload_key_file = 'keys.json'", "payload_key_file"),
            ("user_calls_per_minute = 0", "user_calls_per_minute"),
            ("user_calls_at_once = 0", "user_calls_at_once"),
            ("user = 'oauth:0'", "user"),
            ("model = ' '", "model"),
            ("agents_share = 50", "agents_share"),
            ("agent_connection = 'both'", "agent_connection"),
            ("model_prompt_price = -1.0", "model_prompt_price"),
            ("model_prompt_price = 1.0", "model_completion_price"),
            ("model_timeout_seconds = 200", "model_timeout_seconds"),
            ("model_tokens_per_sync = 0", "model_tokens_per_sync"),
            ("webhook_url = 'hooks.example.com'", "webhook_url"),
            ("webhook_url = 'http://example.com/'", "webhook_url"),
            ("webhook_url = 'https://example.com/'", "webhook_secret"),
            ("webhook_secret = 'whsec_x'", "webhook_url"),
            ("webhook_form = 'xml'", "webhook_form"),
        ] {
            let message = format!(
                "{:#}",
                read(&Settings::default(), file, &[]).expect_err("refused")
            );
            assert!(message.contains(key), "{file}: {message}");
        }
    }

    #[test]
    fn folders_to_import_from_are_a_list_and_in_the_environment_a_path() {
        let file = "import_folders = ['/music', '/lists: mine']";
        let folders = |flags: &Settings, file, variables: &[(&str, &str)]| {
            let config = read(flags, file, variables).expect("readable");
            config.tool_settings().import_folders
        };
        let list = ["/music", "/lists: mine"].map(PathBuf::from);
        assert_eq!(folders(&Settings::default(), file, &[]), list);
        let joined = std::env::join_paths(["/a", "/b"]).expect("joined");
        let variable = [("SEGUE_IMPORT_FOLDERS", joined.to_str().expect("text"))];
        let pair = ["/a", "/b"].map(PathBuf::from);
        assert_eq!(folders(&Settings::default(), file, &variable), pair);
        let flags = Settings {
            import_folders: vec!["/flag".into()],
            ..Settings::default()
        };
        assert_eq!(
            folders(&flags, file, &variable),
            ["/flag"].map(PathBuf::from)
        );
        assert!(folders(&Settings::default(), "", &[]).is_empty());
    }

    #[test]
    fn a_review_waits_as_long_as_is_said() {
        for (file, seconds) in [("", 604_800), ("review_deadline = '36h'", 129_600)] {
            let config = read(&Settings::default(), file, &[]).expect("readable");
            assert_eq!(config.tool_settings().review.seconds, seconds);
        }
    }

    #[test]
    fn a_port_for_the_metrics_is_one_of_this_machine_alone() {
        let address = |file| {
            let config = read(&Settings::default(), file, &[]).expect("readable");
            let address = config.metrics_address().expect("an address or none");
            address.map(|address| address.to_string())
        };
        assert_eq!(address(""), None);
        for (file, expected) in [
            ("metrics = 9464", "127.0.0.1:9464"),
            ("metrics = '0'", "127.0.0.1:0"),
            ("metrics = '0.0.0.0:9464'", "0.0.0.0:9464"),
            ("metrics = '[::1]:9464'", "[::1]:9464"),
        ] {
            assert_eq!(address(file).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_webhook_is_taken_from_the_environment_and_shown_nowhere() {
        let url = "https://hooks.example.com/verysecret";
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let variables = [("SEGUE_WEBHOOK_URL", url), ("SEGUE_WEBHOOK_SECRET", secret)];
        let config = read(&Settings::default(), "", &variables).expect("readable");
        assert!(config.tool_settings().notify);
        let shown = format!(
            "{config:?} {}",
            serde_json::to_string(&config).expect("JSON")
        );
        assert!(shown.contains("set (hidden)"), "{shown}");
        assert!(
            !shown.contains("verysecret") && !shown.contains("MfKQ"),
            "{shown}"
        );
        for wrong in ["http://example.com/verysecret", "verysecret"] {
            let variables = [
                ("SEGUE_WEBHOOK_URL", wrong),
                ("SEGUE_WEBHOOK_SECRET", secret),
            ];
            let error = read(&Settings::default(), "", &variables).expect_err("refused");
            assert!(!format!("{error:#}").contains("verysecret"), "{error:#}");
        }
        let slack = [("SEGUE_WEBHOOK_URL", url), ("SEGUE_WEBHOOK_FORM", "slack")];
        assert!(read(&Settings::default(), "", &slack).is_ok());
    }

    #[test]
    fn the_home_in_the_environment_is_no_unknown_key() {
        assert!(read(&Settings::default(), "", &[("SEGUE_HOME", "/tmp/x")]).is_ok());
    }
}
