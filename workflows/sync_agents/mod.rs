//! Agents that do the work of a sync: what they share, whoever they are.
//!
//! What an agent says moves nothing by itself. It names candidates by number; only a track that the search
//! found and the matcher holds possible can be added, once, and only to the playlist of the sync. How it
//! ended is read from what was done, not from what was said.

pub(crate) mod team;
mod tools;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use temporalio_sdk::{
    SignalWorkflowOptions, WorkflowCancellationToken, WorkflowContext, WorkflowTermination,
};

pub(crate) use self::tools::told_of_found;
use crate::{
    activities::{Activities, Payer, Placement},
    agents::{self, Agent, Conversation, Ending, ToolFailure},
    batch::POSSIBLE,
    error::{ErrorCode, SyncError},
    matching::{Decision, Match, MatchMethod, best},
    model::{Usage, fence::shown},
    music_sync::MusicSync,
    names,
    place_track::{PlaceInput, PlaceTrack, Placed},
    step::{StepFailure, StepPolicy, Steps, run_step},
    sync::{SyncInput, Wait},
    track::Candidate,
    turn::{of_child, start_in_turn},
    upstream::SearchTool,
};

/// Searching, and looking into the playlist: as in [`MusicSync`].
pub(crate) const SEARCH: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(30),
    heartbeat: Duration::from_secs(5),
    attempts: 3,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// Candidates that are kept, in the order in which they were found.
const MOST_FOUND: usize = 50;

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentSyncInput {
    /// The sync that it belongs to.
    pub sync: SyncInput,
    /// Its id: tokens go on its account.
    pub sync_id: String,
    /// Spotify's id of the playlist.
    pub playlist_id: String,
    /// Nothing is added: it is only found out what would be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// How far the runs before this one have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) so_far: Option<SoFar>,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SoFar {
    conversation: Option<Conversation>,
    found: Vec<Candidate>,
    retries: u32,
    placed: Option<(u32, Placed)>,
    /// In a dry run: the number of the candidate that would be placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    would_place: Option<u32>,
    /// The tools that the server had for agents when the first run asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<SearchTool>>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentOutcome {
    /// The track that was chosen and placed; in a dry run, that would be.
    pub chosen: Option<Match>,
    /// What became of it in the playlist.
    pub placed: Option<Placed>,
    /// What the matcher thinks of what was found.
    pub decision: Decision,
    /// What the last agent said of it: for whoever reads the history, and believed by nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// In a dry run: why the agents came to no end. In any other that fails the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<SyncError>,
    /// What the model was used for.
    pub usage: Usage,
    /// Attempts that had to be repeated.
    pub retries: u32,
}

/// The state of the work.
pub(crate) struct Work {
    input: AgentSyncInput,
    so_far: SoFar,
    placing: Option<String>,
    /// A track is being placed: no other may be.
    taken: bool,
    times_woken: u32,
}

/// A workflow in which agents do the work of a sync.
pub(crate) trait AgentsAtWork: Steps {
    fn work(&self) -> &Work;
    fn work_mut(&mut self) -> &mut Work;
}

/// How a run of the workflow ends.
pub(crate) enum Ended {
    /// With this outcome.
    Outcome(Box<AgentOutcome>),
    /// It goes on in a new run with this input.
    GrownLong(Box<AgentSyncInput>),
}

impl Ended {
    fn of(outcome: AgentOutcome) -> Self {
        Self::Outcome(Box::new(outcome))
    }
}

impl Work {
    pub(crate) fn new(mut input: AgentSyncInput) -> Self {
        let so_far = input.so_far.take().unwrap_or_default();
        Self {
            taken: so_far.placed.is_some() || so_far.would_place.is_some(),
            input,
            so_far,
            placing: None,
            times_woken: 0,
        }
    }

    pub(crate) fn sync(&self) -> &SyncInput {
        &self.input.sync
    }

    pub(crate) fn count_retries(&mut self, retries: u32) {
        self.so_far.retries += retries;
    }

    pub(crate) fn times_woken(&self) -> u32 {
        self.times_woken
    }

    /// The server's tools, if an earlier run has asked for them.
    pub(crate) fn tools(&self) -> Option<Vec<SearchTool>> {
        self.so_far.tools.clone()
    }

    pub(crate) fn keep_tools(&mut self, tools: &[SearchTool]) {
        self.so_far.tools = Some(tools.to_vec());
    }

    fn payer(&self) -> Payer {
        Payer {
            user_id: self.input.sync.user_id.clone(),
            sync_id: self.input.sync_id.clone(),
        }
    }

    fn threshold(&self) -> f64 {
        self.input.sync.match_threshold
    }

