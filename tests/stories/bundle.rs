//! "I install it by a click." The packer takes the bundle, what comes out of it answers in another folder of
//! another home, and the entry in the registry is that of the very file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use segue_packaging::{Bundle, Packer, repository};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::{
    installed::{Entry, tools},
    support::PROGRAM,
};

/// The folder that keeps the packer for all runs.
fn packer() -> Packer {
    Packer::installed_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}

/// The program under test without its symbols, as a release has none: a third of the size to pack.
async fn stripped(folder: &Path) -> PathBuf {
    let program = folder.join("segue");
    let mut strip = Command::new("strip");
    let ended = strip.arg("-o").arg(&program).arg(PROGRAM).status().await;
    assert!(ended.expect("strip, of the C compiler").success());
    program
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// What an assistant makes of the manifest of a bundle that lies in this folder, for a user who left all
/// settings as they were.
fn entry(manifest: &Value, folder: &Path) -> Entry {
    let start = &manifest["server"]["mcp_config"];
    let put_in = |text: &Value| {
        let mut text = text
            .as_str()
            .unwrap()
            .replace("${__dirname}", folder.to_str().unwrap());
        for (name, setting) in manifest["user_config"].as_object().unwrap() {
            let value = setting["default"].as_str().unwrap();
            text = text.replace(&format!("${{user_config.{name}}}"), value);
        }
        assert!(!text.contains("${"), "{text} names what there is not");
        text
    };
    let variables = start["env"].as_object().unwrap().iter();
    Entry {
        command: put_in(&start["command"]).into(),
        arguments: start["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(put_in)
            .collect(),
        variables: variables
            .map(|(name, value)| (name.clone(), put_in(value)))
            .collect::<BTreeMap<_, _>>(),
    }
}

#[tokio::test]
async fn a_packed_bundle_answers_from_another_folder() {
    let packer = packer();
    let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = stripped(work.path()).await;
    let bundle = Bundle::make(&program, &work.path().join("bundle"), &packer).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let installed = elsewhere.path().join("installed here");
    packer.unpack(&bundle.file, &installed).unwrap();
    // Nothing of the place where it was made is left.
    std::fs::rename(work.path().join("bundle/segue"), work.path().join("gone")).unwrap();

    let manifest = json(&installed.join("manifest.json"));
    let home = tempfile::tempdir().unwrap();
    let answered = entry(&manifest, &installed).answer(home.path()).await;
    assert_eq!(answered.name, "segue");
    assert_eq!(answered.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(answered.tools, tools());
    assert_eq!(manifest["server"]["entry_point"], "server/segue");
    assert_eq!(
        manifest["compatibility"]["platforms"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for file in ["icon.png", "README.md", "LICENSE"] {
        assert!(installed.join(file).is_file(), "{file}");
    }

    let packed = Sha256::digest(std::fs::read(&bundle.file).unwrap());
    let digest: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(bundle.digest, digest);
    let registered = json(&bundle.registry_entry);
    let package = &registered["packages"][0];
    assert_eq!(package["fileSha256"], digest.as_str());
    let released = package["identifier"].as_str().unwrap();
    assert!(
        released.ends_with(bundle.file.file_name().unwrap().to_str().unwrap()),
        "{released}"
    );
    is_fit_for_the_registry(&registered);
}

#[test]
fn the_packer_refuses_what_assistants_would() {
    let packer = packer();
    let manifest = repository().join("mcp-manifest.json");
    packer.validate(&manifest).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let mut broken = json(&manifest);
    broken["server"]
        .as_object_mut()
        .unwrap()
        .remove("entry_point");
    std::fs::write(folder.path().join("manifest.json"), broken.to_string()).unwrap();
    let refused = packer.validate(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("entry_point"), "{refused}");
}

#[test]
fn the_entry_in_the_registry_is_of_this_version_and_asks_for_what_the_bundle_asks_for() {
    let entry = json(&repository().join("server.json"));
    is_fit_for_the_registry(&entry);

    let manifest = json(&repository().join("mcp-manifest.json"));
    let variables = entry["packages"][0]["environmentVariables"]
        .as_array()
        .unwrap();
    let asked: BTreeMap<&str, bool> = variables
        .iter()
        .map(|variable| {
            let is_secret = variable["isSecret"] == true;
            (variable["name"].as_str().unwrap(), is_secret)
        })
        .collect();
    let of_manifest: BTreeMap<&str, bool> = manifest["server"]["mcp_config"]["env"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            let setting = value.as_str().unwrap();
            let setting = setting.strip_prefix("${user_config.").unwrap();
            let setting = &manifest["user_config"][setting.strip_suffix('}').unwrap()];
            (name.as_str(), setting["sensitive"] == true)
        })
        .collect();
    assert_eq!(asked, of_manifest);
    for (name, is_secret) in asked {
        assert_eq!(
            is_secret,
            name.ends_with("_KEY") || name.ends_with("_TOKEN"),
            "{name}"
        );
    }
}

/// What the registry asks of an entry (its schema of 2025-12-11, and its check of bundles).
fn is_fit_for_the_registry(entry: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(
        entry["$schema"],
        "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
    );
    let name = text(&entry["name"]);
    let (namespace, server) = name.split_once('/').expect("a namespace and a name");
    assert!(
        namespace.starts_with("io.github.") && !server.contains('/'),
        "{name}"
    );
    assert!((1..=100).contains(&text(&entry["description"]).chars().count()));
    assert_eq!(entry["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(entry["repository"]["url"], env!("CARGO_PKG_REPOSITORY"));

    let packages = entry["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 1);
    let package = &packages[0];
    assert_eq!(package["registryType"], "mcpb");
    assert_eq!(package["transport"]["type"], "stdio");
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    let released = text(&package["identifier"]);
    let releases = concat!(
        env!("CARGO_PKG_REPOSITORY"),
        "/releases/download/v",
        env!("CARGO_PKG_VERSION"),
        "/"
    );
    assert!(released.starts_with(releases), "{released}");
    assert!(
        released.contains("mcp") && released.ends_with(".mcpb"),
        "{released}"
    );
    if let Some(digest) = package.get("fileSha256") {
        let digest = text(digest);
        assert_eq!(digest.len(), 64);
        assert!(
            digest
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        );
    }
}
