//! `schedule_sync`: a sync that runs again and again.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    batch::{BatchOptions, OnAmbiguous, Target},
    names,
    review::ReviewTerms,
    schedule::{
        Overlap, Removals, ScheduleInput, ScheduledBatch, Source, SourceFile, USUAL_REMOVALS, Work,
    },
};
use serde::Deserialize;

use crate::{
    Segue,
    answer::Answer,
    args::Args,
    error::ToolError,
    playlist,
    schedule_view::{self, ScheduleView},
    schedules, source, sync_playlist, text, timing,
};

/// Characters of a schedule's name.
pub(crate) const LONGEST_NAME: usize = 100;
/// Removals of one run at most: what a playlist holds.
pub(crate) const MOST_REMOVALS: u32 = 10_000;

/// What `schedule_sync` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// A name by which the user recognises it, such as "Archive of Discover Weekly". Default: what it
    /// does, in a few words.
    #[serde(default)]
    pub name: Option<String>,
    /// The absolute path of a file that another program exports, inside a folder that import_folders of
    /// the configuration allows: each run reads it anew. Or give source_playlist or dead_letters.
    #[serde(default)]
    pub file: Option<String>,
    /// The playlist whose new songs are added at each run: id, URI, URL, or the exact name. It must
    /// be one that the user owns or collaborates in: Spotify shows apps no other. With file, which
    /// playlist of a file with several: its name, or "*" for all.
    #[serde(default)]
    pub source_playlist: Option<String>,
    /// Instead of a source: try all dead-lettered syncs again at each run. Default false.
    #[serde(default)]
    pub dead_letters: bool,
    /// The playlist to add them to: id, URI, URL, or the exact name. Or give create_playlist.
    #[serde(default)]
    pub playlist: Option<String>,
    /// The name of a new playlist that the first run makes, private. Or give playlist.
    #[serde(default)]
    pub create_playlist: Option<String>,
    /// Mirror: also take out of the playlist what has left the source, but only songs that this
    /// schedule added itself. Default false: everything is kept, as in an archive.
    #[serde(default)]
    pub remove_gone: bool,
    /// With remove_gone: if more songs than this are to go in one run, none goes, and the run says so.
    /// Default 100.
    #[serde(default)]
    #[schemars(range(min = 1, max = MOST_REMOVALS))]
    pub max_removals: Option<u32>,
    /// When it runs: minute, hour, day of the month, month, day of the week (0 is Sunday), such as
    /// "30 6 * * MON"; or @hourly, @daily, @weekly, @monthly, @yearly. Or give interval_seconds.
    #[serde(default)]
    pub cron: Option<String>,
    /// The time zone of cron as an IANA name, such as Europe/Berlin. Default UTC.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Seconds between two runs, 10 to a year. Or give cron.
    #[serde(default)]
    #[schemars(range(min = timing::SHORTEST_INTERVAL, max = timing::LONGEST_INTERVAL))]
    pub interval_seconds: Option<u32>,
    /// Each run begins up to this many seconds later, so that many schedules do not meet. Default 300,
    /// or a tenth of the interval if that is less.
    #[serde(default)]
    #[schemars(range(max = timing::LONGEST_JITTER))]
    pub jitter_seconds: Option<u32>,
    /// A run that was missed because nothing was running is made up for if its time has passed by no
    /// more than this. Default 31 days.
    #[serde(default)]
    #[schemars(range(min = timing::SHORTEST_CATCH_UP, max = timing::LONGEST_INTERVAL))]
    pub catch_up_seconds: Option<u32>,
    /// What becomes of a run whose time has come while the one before it still runs. Default skip.
    #[serde(default)]
    pub overlap: Option<Overlap>,
    /// Make it, but let it rest until resume_schedule. Default false.
    #[serde(default)]
    pub paused: bool,
}