    fn found(&self) -> &[Candidate] {
        &self.so_far.found
    }

    /// Takes in candidates, and gives their numbers.
    fn take_in(&mut self, candidates: Vec<Candidate>) -> Vec<(u32, Candidate)> {
        let found = &mut self.so_far.found;
        for candidate in &candidates {
            let known = found.iter().any(|known| known.id == candidate.id);
            if !known && found.len() < MOST_FOUND {
                found.push(candidate.clone());
            }
        }
        let numbered = (0..).zip(found.iter());
        numbered
            .filter(|(_, known)| candidates.iter().any(|candidate| candidate.id == known.id))
            .map(|(number, known): (u32, _)| (number, known.clone()))
            .collect()
    }

    /// What the matcher thinks of all that was found.
    fn decision(&self) -> Decision {
        let sync = &self.input.sync;
        best(&sync.track, &self.so_far.found, sync.match_threshold)
    }

    /// The candidate of this number, if it may be added.
    fn addable(&self, number: u32) -> Result<Candidate, String> {
        if self.taken {
            return Err("a track was chosen before: one sync adds one track".to_owned());
        }
        let candidate = self.so_far.found.get(number as usize);
        let candidate = candidate.ok_or("there is no candidate of this number")?;
        let decision = self.decision();
        let ranked = decision.candidates.iter();
        let mut same = ranked.filter(|m| m.candidate.id == candidate.id);
        match same.next() {
            Some(known) if known.score.confidence >= POSSIBLE => Ok(candidate.clone()),
            _ => Err("this candidate is plainly another recording; nothing was added".to_owned()),
        }
    }

    /// The number of the track that is settled upon.
    fn settled(&self) -> Option<u32> {
        let placed = self.so_far.placed.as_ref().map(|(number, _)| *number);
        placed.or(self.so_far.would_place)
    }

    fn outcome(&self, usage: Usage) -> AgentOutcome {
        let decision = self.decision();
        let placed = self.so_far.placed.clone();
        let chosen = self.settled().and_then(|number| {
            let candidate = self.so_far.found.get(number as usize)?;
            let mut ranked = decision.candidates.iter();
            let mut chosen = ranked.find(|m| m.candidate.id == candidate.id)?.clone();
            if chosen.score.confidence < self.input.sync.match_threshold {
                chosen.score.method = MatchMethod::Ai;
            }
            Some(chosen)
        });
        AgentOutcome {
            chosen,
            placed: placed.map(|(_, placed)| placed),
            decision,
            said: None,
            failed: None,
            usage,
            retries: self.so_far.retries,
        }
    }
}

/// The conversation with which a sync begins.
fn task(sync: &SyncInput, first: &str) -> Conversation {
    let track = &sync.track;
    let song = json!({
        "title": shown(&track.title),
        "artist": shown(&track.artist),
        "album": track.album.as_deref().map(shown),
        "seconds": track.duration_ms.map(|ms| ms / 1000),
        "isrc": track.isrc.as_deref().map(shown),
    });
    Conversation::new(
        first,
        "Add this song to the user's playlist.",
        &json!({ "song": song }),
    )
}

/// Lets the agents work, the first of them first.
pub(crate) async fn run<W: AgentsAtWork>(
    ctx: &WorkflowContext<W>,
    agents: &[Agent<W>],
) -> Result<Ended, WorkflowTermination> {
    let payer = ctx.state(|sync| sync.work().payer());
    let begun = ctx.state(|sync| sync.work().so_far.conversation.clone());
    let first = agents.first().map_or("", |agent| agent.name);
    let mut conversation =
        begun.unwrap_or_else(|| ctx.state(|sync| task(sync.work().sync(), first)));
    let ended = agents::run(ctx, agents, team::GUARDRAILS, &payer, &mut conversation).await;
    let usage = conversation.usage;
    let outcome = || ctx.state(|sync| sync.work().outcome(usage));
    let (is_placed, is_settled, is_dry_run) = ctx.state(|sync| {
        let work = sync.work();
        let is_placed = work.so_far.placed.is_some();
        (is_placed, work.settled().is_some(), work.input.dry_run)
    });
    match ended {
        Ok(Ending::Answer(answer)) => Ok(Ended::of(AgentOutcome {
            said: answer["outcome"].as_str().map(str::to_owned),
            ..outcome()
        })),
        Ok(Ending::GrownLong) => Ok(Ended::GrownLong(ctx.state(|sync| {
            let work = sync.work();
            Box::new(AgentSyncInput {
                so_far: Some(SoFar {
                    conversation: Some(conversation),
                    ..work.so_far.clone()
                }),
                ..work.input.clone()
            })
        }))),
        // What was placed is placed, whatever the agents make of it; and a cancellation that reached the
        // placing first has undone what there was to undo.
        Err(StepFailure::Failed(_) | StepFailure::Cancelled { .. }) if is_placed => {
            Ok(Ended::of(outcome()))
        }
        // What a dry run cost is told also when it came to nothing.
        Err(StepFailure::Failed(error)) if is_dry_run => Ok(Ended::of(AgentOutcome {
            failed: Some(error).filter(|_| !is_settled),
            ..outcome()
        })),
        Err(failure) => Err(failure.into()),
    }
}

