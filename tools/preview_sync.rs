//! `preview_sync`: what `sync_playlist` would do, without doing it.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::batch::OnAmbiguous;
use serde::Deserialize;

use crate::{
    Segue,
    answer::Reply,
    args::Args,
    error::ToolError,
    rows::Track,
    source::Source,
    sync_playlist::{self, Order},
    view::SyncView,
    waiting,
};

/// What `preview_sync` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The tracks, in order: up to 20000. Or give export or file.
    #[serde(default)]
    #[schemars(length(min = 1, max = 20_000))]
    pub tracks: Option<Vec<Track>>,
    /// The text of a file that another program exported, unaltered, in any form that sync_playlist reads.
    #[serde(default)]
    pub export: Option<String>,
    /// The absolute path of such a file, inside a folder that import_folders of the configuration allows.
    #[serde(default)]
    pub file: Option<String>,
    /// Which playlist of an export with several: its name, or "*" for all, in the order of the file.
    #[serde(default)]
    pub source_playlist: Option<String>,
    /// The playlist they would go to: id, URI, URL, or the exact name. Left out: a new one.
    #[serde(default)]
    pub playlist: Option<String>,
    /// What would become of a track whose best match is below the threshold. Default skip.
    #[serde(default)]
    pub on_ambiguous: OnAmbiguous,
    /// How sure a match must be, 0.0 to 1.0. Default 0.85.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub match_threshold: Option<f64>,
    /// Seconds to wait for the end, 0 to 45, with progress notifications. Default 0: answer at
    /// once; the preview goes on by itself either way.
    #[serde(default)]
    #[schemars(range(max = waiting::LONGEST_WAIT_SECONDS))]
    pub wait_seconds: Option<u32>,
}

#[tool_router(router = preview_sync_router, vis = "pub(crate)")]
impl Segue {
    /// Searches and matches many songs and changes nothing: tells which would be added to the playlist,
    /// which are there already, and which have no certain match. Answers at once with a sync_id; use
    /// get_sync_progress to see the counts, and its page parameter to see the rows. sync_playlist takes
    /// over what was found if the sync_id is given as from_preview.
    #[tool(
        title = "Preview a batch",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<SyncView>(),
        annotations(
            title = "Preview a batch",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    pub(crate) async fn preview_sync(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Reply<SyncView>, ToolError> {
        let wait = waiting::seconds(params.wait_seconds)?;
        let source = Source {
            tracks: params.tracks,
            export: params.export,
            file: params.file,
            playlist: params.source_playlist,
        };
        let source = source.read(self.import_folders()).await?;
        let new = params
            .playlist
            .is_none()
            .then(|| "a new playlist".to_owned());
        let batch = sync_playlist::Params {
            tracks: None,
            export: None,
            file: None,
            source_playlist: None,
            from_preview: None,
            playlist: params.playlist,
            create_playlist: new,
            on_ambiguous: Some(params.on_ambiguous),
            match_threshold: params.match_threshold,
            atomic: false,
            add_duplicates: false,
            order: Order::Source,
            dry_run: true,
            wait_seconds: None,
        };
        let batch =
            sync_playlist::checked(batch, source.tracks, self.user_id(), self.match_threshold())?;
        self.start_batch(batch, source.imported, wait, &context)
            .await
    }
}
