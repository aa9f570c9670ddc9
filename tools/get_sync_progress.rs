//! `get_sync_progress`: where a sync stands, or what came of it.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::Deserialize;

use temporalio_client::Client;

use crate::{
    Segue,
    answer::{Answer, Reply},
    app,
    args::Args,
    error::ToolError,
    report::{ReportRow, Sources},
    view::{self, SyncView},
    waiting,
};

/// What `get_sync_progress` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The id that sync_track answered, or that list_syncs shows.
    pub sync_id: String,
    /// Of a batch: the page of 100 rows, from 1, whose outcomes are to be told row by row.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    pub page: Option<u32>,
    /// Seconds to wait for the end, 0 to 45, with progress notifications. Default 0: answer at
    /// once.
    #[serde(default)]
    #[schemars(range(max = waiting::LONGEST_WAIT_SECONDS))]
    pub wait_seconds: Option<u32>,
}

#[tool_router(router = get_sync_progress_router, vis = "pub(crate)")]
impl Segue {
    /// Tells where a sync stands: its step, how long it has taken, what it waits for, and once it
    /// has ended what came of it. Works for any sync of any session, also after a restart.
    #[tool(
        title = "See how a sync is doing",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<SyncView>(),
        meta = app::of_tool(),
        annotations(
            title = "See how a sync is doing",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn get_sync_progress(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Reply<SyncView>, ToolError> {
        let wait = waiting::seconds(params.wait_seconds)?;
        let engine = self.engine().ready(&context).await?;
        let waited = waiting::for_sync_asking(
            &engine.client,
            &context,
            self.user_id(),
            &params.sync_id,
            wait,
        )
        .await?;
        let mut view = match waited.question {
            Some(question) => return Ok(Reply::Ask(question)),
            None => waited.view,
        };
        if let (Some(page), Some(batch)) = (params.page, &mut view.batch) {
            let rows = rows_of(&engine.client, self.user_id(), &params.sync_id, page).await?;
            batch.rows = Some(rows);
        }
        let status = view.status.as_str().replace('_', " ");
        let mut sentence = match (&view.track, &view.artist) {
            (Some(track), Some(artist)) => {
                format!("\"{track}\" by {artist}: {status}. {}", view.message)
            }
            _ if view.comparison.is_some() => format!("The comparison: {status}. {}", view.message),
            _ => format!("The batch: {status}. {}", view.message),
        };
        if let Some(next_step) = &view.next_step {
            sentence = format!("{sentence} {next_step}");
        }
        Ok(Reply::Answer(Answer {
            sentence: sentence + &engine.note(),
            data: view,
        }))
    }
}

/// The rows of a page of a batch. A page that is not done has none yet.
async fn rows_of(
    client: &Client,
    user_id: &str,
    sync_id: &str,
    page: u32,
) -> Result<Vec<ReportRow>, ToolError> {
    if page == 0 {
        return Err(ToolError::invalid("page", "is out of range", "1 and up"));
    }
    let described = view::describe(client, user_id, sync_id).await?;
    let sources = Sources::of(client, sync_id, &described).await?;
    let rows = sources.page(client, sync_id, page - 1).await?;
    Ok(rows.unwrap_or_default())
}
