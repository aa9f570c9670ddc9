//! `sync_track`: one song into one playlist, durably.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    batch::OnAmbiguous,
    music_sync::{MusicSync, attributes_of},
    names,
    review::ReviewTerms,
    sync::{McpConnection, Strategy, SyncInput, SyncStatus},
};
use serde::Deserialize;
use temporalio_client::{Client, WorkflowStartOptions};

use crate::{
    Segue,
    answer::{Answer, Reply},
    args::{self, Args},
    error::ToolError,
    playlist, rows, sync_tasks,
    view::{self, SyncView},
    waiting,
};

/// What `sync_track` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The title of the song as the user has it, with whatever it says about the version
    /// ("Live", "Remastered 2011", "feat. …").
    pub title: String,
    /// The artist, or all artists as the source joins them.
    pub artist: String,
    /// The playlist to add it to: id, URI, URL, or the exact name.
    pub playlist: String,
    /// The album, if known; it helps to choose between releases.
    #[serde(default)]
    pub album: Option<String>,
    /// The length in milliseconds, if known; it helps to choose between versions.
    #[serde(default)]
    #[schemars(range(min = 1, max = rows::LONGEST_TRACK_MS))]
    pub duration_ms: Option<u32>,
    /// The ISRC, if known; with it the match is exact.
    #[serde(default)]
    pub isrc: Option<String>,
    /// Spotify's id, URI or link of the track, if known; then nothing is searched.
    #[serde(default)]
    pub spotify_id: Option<String>,
    /// How sure a match must be to be added, 0.0 to 1.0. Default 0.85.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub match_threshold: Option<f64>,
    /// What happens if the best match is below that, but possible. Default skip: nothing is added, and
    /// the answer names the best candidate.
    #[serde(default)]
    pub on_ambiguous: OnAmbiguous,
    /// Who does the work. Default as configured, which is pipeline unless somebody chose otherwise.
    #[serde(default)]
    pub strategy: Option<Strategy>,
    /// Seconds to wait for the end, 0 to 45, with progress notifications. Default 0: answer at
    /// once; the sync goes on by itself either way.
    #[serde(default)]
    #[schemars(range(max = waiting::LONGEST_WAIT_SECONDS))]
    pub wait_seconds: Option<u32>,
}

