//! A model that is none: an OpenAI-compatible endpoint over real HTTP that answers by a rule, or as it was
//! ordered to. It checks every request against the published form of one, and notes what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::{StreamExt, stream};
use jsonschema::Validator;
use segue::client::Launch;
use serde_json::{Value, json};

use crate::scripted_agents;

/// The key that it takes. It must be found nowhere else.
pub(crate) const KEY: &str = "sk-scripted-0123456789abcdef";

/// The published form of a request.
static FORM: LazyLock<Validator> = LazyLock::new(|| {
    let form = include_str!("../data/chat-completions-request.json");
    jsonschema::validator_for(&serde_json::from_str(form).unwrap()).unwrap()
});

/// What it is ordered to answer in place of what its rule says.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// What the rule says.
    AsTheRule,
    /// These words.
    Say(String),
    /// These calls of tools: their names and arguments.
    Call(Vec<(&'static str, &'static str)>),
    /// What the rule says, after so many milliseconds.
    Hold(u64),
    /// These words, so many milliseconds before what the rule says.
    Muse(&'static str, u64),
    /// This stream, as it stands.
    Stream(&'static str),
    /// Words of refusal.
    Refuse,
    /// The first half of what the rule says, and then the connection ends.
    BreakOff,
    /// The first half of what the rule says, ended as if that were all.
    EndEarly,
    /// Nothing, for a very long time.
    Hang,
    /// A status, with a time to come back if it is given.
    Status(u16, Option<u32>, Value),
}

#[derive(Default)]
struct Inside {
    orders: VecDeque<Order>,
    requests: Vec<Value>,
    faults: Vec<String>,
    answers: usize,
}

/// The endpoint. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct ScriptedModel(Arc<Mutex<Inside>>);

impl ScriptedModel {
    /// Serves it, and gives the address to name it by.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = axum::Router::new()
            .route("/v1/chat/completions", post(answer))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// The launch of a server that asks it.
    pub(crate) async fn beside(&self, launch: Launch) -> Launch {
        launch
            .with("OPENAI_BASE_URL", self.serve().await)
            .with("OPENAI_API_KEY", KEY)
            .with("SEGUE_MODEL", "scripted-1")
            .with("SEGUE_MODEL_TIMEOUT_SECONDS", "8")
    }

    /// Orders the next answers, one each.
    pub(crate) fn order(&self, orders: impl IntoIterator<Item = Order>) {
        self.inside().orders.extend(orders);
    }

    /// What it was asked.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.inside().requests.clone()
    }

    /// Answers that it has given whole.
    pub(crate) fn answers(&self) -> usize {
        self.inside().answers
    }

    /// Sees that every request had the published form.
    #[track_caller]
    pub(crate) fn assert_well_asked(&self) {
        let inside = self.inside();
        assert!(inside.faults.is_empty(), "{:#?}", inside.faults);
        assert!(inside.orders.is_empty(), "not asked: {:?}", inside.orders);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    fn note(&self, headers: &HeaderMap, request: &Value) -> Order {
        let mut inside = self.inside();
        let mut faults: Vec<String> = FORM
            .iter_errors(request)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        let key = headers.get(header::AUTHORIZATION);
        if key.and_then(|value| value.to_str().ok()) != Some(&format!("Bearer {KEY}")) {
            faults.push("no key".to_owned());
        }
        inside.faults.extend(faults);
        inside.requests.push(request.clone());
        inside.orders.pop_front().unwrap_or(Order::AsTheRule)
    }
}

async fn answer(
    State(model): State<ScriptedModel>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    let order = model.note(&headers, &request);
    let said = match scripted_agents::said_by_rule(&request) {
        Some(said) => said,
        None => Said {
            text: said_by_rule(&request),
            calls: Vec::new(),
        },
    };
    let half = &said.text[..half_of(&said.text)];
    let done = || model.inside().answers += 1;
    match order {
        Order::AsTheRule => {
            done();
            said.answer()
        }
        Order::Say(words) => {
            done();
            events(text_events(&words, "stop"), false)
        }
        Order::Hold(time) => {
            tokio::time::sleep(Duration::from_millis(time)).await;
            done();
            said.answer()
        }
        Order::Muse(words, time) => {
            done();
            let first = chunk(json!({"role": "assistant", "content": words}), None);
            let mut all = said.events();
            all.insert(0, first);
            let events =
                stream::iter(all.into_iter().enumerate()).then(move |(place, event)| async move {
                    if place == 1 {
                        tokio::time::sleep(Duration::from_millis(time)).await;
                    }
                    Ok::<_, std::io::Error>(Bytes::from(event_line(&event)))
                });
            let end = stream::iter([Ok(Bytes::from_static(DONE))]);
            let body = Body::from_stream(events.chain(end));
            ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
        }
        Order::Call(calls) => {
            done();
            let calls = calls
                .into_iter()
                .map(|(name, arguments)| (name.to_owned(), arguments.to_owned()));
            Said {
                text: String::new(),
                calls: calls.collect(),
            }
            .answer()
        }
        Order::Stream(stream) => {
            done();
            let body = Body::from(stream);
            ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
        }
        Order::Refuse => {
            done();
            let refusal = chunk(json!({"refusal": "I can't help with that."}), None);
            events(
                vec![refusal, chunk(json!({}), Some("stop")), usage()],
                false,
            )
        }
        Order::BreakOff => events(vec![chunk(json!({"content": half}), None)], true),
        Order::EndEarly => events(vec![chunk(json!({"content": half}), None)], false),
        Order::Hang => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Order::Status(status, retry_after, body) => {
            let status = StatusCode::from_u16(status).unwrap();
            let mut response = (status, Json(body)).into_response();
            if let Some(seconds) = retry_after {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
    }
}

/// What it says in a turn.
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) calls: Vec<(String, String)>,
}

impl Said {
    fn answer(self) -> Response {
        events(self.events(), false)
    }

    fn events(self) -> Vec<Value> {
        if self.calls.is_empty() {
            return text_events(&self.text, "stop");
        }
        let mut all = vec![chunk(
            json!({"role": "assistant", "content": self.text}),
            None,
        )];
        for (index, (name, arguments)) in self.calls.into_iter().enumerate() {
            let (one, other) = arguments.split_at(half_of(&arguments));
            let first = json!({"index": index, "id": format!("call_{index}"), "type": "function",
                "function": {"name": name, "arguments": one}});
            let rest = json!({"index": index, "function": {"arguments": other}});
            all.push(chunk(json!({"tool_calls": [first]}), None));
            all.push(chunk(json!({"tool_calls": [rest]}), None));
        }
        all.push(chunk(json!({}), Some("tool_calls")));
        all.push(usage());
        all
    }
}

/// Where the first half of a text ends, between two characters.
fn half_of(text: &str) -> usize {
    let half = text.len() / 2;
    (0..=half)
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0)
}

