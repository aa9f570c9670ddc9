//! What a tool answers when it cannot do what it was asked: a result that the assistant can act
//! on. JSON-RPC errors are for faults of the protocol alone.

use rmcp::{
    ErrorData,
    handler::server::tool::IntoCallToolResult,
    model::{CallToolResponse, JsonObject},
};
use segue_workflows::upstream::clean;
use serde::Serialize;
use serde_json::json;

use crate::answer;

/// A refused or failed call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message} {next_step}")]
pub struct ToolError {
    /// A stable name for this kind of error.
    pub code: &'static str,
    /// What happened, in one sentence.
    pub message: String,
    /// What to do next.
    pub next_step: String,
    /// The argument that was wrong, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    /// The sync in question, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<String>,
}

impl ToolError {
    fn new(code: &'static str, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            next_step: next_step.into(),
            field: None,
            sync_id: None,
        }
    }

    /// An argument that cannot be accepted. `allowed` says what can.
    pub fn invalid(field: &'static str, problem: impl Into<String>, allowed: &str) -> Self {
        Self {
            field: Some(field),
            ..Self::new(
                "invalid_argument",
                format!("The argument {field} {}.", problem.into()),
                format!("Allowed: {allowed}."),
            )
        }
    }

    /// Arguments that do not have the form of the tool's input schema.
    pub fn unreadable(problem: impl Into<String>) -> Self {
        Self::new(
            "invalid_argument",
            problem,
            "Correct it after the tool's input schema, and call again.",
        )
    }

    /// No sync of this user's has this id.
    pub fn unknown_sync(sync_id: &str) -> Self {
        // No id of ours, so it may be any text.
        let sync_id = clean(sync_id);
        Self {
            sync_id: Some(sync_id.clone()),
            ..Self::new(
                "unknown_sync",
                format!("There is no sync with the id {sync_id:?}."),
                "Call list_syncs to see the ids of your syncs.",
            )
        }
    }

    /// No model is configured, and these settings are missing.
    pub fn no_model(missing: &[&'static str]) -> Self {
        Self::new(
            "model_not_configured",
            format!("No model is configured: {} not set.", missing.join(" and ")),
            "Set them where the server is started; get_health says what a model adds.",
        )
    }

    /// No review of this user's has this id.
    pub fn unknown_review(review_id: &str) -> Self {
        Self::new(
            "unknown_review",
            format!("There is no review with the id {:?}.", clean(review_id)),
            "Call list_reviews to see what waits for review.",
        )
    }

    /// The user was asked, and did not answer.
    pub fn not_answered() -> Self {
        Self::new(
            "not_answered",
            "The user was asked, and did not answer.",
            "The review waits on; ask again when the user wants to decide.",
        )
    }

    /// No answer of this user's has this id.
    pub fn unknown_answer(answer_id: &str) -> Self {
        Self::new(
            "unknown_answer",
            format!(
                "No answer with the id {:?} is remembered.",
                clean(answer_id)
            ),
            "Call list_answers to see what is remembered.",
        )
    }

    /// No schedule of this user's has this id.
    pub fn unknown_schedule(schedule_id: &str) -> Self {
        // No id of ours, so it may be any text.
        Self::new(
            "unknown_schedule",
            format!("There is no schedule with the id {:?}.", clean(schedule_id)),
            "Call list_schedules to see the ids of your schedules.",
        )
    }

    /// The sync is in a state in which this cannot be done.
    pub fn wrong_state(sync_id: &str, message: impl Into<String>, next_step: &str) -> Self {
        Self {
            sync_id: Some(sync_id.to_owned()),
            ..Self::new("wrong_state", message, next_step)
        }
    }

    /// The engine is not there, and did not come in time.
    pub fn engine_unavailable(message: impl Into<String>) -> Self {
        Self::new(
            "engine_unavailable",
            message,
            "Try again in a moment; `segue doctor` says what is wrong with the engine.",
        )
    }

    /// The engine refused or broke during the call.
    pub fn engine_failed(during: &str, error: &dyn std::fmt::Display) -> Self {
        Self::new(
            "engine_failed",
            format!("The engine could not {during}: {error}."),
            "Nothing was lost; call the same tool again. `segue doctor` says what is wrong.",
        )
    }

    /// The upstream failed at something that is asked of it directly.
    pub fn upstream(error: &segue_workflows::error::SyncError) -> Self {
        Self::new(
            error.code.as_str(),
            error.message.clone(),
            error.next_step.clone(),
        )
    }

    /// The same error, of a call that had started this sync before it failed.
    #[must_use]
    pub fn after_start_of(mut self, sync_id: &str) -> Self {
        self.message = format!("The sync has started as {sync_id}, but: {}", self.message);
        self.next_step = format!(
            "Do not start it again: call get_sync_progress with the sync_id {sync_id} in a moment."
        );
        self.sync_id = Some(sync_id.to_owned());
        self
    }

    /// As many syncs are watched as one process watches for a user.
    pub(crate) fn too_many_watched(most: usize) -> Self {
        Self::new(
            "too_many_watched",
            format!("{most} syncs are watched already."),
            "Watch fewer, or read the resource, or call get_sync_progress.",
        )
    }

    /// A user has this many calls open, and makes another.
    pub(crate) fn too_many_calls(most: usize) -> Self {
        Self::new(
            "too_many_calls",
            format!("{most} calls of yours are open."),
            "Wait until some have their answer; do not wait for syncs by many calls at a time.",
        )
    }

    /// It would change what others share, and the user is one of those.
    pub(crate) fn not_for_guests(message: &str, next_step: &str) -> Self {
        Self::new("not_for_guests", message, next_step)
    }

    /// The answer is not there yet.
    pub fn not_yet(message: impl Into<String>) -> Self {
        Self::new("not_yet", message, "Call the same tool again in a moment.")
    }
}

/// The schema of what a tool answers, or fails with: its structured content is the one or the other, and
/// clients that check it take an error for a fault of the server unless the schema knows it.
pub(crate) fn or_error(mut schema: JsonObject) -> JsonObject {
    let error = json!({
        "type": "object",
        "description": "In place of everything else if the call was refused or failed (isError).",
        "required": ["code", "message", "next_step"],
        "properties": {
            "code": {"type": "string", "description": "A stable name for this kind of error."},
            "message": {"type": "string", "description": "What happened, in one sentence."},
            "next_step": {"type": "string", "description": "What to do next."},
            "field": {"type": "string", "description": "The argument that was wrong, if one was."},
            "sync_id": {"type": "string", "description": "The sync in question, if there is one."},
        },
    });
    let properties = schema
        .entry("properties")
        .or_insert_with(|| json!({}))
        .as_object_mut();
    if let Some(properties) = properties {
        properties.insert("error".to_owned(), error);
    }
    if let Some(required) = schema.remove("required") {
        let either = json!([{"required": required}, {"required": ["error"]}]);
        schema.insert("anyOf".to_owned(), either);
    }
    schema
}

#[derive(Serialize)]
struct Wrapped {
    error: ToolError,
}

impl IntoCallToolResult for ToolError {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let sentence = self.to_string();
        let mut result = answer::result(&sentence, &Wrapped { error: self })?;
        result.is_error = Some(true);
        Ok(result.into())
    }
}
