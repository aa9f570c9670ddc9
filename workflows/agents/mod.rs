//! Durable agents: conversations with a model that survive everything, because each turn is an activity
//! and each tool call runs under the policy of that tool.
//!
//! The pattern is that of Temporal's OpenAI Agents integration. An [`Agent`] has instructions, [`Tool`]s and
//! [`Handoff`]s; [`run`](runner::run) is workflow code that asks the model, calls what it wants called, all
//! calls of a turn beside each other, and passes the conversation on, until an agent gives a final answer.
//! What was answered stands in the history, so that no turn is paid for twice.

pub(crate) mod conversation;
mod provider;
pub(crate) mod runner;
pub(crate) mod tool;

use serde_json::Value;

pub(crate) use self::{
    conversation::Conversation,
    provider::Provider,
    runner::{Ending, run},
    tool::{Tool, ToolFailure, activity_as_tool, workflow_tool},
};
use crate::model::{Message, ToolSpec, talk::AnswerForm};

/// One of those who work on a task.
pub(crate) struct Agent<W> {
    /// Its name: letters and underscores.
    pub(crate) name: &'static str,
    /// What it is told to do.
    pub(crate) instructions: String,
    /// What it can call.
    pub(crate) tools: Vec<Tool<W>>,
    /// To whom it can hand the conversation.
    pub(crate) handoffs: Vec<Handoff>,
    /// The form of its final answer; an agent without one only works and hands on.
    pub(crate) form: Option<AnswerForm>,
}

/// A way from one agent to another.
pub(crate) struct Handoff {
    /// To whom.
    pub(crate) to: &'static str,
    /// When to take it, for the model.
    pub(crate) description: &'static str,
    /// What the next agent gets to see of the conversation.
    pub(crate) filter: fn(Vec<Message>) -> Vec<Message>,
}

/// How a handoff is named among the tools of an agent.
const HANDOFF: &str = "transfer_to_";

impl Handoff {
    fn name(&self) -> String {
        format!("{HANDOFF}{}", self.to)
    }

    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: self.name(),
            description: self.description.to_owned(),
            parameters: serde_json::json!({"type": "object", "properties": {}, "additionalProperties": false}),
        }
    }
}

/// What is checked beside the model's own judgement. Each says what is wrong, if anything is.
#[derive(Clone, Copy)]
pub(crate) struct Guardrails {
    /// Of what the first agent is given.
    pub(crate) input: fn(&Message) -> Result<(), String>,
    /// Of a final answer, which has the form already.
    pub(crate) output: fn(&Value) -> Result<(), String>,
}

impl<W> Agent<W> {
    /// All that it can call, as the model is told of it.
    fn specs(&self) -> Vec<ToolSpec> {
        let tools = self.tools.iter().map(|tool| tool.spec.clone());
        tools
            .chain(self.handoffs.iter().map(Handoff::spec))
            .collect()
    }
}
