//! The endpoint: requests by async-openai, answers by our own reader.
//!
//! Endpoints that call themselves compatible leave out parts of the request's form. One that refuses a
//! request because of such a part gets it again without, and is remembered to do so. That takes no risk: a
//! refused request cost nothing and did nothing.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{
        ChatCompletionMessageToolCall, ChatCompletionMessageToolCalls,
        ChatCompletionRequestAssistantMessage, ChatCompletionRequestAssistantMessageContent,
        ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage,
        ChatCompletionRequestSystemMessageContent, ChatCompletionRequestToolMessage,
        ChatCompletionRequestToolMessageContent, ChatCompletionRequestUserMessage,
        ChatCompletionRequestUserMessageContent, ChatCompletionStreamOptions, ChatCompletionTool,
        ChatCompletionTools, CreateChatCompletionRequest, FunctionCall, FunctionObject,
        ResponseFormat, ResponseFormatJsonSchema,
    },
};
use futures::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::{
    pieces::Pieces,
    refusal::Refusal,
    sender::Sender,
    talk::{Ask, Message, Reply},
};
use crate::{
    error::ErrorCode,
    upstream::{UpstreamError, clean},
};

/// Bytes of a model's name.
const LONGEST_NAME: usize = 200;

/// A part of the request that an endpoint may not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Without {
    /// `response_format`: the form of the answer stands in the words as well.
    Form,
    /// `stream_options`: the usage is estimated then.
    UsageInStream,
    /// `max_completion_tokens`: `max_tokens` is its older name.
    CompletionTokens,
    /// `parallel_tool_calls`.
    ParallelCalls,
}

/// The endpoint of a model.
pub(super) struct Endpoint {
    client: Client<OpenAIConfig>,
    sender: Sender,
    base: String,
    key: SecretString,
    name: String,
    /// What it has refused to know.
    unknown: Mutex<Vec<Without>>,
}

impl Endpoint {
    pub(super) fn new(
        base_url: &str,
        key: &SecretString,
        name: &str,
        patience: Duration,
    ) -> Result<Self, String> {
        let base = address(base_url)?;
        let key = key.expose_secret().trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("OPENAI_API_KEY holds characters that no key has".to_owned());
        }
        if name.is_empty() || name.len() > LONGEST_NAME || clean(name) != name {
            return Err(format!(
                "model must be a name of 1 to {LONGEST_NAME} characters"
            ));
        }
        // Every field is set, or it would be read from the environment.
        let sender = Sender::new(patience)?;
        let config = OpenAIConfig::new()
            .with_api_base(&base)
            .with_api_key(key)
            .with_org_id("")
            .with_project_id("");
        Ok(Self {
            client: Client::build(reqwest_13::Client::new(), config)
                .with_http_service(sender.clone()),
            sender,
            base,
            key: SecretString::from(key),
            name: name.to_owned(),
            unknown: Mutex::new(Vec::new()),
        })
    }

    pub(super) async fn ask(
        &self,
        ask: &Ask,
        told: impl Fn(&str) + Send,
    ) -> Result<Reply, UpstreamError> {
        let mut stream = loop {
            let unknown = self.unknown();
            let request = request(&self.name, ask, &unknown)?;
            let chat = self.client.chat();
            match chat.create_stream_byot::<_, Value>(request).await {
                Ok(stream) => break stream,
                Err(error) => match refusal_of(error) {
                    Ok(refusal) => match refusal.unknown_part() {
                        Some(part) if !unknown.contains(&part) => self.note_unknown(part),
                        _ => return Err(refusal.into_error()),
                    },
                    Err(error) => return Err(in_our_words(&error)),
                },
            }
        };
        let mut pieces = Pieces::default();
        while let Some(piece) = stream.next().await {
            pieces.take(&piece.map_err(|error| in_our_words(&error))?)?;
            told(pieces.text());
        }
        pieces.finish(ask.estimate())
    }

    /// Whether the endpoint lists this model: a question that costs nothing. Nothing if it does not list any.
    pub(super) async fn lists_it(&self) -> Result<Option<bool>, UpstreamError> {
        let url = format!("{}/models", self.base);
        let answer = self.sender.get(&url, self.key.expose_secret()).await;
        let answer = answer.map_err(|error| in_our_words(&OpenAIError::Reqwest(error)))?;
        let text = match answer {
            Ok(text) => text,
            // It is there, and has no list.
            Err(refusal) if matches!(refusal.status, 404 | 405 | 501) => return Ok(None),
            Err(refusal) => return Err(refusal.into_error()),
        };
        let listed: Value = serde_json::from_str(&text).unwrap_or_default();
        Ok(listed["data"].as_array().map(|models| {
            let mut ids = models.iter().filter_map(|model| model["id"].as_str());
            ids.any(|id| id == self.name)
        }))
    }

    fn unknown(&self) -> Vec<Without> {
        self.unknown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note_unknown(&self, part: Without) {
        tracing::info!(
            ?part,
            "the model's endpoint does not know this: it is asked without"
        );
        self.unknown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(part);
    }
}

