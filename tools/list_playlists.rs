//! `list_playlists`: the user's playlists on Spotify.

use std::time::Duration;

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    error::SyncError, names, playlist_reading::PlaylistReading, upstream::Playlist,
};
use serde::{Deserialize, Serialize};
use temporalio_client::{
    Client, WorkflowCancelOptions, WorkflowGetResultOptions, WorkflowQueryOptions,
    WorkflowStartOptions, errors::WorkflowGetResultError,
};
use temporalio_common::error::IncomingError;
use tokio::time::timeout;

use crate::{Segue, answer::Answer, args::Args, error::ToolError, waiting};

/// The wait when nobody says another, in seconds. Here the answer is what the upstream says, so
/// this is the one tool that waits by itself; a page of 50 playlists takes well under a second.
const DEFAULT_WAIT_SECONDS: u32 = 20;

/// The shortest wait.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// What `list_playlists` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Seconds to wait for Spotify, 1 to 45. Default 20.
    #[serde(default)]
    #[schemars(range(max = waiting::LONGEST_WAIT_SECONDS))]
    pub wait_seconds: Option<u32>,
}

/// The playlists.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// Each playlist, in Spotify's order.
    pub playlists: Vec<Playlist>,
}

#[tool_router(router = list_playlists_router, vis = "pub(crate)")]
impl Segue {
    /// Lists the user's Spotify playlists with their ids and names. Use it when the user names a
    /// playlist that may not be spelt exactly, or asks which there are.
    #[tool(
        title = "List playlists",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "List playlists",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    pub(crate) async fn list_playlists(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<Output>, ToolError> {
        let wait = waiting::seconds(params.wait_seconds.or(Some(DEFAULT_WAIT_SECONDS)))?;
        // Without any wait there could be no answer.
        let wait = wait.max(SHORTEST_WAIT);
        let engine = self.engine().ready(&context).await?;
        let playlists = read(&engine.client, wait).await?;
        let sentence = match playlists.len() {
            0 => "There are no playlists.".to_owned(),
            1 => format!("There is one playlist: {}.", playlists[0].name),
            many => format!("There are {many} playlists."),
        };
        Ok(Answer {
            sentence: sentence + &engine.note(),
            data: Output { playlists },
        })
    }
}

/// Reads the playlists from Spotify, within this time.
pub(crate) async fn read(client: &Client, wait: Duration) -> Result<Vec<Playlist>, ToolError> {
    let options = WorkflowStartOptions::new(names::SYNC_QUEUE, names::new_playlist_reading_id())
        .enable_eager_workflow_start(true)
        .build();
    let reading = client
        .start_workflow(PlaylistReading::run, (), options)
        .await
        .map_err(|error| ToolError::engine_failed("start the reading", &error))?;
    let result = timeout(
        wait,
        reading.get_result(WorkflowGetResultOptions::default()),
    )
    .await;
    match result {
        Ok(Ok(playlists)) => Ok(playlists),
        Ok(Err(error)) => Err(of_reading(&error)),
        Err(_) => {
            let until = reading
                .query(
                    PlaylistReading::waiting_until,
                    (),
                    WorkflowQueryOptions::default(),
                )
                .await;
            // Nobody will ask for this reading again: the next call starts its own.
            let _ = reading.cancel(WorkflowCancelOptions::default()).await;
            Err(ToolError::not_yet(match until {
                Ok(Some(until)) => format!(
                    "Spotify is not called before {until:.0}: it asked to come back later, or has failed again and again."
                ),
                _ => format!(
                    "Spotify has not answered within {} s.",
                    Duration::as_secs(&wait)
                ),
            }))
        }
    }
}

fn of_reading(error: &WorkflowGetResultError) -> ToolError {
    let known = match error {
        WorkflowGetResultError::Failed(failure) => match &**failure {
            IncomingError::Application(failure) => failure.details::<SyncError>().ok().flatten(),
            _ => None,
        },
        _ => None,
    };
    match known {
        Some(error) => ToolError::upstream(&error),
        None => ToolError::engine_failed("read the playlists", error),
    }
}
