//! What a tool answers: one readable sentence, and the same as structured content.

use rmcp::{
    ErrorData,
    handler::server::tool::IntoCallToolResult,
    model::{
        CallToolResponse, CallToolResult, ContentBlock, CreateTaskResult, InputRequiredResult,
    },
};
use serde::Serialize;

/// A successful answer.
pub(crate) struct Answer<T> {
    /// For the person.
    pub sentence: String,
    /// For the program: it follows the tool's output schema.
    pub data: T,
}

impl<T: Serialize> IntoCallToolResult for Answer<T> {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        Ok(result(&self.sentence, &self.data)?.into())
    }
}

/// The answer of a call that may have to ask the user first, or starts what takes long.
pub(crate) enum Reply<T> {
    /// What the call came to.
    Answer(Answer<T>),
    /// A question; the client calls again with what the user says.
    Ask(InputRequiredResult),
    /// The task that goes on.
    Task(CreateTaskResult),
}

impl<T: Serialize> IntoCallToolResult for Reply<T> {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        match self {
            Self::Answer(answer) => answer.into_call_tool_result(),
            Self::Ask(question) => Ok(CallToolResponse::InputRequired(question)),
            Self::Task(task) => Ok(CallToolResponse::Task(task)),
        }
    }
}

/// The sentence, the data as JSON text for clients that know no structured content, and the data.
pub(crate) fn result(sentence: &str, data: &impl Serialize) -> Result<CallToolResult, ErrorData> {
    let data = serde_json::to_value(data)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let mut result = CallToolResult::success(vec![
        ContentBlock::text(sentence),
        ContentBlock::text(data.to_string()),
    ]);
    result.structured_content = Some(data);
    Ok(result)
}