/// The address as the client wants it: without a slash at the end.
fn address(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("OPENAI_BASE_URL is no URL: {error}"))?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
        return Err(
            "OPENAI_BASE_URL must be an http(s) URL with nothing but a host and a path".to_owned(),
        );
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The refusal that this failure is, or the failure.
fn refusal_of(error: OpenAIError) -> Result<Refusal, OpenAIError> {
    match error {
        OpenAIError::Boxed(inner) => match inner.downcast::<Refusal>() {
            Ok(refusal) => Ok(*refusal),
            Err(inner) => Err(OpenAIError::Boxed(inner)),
        },
        error => Err(error),
    }
}

/// A failure that is no refusal. Its own words may hold the request.
fn in_our_words(error: &OpenAIError) -> UpstreamError {
    let (code, message) = match error {
        OpenAIError::Reqwest(error) if error.is_timeout() => (
            ErrorCode::ModelUnavailable,
            "the model gave no answer in time",
        ),
        OpenAIError::Reqwest(error) if error.is_connect() => (
            ErrorCode::ModelUnavailable,
            "the model's endpoint cannot be reached",
        ),
        OpenAIError::Reqwest(_) | OpenAIError::StreamError(_) => (
            ErrorCode::ModelUnavailable,
            "the connection to the model's endpoint broke",
        ),
        OpenAIError::JSONDeserialize(..) => (
            ErrorCode::BadModelAnswer,
            "the model's endpoint answered what is no JSON",
        ),
        _ => (
            ErrorCode::Internal,
            "the request to the model could not be made",
        ),
    };
    UpstreamError::new(code, message)
}

/// The request as JSON, with what the endpoint gave its calls to have back: the published form has no place
/// for that.
fn request(name: &str, ask: &Ask, unknown: &[Without]) -> Result<Value, UpstreamError> {
    let request = serde_json::to_value(published(name, ask, unknown));
    let mut request = request.map_err(|_| {
        let words = "the request to the model could not be made";
        UpstreamError::new(ErrorCode::Internal, words)
    })?;
    for (place, message) in ask.messages.iter().enumerate() {
        let Message::Assistant { calls, .. } = message else {
            continue;
        };
        for (number, call) in calls.iter().enumerate() {
            let said = request.pointer_mut(&format!("/messages/{place}/tool_calls/{number}"));
            if let (Some(Value::Object(said)), Some(extra)) = (said, &call.extra) {
                said.insert("extra_content".to_owned(), extra.clone());
            }
        }
    }
    Ok(request)
}

/// The request, without what the endpoint does not know.
fn published(name: &str, ask: &Ask, unknown: &[Without]) -> CreateChatCompletionRequest {
    let knows = |part| !unknown.contains(&part);
    let tools: Vec<ChatCompletionTools> = ask
        .tools
        .iter()
        .map(|tool| {
            ChatCompletionTools::Function(ChatCompletionTool {
                function: FunctionObject {
                    name: tool.name.clone(),
                    description: Some(tool.description.clone()),
                    parameters: Some(tool.parameters.clone()),
                    strict: None,
                },
            })
        })
        .collect();
    let form = ask.form.as_ref().filter(|_| knows(Without::Form));
    #[expect(
        deprecated,
        reason = "the older name of the same bound, for endpoints that know no other"
    )]
    CreateChatCompletionRequest {
        model: name.to_owned(),
        messages: ask.messages.iter().map(message).collect(),
        stream: Some(true),
        stream_options: knows(Without::UsageInStream).then_some(ChatCompletionStreamOptions {
            include_usage: Some(true),
            include_obfuscation: None,
        }),
        max_completion_tokens: knows(Without::CompletionTokens).then_some(ask.most_tokens),
        max_tokens: (!knows(Without::CompletionTokens)).then_some(ask.most_tokens),
        response_format: form.map(|form| ResponseFormat::JsonSchema {
            json_schema: ResponseFormatJsonSchema {
                name: form.name.clone(),
                description: None,
                schema: form.schema.clone(),
                strict: Some(true),
            },
        }),
        parallel_tool_calls: (!tools.is_empty() && knows(Without::ParallelCalls)).then_some(true),
        tools: (!tools.is_empty()).then_some(tools),
        ..CreateChatCompletionRequest::default()
    }
}

