//! What the agents of a sync can call.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use temporalio_sdk::WorkflowContext;

use super::{AgentsAtWork, SEARCH, is_there, place};
use crate::{
    activities::Activities,
    agents::{Tool, activity_as_tool, workflow_tool},
    matching::Query,
    model::fence::shown,
    place_track::Placed,
    track::Candidate,
    upstream::clean,
};

/// Characters of a query.
const LONGEST_QUERY: usize = 250;
/// Candidates whose scores are told.
const MOST_SCORED: usize = 10;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    /// Title and artist, or other words of the song.
    query: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IsrcQuery {
    /// The ISRC: twelve letters and digits.
    isrc: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Chosen {
    /// The number of the candidate.
    candidate: u32,
}

pub(super) fn search<W: AgentsAtWork>() -> Tool<W> {
    activity_as_tool(
        (
            "search",
            "Searches Spotify's catalogue, and numbers what is found.",
        ),
        SEARCH,
        || Activities::search,
        |_, asked: SearchQuery| {
            let query: String = clean(&asked.query).chars().take(LONGEST_QUERY).collect();
            match query.is_empty() {
                true => Err("query is empty".to_owned()),
                false => Ok(Query::Text(query)),
            }
        },
        told_of_found,
    )
}

pub(super) fn search_by_isrc<W: AgentsAtWork>() -> Tool<W> {
    activity_as_tool(
        (
            "search_by_isrc",
            "Finds recordings by their ISRC, and numbers them.",
        ),
        SEARCH,
        || Activities::search,
        |_, asked: IsrcQuery| {
            let isrc = asked.isrc.trim().to_uppercase();
            let has_form =
                isrc.len() == 12 && isrc.bytes().all(|byte| byte.is_ascii_alphanumeric());
            has_form
                .then_some(Query::Isrc(isrc))
                .ok_or_else(|| "an ISRC has twelve letters and digits".to_owned())
        },
        told_of_found,
    )
}

pub(crate) fn told_of_found<W: AgentsAtWork>(
    ctx: &WorkflowContext<W>,
    found: Vec<Candidate>,
) -> Value {
    let numbered = ctx.state_mut(|sync| sync.work_mut().take_in(found));
    let candidates = numbered.iter().map(|(number, candidate)| {
        let artists: Vec<String> = candidate
            .artists
            .iter()
            .take(10)
            .map(|a| shown(a))
            .collect();
        json!({
            "candidate": number,
            "title": shown(&candidate.title),
            "artists": artists,
            "album": candidate.album.as_deref().map(shown),
            "seconds": candidate.duration_ms.map(|ms| ms / 1000),
        })
    });
    json!({ "found": candidates.collect::<Vec<_>>() })
}

pub(super) fn score_candidates<W: AgentsAtWork>() -> Tool<W> {
    workflow_tool(
        (
            "score_candidates",
            "Says how well each candidate fits the song, 0 to 1, best first.",
        ),
        |ctx: WorkflowContext<W>, _: Nothing| async move {
            let (decision, found) =
                ctx.state(|sync| (sync.work().decision(), sync.work().found().to_vec()));
            let scores = decision.candidates.iter().take(MOST_SCORED).map(|m| {
                json!({
                    "candidate": found.iter().position(|known| known.id == m.candidate.id),
                    "title": shown(&m.candidate.title),
                    "artists": m.candidate.artists.iter().take(10).map(|a| shown(a)).collect::<Vec<_>>(),
                    "seconds": m.candidate.duration_ms.map(|ms| ms / 1000),
                    "score": (m.score.confidence * 100.0).round() / 100.0,
                    "note": m.score.version_note.as_deref().map(shown),
                })
            });
            Ok(json!({
                "needed": ctx.state(|sync| sync.work().threshold()),
                "scores": scores.collect::<Vec<_>>(),
            }))
        },
    )
}

pub(super) fn add_track<W: AgentsAtWork>() -> Tool<W> {
    workflow_tool(
        (
            "add_track",
            "Adds the candidate of this number to the user's playlist, once.",
        ),
        |ctx: WorkflowContext<W>, chosen: Chosen| async move {
            let placed = place(&ctx, chosen.candidate).await?;
            Ok(json!({"result": match placed {
                Placed::AlreadyThere { .. } => "already_there",
                _ => "added",
            }}))
        },
    )
}

pub(super) fn verify_track<W: AgentsAtWork>() -> Tool<W> {
    workflow_tool(
        (
            "verify_track",
            "Looks whether the candidate of this number is in the user's playlist.",
        ),
        |ctx: WorkflowContext<W>, chosen: Chosen| async move {
            let is_there = is_there(&ctx, chosen.candidate).await?;
            Ok(json!({ "is_there": is_there }))
        },
    )
}
