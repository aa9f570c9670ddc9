//! Where an open sync stands, read from the engine.
//!
//! The workflow itself is not asked. A query needs a worker, and this is also to be seen while none is
//! there; and with SDK 1.1.1 a query that reaches a worker together with events that it has not handled
//! yet (a signal that came while its process was being killed) makes it handle them twice over, in two
//! orders: the workflow then never gets on. What the engine knows is enough.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_client::{
    Client, NamespacedClient, WorkflowDescribeOptions, WorkflowExecutionDescription,
    errors::WorkflowInteractionError,
    grpc::WorkflowService,
    tonic::{Code, IntoRequest},
};
use temporalio_common::{
    data_converters::{SerializationContextData, WorkflowSerializationContext},
    payload_visitor::decode_payloads,
    protos::temporal::api::{
        common::v1::WorkflowExecution,
        workflow::v1::PendingActivityInfo,
        workflowservice::v1::{
            DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse,
        },
    },
};

use crate::{
    activities::Searched,
    agent_sync::AgentSync,
    batch::{BatchProgress, ROWS_A_PAGE},
    batch_page::{BatchPage, ROWS_A_SEARCH},
    names,
    sync::{Progress, Step, SyncStatus, Wait},
    upstream::clean,
};

/// Characters of what a model says that are shown.
const LONGEST_SAYING: usize = 200;

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
    let (step, retries) = step_of(sync.raw()).unwrap_or_else(|| {
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
    if let Some(agents) = child_of(sync, names::is_agents) {
        let agents = client.get_workflow_handle::<AgentSync>(agents);
        match agents.describe(WorkflowDescribeOptions::default()).await {
            Ok(agents) => {
                progress.saying = saying(&agents);
                (progress.current_step, progress.retry_count) =
                    step_of(agents.raw()).unwrap_or((Step::Search, 0));
                if child_of(&agents, names::is_placing).is_some() {
                    progress.current_step = Step::Add;
                }
            }
            // They have just ended, and the sync is about to notice.
            Err(WorkflowInteractionError::NotFound(_)) => progress.current_step = Step::Verify,
            Err(error) => return Err(error),
        }
    }
    if let Some(placing) = child_of(sync, names::is_placing) {
        match described(client, placing).await {
            Ok(placing) => {
                let before = before_placing(&placing).unwrap_or_default();
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

/// How far an open batch is.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchStanding {
    /// How far it was after the last page; nothing before it has begun.
    pub progress: Option<BatchProgress>,
    /// What has become of the rows of each page that is done, a letter each.
    pub fates: Vec<String>,
    /// Rows of the page under way that have been searched.
    pub searched: u32,
    /// A title that is being searched.
    pub searching: Option<String>,
}

/// How far the batch of this description is, which is still open.
///
/// # Errors
/// The engine could not be asked for the page under way.
pub async fn of_open_batch(
    client: &Client,
    batch: &WorkflowExecutionDescription,
) -> Result<BatchStanding, WorkflowInteractionError> {
    let mut standing = BatchStanding {
        progress: batch.memo().get(names::PROGRESS_MEMO).ok().flatten(),
        fates: (0..)
            .map_while(|page| batch.memo().get(&names::fates_memo(page)).ok().flatten())
            .collect(),
        searched: 0,
        searching: None,
    };
    let attributes = batch.search_attributes();
    if let Some(progress) = &mut standing.progress {
        // Waits come and go between two pages.
        let wait = attributes.get(&names::SYNC_WAIT);
        progress.wait(wait.as_deref().and_then(Wait::of_line));
    }
    let mut children = batch.raw().pending_children.iter();
    let page = children.find_map(|child| Some((child, names::page_of(&child.workflow_id)?)));
    let Some((page, number)) = page else {
        return Ok(standing);
    };
    let page = client.get_workflow_handle::<BatchPage>(&page.workflow_id);
    let page = match page.describe(WorkflowDescribeOptions::default()).await {
        Ok(page) => page,
        // It has just ended, and the batch is about to notice.
        Err(WorkflowInteractionError::NotFound(_)) => return Ok(standing),
        Err(error) => return Err(error),
    };
    let searches: Vec<Searched> = page
        .raw()
        .pending_activities
        .iter()
        .map(|activity| {
            let details = activity.heartbeat_details.as_ref();
            let first = details.and_then(|details| details.payloads.first());
            let kept = first.and_then(|payload| serde_json::from_slice(&payload.data).ok());
            kept.unwrap_or_default()
        })
        .collect();
    let kept: usize = searches.iter().map(|search| search.found.len()).sum();
    let progress = standing.progress.as_ref();
    let total = progress.map_or(0, |progress| progress.counts.total as usize);
    if !searches.is_empty() {
        standing.searched = searched(total, number, searches.len(), kept);
    }
    standing.searching = searches.into_iter().find_map(|search| search.now);
    Ok(standing)
}

/// Rows of this page that have been searched, where so many searches are under way and have kept so many rows:
/// the others of the page's have ended.
fn searched(total: usize, page: usize, searches: usize, kept: usize) -> u32 {
    let rows = total.saturating_sub(page * ROWS_A_PAGE).min(ROWS_A_PAGE);
    let ended = rows.saturating_sub(searches * ROWS_A_SEARCH);
    (ended + kept).min(rows) as u32
}

/// What the engine tells of the workflow of this id, whose details another workflow has given. SDK 1.1.1 reads
/// details before it decrypts them, so its own description of such a workflow fails.
async fn described(
    client: &Client,
    workflow_id: &str,
) -> Result<DescribeWorkflowExecutionResponse, WorkflowInteractionError> {
    let request = DescribeWorkflowExecutionRequest {
        namespace: client.namespace(),
        execution: Some(WorkflowExecution {
            workflow_id: workflow_id.to_owned(),
            run_id: String::new(),
        }),
    };
    let asked = &mut client.clone();
    let answer = WorkflowService::describe_workflow_execution(asked, request.into_request()).await;
    let answer = answer.map_err(|status| match status.code() {
        Code::NotFound => WorkflowInteractionError::NotFound(status),
        _ => WorkflowInteractionError::Rpc(status),
    });
    let mut described = answer?.into_inner();
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    decode_payloads(&mut described, client.data_converter().codec(), &context).await?;
    Ok(described)
}

/// What stands in the details of the workflow that places a track.
fn before_placing(placing: &DescribeWorkflowExecutionResponse) -> Option<BeforePlacing> {
    let metadata = placing.execution_config.as_ref()?.user_metadata.as_ref()?;
    let details: String = serde_json::from_slice(&metadata.details.as_ref()?.data).ok()?;
    serde_json::from_str(&details).ok()
}

/// The child under way whose id is one of these.
fn child_of(workflow: &WorkflowExecutionDescription, is_it: fn(&str) -> bool) -> Option<&str> {
    let mut children = workflow.raw().pending_children.iter();
    let child = children.find(|child| is_it(&child.workflow_id))?;
    Some(&child.workflow_id)
}

/// What a model has said so far in the turn that is under way: it goes along with the heartbeats.
fn saying(agents: &WorkflowExecutionDescription) -> Option<String> {
    let mut turns = agents.raw().pending_activities.iter();
    let turn = turns.find(|activity| name_of(activity) == "invoke_model")?;
    let told = turn.heartbeat_details.as_ref()?.payloads.first()?;
    let told: String = serde_json::from_slice(&told.data).ok()?;
    Some(clean(&told).chars().take(LONGEST_SAYING).collect())
        .filter(|told: &String| !told.is_empty())
}

/// The step whose activity is under way, and how often it had to be repeated.
fn step_of(workflow: &DescribeWorkflowExecutionResponse) -> Option<(Step, u32)> {
    let activity = workflow.pending_activities.first()?;
    let step = match name_of(activity) {
        "find_playlist" => Step::FindPlaylist,
        "search" | "call_mcp_tool" | "call_in_mcp_session" => Step::Search,
        "place" | "look" | "add" => Step::Add,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_rows_have_been_searched_than_a_page_has() {
        for (total, page, searches, kept, expected) in [
            (12, 0, 1, 0, 0),
            (12, 0, 1, 7, 7),
            (130, 0, 4, 10, 10),
            (130, 0, 1, 3, 78),
            (130, 1, 2, 4, 4),
            (130, 1, 1, 4, 9),
            (130, 2, 1, 4, 0),
        ] {
            assert_eq!(
                searched(total, page, searches, kept),
                expected,
                "{total} {page} {searches} {kept}"
            );
        }
    }

    #[test]
    fn a_page_is_told_by_its_id() {
        let id = names::page_id("sync-0123456789abcdef0123456789abcdef", 7);
        assert_eq!(names::page_of(&id), Some(7));
        for other in ["sync-0123456789abcdef0123456789abcdef", "place-page-7", ""] {
            assert_eq!(names::page_of(other), None, "{other}");
        }
    }
}
