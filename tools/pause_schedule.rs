//! `pause_schedule`: lets a schedule rest.

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

/// What `pause_schedule` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The schedule, as list_schedules shows it.
    pub schedule_id: String,
}

#[tool_router(router = pause_schedule_router, vis = "pub(crate)")]
impl Segue {
    /// Lets a schedule rest until resume_schedule. Times that pass meanwhile are not made up for, and runs
    /// that wait are dropped; one under way goes on, and run_schedule_now still works.
    #[tool(
        title = "Pause a schedule",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<ScheduleView>(),
        annotations(
            title = "Pause a schedule",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn pause_schedule(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<ScheduleView>, ToolError> {
        let engine = self.engine().ready(&context).await?;
        let (client, user_id) = (&engine.client, self.user_id());
        let known = schedules::find(client, user_id, &params.schedule_id).await?;
        schedules::handle(client, &known.schedule_id)
            .pause(Some("pause_schedule"), Default::default())
            .await
            .map_err(|error| schedules::failed(&known.schedule_id, "pause the schedule", &error))?;
        let known = schedules::find(client, user_id, &params.schedule_id).await?;
        let view = schedule_view::read(client, &known, 1).await?;
        let sentence = format!("The schedule {:?} rests until resume_schedule.", view.name);
        Ok(Answer {
            sentence: sentence + &engine.note(),
            data: view,
        })
    }
}