fn message(message: &Message) -> ChatCompletionRequestMessage {
    match message {
        Message::System { text } => {
            ChatCompletionRequestMessage::System(ChatCompletionRequestSystemMessage {
                content: ChatCompletionRequestSystemMessageContent::Text(text.clone()),
                name: None,
            })
        }
        Message::User { text } => {
            ChatCompletionRequestMessage::User(ChatCompletionRequestUserMessage {
                content: ChatCompletionRequestUserMessageContent::Text(text.clone()),
                name: None,
            })
        }
        Message::Tool { call_id, text } => {
            ChatCompletionRequestMessage::Tool(ChatCompletionRequestToolMessage {
                content: ChatCompletionRequestToolMessageContent::Text(text.clone()),
                tool_call_id: call_id.clone(),
            })
        }
        Message::Assistant { text, calls } => {
            let calls: Vec<_> = calls
                .iter()
                .map(|call| {
                    ChatCompletionMessageToolCalls::Function(ChatCompletionMessageToolCall {
                        id: call.id.clone(),
                        function: FunctionCall {
                            name: call.name.clone(),
                            arguments: call.arguments.clone(),
                        },
                    })
                })
                .collect();
            let text = (!text.is_empty()).then(|| text.clone());
            ChatCompletionRequestMessage::Assistant(ChatCompletionRequestAssistantMessage {
                content: text.map(ChatCompletionRequestAssistantMessageContent::Text),
                tool_calls: (!calls.is_empty()).then_some(calls),
                ..ChatCompletionRequestAssistantMessage::default()
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[test]
    fn an_address_is_a_host_and_a_path() {
        assert_eq!(
            address("https://api.openai.com/v1/").as_deref(),
            Ok("https://api.openai.com/v1")
        );
        assert_eq!(
            address("http://127.0.0.1:8080").as_deref(),
            Ok("http://127.0.0.1:8080")
        );
        for wrong in [
            "",
            "api.openai.com",
            "ftp://x/",
            "https://u:p@x/",
            "https://x/?key=1",
            "https://x/#k",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_or_a_name_that_cannot_be_sent_is_refused_without_being_told() {
        let key = |key: &str| SecretString::from(key.to_owned());
        let base = super::super::DEFAULT_BASE_URL;
        for wrong in ["", "sk-a\nb", "sk-ключ", "a b"] {
            let error = Endpoint::new(base, &key(wrong), "m", PATIENCE)
                .err()
                .expect("refused");
            assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
        }
        assert!(Endpoint::new(base, &key("sk-x"), "", PATIENCE).is_err());
        assert!(Endpoint::new(base, &key("sk-x"), "a\u{200b}", PATIENCE).is_err());
    }

    #[test]
    fn what_an_endpoint_does_not_know_is_left_out() {
        let ask = super::super::choice::question(&[]);
        let whole = request("m", &ask, &[]).expect("JSON");
        assert_eq!(whole["response_format"]["json_schema"]["strict"], true);
        assert_eq!(whole["stream_options"]["include_usage"], true);
        let all = [
            Without::Form,
            Without::UsageInStream,
            Without::CompletionTokens,
        ];
        let least = request("m", &ask, &all).expect("JSON");
        assert_eq!(least["max_tokens"], whole["max_completion_tokens"]);
        for part in [
            "response_format",
            "stream_options",
            "max_completion_tokens",
            "tools",
        ] {
            assert!(least.get(part).is_none(), "{part}");
        }
    }
}
