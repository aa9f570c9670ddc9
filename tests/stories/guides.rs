//! "I do what the guide says." Each piece of JSON, each command and each link of the install guides is tried.

use std::{collections::BTreeSet, path::Path};

use segue_packaging::repository;
use serde_json::Value;

use crate::{
    guide_steps::{Step, blocks, guides, steps},
    installed::{Entry, tools},
    support::PROGRAM,
};

/// Where the guides say that the program is.
const DOCUMENTED: &str = "/home/you/.cargo/bin/segue";

#[test]
fn every_guide_is_in_the_list_and_names_files_that_are_there() {
    let folder = repository().join("docs/install");
    let (_, index) = guides()
        .into_iter()
        .find(|(name, _)| name == "README.md")
        .unwrap();
    for (name, text) in guides() {
        assert!(
            name == "README.md" || index.contains(&format!("({name})")),
            "{name}"
        );
        for (_, link) in text
            .match_indices("](")
            .map(|(at, found)| text.split_at(at + found.len()))
        {
            let (target, _) = link.split_once(')').unwrap();
            let (file, _) = target.split_once('#').unwrap_or((target, ""));
            let is_elsewhere = file.contains("://");
            assert!(
                is_elsewhere || folder.join(file).exists(),
                "{name} names {target}"
            );
        }
    }
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(readme.contains("(docs/install/README.md)"));
}

/// VS Code has `servers`, which name their transport, and asks for `inputs`; the others have `mcpServers`.
#[test]
fn each_client_is_told_in_its_own_words() {
    let names = |object: &Value| -> BTreeSet<String> {
        object.as_object().unwrap().keys().cloned().collect()
    };
    for (guide, text) in guides() {
        let json = blocks(&text)
            .into_iter()
            .filter(|block| block.language == "json");
        for block in json {
            let json: Value = serde_json::from_str(&block.text).unwrap();
            if json.get("jsonrpc").is_some() {
                continue;
            }
            let servers = if guide == "vs-code.md" {
                let asked = json["inputs"].as_array().into_iter().flatten();
                let asked =
                    asked.map(|input| format!("${{input:{}}}", input["id"].as_str().unwrap()));
                let asked: BTreeSet<String> = asked.collect();
                let used: BTreeSet<String> = block
                    .text
                    .match_indices("${input:")
                    .map(|(at, _)| {
                        block.text[at..]
                            .split_inclusive('}')
                            .next()
                            .unwrap()
                            .to_owned()
                    })
                    .collect();
                assert_eq!(asked, used, "{block:?}");
                &json["servers"]
            } else {
                assert_eq!(
                    names(&json),
                    BTreeSet::from(["mcpServers".to_owned()]),
                    "{block:?}"
                );
                &json["mcpServers"]
            };
            assert_eq!(
                names(servers),
                BTreeSet::from(["segue".to_owned()]),
                "{block:?}"
            );
            let server = &servers["segue"];
            let transport = if server.get("url").is_some() {
                "http"
            } else {
                "stdio"
            };
            if guide == "vs-code.md" {
                assert_eq!(server["type"], transport, "{block:?}");
            }
            if guide == "claude-code.md" && transport == "http" {
                assert_eq!(server["type"], "http", "{block:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_command_of_every_guide_starts_a_segue_that_answers() {
    let home = tempfile::tempdir().unwrap();
    let mut guides_with_one = BTreeSet::new();
    for (guide, text) in guides() {
        let all = blocks(&text);
        for entry in all.iter().flat_map(steps).filter_map(|step| match step {
            Step::Start(entry) => Some(entry),
            _ => None,
        }) {
            assert_eq!(entry.command, Path::new(DOCUMENTED), "{guide}");
            // What the client asks its user for.
            let variables = entry.variables.into_iter().map(|(name, value)| {
                let is_asked_for = value.starts_with("${input:");
                let value = if is_asked_for {
                    "typed-in".to_owned()
                } else {
                    value
                };
                (name, value)
            });
            let entry = Entry {
                command: PROGRAM.into(),
                variables: variables.collect(),
                ..entry
            };
            let answered = entry.answer(home.path()).await;
            assert_eq!(answered.name, "segue", "{guide}");
            assert_eq!(answered.tools, tools(), "{guide}");
            guides_with_one.insert(guide.clone());
        }
    }
    let expected = [
        "claude-code.md",
        "claude-desktop.md",
        "cursor.md",
        "vs-code.md",
    ];
    assert_eq!(guides_with_one, expected.map(str::to_owned).into());
}
