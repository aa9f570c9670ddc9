//! Where an open sync stands, read from the engine.
//!
//! The workflow itself is not asked. A query needs a worker, and this is also to be seen while none is
//! there; and with SDK 1.1.1 a query that reaches a worker together with events that it has not handled
//! yet (a signal that came while its process was being killed) makes it handle them twice over, in two
//! orders: the workflow then never gets on. What the engine knows is enough.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_client::{
    Client, WorkflowDescribeOptions, WorkflowExecutionDescription, errors::WorkflowInteractionError,
};
use temporalio_common::protos::temporal::api::workflow::v1::PendingActivityInfo;

use crate::{
    names,
    place_track::PlaceTrack,
    sync::{Progress, Step, SyncStatus, Wait},
};

/// What was known when the track began to be placed. It stands in the details of the workflow that
/// places it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct BeforePlacing {
    candidates_found: u32,
    retry_count: u32,
}

/// The details for the workflow that places the track of this sync.
pub(crate) fn details_for_placing(progress: &Progress) -> String {
    let known = BeforePlacing {
        candidates_found: progress.candidates_found,
        retry_count: progress.retry_count,
    };
    serde_json::to_string(&known).unwrap_or_default()
}

/// How far the sync of this description is, which is still open.
///
/// # Errors
/// The engine could not be asked for the workflow that places the track.
pub async fn of_open_sync(
    client: &Client,
    sync: &WorkflowExecutionDescription,
) -> Result<Progress, WorkflowInteractionError> {
    let attributes = sync.search_attributes();
    let status = attributes.get(&names::SYNC_STATUS);
    let wait = attributes.get(&names::SYNC_WAIT);
    let wait = wait.as_deref().and_then(Wait::of_line);
    let (step, retries) = step_of(sync).unwrap_or_else(|| {
        let (name, id) = (
            attributes.get(&names::PLAYLIST_NAME),
            attributes.get(&names::PLAYLIST_ID),
        );
        // Until it is looked up, the playlist goes by its name.
        match name.is_some() && name == id {
            true => (Step::FindPlaylist, 0),
            false => (Step::Search, 0),
        }
    });
    let started_at = sync
        .start_time()
        .and_then(|at| Timestamp::try_from(at).ok());
    let mut progress = Progress {
        status: status
            .and_then(|status| SyncStatus::parse(&status))
            .unwrap_or(SyncStatus::Running),
        current_step: step,
        retry_count: retries,
        waiting_until: wait.as_ref().map(|wait| wait.until),
        waiting_for: wait.map(|wait| wait.reason),
        placing: None,
        ..Progress::new(started_at.unwrap_or_default())
    };
    let children = &sync.raw().pending_children;
    if let Some(child) = children
        .iter()
        .find(|child| names::is_placing(&child.workflow_id))
    {
        let placing = client.get_workflow_handle::<PlaceTrack>(&child.workflow_id);
        match placing.describe(WorkflowDescribeOptions::default()).await {
            Ok(placing) => {
                let details = placing.static_details().unwrap_or_default();
                let before: BeforePlacing = serde_json::from_str(details).unwrap_or_default();
                let (step, retries) = step_of(&placing).unwrap_or((Step::Add, 0));
                progress.current_step = step;
                progress.candidates_found = before.candidates_found;
                progress.retry_count = before.retry_count + retries;
            }
            // It has just ended, and the sync is about to notice.
            Err(WorkflowInteractionError::NotFound(_)) => progress.current_step = Step::Verify,
            Err(error) => return Err(error),
        }
    }
    Ok(progress)
}

/// The step whose activity is under way, and how often it had to be repeated.
fn step_of(workflow: &WorkflowExecutionDescription) -> Option<(Step, u32)> {
    let activity = workflow.raw().pending_activities.first()?;
    let step = match name_of(activity) {
        "find_playlist" => Step::FindPlaylist,
        "search" => Step::Search,
        "look" | "add" => Step::Add,
        "verify" => Step::Verify,
        "take_out" => Step::Undo,
        _ => return None,
    };
    let repeated = u32::try_from(activity.attempt - 1).unwrap_or_default();
    Some((step, repeated))
}

fn name_of(activity: &PendingActivityInfo) -> &str {
    activity
        .activity_type
        .as_ref()
        .map_or("", |kind| kind.name.as_str())
}
