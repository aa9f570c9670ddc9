//! A streamed answer, put together piece by piece.
//!
//! Endpoints differ in what they leave out: ids and places of calls, a finish, the usage. What is missing
//! is made up for where that is safe; an answer that was cut short is an error, never an answer.
//! docs/models.md lists the differences; `tests/stories/model_streams.rs` has a stream of each.

use serde_json::Value;

use super::talk::{Reply, ToolCall, Usage};
use crate::{
    error::ErrorCode,
    upstream::{UpstreamError, clean},
};

/// Bytes of an answer's text. The bound of its tokens is far below.
const LONGEST_TEXT: usize = 64 * 1024;
/// Calls of one answer.
const MOST_CALLS: usize = 16;
/// Bytes of a call's arguments.
const LONGEST_ARGUMENTS: usize = 32 * 1024;
/// Bytes of an id or a name that an endpoint gives a call.
const LONGEST_NAME: usize = 128;
/// Bytes of what an endpoint wants back with a call.
const LONGEST_EXTRA: usize = 16 * 1024;
/// Tokens that one answer is believed to have cost.
const MOST_TOKENS: u64 = 10_000_000;

/// An answer that is not complete yet.
#[derive(Debug, Default)]
pub struct Pieces {
    text: String,
    refusal: String,
    calls: Vec<Part>,
    usage: Option<(u64, u64)>,
    finish: Option<String>,
    /// Whether the last piece was the one that only tells the usage.
    counted: bool,
}

/// A call that is not complete yet.
#[derive(Debug, Default)]
struct Part {
    /// Its place, where the endpoint tells.
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    extra: Option<Value>,
}

impl Pieces {
    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes in one piece.
    ///
    /// # Errors
    /// The endpoint says that it failed on the way, or the answer is longer than any we ask for.
    pub fn take(&mut self, piece: &Value) -> Result<(), UpstreamError> {
        if let Some(error) = piece.get("error").filter(|error| !error.is_null()) {
            let words = error.get("message").and_then(Value::as_str);
            return Err(UpstreamError::new(
                ErrorCode::ModelUnavailable,
                format!(
                    "the model broke off: {}",
                    clean(words.unwrap_or("no reason given"))
                ),
            ));
        }
        let usage = piece.get("usage").filter(|usage| usage.is_object());
        if let Some(usage) = usage {
            let count = |name: &str| {
                let tokens = usage.get(name).and_then(Value::as_u64);
                tokens.unwrap_or_default().min(MOST_TOKENS)
            };
            self.usage = Some((count("prompt_tokens"), count("completion_tokens")));
        }
        let choices = piece.get("choices").and_then(Value::as_array);
        let Some(choice) = choices.and_then(|choices| choices.first()) else {
            self.counted = choices.is_some() && usage.is_some();
            return Ok(());
        };
        self.counted = false;
        if let Some(finish) = choice.get("finish_reason").and_then(Value::as_str) {
            self.finish = Some(clean(finish));
        }
        // A whole answer where a stream was asked for stands under `message`.
        let Some(delta) = choice.get("delta").or_else(|| choice.get("message")) else {
            return Ok(());
        };
        match delta.get("content") {
            // Some give parts; of these only the text is the answer, and not what was thought.
            Some(Value::Array(parts)) => {
                let said = |part: &&Value| part.get("type").and_then(Value::as_str) == Some("text");
                let parts = parts.iter().filter(said);
                self.text.extend(parts.map(|part| string(part, "text")));
            }
            _ => self.text.push_str(string(delta, "content")),
        }
        self.refusal.push_str(string(delta, "refusal"));
        if self.text.len() + self.refusal.len() > LONGEST_TEXT {
            return Err(too_long());
        }
        let calls = delta.get("tool_calls").and_then(Value::as_array);
        for part in calls.into_iter().flatten() {
            self.take_call(part)?;
        }
        Ok(())
    }

