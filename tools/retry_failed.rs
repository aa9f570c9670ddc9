//! `retry_failed`: tries a failed or dead-lettered sync again, or all dead letters of a kind.

use jiff::Timestamp;
use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    batch::{BatchInput, Target},
    batch_sync::BatchSync,
    dead_letter::DeadLetter,
    error::ErrorCode,
    music_sync::MusicSync,
    names,
    sync::{PlaylistRef, SyncInput, SyncStatus},
};
use serde::{Deserialize, Serialize};
use temporalio_client::{Client, WorkflowExecuteUpdateOptions, WorkflowQueryOptions};

use crate::{
    Segue,
    answer::{Answer, Reply},
    args::Args,
    error::ToolError,
    report::Sources,
    rows, sync_playlist, sync_tasks, sync_track,
    view::{self, SyncView},
    waiting,
};

mod letters;

use self::letters::Retry;

/// What `retry_failed` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The id of the sync or batch that failed: list_syncs with status dead_lettered or failed shows
    /// them. Or leave it out, and say which dead letters are to be tried again.
    #[serde(default)]
    pub sync_id: Option<String>,
    /// All dead letters of the user. Not together with sync_id.
    #[serde(default)]
    pub all: bool,
    /// Those of this user. Another's are not touched.
    #[serde(default)]
    pub user: Option<String>,
    /// Those into this playlist: id, URI, URL, or the name as it was given.
    #[serde(default)]
    pub playlist: Option<String>,
    /// Those that failed with this error_code, such as upstream_unavailable.
    #[serde(default)]
    pub error_code: Option<ErrorCode>,
    /// Those that failed at this time or later, such as 2026-11-23T15:00:00Z.
    #[serde(default)]
    pub failed_after: Option<Timestamp>,
    /// Those that failed before this time.
    #[serde(default)]
    pub failed_before: Option<Timestamp>,
    /// Seconds to wait for the end of the one retry, 0 to 45, with progress notifications. Default 0:
    /// answer at once.
    #[serde(default)]
    #[schemars(range(max = waiting::LONGEST_WAIT_SECONDS))]
    pub wait_seconds: Option<u32>,
}

/// The retry, or the retries.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The sync that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
    /// The new sync, under an id of its own.
    #[serde(flatten)]
    pub sync: Option<SyncView>,
    /// Of a call that named no sync: what was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<Vec<Retry>>,
    /// Of a call that named no sync: there are more; call again for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
}

