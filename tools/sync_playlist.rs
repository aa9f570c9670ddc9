//! `sync_playlist`: many songs into one playlist, as one durable piece of work.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    batch::{BatchInput, BatchOptions, OnAmbiguous, Target},
    batch_sync::{BatchSync, attributes_of},
    names,
    review::ReviewTerms,
    sync::SyncStatus,
};
use serde::Deserialize;
use temporalio_client::{Client, WorkflowStartOptions};

use crate::{
    Segue,
    answer::{Answer, Reply},
    args::Args,
    error::ToolError,
    playlist,
    rows::{self, Track},
    text,
    view::SyncView,
    waiting,
};

/// Characters of a playlist's name: Spotify's own limit.
const LONGEST_NAME: usize = 100;

/// The order in which tracks go to the playlist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// As the source has them.
    #[default]
    Source,
    /// The last first.
    Reversed,
}

/// What `sync_playlist` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The tracks, in order: up to 20000.
    #[schemars(length(min = 1, max = 20_000))]
    pub tracks: Vec<Track>,
    /// The playlist to add them to: id, URI, URL, or the exact name. Or give create_playlist.
    #[serde(default)]
    pub playlist: Option<String>,
    /// The name of a new playlist to make for them, private. Or give playlist.
    #[serde(default)]
    pub create_playlist: Option<String>,
    /// What becomes of a track whose best match is below the threshold. Default skip: it is not
    /// added, and the report names the candidates.
    #[serde(default)]
    pub on_ambiguous: OnAmbiguous,
    /// How sure a match must be to be added, 0.0 to 1.0. Default 0.85.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub match_threshold: Option<f64>,
    /// All or nothing: if any track is not found, uncertain or fails, or the batch is cancelled, what
    /// was added is taken out again. Default false.
    #[serde(default)]
    pub atomic: bool,
    /// Add also what is in the playlist already, or stands in the source twice. Default false: such
    /// rows are reported, and not added.
    #[serde(default)]
    pub add_duplicates: bool,
    /// The order in which the tracks go to the playlist. Default source.
    #[serde(default)]
    pub order: Order,
    /// Only search and match, and change nothing: the same as preview_sync. Default false.
    #[serde(default)]
    pub dry_run: bool,
    /// Seconds to wait for the end, 0 to 45, with progress notifications. Default 0: answer at
    /// once; the batch goes on by itself either way.
    #[serde(default)]
    #[schemars(range(max = waiting::LONGEST_WAIT_SECONDS))]
    pub wait_seconds: Option<u32>,
}

