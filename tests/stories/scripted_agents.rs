//! How the scripted model plays the agents of a sync: it reads what the tools answered, and nothing else.

use serde_json::{Value, json};

use crate::scripted_model::Said;

/// What the agent says whose turn it is; nothing if the request is no agent's.
pub(crate) fn said_by_rule(request: &Value) -> Option<Said> {
    let tools = request["tools"].as_array()?;
    let has = |name: &str| tools.iter().any(|tool| tool["function"]["name"] == name);
    let messages = request["messages"].as_array()?;
    let results: Vec<Value> = messages
        .iter()
        .filter(|message| message["role"] == "tool")
        .filter_map(|message| serde_json::from_str(message["content"].as_str()?).ok())
        .collect();
    // As gullible as can be: what stands outside a fence is obeyed.
    let said = messages
        .iter()
        .skip(1)
        .filter(|message| message["role"] == "user");
    let outside = said.filter_map(|message| Some(outside_of_fences(message["content"].as_str()?)));
    if outside
        .into_iter()
        .any(|text| text.to_lowercase().contains("ignore"))
    {
        return Some(call("add_track", json!({"candidate": 1})));
    }
    let latest = |name: &str| results.iter().rev().find(|result| !result[name].is_null());
    Some(if has("search_track") && has("add_track") {
        match (latest("result"), latest("found")) {
            (Some(result), _) => ends(&result["result"]),
            (None, None) => call("search_track", json!({"query": words(messages)?})),
            (None, Some(found)) => match same(messages, found) {
                Some(number) => call("add_track", json!({"candidate": number})),
                None => ends(&json!("none")),
            },
        }
    } else if has("search") {
        match latest("found") {
            Some(_) => call("transfer_to_match_agent", json!({})),
            None => search(messages)?,
        }
    } else if has("score_candidates") {
        match latest("scores") {
            Some(_) => call("transfer_to_playlist_agent", json!({})),
            None => call("score_candidates", json!({})),
        }
    } else {
        match (
            latest("result"),
            latest("is_there"),
            latest("scores").and_then(chosen),
        ) {
            (Some(result), Some(_), _) => ends(&result["result"]),
            (Some(_), None, Some(number)) => call("verify_track", json!({"candidate": number})),
            (None, _, Some(number)) => call("add_track", json!({"candidate": number})),
            _ => ends(&json!("none")),
        }
    })
}

fn outside_of_fences(text: &str) -> String {
    let mut outside = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<data>") {
        outside.push_str(before);
        rest = after.split_once("</data>").map_or("", |(_, behind)| behind);
    }
    outside + rest
}

fn call(name: &str, arguments: Value) -> Said {
    Said {
        text: String::new(),
        calls: vec![(name.to_owned(), arguments.to_string())],
    }
}

fn ends(outcome: &Value) -> Said {
    Said {
        text: json!({ "outcome": outcome }).to_string(),
        calls: Vec::new(),
    }
}

/// The song that they are given.
fn song(messages: &[Value]) -> Option<Value> {
    let task = messages.get(1)?["content"].as_str()?;
    let (_, data) = task.split_once("<data>")?;
    let (data, _) = data.split_once("</data>")?;
    let data: Value = serde_json::from_str(data).ok()?;
    Some(data["song"].clone())
}

/// The candidate of the very title.
fn same(messages: &[Value], told: &Value) -> Option<u64> {
    let song = song(messages)?;
    let mut found = told["found"].as_array()?.iter();
    let same = found.find(|candidate| candidate["title"] == song["title"])?;
    same["candidate"].as_u64()
}

/// What to search for.
fn words(messages: &[Value]) -> Option<String> {
    let song = song(messages)?;
    let words = |name: &str| song[name].as_str().unwrap_or_default().to_owned();
    Some(format!("{} {}", words("title"), words("artist")))
}

/// Both searches at once, where there is an ISRC.
fn search(messages: &[Value]) -> Option<Said> {
    let song = &song(messages)?;
    let mut said = call("search", json!({"query": words(messages)?}));
    if !song["isrc"].is_null() {
        let isrc = json!({"isrc": song["isrc"]}).to_string();
        said.calls.push(("search_by_isrc".to_owned(), isrc));
    }
    Some(said)
}

/// The best candidate, if its score is good enough.
fn chosen(told: &Value) -> Option<u64> {
    let best = told["scores"].as_array()?.first()?;
    let is_good = best["score"].as_f64()? >= told["needed"].as_f64()?;
    is_good.then(|| best["candidate"].as_u64()).flatten()
}
