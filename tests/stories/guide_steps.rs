//! What an install guide makes its reader do: read from the guide itself, block by block, so that nothing in it is
//! tried by nobody.

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Parser;
use segue::cli::Cli;
use segue_packaging::repository;
use serde_json::Value;
use url::Url;

use crate::installed::Entry;

/// The scheme of links that make Cursor install a server.
const CURSOR: &str = "cursor://anysphere.cursor-deeplink/mcp/install";

/// A guide as it stands in `docs/install`: its name and its text.
pub(crate) fn guides() -> Vec<(String, String)> {
    let files = std::fs::read_dir(repository().join("docs/install")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(file).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// A fenced block: its language and its lines.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, &mut open) {
            (Some(""), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                let language = language.to_owned();
                open = Some(Block {
                    language,
                    ..Block::default()
                });
            }
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
            (Some(_), Some(block)) => panic!("a fence inside {block:?}"),
        }
    }
    assert!(open.is_none(), "no end of {open:?}");
    blocks
}

/// A server over HTTP, and what to send along with every request.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub(crate) url: Url,
    pub(crate) headers: BTreeMap<String, String>,
}

/// What a guide makes a client do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Start a program and speak with it.
    Start(Entry),
    /// Speak with a server over HTTP.
    Connect(Remote),
    /// Send this, and nothing before it.
    Send(Remote, Value),
    /// Send this to wherever the guide says in words.
    Body(Value),
    /// A command of Segue's own, whose arguments there are.
    Command,
    /// Something for another program.
    Elsewhere,
}

/// The steps in any JSON: every object that names a command or an address.
fn in_json(value: &Value) -> Vec<Step> {
    let Value::Object(fields) = value else {
        let list = value.as_array().into_iter().flatten();
        return list.flat_map(in_json).collect();
    };
    if let Some(command) = fields.get("command") {
        let arguments = fields.get("args").and_then(Value::as_array);
        let variables = fields.get("env").and_then(Value::as_object);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        return vec![Step::Start(Entry {
            command: text(command).into(),
            arguments: arguments.into_iter().flatten().map(text).collect(),
            variables: variables
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
        })];
    }
    if let Some(url) = fields.get("url") {
        let headers = fields.get("headers").and_then(Value::as_object);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        return vec![Step::Connect(Remote {
            url: text(url).parse().expect("an address"),
            headers: headers
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
        })];
    }
    if fields.contains_key("jsonrpc") {
        return vec![Step::Body(value.clone())];
    }
    fields.values().flat_map(in_json).collect()
}

/// The steps of a command line.
fn in_command(words: &[&str]) -> Vec<Step> {
    let parsed = |text: &str| in_json(&serde_json::from_str(text).expect("JSON"));
    match words {
        ["segue", ..] => {
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
            vec![Step::Command]
        }
        [
            "claude",
            "mcp",
            "add-json",
            "--scope",
            "user",
            "segue",
            json,
        ] => parsed(json),
        [
            "claude",
            "mcp",
            "add",
            "--scope",
            "user",
            "segue",
            "--",
            command,
            arguments @ ..,
        ] => {
            vec![Step::Start(Entry {
                command: (*command).into(),
                arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
                ..Entry::default()
            })]
        }
        [
            "claude",
            "mcp",
            "add",
            "--scope",
            "user",
            "--transport",
            "http",
            "segue",
            url,
            more @ ..,
        ] => {
            let (remote, data) = over_http(url, more, "--header");
            assert!(data.is_none(), "{words:?}");
            vec![Step::Connect(remote)]
        }
        ["curl", url, more @ ..] => {
            let (remote, data) = over_http(url, more, "-H");
            vec![Step::Send(remote, data.expect("what to send"))]
        }
        ["code", "--add-mcp", json] => parsed(json),
        [
            "docker",
            "compose",
            "run",
            "--rm",
            "--no-deps",
            "segue",
            arguments @ ..,
        ] => in_command(&[&["segue"], arguments].concat()),
        ["docker", "compose", "exec", "segue", command @ ..] => in_command(command),
        ["docker", "compose", "build" | "up", ..] => vec![Step::Elsewhere],
        _ => panic!("{words:?} is a command that nobody tries"),
    }
}

/// What a command says of an address: the headers behind this option, and the body.
fn over_http(url: &str, options: &[&str], header: &str) -> (Remote, Option<Value>) {
    let mut remote = Remote {
        url: url.parse().expect("an address"),
        headers: BTreeMap::new(),
    };
    let mut data = None;
    for pair in options.chunks(2) {
        match pair {
            [option, line] if *option == header => {
                let (name, value) = line.split_once(": ").expect("a header");
                remote.headers.insert(name.to_owned(), value.to_owned());
            }
            ["-d", body] => data = Some(serde_json::from_str(body).expect("JSON")),
            other => panic!("{other:?} is an option that nobody tries"),
        }
    }
    (remote, data)
}

/// The command lines of a block, one that goes on behind a backslash as one.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| shlex::split(line).expect("a command"))
        .collect()
}

fn in_link(text: &str) -> Vec<Step> {
    let link: Url = text.trim().parse().expect("a link");
    assert!(link.as_str().starts_with(CURSOR), "{link}");
    let parameter = |name: &str| {
        let mut all = link.query_pairs();
        all.find(|(key, _)| key == name)
            .expect("a parameter")
            .1
            .into_owned()
    };
    assert_eq!(parameter("name"), "segue");
    let entry = STANDARD.decode(parameter("config")).expect("base64");
    in_json(&serde_json::from_slice(&entry).expect("JSON"))
}

pub(crate) fn steps(block: &Block) -> Vec<Step> {
    let steps = match block.language.as_str() {
        "json" => in_json(&serde_json::from_str(&block.text).expect("JSON")),
        "sh" => {
            let lines = command_lines(&block.text);
            let words = |line: &Vec<String>| {
                in_command(&line.iter().map(String::as_str).collect::<Vec<_>>())
            };
            lines.iter().flat_map(words).collect()
        }
        "text" => in_link(&block.text),
        // `containers.rs` holds it to the compose file.
        "dotenv" => vec![Step::Elsewhere],
        other => panic!("blocks of {other:?} are tried by nobody"),
    };
    assert!(!steps.is_empty(), "nothing of this is tried: {block:?}");
    steps
}

/// The rows of a guide's table of headers.
pub(crate) fn headers_in(text: &str) -> BTreeMap<String, String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| {
        let (name, rest) = row.split_once("` | `").expect("two cells");
        (name.to_owned(), rest.trim_end_matches("` |").to_owned())
    });
    cells.collect()
}