#[tool_router(router = sync_playlist_router, vis = "pub(crate)")]
impl Segue {
    /// Adds many songs to a Spotify playlist, in order and each exactly once: finds the right track for
    /// each, leaves out what is there already, and reports every row. Answers at once with a sync_id;
    /// the work survives a closed chat, a restart and a rate limit. Use get_sync_progress with the
    /// sync_id to follow it.
    #[tool(
        title = "Add many songs to a playlist",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<SyncView>(),
        annotations(
            title = "Add many songs to a playlist",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    pub(crate) async fn sync_playlist(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Reply<SyncView>, ToolError> {
        let wait = waiting::seconds(params.wait_seconds)?;
        let batch = checked(params, self.user_id(), self.match_threshold())?;
        self.start_batch(batch, wait, &context).await
    }

    /// Starts a batch, and tells how far it has come in the time that the caller waits.
    pub(crate) async fn start_batch(
        &self,
        batch: BatchInput,
        wait: std::time::Duration,
        context: &RequestContext<RoleServer>,
    ) -> Result<Reply<SyncView>, ToolError> {
        let (rows, dry_run) = (batch.rows, batch.options.dry_run);
        let engine = self.engine().ready(context).await?;
        let sync_id = names::new_sync_id();
        start(&engine.client, &sync_id, batch).await?;
        let client = &engine.client;
        let waited = waiting::for_sync_asking(client, context, self.user_id(), &sync_id, wait)
            .await
            .map_err(|error| error.after_start_of(&sync_id))?;
        let view = match waited.question {
            Some(question) => return Ok(Reply::Ask(question)),
            None => waited.view,
        };
        let sentence = match (view.is_ended(), dry_run) {
            (true, _) => view.message.clone(),
            (false, true) => format!(
                "The preview of {rows} tracks has started as {sync_id}; nothing will be changed. \
                 Call get_sync_progress with this sync_id to see what would be added."
            ),
            (false, false) => format!(
                "The batch of {rows} tracks has started as {sync_id} and goes on by itself. \
                 Call get_sync_progress with this sync_id to follow it."
            ),
        };
        Ok(Reply::Answer(Answer {
            sentence: sentence + &engine.note(),
            data: view,
        }))
    }
}

/// Starts the workflow of a batch.
pub(crate) async fn start(
    client: &Client,
    sync_id: &str,
    batch: BatchInput,
) -> Result<(), ToolError> {
    let options = WorkflowStartOptions::new(names::SYNC_QUEUE, sync_id)
        .search_attributes(attributes_of(&batch, SyncStatus::Running))
        .build();
    match client.start_workflow(BatchSync::run, batch, options).await {
        Ok(_) => Ok(()),
        Err(error) => Err(ToolError::engine_failed("start the batch", &error)),
    }
}

/// The batch that these arguments ask for.
pub(crate) fn checked(
    params: Params,
    user_id: &str,
    default_threshold: f64,
) -> Result<BatchInput, ToolError> {
    let target = target(
        params.playlist.as_deref(),
        params.create_playlist.as_deref(),
    )?;
    if params.atomic && params.add_duplicates {
        return Err(ToolError::invalid(
            "atomic",
            "does not go together with add_duplicates: to take out what was added, Spotify takes out \
             every copy of a track, also one that was there before",
            "one of the two",
        ));
    }
    let match_threshold = rows::threshold(params.match_threshold, default_threshold)?;
    let mut tracks = rows::checked(params.tracks)?;
    let reversed = params.order == Order::Reversed;
    if reversed {
        tracks.reverse();
    }
    Ok(BatchInput {
        user_id: user_id.to_owned(),
        target,
        rows: u32::try_from(tracks.len()).unwrap_or(u32::MAX),
        pages: rows::paged(&tracks)?,
        options: BatchOptions {
            match_threshold,
            on_ambiguous: params.on_ambiguous,
            atomic: params.atomic,
            add_duplicates: params.add_duplicates,
            dry_run: params.dry_run,
            reversed,
            review: ReviewTerms::default(),
        },
        retry_of: None,
        from_preview: None,
        so_far: None,
    })
}

/// Where the tracks are to go.
fn target(playlist: Option<&str>, new: Option<&str>) -> Result<Target, ToolError> {
    let allowed = "either playlist or create_playlist";
    match (
        playlist,
        text::optional("create_playlist", new, LONGEST_NAME)?,
    ) {
        (Some(_), Some(_)) => Err(ToolError::invalid(
            "create_playlist",
            "was given together with playlist",
            allowed,
        )),
        (Some(playlist), None) => Ok(Target::Playlist(playlist::parse(playlist)?)),
        (None, Some(name)) => Ok(Target::New(name)),
        (None, None) => Err(ToolError::invalid("playlist", "is missing", allowed)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(mut call: Value) -> Result<BatchInput, ToolError> {
        if call["tracks"].is_null() {
            call["tracks"] = json!([{"title": "Halo", "artist": "Beyoncé"}, {"title": "Clocks", "artist": "Coldplay"}]);
        }
        let params = serde_json::from_value(call).expect("parameters");
        checked(params, "local", 0.85)
    }

    #[test]
    fn each_wrong_argument_is_named() {
        for (field, call) in [
            ("playlist", json!({})),
            (
                "create_playlist",
                json!({"playlist": "Mix", "create_playlist": "New"}),
            ),
            (
                "create_playlist",
                json!({"create_playlist": "x".repeat(101)}),
            ),
            ("tracks", json!({"playlist": "Mix", "tracks": []})),
            (
                "title",
                json!({"playlist": "Mix", "tracks": [{"title": "", "artist": "x"}]}),
            ),
            (
                "match_threshold",
                json!({"playlist": "Mix", "match_threshold": 1.5}),
            ),
            (
                "atomic",
                json!({"playlist": "Mix", "atomic": true, "add_duplicates": true}),
            ),
        ] {
            let error = read(call).expect_err(field);
            assert_eq!(error.field, Some(field));
        }
    }

    #[test]
    fn the_last_goes_first_when_that_is_asked_for() {
        let batch = read(json!({"playlist": "Mix", "order": "reversed"})).expect("accepted");
        let page = batch.pages[0].unpack().expect("packed");
        assert_eq!(page[0].title, "Clocks");
        assert!(batch.options.reversed);
    }
}