/// Puts the candidate into the playlist of the sync, as every sync does it; in a dry run only notes it.
async fn place<W: AgentsAtWork>(
    ctx: &WorkflowContext<W>,
    number: u32,
) -> Result<Placed, ToolFailure> {
    let candidate = ctx.state_mut(|sync| {
        let work = sync.work_mut();
        let addable = work.addable(number);
        work.taken |= addable.is_ok();
        addable
    });
    let candidate = candidate.map_err(ToolFailure::Told)?;
    if ctx.state(|sync| sync.work().input.dry_run) {
        ctx.state_mut(|sync| sync.work_mut().so_far.would_place = Some(number));
        return Ok(Placed::Added { retries: 0 });
    }
    let input = PlaceInput {
        playlist_id: ctx.state(|sync| sync.work().input.playlist_id.clone()),
        track_uri: candidate.uri,
        at_once: true,
    };
    let id = names::place_track_id(&input.playlist_id, &input.track_uri);
    let started = start_in_turn(ctx, || PlaceTrack::run, &input, &id, None).await?;
    ctx.state_mut(|sync| sync.work_mut().placing = Some(id));
    let placed = started.result().await;
    ctx.state_mut(|sync| sync.work_mut().placing = None);
    let placed = placed.map_err(|error| of_child(&error))?;
    ctx.state_mut(|sync| sync.work_mut().so_far.placed = Some((number, placed.clone())));
    match placed {
        Placed::Cancelled { .. } => Err(StepFailure::Cancelled { tried: true }.into()),
        placed => Ok(placed),
    }
}

/// Whether the candidate is in the playlist; in a dry run, whether it would be.
async fn is_there<W: AgentsAtWork>(
    ctx: &WorkflowContext<W>,
    number: u32,
) -> Result<bool, ToolFailure> {
    let candidate = ctx.state(|sync| sync.work().found().get(number as usize).cloned());
    let candidate = candidate
        .ok_or_else(|| ToolFailure::Told("there is no candidate of this number".to_owned()))?;
    if ctx.state(|sync| sync.work().input.dry_run) {
        return Ok(ctx.state(|sync| sync.work().settled() == Some(number)));
    }
    let place = Placement {
        playlist_id: ctx.state(|sync| sync.work().input.playlist_id.clone()),
        track_uri: candidate.uri,
        look_from: 0,
        tried_before: false,
        waited_before: false,
        acknowledged: false,
    };
    let token = ctx.cancellation_token();
    let seen = run_step(ctx, SEARCH, &token, || Activities::look, |_| place.clone()).await?;
    Ok(seen.present)
}

/// Shows a wait where it is looked for: in the sync.
pub(crate) async fn show_wait<W: AgentsAtWork>(ctx: &WorkflowContext<W>, wait: Option<Wait>) {
    let Some(parent) = ctx.info().parent() else {
        return;
    };
    let options = SignalWorkflowOptions::builder()
        .cancellation_token(WorkflowCancellationToken::new())
        .build();
    let parent = ctx.external_workflow(parent.workflow_id(), None);
    let _ = parent
        .signal(MusicSync::child_waits_for, wait, options)
        .await;
}

/// The wait for a rate limit, as `PlaceTrack` says it.
pub(crate) fn rate_limit(until: Option<Timestamp>) -> Option<Wait> {
    until.map(|until| Wait {
        until,
        reason: SyncError::new(ErrorCode::RateLimited, "Spotify asked to come back later"),
    })
}

/// Somebody said that a wait may be over: whoever waits is to look at once.
pub(crate) async fn wake<W: AgentsAtWork>(ctx: &WorkflowContext<W>) {
    ctx.state_mut(|sync| sync.work_mut().times_woken += 1);
    if let Some(placing) = ctx.state(|sync| sync.work().placing.clone()) {
        let placing = ctx.external_workflow(placing, None);
        let options = SignalWorkflowOptions::builder()
            .cancellation_token(WorkflowCancellationToken::new())
            .build();
        let _ = placing.signal(PlaceTrack::wake, (), options).await;
    }
}