    fn take_call(&mut self, said: &Value) -> Result<(), UpstreamError> {
        let index = said.get("index").and_then(Value::as_u64);
        let id = string(said, "id");
        let function = said.get("function").unwrap_or(&Value::Null);
        let name = string(function, "name");
        let known = match index {
            Some(_) => self.calls.iter().position(|part| part.index == index),
            // Without a place, what has neither a new id nor a name goes on with the last.
            None if name.is_empty()
                && (id.is_empty() || self.calls.last().is_some_and(|last| last.id == id)) =>
            {
                self.calls.len().checked_sub(1)
            }
            None => None,
        };
        let place = match known {
            Some(place) => place,
            None if self.calls.len() >= MOST_CALLS => return Err(too_long()),
            None => {
                self.calls.push(Part {
                    index,
                    ..Part::default()
                });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[place];
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        match function.get("arguments") {
            Some(Value::String(more)) => call.arguments.push_str(more),
            // Some give the object itself.
            Some(whole @ Value::Object(_)) => call.arguments = whole.to_string(),
            _ => {}
        }
        if let Some(extra @ Value::Object(_)) = said.get("extra_content") {
            if extra.to_string().len() > LONGEST_EXTRA {
                return Err(too_long());
            }
            call.extra = Some(extra.clone());
        }
        let too_long_name = call.id.len().max(call.name.len()) > LONGEST_NAME;
        match too_long_name || call.arguments.len() > LONGEST_ARGUMENTS {
            true => Err(too_long()),
            false => Ok(()),
        }
    }

    /// The answer, if it is complete. `estimate` is what it is taken to have cost where the endpoint
    /// does not tell.
    ///
    /// # Errors
    /// It was cut short, or is empty.
    pub fn finish(self, estimate: u64) -> Result<Reply, UpstreamError> {
        let bad = |words: &str| Err(UpstreamError::new(ErrorCode::BadModelAnswer, words));
        match self.finish.as_deref() {
            // That piece is the last by OpenAI's reference, and some tell no other end.
            None if self.counted => {}
            None => return bad("the model's answer ended before it was complete"),
            Some("length") => return bad("the model's answer was longer than it may be"),
            Some(_) => {}
        }
        let refused = self.finish.as_deref() == Some("content_filter");
        let refusal = match (self.refusal.is_empty(), refused) {
            (false, _) => Some(clean(&self.refusal)),
            (true, true) => Some("the endpoint's filter held the answer back".to_owned()),
            (true, false) => None,
        };
        if self.text.trim().is_empty() && self.calls.is_empty() && refusal.is_none() {
            return bad("the model's answer is empty");
        }
        let (prompt_tokens, completion_tokens) = self.usage.unwrap_or((estimate, 0));
        let calls = (0..)
            .zip(self.calls)
            .map(|(number, part): (u32, _)| ToolCall {
                id: match part.id.is_empty() {
                    true => format!("call-{number}"),
                    false => part.id,
                },
                name: part.name,
                arguments: part.arguments,
                extra: part.extra,
            });
        Ok(Reply {
            text: self.text,
            refusal,
            calls: calls.collect(),
            usage: Usage {
                calls: 1,
                prompt_tokens,
                completion_tokens,
            },
        })
    }
}

/// The text of this name, or none.
fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn too_long() -> UpstreamError {
    UpstreamError::new(
        ErrorCode::BadModelAnswer,
        "the model's answer is longer than any that was asked for",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(pieces: &[Value]) -> Result<Reply, UpstreamError> {
        let mut all = Pieces::default();
        for piece in pieces {
            all.take(piece)?;
        }
        all.finish(77)
    }

    fn delta(delta: Value) -> Value {
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
    }

    fn end(reason: &str) -> Value {
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    }

    fn usage(mut piece: Value) -> Value {
        piece["usage"] = json!({"prompt_tokens": 12, "completion_tokens": 3});
        piece
    }

    #[test]
    fn text_is_put_together_and_counted() {
        let reply = read(&[
            delta(json!({"role": "assistant", "content": "Hal"})),
            delta(json!({"content": "lo"})),
            end("stop"),
            usage(json!({"choices": []})),
        ]);
        let reply = reply.expect("an answer");
        assert_eq!((reply.text.as_str(), reply.usage.tokens()), ("Hallo", 15));
        let untold = read(&[delta(json!({"content": "x"})), end("stop")]).expect("an answer");
        assert_eq!(
            untold.usage.tokens(),
            77,
            "where nobody tells, the estimate"
        );
    }

    #[test]
    fn what_was_cut_short_is_no_answer() {
        for pieces in [
            vec![delta(json!({"content": "{\"rows\": ["}))],
            vec![delta(json!({"content": "x"})), end("length")],
            vec![end("stop")],
            vec![],
            // Usage beside a choice, or before one, is no end.
            vec![usage(delta(json!({"content": "x"})))],
            vec![
                usage(json!({"choices": []})),
                delta(json!({"content": "x"})),
            ],
            vec![delta(json!({"content": "x"})), usage(json!({}))],
        ] {
            let error = read(&pieces).expect_err("no answer");
            assert_eq!(error.code, ErrorCode::BadModelAnswer, "{pieces:?}");
        }
        let broke = json!({"error": {"message": "overloaded"}});
        let error = read(&[delta(json!({"content": "x"})), broke]).expect_err("broke off");
        assert_eq!(error.code, ErrorCode::ModelUnavailable);
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let reply = read(&[delta(json!({"refusal": "I'm sorry."})), end("stop")]);
        assert_eq!(
            reply.expect("an answer").refusal.as_deref(),
            Some("I'm sorry.")
        );
        let reply = read(&[end("content_filter")]).expect("an answer");
        assert!(reply.refusal.is_some());
    }

    #[test]
    fn parallel_calls_are_told_apart_by_place_or_by_id_or_whole() {
        let call = |index: Value, id: &str, name: &str, arguments: Value| {
            let mut call = json!({"function": {"arguments": arguments}});
            if !index.is_null() {
                call["index"] = index;
            }
            if !id.is_empty() {
                call["id"] = json!(id);
                call["function"]["name"] = json!(name);
            }
            delta(json!({"tool_calls": [call]}))
        };
        // OpenAI's own form.
        let places = [
            call(json!(0), "a", "search", json!("")),
            call(json!(1), "b", "score", json!("{\"x\"")),
            call(json!(0), "", "", json!("{}")),
            call(json!(1), "", "", json!(":1}")),
            end("tool_calls"),
        ];
        // Without places, as some endpoints do.
        let ids = [
            call(Value::Null, "a", "search", json!("{}")),
            call(Value::Null, "b", "score", json!("{\"x\"")),
            call(Value::Null, "", "", json!(":1}")),
            end("tool_calls"),
        ];
        // Whole, with the arguments as an object.
        let whole = [
            call(Value::Null, "a", "search", json!({})),
            call(Value::Null, "b", "score", json!({"x": 1})),
            end("stop"),
        ];
        for pieces in [&places[..], &ids, &whole] {
            let calls = read(pieces).expect("an answer").calls;
            let told: Vec<_> = calls
                .iter()
                .map(|call| {
                    (
                        call.id.as_str(),
                        call.name.as_str(),
                        call.arguments.as_str(),
                    )
                })
                .collect();
            assert_eq!(told, [("a", "search", "{}"), ("b", "score", "{\"x\":1}")]);
        }
    }

    #[test]
    fn what_an_endpoint_wants_back_with_a_call_is_kept_and_bounded() {
        let call = |signature: String| {
            let extra = json!({"google": {"thought_signature": signature}});
            delta(
                json!({"tool_calls": [{"id": "a", "function": {"name": "search",
                "arguments": "{}"}, "extra_content": extra}]}),
            )
        };
        let reply = read(&[call("c2ln".to_owned()), end("stop")]).expect("an answer");
        let extra = json!({"google": {"thought_signature": "c2ln"}});
        assert_eq!(reply.calls[0].extra.as_ref(), Some(&extra));
        let error = read(&[call("x".repeat(LONGEST_EXTRA)), end("stop")]).expect_err("too long");
        assert_eq!(error.code, ErrorCode::BadModelAnswer);
    }

    #[test]
    fn an_endless_answer_has_an_end() {
        let mut pieces = Pieces::default();
        let piece = delta(json!({"content": "x".repeat(1000)}));
        let taken = (0..1000)
            .take_while(|_| pieces.take(&piece).is_ok())
            .count();
        assert_eq!(taken, LONGEST_TEXT / 1000);
    }
}
