//! `PlaylistReading`: the user's playlists, read once, as patiently as a sync reads.

use std::time::Duration;

use jiff::Timestamp;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{WorkflowContext, WorkflowContextView, WorkflowResult};

use crate::{
    activities::Activities,
    step::{StepPolicy, Steps, run_step},
    sync::Wait,
    upstream::Playlist,
};

/// Reading. A user with 11,000 playlists has 220 pages.
const READ: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(30),
    heartbeat: Duration::from_secs(5),
    attempts: 3,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// See the module.
#[workflow]
#[derive(Default)]
pub struct PlaylistReading {
    waiting_until: Option<Timestamp>,
}

#[workflow_methods]
impl PlaylistReading {
    /// The story.
    #[run(name = "PlaylistReading")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Vec<Playlist>> {
        let token = ctx.cancellation_token();
        Ok(run_step(ctx, READ, &token, || Activities::list_playlists, |_| ()).await?)
    }

    /// When it goes on, if it waits for the rate limit.
    #[query(name = "waiting_until")]
    pub fn waiting_until(&self, _ctx: &WorkflowContextView) -> Option<Timestamp> {
        self.waiting_until
    }
}

impl Steps for PlaylistReading {
    /// Whoever asked waits for the answer: what will take long is told at once.
    fn is_patient(_ctx: &WorkflowContext<Self>) -> bool {
        false
    }

    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>) {
        ctx.state_mut(|reading| reading.waiting_until = wait.map(|wait| wait.until));
    }

    fn count_retries(&mut self, _retries: u32) {}

    fn times_woken(&self) -> u32 {
        0
    }
}
