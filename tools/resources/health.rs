//! `segue://health`: how every part is, as `get_health` tells it.

use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource},
};

use super::{JSON, answer, internal};
use crate::{Segue, caching, error::ToolError, icons};

pub(super) const URI: &str = "segue://health";

/// How it stands in the list.
pub(super) fn resource() -> Resource {
    Resource::new(URI, "health")
        .with_title("How Segue is")
        .with_description(
            "The engine, the workers, the limit on calls, the upstream and the model: what is wrong, and \
             what to do about it.",
        )
        .with_mime_type(JSON)
        .with_icons(icons::health())
}

/// It is told also while the engine is not there: then that is what is wrong.
pub(super) async fn read(segue: &Segue, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let health = segue.health().await;
    let text = serde_json::to_string(&health)
        .map_err(|error| internal(&ToolError::engine_failed("write what it found", &error)))?;
    Ok(answer(text, uri, JSON, caching::MOVING_MS))
}
