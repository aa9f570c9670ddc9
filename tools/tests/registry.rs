//! What holds for every tool, and a snapshot of each, of the prompts and of the resources: a change of
//! the surface that clients see is seen in review.

use std::collections::BTreeSet;

use rmcp::model::Tool;
use segue_tools::Segue;
use serde_json::Value;

/// The snapshots that are of no tool.
const PROMPTS: &str = "the_prompts";
const RESOURCES: &str = "the_fixed_resources";
const TEMPLATES: &str = "the_resource_templates";

fn tools() -> Vec<Tool> {
    Segue::router().list_all()
}

#[test]
fn names_are_unique_and_descriptions_say_what_for() {
    let tools = tools();
    let names: BTreeSet<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names.len(), tools.len());
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        [
            "cancel_sync",
            "compare_strategies",
            "delete_schedule",
            "forget_answer",
            "get_health",
            "get_sync_progress",
            "list_answers",
            "list_playlists",
            "list_reviews",
            "list_schedules",
            "list_syncs",
            "pause_schedule",
            "preview_sync",
            "reset_circuit",
            "resume_schedule",
            "retry_failed",
            "review_match",
            "run_schedule_now",
            "schedule_sync",
            "sync_playlist",
            "sync_track",
            "update_schedule"
        ]
    );
    for tool in tools {
        let description = tool.description.as_deref().unwrap_or_default();
        assert!(description.len() > 60, "{}: {description:?}", tool.name);
    }
}

#[test]
fn every_tool_has_a_title_and_all_four_hints() {
    for tool in tools() {
        let hints = tool.annotations.as_ref().expect("annotations");
        assert!(
            tool.title.is_some() && hints.title.is_some(),
            "{}",
            tool.name
        );
        for hint in [
            hints.read_only_hint,
            hints.destructive_hint,
            hints.idempotent_hint,
            hints.open_world_hint,
        ] {
            assert!(hint.is_some(), "{}: {hints:?}", tool.name);
        }
    }
}

#[test]
fn every_parameter_and_every_field_of_an_answer_is_described() {
    for tool in tools() {
        let input = Value::Object((*tool.input_schema).clone());
        let output =
            Value::Object((**tool.output_schema.as_ref().expect("an output schema")).clone());
        assert_eq!(input["type"], "object", "{}", tool.name);
        assert_eq!(input["additionalProperties"], false, "{}", tool.name);
        for (side, schema) in [("input", &input), ("output", &output)] {
            for (field, property) in schema["properties"].as_object().into_iter().flatten() {
                let described = property["description"].is_string() || property["$ref"].is_string();
                assert!(described, "{} {side} {field}: {property}", tool.name);
            }
        }
    }
}

#[test]
fn each_definition_is_as_it_was_reviewed() {
    for tool in tools() {
        insta::assert_json_snapshot!(tool.name.to_string(), tool);
    }
}

#[test]
fn prompts_and_resources_are_as_they_were_reviewed() {
    insta::assert_json_snapshot!(PROMPTS, Segue::prompts());
    insta::assert_json_snapshot!(RESOURCES, Segue::fixed_resources());
    insta::assert_json_snapshot!(TEMPLATES, Segue::resource_templates());
}

#[test]
fn no_snapshot_is_left_of_what_is_gone() {
    let names: BTreeSet<_> = tools()
        .into_iter()
        .map(|tool| tool.name.into_owned())
        .chain([PROMPTS, RESOURCES, TEMPLATES].map(str::to_owned))
        .collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots");
    for entry in std::fs::read_dir(folder).expect("the snapshots") {
        let file = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a name");
        let name = file
            .trim_start_matches("registry__")
            .trim_end_matches(".snap");
        assert!(names.contains(name), "{file} belongs to nothing");
    }
}
