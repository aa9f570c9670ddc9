//! `list_schedules`: the user's schedules, and what came of their last runs.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{StreamExt, TryStreamExt, stream};
use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::names;
use serde::{Deserialize, Serialize};
use temporalio_client::{Client, NamespacedClient};
use temporalio_common::protos::temporal::api::workflowservice::v1::ListSchedulesRequest;

use crate::{
    Segue,
    answer::Answer,
    args::Args,
    error::ToolError,
    schedule_view::{self, ScheduleView},
    schedules,
    visibility::{self, LARGEST_LIMIT},
};

/// Runs that are shown of each schedule of a list.
const RUNS_IN_A_LIST: usize = 3;
/// Runs that are shown of a single schedule: as many as the engine keeps.
pub(crate) const RUNS_OF_ONE: usize = 10;
/// Schedules that are looked up at a time.
const AT_A_TIME: usize = 8;

/// What `list_schedules` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Only this schedule, with its last ten runs instead of three.
    #[serde(default)]
    pub schedule_id: Option<String>,
    /// Schedules on a page, 1 to 100. Default 20.
    #[serde(default)]
    #[schemars(range(min = 1, max = LARGEST_LIMIT))]
    pub limit: Option<u32>,
    /// The next_cursor of the page before, to read on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A page of schedules.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The schedules.
    pub schedules: Vec<ScheduleView>,
    /// Give it as cursor to read the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[tool_router(router = list_schedules_router, vis = "pub(crate)")]
impl Segue {
    /// Lists the user's schedules: what each does, when it runs next, whether it is paused, and what
    /// came of its last runs, with the sync_id of each. Use it to find a schedule_id.
    #[tool(
        title = "List schedules",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "List schedules",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn list_schedules(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<Output>, ToolError> {
        let limit = visibility::limit(params.limit)?;
        let page_token = visibility::cursor(params.cursor.as_deref())?;
        let engine = self.engine().ready(&context).await?;
        let (client, user_id) = (&engine.client, self.user_id());
        let (ids, next, runs) = match params.schedule_id {
            Some(id) => (vec![id], Vec::new(), RUNS_OF_ONE),
            None => {
                let (ids, next) = list(client, user_id, limit, page_token).await?;
                (ids, next, RUNS_IN_A_LIST)
            }
        };
        let only = runs == RUNS_OF_ONE;
        let views = stream::iter(ids).map(|id| view(client, user_id, id, runs, only));
        let schedules: Vec<Option<ScheduleView>> = views.buffered(AT_A_TIME).try_collect().await?;
        let schedules: Vec<ScheduleView> = schedules.into_iter().flatten().collect();
        let next_cursor = (!next.is_empty()).then(|| URL_SAFE_NO_PAD.encode(next));
        let sentence = match (schedules.as_slice(), &next_cursor) {
            ([], None) => "There are no schedules; schedule_sync makes one.".to_owned(),
            ([one], None) => format!("{:?}: {} {}", one.name, one.does, one.next()),
            (many, None) => format!("There are {} schedules.", many.len()),
            (many, Some(_)) => format!(
                "Here are {} schedules; give next_cursor as cursor for more.",
                many.len()
            ),
        };
        Ok(Answer {
            sentence: sentence + &engine.note(),
            data: Output {
                schedules,
                next_cursor,
            },
        })
    }
}

async fn list(
    client: &Client,
    user_id: &str,
    limit: u32,
    next_page_token: Vec<u8>,
) -> Result<(Vec<String>, Vec<u8>), ToolError> {
    let request = ListSchedulesRequest {
        namespace: client.namespace(),
        maximum_page_size: i32::try_from(limit).unwrap_or(i32::MAX),
        next_page_token,
        query: names::equals(names::USER_ID.name(), user_id),
    };
    let mut service = client.connection().workflow_service();
    let answer = service
        .list_schedules(tonic::Request::new(request))
        .await
        .map_err(|status| ToolError::engine_failed("list schedules", &status.message()))?
        .into_inner();
    let ids = answer.schedules.into_iter().map(|entry| entry.schedule_id);
    let ours = ids.filter(|id| names::is_schedule_id(id)).collect();
    Ok((ours, answer.next_page_token))
}

/// A schedule of the list; none if it was deleted since, unless it was asked for.
async fn view(
    client: &Client,
    user_id: &str,
    schedule_id: String,
    runs: usize,
    wanted: bool,
) -> Result<Option<ScheduleView>, ToolError> {
    let known = match schedules::find(client, user_id, &schedule_id).await {
        Err(error) if error.code == "unknown_schedule" && !wanted => return Ok(None),
        known => known?,
    };
    schedule_view::read(client, &known, runs).await.map(Some)
}
