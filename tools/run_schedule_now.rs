//! `run_schedule_now`: runs a schedule out of its turn.

use std::time::{Duration, Instant};

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use temporalio_client::{
    Client, WorkflowGetResultOptions,
    schedules::{ScheduleOverlapPolicy, ScheduleRecentAction},
};
use tokio::time::{sleep, timeout};

use crate::{
    Segue,
    answer::Answer,
    args::Args,
    error::ToolError,
    schedule_view::{self, RunView, ScheduleView},
    schedules::{self, Known},
    waiting,
};

/// Time for the engine to start a run, or to leave it out.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Time between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What `run_schedule_now` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The schedule, as list_schedules shows it.
    pub schedule_id: String,
    /// Seconds to wait for the end of the run, 0 to 45. Default 0: answer as soon as it has started.
    #[serde(default)]
    #[schemars(range(max = waiting::LONGEST_WAIT_SECONDS))]
    pub wait_seconds: Option<u32>,
}

/// The run, and its schedule.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The run; absent if one was under way and the overlap policy let no other start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunView>,
    /// The schedule.
    pub schedule: ScheduleView,
}

/// What the engine made of the order.
enum Ordered {
    Started(ScheduleRecentAction),
    Skipped,
    Waits,
}

#[tool_router(router = run_schedule_now_router, vis = "pub(crate)")]
impl Segue {
    /// Runs a schedule at once, also one that is paused, by its overlap policy: with skip, a run that is
    /// under way lets no other start. Its next times stay as they are.
    #[tool(
        title = "Run a schedule now",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "Run a schedule now",
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    pub(crate) async fn run_schedule_now(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<Output>, ToolError> {
        let wait = waiting::seconds(params.wait_seconds)?;
        let engine = self.engine().ready(&context).await?;
        let (client, user_id) = (&engine.client, self.user_id());
        let before = schedules::find(client, user_id, &params.schedule_id).await?;
        schedules::handle(client, &before.schedule_id)
            .trigger(ScheduleOverlapPolicy::Unspecified, Default::default())
            .await
            .map_err(|error| schedules::failed(&before.schedule_id, "run the schedule", &error))?;
        let ordered = ordered(client, user_id, &before).await?;
        let mut run = None;
        let sentence = match ordered {
            Ordered::Started(action) => {
                let handle = schedule_view::handle(client, &action);
                // Whether it has ended, and how, is read below.
                let _ = timeout(wait, handle.get_result(WorkflowGetResultOptions::default())).await;
                let view = schedule_view::run(client, &action).await?;
                let sentence = match view.status.is_open() {
                    true => format!("The run has started. {}", view.message),
                    false => view.message.clone(),
                };
                run = Some(view);
                sentence
            }
            Ordered::Skipped => {
                "Another run is under way, so this one was left out (overlap skip); \
                                 list_schedules shows that one."
                    .to_owned()
            }
            Ordered::Waits => {
                "Another run is under way; this one starts when that has ended.".to_owned()
            }
        };
        let known = schedules::find(client, user_id, &params.schedule_id).await?;
        let schedule = schedule_view::read(client, &known, 1).await?;
        Ok(Answer {
            sentence: sentence + &engine.note(),
            data: Output { run, schedule },
        })
    }
}

/// Waits until the engine has made something of the order: it answers before it has.
async fn ordered(client: &Client, user_id: &str, before: &Known) -> Result<Ordered, ToolError> {
    let until = Instant::now() + START_LIMIT;
    let old = before.described.recent_actions();
    let is_old = |action: &ScheduleRecentAction| old.iter().any(|o| o.run_id == action.run_id);
    let waiting = |known: &Known| {
        let info = known.described.raw().info.as_ref();
        info.map_or(0, |info| info.buffer_size)
    };
    loop {
        let now = schedules::find(client, user_id, &before.schedule_id).await?;
        let actions = now.described.recent_actions();
        if let Some(started) = actions.into_iter().rev().find(|action| !is_old(action)) {
            return Ok(Ordered::Started(started));
        }
        if now.described.overlap_skipped() > before.described.overlap_skipped() {
            return Ok(Ordered::Skipped);
        }
        if waiting(&now) > waiting(before) && Instant::now() >= until {
            return Ok(Ordered::Waits);
        }
        if Instant::now() >= until {
            return Err(ToolError::not_yet(
                "The engine has taken the order, and not yet started the run; list_schedules shows it \
                 when it has.",
            ));
        }
        sleep(LOOK_EVERY).await;
    }
}