#[tool_router(router = sync_track_router, vis = "pub(crate)")]
impl Segue {
    /// Adds one song to a Spotify playlist: finds the right track and adds it exactly once. Answers
    /// at once with a sync_id; the work survives a closed chat, a restart and a rate limit. Use
    /// get_sync_progress with the sync_id to see what came of it.
    #[tool(
        title = "Add a song to a playlist",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<SyncView>(),
        annotations(
            title = "Add a song to a playlist",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    pub(crate) async fn sync_track(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Reply<SyncView>, ToolError> {
        let wait = waiting::seconds(params.wait_seconds)?;
        let sync_id = args::new_sync_id();
        let strategy = params.strategy;
        let mut sync = SyncInput {
            review: self.review_terms(),
            ..checked(params, self.user_id(), self.match_threshold())?
        };
        sync.strategy =
            strategy.unwrap_or_else(|| Strategy::by_share(&sync_id, self.agents().share));
        sync.agent_connection = self.agents().connection;
        sync.notify = self.notifies();
        let engine = self.engine().ready(&context).await?;
        let begun = view::about_to_start(&sync_id, &sync);
        start(&engine.client, &sync_id, sync).await?;
        let client = &engine.client;
        let task = sync_tasks::instead_of_answer(self, client, &context, &sync_id, wait).await;
        if let Some(task) = task.map_err(|error| error.after_start_of(&sync_id))? {
            return Ok(Reply::Task(task));
        }
        let quick = waiting::for_a_moment(client, &sync_id, wait).await;
        let view = match quick.zip(begun) {
            Some((outcome, begun)) => view::completed(begun, outcome),
            None => {
                let user = self.user_id();
                let waited = waiting::for_sync_asking(client, &context, user, &sync_id, wait)
                    .await
                    .map_err(|error| error.after_start_of(&sync_id))?;
                match waited.question {
                    Some(question) => return Ok(Reply::Ask(question)),
                    None => waited.view,
                }
            }
        };
        let sentence = match view.is_ended() {
            true => view.message.clone(),
            false => format!(
                "The sync has started as {sync_id} and goes on by itself. {} \
                 Call get_sync_progress with this sync_id to see what came of it.",
                view.message
            ),
        };
        Ok(Reply::Answer(Answer {
            sentence: sentence + &engine.note(),
            data: view,
        }))
    }
}

/// Starts the workflow of a sync.
pub(crate) async fn start(
    client: &Client,
    sync_id: &str,
    mut sync: SyncInput,
) -> Result<(), ToolError> {
    sync.search_at_once = true;
    let options = WorkflowStartOptions::new(names::SYNC_QUEUE, sync_id)
        .search_attributes(attributes_of(&sync, SyncStatus::Running))
        // The worker in this process may begin without a round trip through the queue.
        .enable_eager_workflow_start(true)
        .build();
    match client.start_workflow(MusicSync::run, sync, options).await {
        Ok(_) => Ok(()),
        Err(error) => Err(ToolError::engine_failed("start the sync", &error)),
    }
}

/// The sync that these arguments ask for.
pub(crate) fn checked(
    params: Params,
    user_id: &str,
    default_threshold: f64,
) -> Result<SyncInput, ToolError> {
    let threshold = rows::threshold(params.match_threshold, default_threshold)?;
    let track = rows::Track {
        title: params.title,
        artist: params.artist,
        album: params.album,
        duration_ms: params.duration_ms,
        isrc: params.isrc,
        spotify_id: params.spotify_id,
    };
    Ok(SyncInput {
        user_id: user_id.to_owned(),
        playlist: playlist::parse(&params.playlist)?,
        track: track.checked()?,
        match_threshold: threshold,
        retry_of: None,
        kept_by_letter: false,
        on_ambiguous: Some(params.on_ambiguous),
        review: ReviewTerms::default(),
        strategy: Strategy::default(),
        agent_connection: McpConnection::default(),
        notify: false,
        search_at_once: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params {
            title: "Halo".into(),
            artist: "Beyoncé".into(),
            playlist: "Road trip".into(),
            album: None,
            duration_ms: None,
            isrc: None,
            spotify_id: None,
            match_threshold: None,
            on_ambiguous: OnAmbiguous::Skip,
            strategy: None,
            wait_seconds: None,
        }
    }

    #[test]
    fn each_wrong_argument_is_named() {
        type Spoil = fn(&mut Params);
        let spoilt: [(&str, Spoil); 7] = [
            ("title", |p| p.title = " \u{200B}".into()),
            ("artist", |p| p.artist = "x".repeat(501)),
            ("playlist", |p| p.playlist = String::new()),
            ("isrc", |p| p.isrc = Some("12".into())),
            ("spotify_id", |p| {
                p.spotify_id = Some("spotify:album:0VjIjW4GlUZAMYd2vXMi3b".into());
            }),
            ("match_threshold", |p| p.match_threshold = Some(f64::NAN)),
            ("duration_ms", |p| p.duration_ms = Some(0)),
        ];
        for (field, spoil) in spoilt {
            let mut params = params();
            spoil(&mut params);
            let error = checked(params, "local", 0.85).expect_err(field);
            assert_eq!(error.field, Some(field));
        }
    }

    #[test]
    fn an_isrc_is_taken_in_any_usual_spelling() {
        let mut given = params();
        given.isrc = Some(" us-um7-17-03861 ".into());
        let sync = checked(given, "local", 0.85).expect("accepted");
        assert_eq!(sync.track.isrc.as_deref(), Some("USUM71703861"));
    }
}
