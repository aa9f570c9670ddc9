//! What the answer of each endpoint says, read by the program's own client over real HTTP, without an engine.
//! The words of the streams are ours, their forms are those that recordings show:
//! `tests/data/model_streams/README.md` says which recordings.

use segue_workflows::{
    error::ErrorCode,
    model::{Message, Model, ModelSettings, Reply, ToolCall, choice},
    upstream::UpstreamError,
};
use serde_json::{Value, json};

use crate::{
    scripted_model::{KEY, Order, ScriptedModel},
    support::with_tls,
};

macro_rules! stream {
    ($name:literal) => {
        include_str!(concat!("../data/model_streams/", $name, ".txt"))
    };
}

/// What the streams of text say, without what is around it.
const CHOICE: &str =
    r#"{"rows":[{"row":0,"candidate":0,"confidence":0.93,"reason":"the same recording"}]}"#;

/// The answer to a question and what was said since, and the request.
async fn answer(
    stream: &'static str,
    since: Vec<Message>,
) -> (Result<Reply, UpstreamError>, Value) {
    with_tls();
    let scripted = ScriptedModel::default();
    scripted.order([Order::Stream(stream)]);
    let model = Model::new(ModelSettings {
        base_url: scripted.serve().await,
        key: Some(KEY.to_owned().into()),
        name: Some("scripted-1".to_owned()),
        ..ModelSettings::default()
    });
    let mut ask = choice::question(&[]);
    ask.messages.extend(since);
    let reply = model.unwrap().ask(&ask, |_| {}).await;
    scripted.assert_well_asked();
    let request = scripted.requests().remove(0);
    (reply, request)
}

async fn read(stream: &'static str) -> Result<Reply, UpstreamError> {
    answer(stream, Vec::new()).await.0
}

#[tokio::test]
async fn the_text_and_the_usage_of_each_are_read() {
    let in_a_block = format!("```json\n{CHOICE}\n```");
    let thought =
        "<think>\nThe first candidate {\"candidate\": 0} has the same album.\n</think>\n\n";
    let after_thoughts = format!("{thought}{CHOICE}");
    for (stream, text, usage) in [
        (stream!("azure"), CHOICE, (402, 91)),
        (stream!("cortex_claude"), CHOICE, (440, 35)),
        (stream!("mistral"), CHOICE, (388, 36)),
        (stream!("mistral_parts"), CHOICE, (391, 58)),
        (stream!("openrouter_claude"), in_a_block.as_str(), (431, 38)),
        (stream!("perplexity"), CHOICE, (377, 34)),
        (
            stream!("thinking_aloud"),
            after_thoughts.as_str(),
            (420, 63),
        ),
    ] {
        let reply = read(stream).await.unwrap();
        assert_eq!(reply.text, text);
        let told = (reply.usage.prompt_tokens, reply.usage.completion_tokens);
        assert_eq!(told, usage, "{stream}");
        assert!(
            reply.calls.is_empty() && reply.refusal.is_none(),
            "{stream}"
        );
    }
}

#[tokio::test]
async fn the_calls_of_each_are_read() {
    let song = json!({"title": "Clocks", "artist": "Coldplay"});
    let isrc = json!({"isrc": "GBAYE0200771"});
    for (stream, calls, text, tokens) in [
        (
            stream!("openai_calls"),
            vec![
                ("call_SegueSearchOne", "search", &song),
                ("call_SegueSearchTwo", "search_by_isrc", &isrc),
            ],
            "",
            413,
        ),
        (
            stream!("openrouter_claude_call"),
            vec![("toolu_bdrk_01SegueSearch", "search", &song)],
            "",
            705,
        ),
        (
            stream!("groq_call"),
            vec![("fc_5e90e000-0000-4000-8000-000000000002", "search", &song)],
            "",
            353,
        ),
        (
            stream!("mistral_call"),
            vec![("Se9ueCa11", "search", &song)],
            "",
            187,
        ),
        (
            stream!("ollama_call"),
            vec![("call_5e9ue001", "search", &song)],
            "",
            235,
        ),
        (
            stream!("deepseek_call"),
            vec![("call_00_SegueSearch", "search", &song)],
            "I look for it.",
            330,
        ),
        (
            stream!("gemini_calls"),
            vec![
                ("function-call-1", "search", &song),
                ("function-call-2", "search_by_isrc", &isrc),
            ],
            "",
            242,
        ),
    ] {
        let reply = read(stream).await.unwrap();
        let arguments: Vec<Value> = reply
            .calls
            .iter()
            .map(|call| serde_json::from_str(&call.arguments).unwrap())
            .collect();
        let told: Vec<_> = reply
            .calls
            .iter()
            .zip(&arguments)
            .map(|(call, arguments)| (call.id.as_str(), call.name.as_str(), arguments))
            .collect();
        assert_eq!(told, calls);
        assert_eq!((reply.text.as_str(), reply.usage.tokens()), (text, tokens));
    }
}

#[tokio::test]
async fn a_stream_that_an_endpoint_breaks_off_is_no_answer_and_says_why() {
    for (stream, words) in [
        (stream!("groq_broke_off"), "Tool call validation failed"),
        (stream!("openrouter_broke_off"), "Token limit reached"),
    ] {
        let error = read(stream).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ModelUnavailable);
        assert!(error.message.contains(words), "{}", error.message);
    }
}

#[tokio::test]
async fn what_an_endpoint_wants_back_with_a_call_is_sent_back() {
    let reply = read(stream!("gemini_calls")).await.unwrap();
    let results = reply.calls.iter().map(|call| Message::Tool {
        call_id: call.id.clone(),
        text: "{}".to_owned(),
    });
    let said = Message::Assistant {
        text: String::new(),
        calls: reply.calls.clone(),
    };
    let since = std::iter::once(said).chain(results).collect();
    let (next, request) = answer(stream!("gemini"), since).await;
    assert!(next.is_ok(), "{next:?}");
    let calls = &request["messages"][2]["tool_calls"];
    assert_eq!(calls[0]["id"], "function-call-1", "{request:#}");
    assert_eq!(
        calls[0]["extra_content"],
        json!({"google": {"thought_signature": "U2VndWUncyBvd24="}})
    );
    assert!(calls[1].get("extra_content").is_none(), "{request:#}");

    // A history from before has none.
    let older = json!({"id": "a", "name": "search", "arguments": "{}"});
    let call: ToolCall = serde_json::from_value(older.clone()).unwrap();
    assert_eq!(serde_json::to_value(&call).unwrap(), older);
}
