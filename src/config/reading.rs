//! The configuration as it is read: flags, the environment and the file, the first over the second over the third.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use config::{Environment, File, FileFormat, Source};
use secrecy::{ExposeSecret, SecretString};

use super::{Config, values::name_of};
use crate::{cli::Settings, home::Home};

const HOME_PREFIX: &str = "SEGUE_";

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
}

fn told(given: &Option<SecretString>) -> Option<String> {
    given.as_ref().map(|text| text.expose_secret().to_owned())
}

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

/// The keys that there are.
pub(super) fn keys_known() -> BTreeSet<String> {
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
