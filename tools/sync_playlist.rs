//! `sync_playlist`: many songs into one playlist, as one durable piece of work.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    batch::{BatchInput, BatchOptions, Imported, OnAmbiguous, Target},
    batch_sync::{BatchSync, attributes_of},
    names,
    review::ReviewTerms,
    sync::SyncStatus,
    track::SourceTrack,
};
use serde::Deserialize;
use temporalio_client::{Client, WorkflowStartOptions};
use temporalio_common::MemoValues;

use crate::{
    Segue,
    answer::{Answer, Reply},
    app,
    args::{self, Args},
    batch_view,
    error::ToolError,
    playlist, previewed,
    rows::{self, Track},
    source::{self, Source},
    sync_tasks, text,
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
    /// The tracks, in order: up to 20000. Or give export or file.
    #[serde(default)]
    #[schemars(length(min = 1, max = 20_000))]
    pub tracks: Option<Vec<Track>>,
    /// The text of a file that another program exported, unaltered: TuneMyMusic, Soundiiz, Exportify,
    /// Roon, Apple Music (text or XML), M3U, JSON, any table with a heading, or lines "Artist - Title".
    #[serde(default)]
    pub export: Option<String>,
    /// The absolute path of such a file, inside a folder that import_folders of the configuration allows.
    #[serde(default)]
    pub file: Option<String>,
    /// Which playlist of an export with several: its name, or "*" for all, in the order of the file.
    #[serde(default)]
    pub source_playlist: Option<String>,
    /// The sync_id of a preview that has ended, in place of a source: its tracks and what it found for
    /// them are taken over, and nothing is searched again. Its playlist is meant unless another is given.
    #[serde(default)]
    pub from_preview: Option<String>,
    /// The playlist to add them to: id, URI, URL, or the exact name. Or give create_playlist.
    #[serde(default)]
    pub playlist: Option<String>,
    /// The name of a new playlist to make for them, private. Or give playlist.
    #[serde(default)]
    pub create_playlist: Option<String>,
    /// What becomes of a track whose best match is below the threshold. Default skip: it is not
    /// added, and the report names the candidates; with from_preview, what the preview said.
    #[serde(default)]
    pub on_ambiguous: Option<OnAmbiguous>,
    /// How sure a match must be to be added, 0.0 to 1.0. Default 0.85.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub match_threshold: Option<f64>,
    /// All or nothing: if any track is not found, uncertain, declined in a review or fails, or the batch is
    /// cancelled, what was added is taken out again. Default false.
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
    /// each, leaves out what is there already, and reports every row. The songs are given one by one, or
    /// as another program exported them. Answers at once with a sync_id;
    /// the work survives a closed chat, a restart and a rate limit. Use get_sync_progress with the
    /// sync_id to follow it.
    #[tool(
        title = "Add many songs to a playlist",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<SyncView>(),
        meta = app::of_tool(),
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
        Args(mut params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Reply<SyncView>, ToolError> {
        let wait = waiting::seconds(params.wait_seconds)?;
        if let Some(preview_id) = params.from_preview.take() {
            let engine = self.engine().ready(&context).await?;
            let client = &engine.client;
            let (batch, imported) =
                previewed::taken_over(client, self.user_id(), &preview_id, params).await?;
            return self.start_batch(batch, imported, wait, &context).await;
        }
        let source = params.source().read(self.import_folders()).await?;
        let batch = checked(
            params,
            source.tracks,
            self.user_id(),
            self.match_threshold(),
        )?;
        self.start_batch(batch, source.imported, wait, &context)
            .await
    }

    /// Starts a batch, and tells how far it has come in the time that the caller waits.
    pub(crate) async fn start_batch(
        &self,
        mut batch: BatchInput,
        imported: Option<Imported>,
        wait: std::time::Duration,
        context: &RequestContext<RoleServer>,
    ) -> Result<Reply<SyncView>, ToolError> {
        batch.options.review = self.review_terms();
        batch.notify = self.notifies();
        let (rows, dry_run) = (batch.rows, batch.options.dry_run);
        let engine = self.engine().ready(context).await?;
        let sync_id = args::new_sync_id();
        start(&engine.client, &sync_id, batch, imported.as_ref()).await?;
        let client = &engine.client;
        let task = sync_tasks::instead_of_answer(self, client, context, &sync_id, wait).await;
        if let Some(task) = task.map_err(|error| error.after_start_of(&sync_id))? {
            return Ok(Reply::Task(task));
        }
        let waited = waiting::for_sync_asking(client, context, self.user_id(), &sync_id, wait)
            .await
            .map_err(|error| error.after_start_of(&sync_id))?;
        let view = match waited.question {
            Some(question) => return Ok(Reply::Ask(question)),
            None => batch_view::at_start(waited.view, rows, dry_run, imported.as_ref()),
        };
        let mut sentence = match (view.is_ended(), dry_run) {
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
        if let Some(imported) = imported.filter(|imported| imported.unreadable > 0) {
            let first = imported.rows().unwrap_or_default();
            sentence.push_str(&format!(
                " {} rows of the export could not be read: {} The report lists them.",
                imported.unreadable,
                source::told(&first)
            ));
        }
        Ok(Reply::Answer(Answer {
            sentence: sentence + &engine.note(),
            data: view,
        }))
    }
}

impl Params {
    /// What they say of the source; it is taken out of them.
    pub(crate) fn source(&mut self) -> Source {
        Source {
            tracks: self.tracks.take(),
            export: self.export.take(),
            file: self.file.take(),
            playlist: self.source_playlist.take(),
        }
    }
}

/// Starts the workflow of a batch; `imported` is what is remembered of the export it was read from.
pub(crate) async fn start(
    client: &Client,
    sync_id: &str,
    batch: BatchInput,
    imported: Option<&Imported>,
) -> Result<(), ToolError> {
    let mut memo = MemoValues::new();
    if let Some(imported) = imported {
        memo.insert(names::IMPORT_MEMO, imported.clone());
    }
    let options = WorkflowStartOptions::new(names::SYNC_QUEUE, sync_id)
        .search_attributes(attributes_of(&batch, SyncStatus::Running))
        .memo(memo)
        .build();
    match client.start_workflow(BatchSync::run, batch, options).await {
        Ok(_) => Ok(()),
        Err(error) => Err(ToolError::engine_failed("start the batch", &error)),
    }
}

/// The batch that these arguments ask for, of the tracks of its source.
pub(crate) fn checked(
    params: Params,
    mut tracks: Vec<SourceTrack>,
    user_id: &str,
    default_threshold: f64,
) -> Result<BatchInput, ToolError> {
    let target = target(
        params.playlist.as_deref(),
        params.create_playlist.as_deref(),
    )?;
    let match_threshold = rows::threshold(params.match_threshold, default_threshold)?;
    let options = BatchOptions {
        match_threshold,
        on_ambiguous: params.on_ambiguous.unwrap_or_default(),
        atomic: params.atomic,
        add_duplicates: params.add_duplicates,
        dry_run: params.dry_run,
        reversed: params.order == Order::Reversed,
        review: ReviewTerms::default(),
    };
    can_be_undone(&options)?;
    if options.reversed {
        tracks.reverse();
    }
    Ok(BatchInput {
        user_id: user_id.to_owned(),
        target,
        rows: u32::try_from(tracks.len()).unwrap_or(u32::MAX),
        pages: rows::paged(&tracks)?,
        options,
        retry_of: None,
        from_preview: None,
        notify: false,
        so_far: None,
    })
}

/// Refuses all or nothing where nothing could not be had again.
pub(crate) fn can_be_undone(options: &BatchOptions) -> Result<(), ToolError> {
    match options.atomic && options.add_duplicates {
        true => Err(ToolError::invalid(
            "atomic",
            "does not go together with add_duplicates: to take out what was added, Spotify takes out \
             every copy of a track, also one that was there before",
            "one of the two",
        )),
        false => Ok(()),
    }
}

/// Where the tracks are to go.
pub(crate) fn target(playlist: Option<&str>, new: Option<&str>) -> Result<Target, ToolError> {
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
        let mut params: Params = serde_json::from_value(call).expect("parameters");
        let source = params.source().read_at_once(&[])?;
        checked(params, source.tracks, "local", 0.85)
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
                "source_playlist",
                json!({"playlist": "Mix", "source_playlist": "Mix"}),
            ),
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
