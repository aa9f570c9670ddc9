//! `update_schedule`: changes when a schedule runs, and how much a mirror may take out.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::schedule::{Overlap, ScheduleInput, Work};
use serde::Deserialize;

use crate::{
    Segue,
    answer::Answer,
    args::Args,
    error::ToolError,
    schedule_sync::{self, MOST_REMOVALS},
    schedule_view::{self, ScheduleView},
    schedules, text, timing,
};

/// What `update_schedule` is told. What is left out stays as it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The schedule, as list_schedules shows it.
    pub schedule_id: String,
    /// Another name for it.
    #[serde(default)]
    pub name: Option<String>,
    /// Another cron expression of five fields, or @hourly, @daily, @weekly, @monthly, @yearly.
    #[serde(default)]
    pub cron: Option<String>,
    /// Another time zone for cron, as an IANA name.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Another number of seconds between two runs, 10 to a year.
    #[serde(default)]
    #[schemars(range(min = timing::SHORTEST_INTERVAL, max = timing::LONGEST_INTERVAL))]
    pub interval_seconds: Option<u32>,
    /// Each run begins up to this many seconds later.
    #[serde(default)]
    #[schemars(range(max = timing::LONGEST_JITTER))]
    pub jitter_seconds: Option<u32>,
    /// A run that was missed by no more than this many seconds is made up for.
    #[serde(default)]
    #[schemars(range(min = timing::SHORTEST_CATCH_UP, max = timing::LONGEST_INTERVAL))]
    pub catch_up_seconds: Option<u32>,
    /// What becomes of a run whose time has come while the one before it still runs.
    #[serde(default)]
    pub overlap: Option<Overlap>,
    /// Of a mirror with removals: if more songs than this are to go in one run, none goes.
    #[serde(default)]
    #[schemars(range(min = 1, max = MOST_REMOVALS))]
    pub max_removals: Option<u32>,
}

#[tool_router(router = update_schedule_router, vis = "pub(crate)")]
impl Segue {
    /// Changes when a schedule runs, its name, or how many songs a mirror may take out in one run. What it
    /// syncs, and where, cannot be changed: delete it and make another. A run under way goes on as it was.
    #[tool(
        title = "Change a schedule",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<ScheduleView>(),
        annotations(
            title = "Change a schedule",
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn update_schedule(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<ScheduleView>, ToolError> {
        let engine = self.engine().ready(&context).await?;
        let (client, user_id) = (&engine.client, self.user_id());
        let schedule_id = params.schedule_id.clone();
        let known = schedules::find(client, user_id, &schedule_id).await?;
        let input = changed(&params, &known.input)?;
        schedules::change(client, known, &input).await?;
        let known = schedules::find(client, user_id, &schedule_id).await?;
        let view = schedule_view::read(client, &known, 0).await?;
        Ok(Answer {
            sentence: format!("The schedule {:?} is changed. {}", view.name, view.next())
                + &engine.note(),
            data: view,
        })
    }
}

/// The schedule as it is to be.
fn changed(params: &Params, before: &ScheduleInput) -> Result<ScheduleInput, ToolError> {
    let asked = timing::Asked {
        cron: params.cron.clone(),
        time_zone: params.time_zone.clone(),
        interval_seconds: params.interval_seconds,
        jitter_seconds: params.jitter_seconds,
        catch_up_seconds: params.catch_up_seconds,
        overlap: params.overlap,
    };
    let mut input = before.clone();
    input.when = asked.checked(Some(&before.when))?;
    let name = text::optional("name", params.name.as_deref(), schedule_sync::LONGEST_NAME)?;
    if let Some(name) = name {
        input.name = name;
    }
    if let Some(most) = params.max_removals {
        let most = schedule_sync::removals(most)?;
        let removals = match &mut input.work {
            Work::Sync(batch) => batch.removals.as_mut(),
            Work::RetryDeadLetters => None,
        };
        let removals = removals.ok_or_else(|| {
            ToolError::invalid(
                "max_removals",
                "was given of a schedule that takes nothing out",
                "only of a schedule that was made with remove_gone",
            )
        })?;
        removals.most = most;
    }
    Ok(input)
}