#[tool_router(router = retry_failed_router, vis = "pub(crate)")]
impl Segue {
    /// Tries a failed or dead-lettered sync again, as a new sync with the same input. When it comes
    /// through, the dead letter is closed; when it fails, the letter is kept. Of a batch that has ended,
    /// the rows that failed or never had their turn are tried again, as a new batch. Without a sync_id,
    /// all dead letters that fit what is said of them.
    #[tool(
        title = "Try a failed sync again",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "Try a failed sync again",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    pub(crate) async fn retry_failed(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Reply<Output>, ToolError> {
        let wait = waiting::seconds(params.wait_seconds)?;
        let Some(failed_id) = params.sync_id.clone() else {
            let query = letters::filter(&params, self.user_id())?;
            let engine = self.engine().ready(&context).await?;
            let retried = letters::retry(&engine.client, query, params.error_code).await?;
            return Ok(Reply::Answer(Answer {
                sentence: retried.sentence() + &engine.note(),
                data: Output {
                    retry_of: None,
                    sync: None,
                    retries: Some(retried.retries),
                    more: Some(retried.more),
                },
            }));
        };
        letters::no_filter(&params)?;
        let engine = self.engine().ready(&context).await?;
        let client = &engine.client;
        let failed = view::read(client, self.user_id(), &failed_id).await?;
        let retry_id = names::new_sync_id();
        if failed.comparison.is_some() {
            return Err(ToolError::wrong_state(
                &failed_id,
                "This is a comparison: there is nothing in it to try again.",
                "Start it again with compare_strategies.",
            ));
        }
        match failed.status {
            status if failed.batch.is_some() && !status.is_open() => {
                let retry = (&*retry_id, self.notifies());
                retry_batch(client, self.user_id(), &failed_id, retry).await?;
            }
            SyncStatus::DeadLettered => retry_letter(client, &failed_id, &retry_id).await?,
            SyncStatus::Failed => {
                let input = input_of(client, &failed_id).await?;
                match open_letter_of(client, self.user_id(), &input).await? {
                    Some(kept_id) => retry_letter(client, &kept_id, &retry_id).await?,
                    None => {
                        let retry = (&*retry_id, self.notifies());
                        retry_anew(client, &failed_id, retry, input).await?;
                    }
                }
            }
            status => {
                return Err(ToolError::wrong_state(
                    &failed_id,
                    format!("The sync has not failed: it is {}.", status.as_str()),
                    "Only a failed or dead-lettered sync can be tried again.",
                ));
            }
        }
        let after_start = |error: ToolError| error.after_start_of(&retry_id);
        waiting::until_started(client, self.user_id(), &retry_id)
            .await
            .map_err(after_start)?;
        let task = sync_tasks::instead_of_answer(self, client, &context, &retry_id, wait).await;
        if let Some(task) = task.map_err(after_start)? {
            return Ok(Reply::Task(task));
        }
        let sync = waiting::for_started(client, &context, self.user_id(), &retry_id, wait)
            .await
            .map_err(|error| error.after_start_of(&retry_id))?;
        let sentence = match sync.is_ended() {
            true => sync.message.clone(),
            false => format!(
                "Trying {failed_id} again as {retry_id}. \
                 Call get_sync_progress with this new sync_id to see what came of it."
            ),
        };
        Ok(Reply::Answer(Answer {
            sentence: sentence + &engine.note(),
            data: Output {
                retry_of: Some(failed_id),
                sync: Some(sync),
                retries: None,
                more: None,
            },
        }))
    }
}

/// The letter itself starts the retry, so that it is there to be closed by it.
pub(super) async fn retry_letter(
    client: &Client,
    failed_id: &str,
    retry_id: &str,
) -> Result<(), ToolError> {
    client
        .get_workflow_handle::<DeadLetter>(names::dead_letter_id(failed_id))
        .execute_update(
            DeadLetter::retry_as,
            retry_id.to_owned(),
            WorkflowExecuteUpdateOptions::default(),
        )
        .await
        .map_err(|error| {
            ToolError::wrong_state(
                failed_id,
                format!("The retry cannot be started: {error}."),
                "If a retry is under way already, wait for it with get_sync_progress.",
            )
        })
}

async fn input_of(client: &Client, sync_id: &str) -> Result<SyncInput, ToolError> {
    client
        .get_workflow_handle::<MusicSync>(sync_id)
        .query(MusicSync::input, (), WorkflowQueryOptions::default())
        .await
        .map_err(|error| ToolError::engine_failed("read what the sync was asked to do", &error))
}

/// The sync whose letter keeps this one, if that is still open: a retry that failed is tried again
/// through the letter it came from.
async fn open_letter_of(
    client: &Client,
    user_id: &str,
    input: &SyncInput,
) -> Result<Option<String>, ToolError> {
    let Some(kept_id) = input.retry_of.as_ref().filter(|_| input.kept_by_letter) else {
        return Ok(None);
    };
    let kept = view::read(client, user_id, kept_id).await?;
    Ok((kept.status == SyncStatus::DeadLettered).then(|| kept_id.clone()))
}

/// A sync that no retry could mend has no letter; what stood in its way may be gone by now. The retry has this
/// id, and tells the user what becomes of it or does not.
async fn retry_anew(
    client: &Client,
    failed_id: &str,
    (retry_id, notify): (&str, bool),
    input: SyncInput,
) -> Result<(), ToolError> {
    let again = SyncInput {
        retry_of: Some(failed_id.to_owned()),
        kept_by_letter: false,
        notify,
        ..input
    };
    sync_track::start(client, retry_id, again).await
}

/// The rows of a batch that did not get to their end, as a batch of their own. It has this id, and tells the user
/// what becomes of it or does not.
async fn retry_batch(
    client: &Client,
    user_id: &str,
    failed_id: &str,
    (retry_id, notify): (&str, bool),
) -> Result<(), ToolError> {
    let described = view::describe(client, user_id, failed_id).await?;
    let sources = Sources::of(client, failed_id, &described).await?;
    let left = sources.left(client, failed_id).await?;
    if left.is_empty() {
        return Err(ToolError::wrong_state(
            failed_id,
            "No row of this batch has failed.",
            "Read its report: for a row that is uncertain or not found, correct the spelling or give the \
             ISRC in a new batch.",
        ));
    }
    let input = client
        .get_workflow_handle::<BatchSync>(failed_id)
        .query(BatchSync::input, (), WorkflowQueryOptions::default())
        .await
        .map_err(|error| ToolError::engine_failed("read what the batch was asked to do", &error))?;
    let playlist = sources.playlist_id.clone();
    let again = BatchInput {
        target: match playlist {
            Some(id) => Target::Playlist(PlaylistRef::Id(id)),
            None => input.target,
        },
        rows: u32::try_from(left.len()).unwrap_or(u32::MAX),
        pages: rows::paged(&left)?,
        retry_of: Some(failed_id.to_owned()),
        from_preview: None,
        notify,
        so_far: None,
        ..input
    };
    sync_playlist::start(client, retry_id, again, None).await
}
