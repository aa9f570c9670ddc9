//! "Install it in Claude Desktop." The MCPB manifest names the tools that there are.

use serde_json::{Value, json};

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mcp-manifest.json");

/// The manifest's `tools`, made from the live registry.
fn tools() -> Value {
    let tools = segue_tools::Segue::router().list_all();
    tools
        .iter()
        .map(|tool| {
            let description = tool.description.as_deref().unwrap_or_default();
            json!({"name": tool.name, "description": description.replace('\n', " ")})
        })
        .collect()
}

/// `UPDATE_MANIFEST=1 cargo test --test stories manifest` writes it anew.
#[test]
fn its_tools_are_those_of_the_registry() {
    let text = std::fs::read_to_string(MANIFEST).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    if std::env::var_os("UPDATE_MANIFEST").is_some() {
        manifest["tools"] = tools();
        let text = serde_json::to_string_pretty(&manifest).unwrap() + "\n";
        std::fs::write(MANIFEST, text).unwrap();
    }
    assert_eq!(
        manifest["tools"],
        tools(),
        "stale: run UPDATE_MANIFEST=1 cargo test --test stories manifest"
    );
}

#[test]
fn it_is_a_binary_bundle_of_this_version() {
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(MANIFEST).unwrap()).unwrap();
    assert_eq!(manifest["manifest_version"], "0.4");
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["server"]["type"], "binary");
    for field in ["name", "description", "author", "license"] {
        assert!(!manifest[field].is_null(), "{field}");
    }
    // The server fills its prompts with what is, so that they have no text that could stand here.
    assert_eq!(manifest["prompts_generated"], true);
    // A secret that the user gives is kept by the client as one.
    assert_eq!(
        manifest["user_config"]["spotify_refresh_token"]["sensitive"],
        true
    );
}
