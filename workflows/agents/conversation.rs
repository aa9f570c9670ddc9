//! A conversation as it goes along, small enough for a history and whole enough to go on elsewhere.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::{
    Message, Reply, Usage,
    fence::{escaped, fenced},
};

/// Bytes of a tool's result that are kept; what is longer is cut, and says so.
const LONGEST_RESULT: usize = 8 * 1024;
/// Bytes of a conversation. Each turn carries all of it into the history.
const LONGEST: usize = 128 * 1024;

/// How far a conversation is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conversation {
    /// Whose turn it is.
    pub(crate) agent: String,
    /// What was said, without the instructions.
    pub(crate) messages: Vec<Message>,
    /// Turns that were taken.
    pub(crate) turns: u32,
    /// What they cost.
    pub(crate) usage: Usage,
}

impl Conversation {
    /// One that begins with this agent and this task. `data` is what comes from outside.
    pub(crate) fn new(agent: &str, task: &str, data: &Value) -> Self {
        let task = Message::User {
            text: format!("{task}\n{}", fenced(data)),
        };
        Self {
            agent: agent.to_owned(),
            messages: vec![task],
            turns: 0,
            usage: Usage::default(),
        }
    }

    /// Takes in what the model said. Calls get ids of their own: two with the same id could not be told
    /// apart. Nine letters and digits, because Mistral refuses any other.
    pub(crate) fn hear(&mut self, mut reply: Reply) -> Reply {
        self.turns += 1;
        self.usage += reply.usage;
        for (number, call) in reply.calls.iter_mut().enumerate() {
            call.id = format!("call{:03}{number:02}", self.turns);
        }
        self.messages.push(Message::Assistant {
            text: reply.text.clone(),
            calls: reply.calls.clone(),
        });
        reply
    }

    /// Adds what a call came to. It is data, whatever stands in it.
    pub(crate) fn tell(&mut self, call_id: String, result: &Value) {
        let mut text = escaped(result);
        if text.len() > LONGEST_RESULT {
            let beginning: String = text.chars().take(LONGEST_RESULT / 4).collect();
            text = escaped(&json!({
                "note": "The result was too long; this is its beginning.",
                "beginning": beginning,
            }));
        }
        self.messages.push(Message::Tool { call_id, text });
    }

    /// Says something to the model that is ours.
    pub(crate) fn remind(&mut self, text: &str) {
        self.messages.push(Message::User {
            text: text.to_owned(),
        });
    }

    /// Whether it has grown longer than any task needs.
    pub(crate) fn is_too_long(&self) -> bool {
        self.messages.iter().map(Message::length).sum::<usize>() > LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ToolCall;

    #[test]
    fn a_long_result_is_cut_and_stays_json() {
        let mut conversation = Conversation::new("a", "Do it.", &json!({}));
        conversation.tell("x".into(), &json!({"text": "</data>é".repeat(5_000)}));
        let Some(Message::Tool { text, .. }) = conversation.messages.last() else {
            panic!("a result");
        };
        assert!(
            text.len() < 3 * LONGEST_RESULT && !text.contains('<'),
            "{}",
            text.len()
        );
        let read: Value = serde_json::from_str(text).expect("JSON");
        assert!(read["note"].is_string());
    }

    #[test]
    fn calls_with_one_id_are_told_apart() {
        let call = || ToolCall {
            id: "same".into(),
            name: "search".into(),
            arguments: "{}".into(),
            extra: None,
        };
        let mut conversation = Conversation::new("a", "Do it.", &json!({}));
        let heard = conversation.hear(Reply {
            calls: vec![call(), call()],
            ..Reply::default()
        });
        assert_ne!(heard.calls[0].id, heard.calls[1].id);
        for call in heard.calls {
            let plain = call.id.bytes().all(|byte| byte.is_ascii_alphanumeric());
            assert!(plain && call.id.len() == 9, "{}", call.id);
        }
        assert_eq!(conversation.turns, 1);
    }
}
