//! What a client sees of the tools before it calls one: a snapshot of each, and rules for all.

use std::{collections::BTreeSet, path::Path};

use rmcp::model::Tool;
use segue_spotify::server::SpotifyServer;
use serde_json::Value;

/// The names are a contract with Segue's adapter.
const NAMES: [&str; 8] = [
    "add_tracks_to_playlist",
    "create_playlist",
    "get_playlist_items",
    "get_user_playlists",
    "remove_tracks_from_playlist",
    "search_by_isrc",
    "search_track",
    "verify_track_added",
];

#[test]
fn every_definition_is_as_recorded() {
    let mut settings = insta::Settings::clone_current();
    settings.set_sort_maps(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for tool in SpotifyServer::tools() {
            insta::assert_json_snapshot!(tool.name.as_ref(), tool);
        }
    });
}

#[test]
fn no_record_is_left_of_a_tool_that_is_gone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/snapshots");
    let recorded: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> = NAMES.iter().map(|name| format!("{name}.snap")).collect();
    assert_eq!(recorded, expected);
}

#[test]
fn the_names_are_the_contracts() {
    let names: Vec<_> = SpotifyServer::tools()
        .into_iter()
        .map(|tool| tool.name)
        .collect();
    assert_eq!(names, NAMES);
}

#[test]
fn every_tool_is_described_and_annotated() {
    for tool in SpotifyServer::tools() {
        let name = &tool.name;
        assert!(
            tool.description
                .as_ref()
                .is_some_and(|text| text.len() > 20),
            "{name}"
        );
        let hints = tool.annotations.as_ref().unwrap();
        assert!(hints.title.is_some(), "{name}");
        for hint in [
            hints.read_only_hint,
            hints.destructive_hint,
            hints.idempotent_hint,
            hints.open_world_hint,
        ] {
            assert!(hint.is_some(), "{name}");
        }
        let reads =
            name.starts_with("get_") || name.starts_with("search_") || name.starts_with("verify_");
        assert_eq!(hints.read_only_hint, Some(reads), "{name}");
        assert_eq!(
            hints.destructive_hint,
            Some(name.starts_with("remove_")),
            "{name}"
        );
    }
}

#[test]
fn every_parameter_and_every_field_is_described() {
    for tool in SpotifyServer::tools() {
        let output = tool.output_schema.as_ref().unwrap();
        assert_eq!(output["type"], "object", "{}", tool.name);
        described(&tool, &Value::Object(tool.input_schema.as_ref().clone()));
        described(&tool, &Value::Object(output.as_ref().clone()));
        if let Some(parameters) = tool.input_schema.get("properties")
            && parameters.as_object().is_some_and(|map| !map.is_empty())
        {
            assert_eq!(
                tool.input_schema["additionalProperties"], false,
                "{}",
                tool.name
            );
        }
    }
}

/// Every property below `schema` has a description, its own or that of the type it refers to.
fn described(tool: &Tool, schema: &Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                for (name, property) in properties {
                    assert!(
                        property["description"]
                            .as_str()
                            .is_some_and(|text| text.len() > 3),
                        "{}: `{name}` has no description",
                        tool.name
                    );
                }
            }
            map.values().for_each(|value| described(tool, value));
        }
        Value::Array(values) => values.iter().for_each(|value| described(tool, value)),
        _ => {}
    }
}
