//! `delete_schedule`: ends a schedule for good.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    Segue,
    answer::Answer,
    args::Args,
    error::ToolError,
    schedule_view::{self, ScheduleView},
    schedules,
};

/// What `delete_schedule` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The schedule, as list_schedules shows it.
    pub schedule_id: String,
}

#[tool_router(router = delete_schedule_router, vis = "pub(crate)")]
impl Segue {
    /// Ends a schedule for good. What it has put into playlists stays, and a run under way goes on:
    /// cancel_sync with its sync_id stops that. Answers with the schedule as it was.
    #[tool(
        title = "Delete a schedule",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<ScheduleView>(),
        annotations(
            title = "Delete a schedule",
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn delete_schedule(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<ScheduleView>, ToolError> {
        let engine = self.engine().ready(&context).await?;
        let (client, user_id) = (&engine.client, self.user_id());
        let known = schedules::find(client, user_id, &params.schedule_id).await?;
        let view = schedule_view::read(client, &known, 1).await?;
        schedules::handle(client, &known.schedule_id)
            .delete(Default::default())
            .await
            .map_err(|error| {
                schedules::failed(&known.schedule_id, "delete the schedule", &error)
            })?;
        let running = view.last_runs.first().filter(|run| run.status.is_open());
        let running = match running.and_then(|run| run.sync_id.as_ref()) {
            Some(sync_id) => format!(" Its last run goes on as {sync_id}."),
            None => String::new(),
        };
        let sentence = format!("The schedule {:?} is deleted.{running}", view.name);
        Ok(Answer {
            sentence: sentence + &engine.note(),
            data: view,
        })
    }
}
