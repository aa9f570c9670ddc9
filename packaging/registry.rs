//! The entry in the MCP registry: `server.json`, for the bundle that was made.
//!
//! The registry wants the digest of the released file, which nobody knows before it is packed. So the file in the
//! repository has none, and the one that is published is made with the bundle.

use std::env::consts;

use anyhow::Context;
use serde_json::{Value, json};

use crate::{bundle, repository};

/// What the bundle of this version for this platform is called, also where it is released.
pub(crate) fn file_name() -> String {
    format!(
        "segue-{}-{}-{}.mcpb",
        env!("CARGO_PKG_VERSION"),
        consts::OS,
        consts::ARCH
    )
}

/// The repository's `server.json`, for the bundle with this digest.
pub(crate) fn entry(digest: &str) -> anyhow::Result<Value> {
    let mut entry = bundle::read(&repository().join("server.json"))?;
    let package = entry
        .pointer_mut("/packages/0")
        .context("server.json names no package")?;
    let released = package["identifier"].as_str().unwrap_or_default();
    let (folder, _) = released
        .rsplit_once('/')
        .context("server.json does not say where the bundle is released")?;
    package["identifier"] = json!(format!("{folder}/{}", file_name()));
    package["fileSha256"] = json!(digest);
    Ok(entry)
}
