//! `AgentSync`: the work of a sync done by agents: one searches, one matches, one fills the playlist.
//!
//! It belongs to a [`MusicSync`], which is what the user sees, and shares everything that has an effect: the
//! same activities under the same policies, and [`PlaceTrack`] for the playlist. So the promises are the
//! same: the track is there once, a cancellation undoes it, what runs out of attempts is kept.
//!
//! 1. The search agent asks Spotify, as often as it likes within its turns.
//! 2. The match agent judges what was found; the matcher's scores are a tool of its.
//! 3. The playlist agent adds the choice, sees that it is there, and says how it ended.
//!
//! What an agent says moves nothing by itself. It names candidates by number; only a track that the search
//! found and the matcher holds possible can be added, once, and only to the playlist of the sync. How it
//! ended is read from what was done, not from what was said.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ContinueAsNewOptions, SignalWorkflowOptions, WorkflowCancellationToken, WorkflowContext,
    WorkflowContextView, WorkflowResult, WorkflowTermination,
};

use crate::{
    activities::Payer,
    agents::{self, Conversation, Ending},
    batch::POSSIBLE,
    error::{ErrorCode, SyncError},
    matching::{Decision, Match, MatchMethod, best},
    model::Usage,
    music_sync::MusicSync,
    names,
    place_track::{PlaceInput, PlaceTrack, Placed},
    step::{StepFailure, StepPolicy, Steps},
    sync::{SyncInput, Wait},
    sync_agents,
    track::Candidate,
    turn::{of_child, start_in_turn},
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
    /// How far the runs before this one have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) so_far: Option<SoFar>,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SoFar {
    pub(crate) conversation: Option<Conversation>,
    pub(crate) found: Vec<Candidate>,
    pub(crate) retries: u32,
    pub(crate) placed: Option<(u32, Placed)>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentOutcome {
    /// The track that was chosen and placed.
    pub chosen: Option<Match>,
    /// What became of it in the playlist.
    pub placed: Option<Placed>,
    /// What the matcher thinks of what was found.
    pub decision: Decision,
    /// What the last agent said of it: for whoever reads the history, and believed by nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// What the model was used for.
    pub usage: Usage,
    /// Attempts that had to be repeated.
    pub retries: u32,
}

/// See the module.
#[workflow]
pub struct AgentSync {
    pub(crate) input: AgentSyncInput,
    pub(crate) so_far: SoFar,
    placing: Option<String>,
    /// A track is being placed: no other may be.
    taken: bool,
    times_woken: u32,
}

#[workflow_methods]
impl AgentSync {
    #[init]
    fn new(_ctx: &WorkflowContextView, mut input: AgentSyncInput) -> Self {
        let so_far = input.so_far.take().unwrap_or_default();
        Self {
            taken: so_far.placed.is_some(),
            input,
            so_far,
            placing: None,
            times_woken: 0,
        }
    }

    /// The story.
    #[run(name = "AgentSync")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<AgentOutcome> {
        let team = sync_agents::team();
        let payer = ctx.state(Self::payer);
        let begun = ctx.state(|sync| sync.so_far.conversation.clone());
        let mut conversation =
            begun.unwrap_or_else(|| ctx.state(|sync| sync_agents::task(&sync.input.sync)));
        let ended = agents::run(
            ctx,
            &team,
            sync_agents::GUARDRAILS,
            &payer,
            &mut conversation,
        )
        .await;
        let usage = conversation.usage;
        match ended {
            Ok(Ending::Answer(answer)) => Ok(AgentOutcome {
                said: answer["outcome"].as_str().map(str::to_owned),
                ..ctx.state(|sync| sync.outcome(usage))
            }),
            Ok(Ending::GrownLong) => {
                let input = ctx.state(|sync| AgentSyncInput {
                    so_far: Some(SoFar {
                        conversation: Some(conversation),
                        ..sync.so_far.clone()
                    }),
                    ..sync.input.clone()
                });
                ctx.continue_as_new(input, ContinueAsNewOptions::default())?;
                Err(WorkflowTermination::cancelled())
            }
            // What was placed is placed, whatever the agents make of it.
            Err(StepFailure::Failed(_)) if ctx.state(|sync| sync.so_far.placed.is_some()) => {
                Ok(ctx.state(|sync| sync.outcome(usage)))
            }
            // The cancellation reached the placing first: it has undone what there was to undo.
            Err(StepFailure::Cancelled { .. })
                if ctx.state(|sync| sync.so_far.placed.is_some()) =>
            {
                Ok(ctx.state(|sync| sync.outcome(usage)))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// The workflow that places the track waits, or is at work again.
    #[signal(name = "child_waits_for")]
    pub async fn child_waits_for(ctx: &mut WorkflowContext<Self>, wait: Option<Wait>) {
        Self::show_wait(ctx, wait).await;
    }

    /// The same, as `PlaceTrack` says it of a rate limit.
    #[signal(name = "child_waits")]
    pub async fn child_waits(ctx: &mut WorkflowContext<Self>, until: Option<Timestamp>) {
        let wait = until.map(|until| Wait {
            until,
            reason: SyncError::new(ErrorCode::RateLimited, "Spotify asked to come back later"),
        });
        Self::show_wait(ctx, wait).await;
    }

    /// What it waits for may be over: it is to look at once.
    #[signal(name = "wake")]
    pub async fn wake(ctx: &mut WorkflowContext<Self>) {
        ctx.state_mut(|sync| sync.times_woken += 1);
        if let Some(placing) = ctx.state(|sync| sync.placing.clone()) {
            let placing = ctx.external_workflow(placing, None);
            let options = SignalWorkflowOptions::builder()
                .cancellation_token(WorkflowCancellationToken::new())
                .build();
            let _ = placing.signal(PlaceTrack::wake, (), options).await;
        }
    }
}

impl AgentSync {
    fn payer(&self) -> Payer {
        Payer {
            user_id: self.input.sync.user_id.clone(),
            sync_id: self.input.sync_id.clone(),
        }
    }

    /// Takes in candidates, and gives their numbers.
    pub(crate) fn take_in(&mut self, candidates: Vec<Candidate>) -> Vec<(u32, Candidate)> {
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
    pub(crate) fn decision(&self) -> Decision {
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

    /// Puts the candidate into the playlist of the sync, as every sync does it.
    pub(crate) async fn place(
        ctx: &WorkflowContext<Self>,
        number: u32,
    ) -> Result<Placed, agents::ToolFailure> {
        let candidate = ctx.state_mut(|sync| {
            let addable = sync.addable(number);
            sync.taken |= addable.is_ok();
            addable
        });
        let candidate = candidate.map_err(agents::ToolFailure::Told)?;
        let input = PlaceInput {
            playlist_id: ctx.state(|sync| sync.input.playlist_id.clone()),
            track_uri: candidate.uri,
        };
        let id = names::place_track_id(&input.playlist_id, &input.track_uri);
        let started = start_in_turn(ctx, || PlaceTrack::run, &input, &id, None).await?;
        ctx.state_mut(|sync| sync.placing = Some(id));
        let placed = started.result().await;
        ctx.state_mut(|sync| sync.placing = None);
        let placed = placed.map_err(|error| of_child(&error))?;
        ctx.state_mut(|sync| sync.so_far.placed = Some((number, placed.clone())));
        match placed {
            Placed::Cancelled { .. } => Err(StepFailure::Cancelled { tried: true }.into()),
            placed => Ok(placed),
        }
    }

    fn outcome(&self, usage: Usage) -> AgentOutcome {
        let decision = self.decision();
        let placed = self.so_far.placed.clone();
        let number = placed.as_ref().map(|(number, _)| *number);
        let chosen = number.and_then(|number| {
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
            usage,
            retries: self.so_far.retries,
        }
    }
}

impl Steps for AgentSync {
    fn is_patient(_ctx: &WorkflowContext<Self>) -> bool {
        true
    }

    /// The wait is shown where it is looked for: in the sync.
    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>) {
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

    fn count_retries(&mut self, retries: u32) {
        self.so_far.retries += retries;
    }

    fn times_woken(&self) -> u32 {
        self.times_woken
    }
}
