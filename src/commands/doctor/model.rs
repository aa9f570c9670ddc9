//! The model: whether one is configured, and whether its endpoint takes the key. Nothing that costs is asked.

use std::time::Duration;

use segue_workflows::error::ErrorCode;
use tokio::time::timeout;

use super::check::Check;
use crate::config::Config;

const PART: &str = "model";
/// How long the endpoint gets to answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn check(config: &Config) -> Check {
    let model = match config.model() {
        Ok(model) => model,
        Err(error) => {
            let mend = "correct OPENAI_API_KEY, OPENAI_BASE_URL or SEGUE_MODEL";
            return Check::broken(PART, error.to_string(), mend);
        }
    };
    let standing = model.standing();
    if !standing.configured {
        let missing = standing.missing.join(" and ");
        return match standing.missing.len() {
            1 => Check::attention(
                PART,
                format!("half configured: {missing} is not set"),
                format!("set {missing}"),
            ),
            _ => Check::ok(PART, "not configured; everything but its choices works"),
        };
    }
    let name = standing.name.unwrap_or_default();
    let there = format!("{name} at {}", standing.endpoint.unwrap_or_default());
    match timeout(PATIENCE, model.is_listed()).await {
        Ok(Ok(Some(true))) => Check::ok(PART, format!("{there}: the key is taken")),
        Ok(Ok(None)) => Check::ok(
            PART,
            format!("{there}: reached; it lists no models, so the key was not tried"),
        ),
        Ok(Ok(Some(false))) => Check::attention(
            PART,
            format!("{there}: the key is taken, but no model of this name is listed"),
            "set SEGUE_MODEL to a model that the endpoint has",
        ),
        Ok(Err(error)) => {
            let mend = match error.code {
                ErrorCode::ModelKeyRefused => "set OPENAI_API_KEY to a key of that endpoint",
                _ => "check the network and OPENAI_BASE_URL",
            };
            Check::broken(PART, format!("{there}: {error}"), mend)
        }
        Err(_) => Check::broken(
            PART,
            format!("{there}: no answer within {} s", PATIENCE.as_secs()),
            "check the network and OPENAI_BASE_URL",
        ),
    }
}
