//! The words of a conversation with a model, as the history keeps them.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is asked of the model in one turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The tools that it may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
    /// The form that its answer must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<AnswerForm>,
    /// Tokens that its answer may have.
    pub most_tokens: u32,
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum Message {
    /// What we tell the model to do.
    System {
        /// The words.
        text: String,
    },
    /// What it is to work on.
    User {
        /// The words.
        text: String,
    },
    /// What the model said, and which tools it called.
    Assistant {
        /// The words; there may be none beside calls.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
        /// The calls.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<ToolCall>,
    },
    /// What came of a call.
    Tool {
        /// The id that the model gave the call.
        call_id: String,
        /// The result, as JSON.
        text: String,
    },
}

impl Message {
    /// Its length in bytes, the arguments of calls included.
    pub fn length(&self) -> usize {
        match self {
            Self::System { text } | Self::User { text } | Self::Tool { text, .. } => text.len(),
            Self::Assistant { text, calls } => {
                text.len() + calls.iter().map(ToolCall::length).sum::<usize>()
            }
        }
    }
}

/// A tool that the model wants to be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The id by which the result refers to it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments: meant to be JSON, and not to be trusted to be.
    pub arguments: String,
    /// What the endpoint wants back with the call (`extra_content`), as it gave it. Gemini's models sign
    /// what they thought, and refuse a conversation whose calls have lost their signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Value>,
}

impl ToolCall {
    /// Its length in bytes.
    fn length(&self) -> usize {
        let extra = self.extra.as_ref().map(|extra| extra.to_string().len());
        self.name.len() + self.arguments.len() + extra.unwrap_or_default()
    }
}

/// A tool as the model is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON schema of its arguments.
    pub parameters: Value,
}

/// The form of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerForm {
    /// Its name: letters and underscores.
    pub name: String,
    /// Its JSON schema.
    pub schema: Value,
}

/// What the model answered in one turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Its words when it refuses to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The tools that it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// What the turn cost.
    pub usage: Usage,
}

/// What the model was used for, in calls and tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Calls that were answered.
    pub calls: u32,
    /// Tokens of the questions.
    pub prompt_tokens: u64,
    /// Tokens of the answers.
    pub completion_tokens: u64,
}

impl Usage {
    /// All tokens.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// Whether the model was not used.
    pub fn is_none(&self) -> bool {
        self.calls == 0
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self
            .completion_tokens
            .saturating_add(other.completion_tokens);
    }
}

impl Ask {
    /// Tokens that the turn may cost at most, about: three bytes a token is less than any usual
    /// tokeniser needs for English, and more for other scripts is what the answer's bound allows for.
    pub fn estimate(&self) -> u64 {
        let messages: usize = self.messages.iter().map(Message::length).sum();
        let tools: usize = self
            .tools
            .iter()
            .map(|tool| tool.description.len() + tool.parameters.to_string().len())
            .sum();
        let form = self
            .form
            .as_ref()
            .map_or(0, |form| form.schema.to_string().len());
        let bytes = messages + tools + form + 16 * self.messages.len();
        (bytes as u64).div_ceil(3) + u64::from(self.most_tokens)
    }
}