/// A text in pieces, as a model says it.
fn text_events(text: &str, finish: &str) -> Vec<Value> {
    let letters: Vec<char> = text.chars().collect();
    let pieces = letters.chunks(20).map(|piece| {
        let piece: String = piece.iter().collect();
        chunk(json!({"content": piece}), None)
    });
    let role = chunk(json!({"role": "assistant", "content": ""}), None);
    let ends = [chunk(json!({}), Some(finish)), usage()];
    std::iter::once(role).chain(pieces).chain(ends).collect()
}

fn chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_764_000_000,
        "model": "scripted-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn usage() -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_764_000_000,
        "model": "scripted-1", "choices": [],
        "usage": {"prompt_tokens": 400, "completion_tokens": 50, "total_tokens": 450}})
}

/// The events as a stream, which breaks at its end if it is to.
fn event_line(event: &Value) -> String {
    format!("data: {event}\n\n")
}

/// How a stream ends.
const DONE: &[u8] = b"data: [DONE]\n\n";

fn events(events: Vec<Value>, breaks: bool) -> Response {
    let lines = events.iter().map(event_line).map(Bytes::from);
    let done = (!breaks).then_some(Bytes::from_static(DONE));
    let pieces: Vec<_> = lines.chain(done).map(Ok::<_, std::io::Error>).collect();
    let end = breaks.then(|| Err(std::io::Error::other("the connection ends here")));
    let body = Body::from_stream(
        stream::iter(pieces.into_iter().chain(end)).then(|piece| async { piece }),
    );
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// What a model that reads well says. It is as gullible as can be: an order that stands outside a fence
/// is obeyed, whoever gives it.
fn said_by_rule(request: &Value) -> String {
    let messages = request["messages"].as_array().unwrap();
    let words: Vec<&str> = messages
        .iter()
        .filter_map(|m| m["content"].as_str())
        .collect();
    let all = words.join("\n");
    let (mut outside, mut inside) = (String::new(), String::new());
    let mut rest = all.as_str();
    // The words of our own that name the fence are no fence.
    if let Some(user) = words.get(1) {
        rest = user;
    }
    while let Some((before, after)) = rest.split_once("<data>") {
        outside.push_str(before);
        let (data, behind) = after.split_once("</data>").unwrap_or((after, ""));
        inside.push_str(data);
        rest = behind;
    }
    outside.push_str(rest);
    if let Some(order) = order_in(&outside) {
        return order;
    }
    let asked: Value = serde_json::from_str(&inside).unwrap_or_default();
    let rows: Vec<Value> = asked["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .map(choose)
        .collect();
    json!({ "rows": rows }).to_string()
}

/// An order to the model that stands where only we should speak.
fn order_in(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    let obeyed = [
        "ignore",
        "system:",
        "candidate 1",
        "\"candidate\"",
        "instruction",
    ];
    let found = obeyed.iter().find(|words| text.contains(**words))?;
    Some(
        json!({"rows": [{"row": 0, "candidate": 0, "confidence": 1.0, "reason": found}]})
            .to_string(),
    )
}

/// The first candidate that has the very title and an artist of the song.
fn choose(row: &Value) -> Value {
    let fold = |text: &Value| text.as_str().unwrap_or_default().trim().to_lowercase();
    let song = &row["song"];
    let is_it = |candidate: &&Value| {
        let artists = candidate["artists"].as_array().into_iter().flatten();
        let artist = fold(&song["artist"]);
        fold(&candidate["title"]) == fold(&song["title"])
            && artists.into_iter().any(|name| artist.contains(&fold(name)))
    };
    let chosen = row["candidates"]
        .as_array()
        .into_iter()
        .flatten()
        .find(is_it);
    let number = chosen.map(|candidate| candidate["candidate"].clone());
    json!({"row": row["row"], "candidate": number, "confidence": if number.is_some() { 0.9 } else { 0.4 },
        "reason": "the same title and artist"})
}
