//! Where arguments come in, for the fuzz targets in `fuzz/`. No API: it changes with them.

use segue_workflows::review::ReviewTerms;
use serde_json::Value;

use crate::{
    args, cancel_sync, error::ToolError, get_sync_progress, list_playlists, list_syncs,
    retry_failed, schedule_sync, sync_playlist, sync_track, visibility, waiting,
};

/// The tools, by name.
pub const TOOLS: [&str; 8] = [
    "sync_track",
    "get_sync_progress",
    "cancel_sync",
    "retry_failed",
    "list_syncs",
    "list_playlists",
    "sync_playlist",
    "schedule_sync",
];

/// What a tool does with its arguments before it asks the engine anything: it accepts them, and
/// this is what it would go on with, or it refuses them in these words.
///
/// # Errors
/// The refusal.
pub fn accept(tool: &str, arguments: Value) -> Result<String, ToolError> {
    let unreadable = |problem: String| ToolError::unreadable(problem);
    match tool {
        "sync_track" => {
            let params = args::read(arguments).map_err(unreadable)?;
            sync_track::checked(params, "local", 0.85).map(|sync| format!("{sync:?}"))
        }
        "sync_playlist" => {
            let mut params: sync_playlist::Params = args::read(arguments).map_err(unreadable)?;
            let source = params.source().read_at_once(&[])?;
            let batch = sync_playlist::checked(params, source.tracks, "local", 0.85)?;
            Ok(format!("{batch:?}"))
        }
        "schedule_sync" => {
            let params = args::read(arguments).map_err(unreadable)?;
            let schedule = schedule_sync::checked(params, "local", 0.85, ReviewTerms::default())?;
            Ok(format!("{schedule:?}"))
        }
        "list_syncs" => {
            let params: list_syncs::Params = args::read(arguments).map_err(unreadable)?;
            visibility::cursor(params.cursor.as_deref())?;
            list_syncs::filter(&params, "local")
        }
        _ => {
            let wait_seconds = match tool {
                "get_sync_progress" => {
                    args::read::<get_sync_progress::Params>(arguments).map(|p| p.wait_seconds)
                }
                "cancel_sync" => {
                    args::read::<cancel_sync::Params>(arguments).map(|p| p.wait_seconds)
                }
                "retry_failed" => {
                    args::read::<retry_failed::Params>(arguments).map(|p| p.wait_seconds)
                }
                _ => args::read::<list_playlists::Params>(arguments).map(|p| p.wait_seconds),
            };
            waiting::seconds(wait_seconds.map_err(unreadable)?).map(|wait| format!("{wait:?}"))
        }
    }
}
