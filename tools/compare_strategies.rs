//! `compare_strategies`: the same songs found by the pipeline and by agents, and nothing added.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    comparison::{MOST_SONGS, Song, to_be_found},
    names,
    strategy_comparison::{ComparisonInput, StrategyComparison},
    sync::SyncStatus,
    track::{SourceTrack, spotify_id},
};
use serde::Deserialize;
use temporalio_client::WorkflowStartOptions;

use crate::{
    Segue,
    answer::Answer,
    args::{self, Args},
    error::ToolError,
    rows::{self, Track},
    source::Source,
    view::SyncView,
    waiting,
};

/// Tracks of which any may be right for one song.
const MOST_RIGHT: usize = 50;

/// What `compare_strategies` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The songs: up to 500. One whose spotify_id is given is searched all the same, and the id is taken
    /// as the right answer. Or give export or file.
    #[serde(default)]
    #[schemars(length(min = 1, max = MOST_SONGS))]
    pub tracks: Option<Vec<Track>>,
    /// The text of a file that another program exported, in any form that sync_playlist reads.
    #[serde(default)]
    pub export: Option<String>,
    /// The absolute path of such a file, inside a folder that import_folders of the configuration allows.
    #[serde(default)]
    pub file: Option<String>,
    /// Which playlist of an export with several: its name, or "*" for all.
    #[serde(default)]
    pub source_playlist: Option<String>,
    /// For each song in order, the ids of the Spotify tracks of which any is right; an empty list: it is
    /// not there. Left out: what spotify_id says.
    #[serde(default)]
    pub right_ids: Option<Vec<Vec<String>>>,
    /// How sure a match must be, 0.0 to 1.0. Default 0.85.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub match_threshold: Option<f64>,
    /// Seconds to wait for the end, 0 to 45, with progress notifications. Default 0: answer at
    /// once; the comparison goes on by itself either way.
    #[serde(default)]
    #[schemars(range(max = waiting::LONGEST_WAIT_SECONDS))]
    pub wait_seconds: Option<u32>,
}

#[tool_router(router = compare_strategies_router, vis = "pub(crate)")]
impl Segue {
    /// Finds the same songs twice, by the pipeline and by agents of a model, and adds nothing: tells how
    /// often the two agree, who is right where that is known, how long they take and what the model
    /// costs, and whether to let agents do syncs. It uses some 7 calls of the model a song. Answers at
    /// once with a sync_id; use get_sync_progress to see the result, cancel_sync to end it early.
    #[tool(
        title = "Compare the pipeline with agents",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<SyncView>(),
        annotations(
            title = "Compare the pipeline with agents",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    pub(crate) async fn compare_strategies(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<SyncView>, ToolError> {
        let wait = waiting::seconds(params.wait_seconds)?;
        let threshold = rows::threshold(params.match_threshold, self.match_threshold())?;
        let source = Source {
            tracks: params.tracks,
            export: params.export,
            file: params.file,
            playlist: params.source_playlist,
        };
        if source.tracks.as_ref().is_some_and(Vec::is_empty) {
            return Err(wrong_number("is empty"));
        }
        let source = source.read(self.import_folders()).await?;
        let songs = checked(source.tracks, params.right_ids)?;
        if let Some(model) = self.model().filter(|model| !model.configured) {
            return Err(ToolError::no_model(&model.missing));
        }
        let input = ComparisonInput::new(
            self.user_id().to_owned(),
            &songs,
            threshold,
            self.agents().prices,
        )
        .map_err(|error| ToolError::engine_failed("pack the songs", &error))?;
        let engine = self.engine().ready(&context).await?;
        let sync_id = args::new_sync_id();
        let options = WorkflowStartOptions::new(names::SYNC_QUEUE, &sync_id)
            .search_attributes(input.attributes(SyncStatus::Running))
            .build();
        let started = engine
            .client
            .start_workflow(StrategyComparison::run, input, options);
        started
            .await
            .map_err(|error| ToolError::engine_failed("start the comparison", &error))?;
        let view = waiting::for_sync(&engine.client, &context, self.user_id(), &sync_id, wait)
            .await
            .map_err(|error| error.after_start_of(&sync_id))?;
        let sentence = match view.is_ended() {
            true => view.message.clone(),
            false => format!(
                "The comparison of {} songs has started as {sync_id}; nothing will be added. Call \
                 get_sync_progress with this sync_id to see what came of it.",
                songs.len()
            ),
        };
        Ok(Answer {
            sentence: sentence + &engine.note(),
            data: view,
        })
    }
}

/// The songs, with what is right where that is known.
fn checked(
    tracks: Vec<SourceTrack>,
    right: Option<Vec<Vec<String>>>,
) -> Result<Vec<Song>, ToolError> {
    if tracks.len() > MOST_SONGS {
        return Err(wrong_number("is too long for a comparison"));
    }
    let truths: Vec<Option<Vec<String>>> = match right {
        None => vec![None; tracks.len()],
        Some(right) if right.len() == tracks.len() => {
            right.into_iter().map(ids).collect::<Result<_, _>>()?
        }
        Some(_) => {
            return Err(ToolError::invalid(
                "right_ids",
                "has another length than the songs",
                "one list for each song, in their order",
            ));
        }
    };
    let songs = tracks.into_iter().zip(truths);
    let songs = songs.map(|(track, truth)| Song { track, truth });
    Ok(to_be_found(songs.collect()))
}

fn wrong_number(problem: &str) -> ToolError {
    ToolError::invalid("tracks", problem, &format!("1 to {MOST_SONGS} songs"))
}

fn ids(given: Vec<String>) -> Result<Option<Vec<String>>, ToolError> {
    let wrong = |what: &str| {
        ToolError::invalid(
            "right_ids",
            what,
            &format!("up to {MOST_RIGHT} ids, URIs or links of Spotify tracks for each song"),
        )
    };
    if given.len() > MOST_RIGHT {
        return Err(wrong("has too many ids for one song"));
    }
    let ids = given.iter().map(|id| spotify_id(id).map(str::to_owned));
    let ids: Option<Vec<String>> = ids.collect();
    ids.map(Some)
        .ok_or_else(|| wrong("holds what is no track of Spotify's"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0VjIjW4GlUZAMYd2vXMi3b";

    fn track() -> SourceTrack {
        SourceTrack {
            title: "Halo".into(),
            artist: "Beyoncé".into(),
            ..SourceTrack::default()
        }
    }

    #[test]
    fn what_is_right_belongs_to_a_song_and_is_a_track() {
        let known = checked(vec![track(), track()], Some(vec![vec![ID.into()], vec![]]));
        let truths: Vec<_> = known
            .expect("accepted")
            .into_iter()
            .map(|song| song.truth)
            .collect();
        assert_eq!(truths, [Some(vec![ID.to_owned()]), Some(vec![])]);
        for wrong in [
            vec![vec![]],
            vec![vec!["x".to_owned()], vec![]],
            vec![vec![ID.to_owned(); MOST_RIGHT + 1], vec![]],
        ] {
            let error = checked(vec![track(), track()], Some(wrong)).expect_err("refused");
            assert_eq!(error.field, Some("right_ids"));
        }
        let error = checked(vec![track(); MOST_SONGS + 1], None).expect_err("refused");
        assert_eq!(error.field, Some("tracks"));
    }
}
