//! `AgentSync`: the work of a sync done by agents: one searches, one matches, one fills the playlist.
//!
//! It belongs to a [`MusicSync`](crate::music_sync::MusicSync), which is what the user sees, and shares
//! everything that has an effect: the same activities under the same policies, and
//! [`PlaceTrack`](crate::place_track::PlaceTrack) for the playlist. So the promises are the same: the track
//! is there once, a cancellation undoes it, what runs out of attempts is kept.
//!
//! 1. The search agent asks Spotify, as often as it likes within its turns.
//! 2. The match agent judges what was found; the matcher's scores are a tool of its.
//! 3. The playlist agent adds the choice, sees that it is there, and says how it ended.

use jiff::Timestamp;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ContinueAsNewOptions, WorkflowContext, WorkflowContextView, WorkflowResult, WorkflowTermination,
};

pub use crate::sync_agents::{AgentOutcome, AgentSyncInput};
use crate::{
    step::Steps,
    sync::Wait,
    sync_agents::{self, AgentsAtWork, Ended, Work, team::team},
};

/// See the module.
#[workflow]
pub struct AgentSync {
    work: Work,
}

#[workflow_methods]
impl AgentSync {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: AgentSyncInput) -> Self {
        Self {
            work: Work::new(input),
        }
    }

    /// The story.
    #[run(name = "AgentSync")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<AgentOutcome> {
        match sync_agents::run(ctx, &team()).await? {
            Ended::Outcome(outcome) => Ok(*outcome),
            Ended::GrownLong(input) => {
                ctx.continue_as_new(*input, ContinueAsNewOptions::default())?;
                Err(WorkflowTermination::cancelled())
            }
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
        Self::show_wait(ctx, sync_agents::rate_limit(until)).await;
    }

    /// What it waits for may be over: it is to look at once.
    #[signal(name = "wake")]
    pub async fn wake(ctx: &mut WorkflowContext<Self>) {
        sync_agents::wake(ctx).await;
    }
}

impl AgentsAtWork for AgentSync {
    fn work(&self) -> &Work {
        &self.work
    }

    fn work_mut(&mut self) -> &mut Work {
        &mut self.work
    }
}

impl Steps for AgentSync {
    fn is_patient(_ctx: &WorkflowContext<Self>) -> bool {
        true
    }

    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>) {
        sync_agents::show_wait(ctx, wait).await;
    }

    fn count_retries(&mut self, retries: u32) {
        self.work.count_retries(retries);
    }

    fn times_woken(&self) -> u32 {
        self.work.times_woken()
    }
}
