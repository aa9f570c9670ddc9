//! Whether a configuration can be worked by: each value, and what goes together.

use std::collections::BTreeSet;

use anyhow::{Context, anyhow, bail};
use secrecy::ExposeSecret;
use segue_workflows::{
    model,
    upstream::{Endpoint, Profile, clean},
};

use super::{Config, values::review_seconds};
use crate::{access, cli::ServeArgs};

/// Bytes of a user's name: what a search attribute holds.
const LONGEST_USER: usize = 255;
/// Bytes of a model's name.
const LONGEST_MODEL: usize = 200;
/// The highest price of a million tokens that is believed.
const MOST_EXPENSIVE: f64 = 1e6;
/// The largest budget of calls in 30 s: far more than any upstream bears.
const MOST_CALLS: u32 = 100_000;

impl Config {
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

    /// The same configuration, if it can be worked by.
    pub(super) fn check(self) -> anyhow::Result<Self> {
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
}

/// What Temporal takes as a build id.
fn is_version(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
