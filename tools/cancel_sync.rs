//! `cancel_sync`: stops a sync, and undoes what a single song or an atomic batch did; discards one that is dead-lettered.

use std::time::Duration;

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{dead_letter::DeadLetter, music_sync::MusicSync, names, sync::SyncStatus};
use serde::Deserialize;
use temporalio_client::{Client, WorkflowCancelOptions, WorkflowExecuteUpdateOptions};

use crate::{
    Segue,
    answer::Answer,
    args::Args,
    error::ToolError,
    view::{self, SyncView},
    waiting,
};

/// Time that a cancellation is given before it is answered: most need no more, and the answer then
/// says what was undone.
const SHORT_WAIT: Duration = Duration::from_millis(700);

/// What `cancel_sync` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The id that sync_track answered, or that list_syncs shows.
    pub sync_id: String,
    /// Seconds to wait until it has stopped, and has undone what is to be undone, 0 to 45. Default 0: answer at
    /// once; that goes on by itself either way.
    #[serde(default)]
    #[schemars(range(max = waiting::LONGEST_WAIT_SECONDS))]
    pub wait_seconds: Option<u32>,
}

#[tool_router(router = cancel_sync_router, vis = "pub(crate)")]
impl Segue {
    /// Stops a sync at its next step. Of one song, or of a batch that is all or nothing (atomic), what it had added
    /// itself is taken out again; what any other batch has added stays, and message says how much that is. A track
    /// that was in the playlist before stays always. A dead-lettered sync is discarded.
    #[tool(
        title = "Cancel a sync",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<SyncView>(),
        annotations(
            title = "Cancel a sync",
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    pub(crate) async fn cancel_sync(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<SyncView>, ToolError> {
        let wait = waiting::seconds(params.wait_seconds)?.max(SHORT_WAIT);
        let engine = self.engine().ready(&context).await?;
        let (client, sync_id) = (&engine.client, params.sync_id.as_str());
        let before = view::read(client, self.user_id(), sync_id).await?;
        match before.status {
            SyncStatus::DeadLettered => discard(client, sync_id).await?,
            SyncStatus::Cancelled => {}
            status if status.is_open() => cancel(client, sync_id).await?,
            status => {
                return Err(ToolError::wrong_state(
                    sync_id,
                    format!("The sync has already ended: {}.", status.as_str()),
                    "Nothing is left to cancel; take the track out in Spotify if you do not want it.",
                ));
            }
        }
        let after = match waiting::for_sync(client, &context, self.user_id(), sync_id, wait).await {
            // The letter was all that the engine still knew of this sync.
            Err(_) if before.status == SyncStatus::DeadLettered => SyncView {
                status: SyncStatus::Failed,
                message: "The sync failed, and was discarded.".to_owned(),
                next_step: None,
                ..before.clone()
            },
            after => after?,
        };
        let sentence = match after.status {
            status if status.is_open() => format!(
                "The sync is being cancelled. {} Call get_sync_progress to see what became of it.",
                after.message
            ),
            SyncStatus::Failed if before.status == SyncStatus::DeadLettered => {
                "The dead-lettered sync was discarded.".to_owned()
            }
            SyncStatus::Completed => format!("The cancellation came too late: {}", after.message),
            _ => after.message.clone(),
        };
        Ok(Answer {
            sentence: sentence + &engine.note(),
            data: after,
        })
    }
}

async fn cancel(client: &Client, sync_id: &str) -> Result<(), ToolError> {
    let options = WorkflowCancelOptions::builder()
        .reason("cancel_sync")
        .build();
    client
        .get_workflow_handle::<MusicSync>(sync_id)
        .cancel(options)
        .await
        .map_err(|error| ToolError::engine_failed("cancel the sync", &error))
}

async fn discard(client: &Client, sync_id: &str) -> Result<(), ToolError> {
    client
        .get_workflow_handle::<DeadLetter>(names::dead_letter_id(sync_id))
        .execute_update(
            DeadLetter::discard,
            (),
            WorkflowExecuteUpdateOptions::default(),
        )
        .await
        .map_err(|error| {
            ToolError::wrong_state(
                sync_id,
                format!("The dead letter cannot be discarded: {error}."),
                "If a retry is under way, cancel that first.",
            )
        })
}