#[tool_router(router = schedule_sync_router, vis = "pub(crate)")]
impl Segue {
    /// Syncs again and again, by cron or interval: adds what is new in a playlist to another (keep every
    /// week's Discover Weekly; mirror, with or without removals), or what is new in an export file, or tries
    /// dead-lettered syncs again. A run costs little: only what is new since the last one is synced. Call
    /// list_schedules first, so that nothing is scheduled twice.
    #[tool(
        title = "Schedule a sync",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<ScheduleView>(),
        annotations(
            title = "Schedule a sync",
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    pub(crate) async fn schedule_sync(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<ScheduleView>, ToolError> {
        let paused = params.paused;
        let input = checked(
            params,
            self.user_id(),
            self.match_threshold(),
            self.review_terms(),
        )?;
        if let Some(file) = source_file(&input) {
            // The runs read it themselves, on a worker; what is wrong with it by now is told at once.
            let source = source::Source {
                file: Some(file.path.clone()),
                playlist: file.playlist.clone(),
                ..source::Source::default()
            };
            source.read(self.import_folders()).await?;
        }
        let engine = self.engine().ready(&context).await?;
        let (client, schedule_id) = (&engine.client, names::new_schedule_id());
        schedules::create(client, &schedule_id, &input, paused).await?;
        let known = schedules::find(client, self.user_id(), &schedule_id).await?;
        let view = schedule_view::read(client, &known, 0).await?;
        Ok(Answer {
            sentence: format!(
                "The schedule {:?} is made as {schedule_id}. {} run_schedule_now runs it at once.",
                view.name,
                view.next()
            ) + &engine.note(),
            data: view,
        })
    }
}

/// The schedule that these arguments ask for.
pub(crate) fn checked(
    params: Params,
    user_id: &str,
    match_threshold: f64,
    review: ReviewTerms,
) -> Result<ScheduleInput, ToolError> {
    let when = timing::Asked {
        cron: params.cron.clone(),
        time_zone: params.time_zone.clone(),
        interval_seconds: params.interval_seconds,
        jitter_seconds: params.jitter_seconds,
        catch_up_seconds: params.catch_up_seconds,
        overlap: params.overlap,
    };
    let when = when.checked(None)?;
    let work = work(&params, match_threshold, review)?;
    Ok(ScheduleInput {
        user_id: user_id.to_owned(),
        name: match &params.name {
            Some(given) => text::required("name", given, LONGEST_NAME)?,
            None => name_of(&work),
        },
        when,
        work,
    })
}

/// What a schedule is called that nobody gave a name.
fn name_of(work: &Work) -> String {
    let Work::Sync(batch) = work else {
        return "Retry of dead-lettered syncs".to_owned();
    };
    let from = match &batch.source {
        Source::Playlist(playlist) => playlist.as_str().to_owned(),
        Source::File(file) => file_name(&file.path).to_owned(),
    };
    let verb = match batch.removals {
        Some(_) => "Mirror",
        None => "Archive",
    };
    let name = format!("{verb} of {from} in {}", batch.target.as_str());
    name.chars().take(LONGEST_NAME).collect()
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn work(params: &Params, match_threshold: f64, review: ReviewTerms) -> Result<Work, ToolError> {
    let allowed = "either source_playlist or file, with a playlist to fill, or dead_letters alone";
    let given = params.file.is_some() || params.source_playlist.is_some();
    let source = match (given, params.dead_letters) {
        (true, false) => source(params)?,
        (true, true) => {
            let problem = "was given together with a source";
            return Err(ToolError::invalid("dead_letters", problem, allowed));
        }
        (false, false) => return Err(ToolError::invalid("source_playlist", "is missing", allowed)),
        (false, true) => {
            let field = [
                ("playlist", params.playlist.is_some()),
                ("create_playlist", params.create_playlist.is_some()),
                ("remove_gone", params.remove_gone),
                ("max_removals", params.max_removals.is_some()),
            ];
            return match field.into_iter().find(|(_, given)| *given) {
                Some((field, _)) => {
                    let problem = "was given together with dead_letters";
                    Err(ToolError::invalid(field, problem, allowed))
                }
                None => Ok(Work::RetryDeadLetters),
            };
        }
    };
    let target = sync_playlist::target(
        params.playlist.as_deref(),
        params.create_playlist.as_deref(),
    )?;
    if matches!((&source, &target), (Source::Playlist(from), Target::Playlist(to)) if from == to) {
        return Err(ToolError::invalid(
            "playlist",
            "is the source itself",
            "another playlist than source_playlist",
        ));
    }
    if params.max_removals.is_some() && !params.remove_gone {
        return Err(ToolError::invalid(
            "max_removals",
            "was given without remove_gone",
            "only with remove_gone: without it nothing is taken out",
        ));
    }
    Ok(Work::Sync(Box::new(ScheduledBatch {
        source,
        target,
        options: BatchOptions {
            match_threshold,
            on_ambiguous: OnAmbiguous::Skip,
            atomic: false,
            add_duplicates: false,
            dry_run: false,
            reversed: false,
            review,
        },
        removals: match params.remove_gone {
            true => Some(Removals {
                most: removals(params.max_removals.unwrap_or(USUAL_REMOVALS))?,
            }),
            false => None,
        },
    })))
}

/// Where the songs come from.
fn source(params: &Params) -> Result<Source, ToolError> {
    let Some(path) = &params.file else {
        let source = params.source_playlist.as_deref().unwrap_or_default();
        return Ok(Source::Playlist(playlist::parse_as(
            "source_playlist",
            source,
        )?));
    };
    if params.remove_gone {
        return Err(ToolError::invalid(
            "remove_gone",
            "does not go together with file: its rows do not say which track each of them became",
            "only with a source_playlist of Spotify's",
        ));
    }
    let playlist = params.source_playlist.as_deref();
    Ok(Source::File(SourceFile {
        path: path.clone(),
        playlist: text::optional("source_playlist", playlist, source::LONGEST_NAME)?,
    }))
}

fn source_file(input: &ScheduleInput) -> Option<&SourceFile> {
    match &input.work {
        Work::Sync(batch) => match &batch.source {
            Source::File(file) => Some(file),
            Source::Playlist(_) => None,
        },
        Work::RetryDeadLetters => None,
    }
}

/// How many songs one run may take out.
pub(crate) fn removals(most: u32) -> Result<u32, ToolError> {
    match (1..=MOST_REMOVALS).contains(&most) {
        true => Ok(most),
        false => Err(ToolError::invalid(
            "max_removals",
            "is out of range",
            "1 to 10000 songs",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SOURCE: &str = "37i9dQZF1DXcBWIGoYBM5M";

    fn read(mut call: Value) -> Result<ScheduleInput, ToolError> {
        for (field, value) in [("name", json!("Weekly")), ("cron", json!("@weekly"))] {
            if call.get(field).is_none() {
                call[field] = value;
            }
        }
        let params = serde_json::from_value(call).expect("parameters");
        checked(params, "local", 0.85, ReviewTerms::default())
    }

    #[test]
    fn a_schedule_without_a_name_is_called_by_what_it_does() {
        for (name, call) in [
            (
                "Archive of Discover Weekly in Every week",
                json!({"source_playlist": "Discover Weekly", "create_playlist": "Every week"}),
            ),
            (
                "Mirror of Mix in Copy",
                json!({"source_playlist": "Mix", "playlist": "Copy", "remove_gone": true}),
            ),
            (
                "Archive of songs.csv in Copy",
                json!({"file": "/music/songs.csv", "playlist": "Copy"}),
            ),
            (
                "Retry of dead-lettered syncs",
                json!({"dead_letters": true}),
            ),
        ] {
            let mut call = call;
            call["cron"] = json!("@weekly");
            let params = serde_json::from_value(call).expect("parameters");
            let named = checked(params, "local", 0.85, ReviewTerms::default());
            assert_eq!(named.expect("accepted").name, name);
        }
    }

    #[test]
    fn each_wrong_argument_is_named() {
        let to = |more: Value| {
            let mut call = json!({"source_playlist": SOURCE, "playlist": "Archive"});
            for (field, value) in more.as_object().expect("fields") {
                call[field] = value.clone();
            }
            call
        };
        for (field, call) in [
            ("name", to(json!({"name": " "}))),
            ("source_playlist", json!({"playlist": "Archive"})),
            (
                "source_playlist",
                to(json!({"source_playlist": "spotify:album:x"})),
            ),
            ("playlist", json!({"source_playlist": SOURCE})),
            (
                "playlist",
                to(json!({"playlist": format!("spotify:playlist:{SOURCE}")})),
            ),
            ("create_playlist", to(json!({"create_playlist": "New"}))),
            ("dead_letters", to(json!({"dead_letters": true}))),
            (
                "playlist",
                json!({"dead_letters": true, "playlist": "Archive"}),
            ),
            (
                "remove_gone",
                json!({"dead_letters": true, "remove_gone": true}),
            ),
            ("dead_letters", json!({"dead_letters": true, "file": "/x"})),
            ("playlist", json!({"file": "/x"})),
            (
                "remove_gone",
                to(json!({"file": "/x", "remove_gone": true})),
            ),
            (
                "source_playlist",
                to(json!({"file": "/x", "source_playlist": "x".repeat(501)})),
            ),
            ("max_removals", to(json!({"max_removals": 5}))),
            (
                "max_removals",
                to(json!({"remove_gone": true, "max_removals": 0})),
            ),
            ("cron", to(json!({"cron": "often"}))),
        ] {
            let error = read(call.clone()).expect_err("refused");
            assert_eq!(error.field, Some(field), "{call}: {error}");
        }
    }

    #[test]
    fn an_archive_takes_nothing_out_and_a_mirror_a_hundred_songs_at_most() {
        let call = json!({"source_playlist": SOURCE, "create_playlist": "Archive"});
        let removals = |call: Value| match read(call).expect("accepted").work {
            Work::Sync(batch) => batch.removals,
            work @ Work::RetryDeadLetters => panic!("{work:?}"),
        };
        assert_eq!(removals(call.clone()), None);
        let mut mirror = call;
        mirror["remove_gone"] = json!(true);
        assert_eq!(removals(mirror), Some(Removals { most: 100 }));
        let letters = read(json!({"dead_letters": true})).expect("accepted");
        assert_eq!(letters.work, Work::RetryDeadLetters);
    }
}
