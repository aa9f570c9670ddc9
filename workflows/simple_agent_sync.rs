//! `SimpleAgentSync`: the smallest durable agent that does the whole work of a sync.
//!
//! One agent, two tools: the search tool of the upstream server, as the server itself describes it, and
//! adding what was found. Read this first to see how agents are made here; [`AgentSync`] is the team.
//!
//! [`AgentSync`]: crate::agent_sync::AgentSync

use jiff::Timestamp;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ContinueAsNewOptions, WorkflowContext, WorkflowContextView, WorkflowResult, WorkflowTermination,
};

use crate::{
    agents::Provider,
    error::{ErrorCode, SyncError},
    step::{StepFailure, Steps},
    sync::{McpConnection, Wait},
    sync_agents::{
        self, AgentOutcome, AgentSyncInput, AgentsAtWork, Ended, Work, team::simple, told_of_found,
    },
};

/// See the module.
#[workflow]
pub struct SimpleAgentSync {
    work: Work,
}

#[workflow_methods]
impl SimpleAgentSync {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: AgentSyncInput) -> Self {
        Self {
            work: Work::new(input),
        }
    }

    /// The story.
    #[run(name = "SimpleAgentSync")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<AgentOutcome> {
        let upstream = match ctx.state(|sync| sync.work.sync().agent_connection) {
            McpConnection::Stateless => Provider::stateless(),
            McpConnection::Stateful => Provider::stateful(),
        };
        let tools = match ctx.state(|sync| sync.work.tools()) {
            Some(known) => known,
            None => upstream.tools(ctx).await?,
        };
        ctx.state_mut(|sync| sync.work.keep_tools(&tools));
        let search = tools.into_iter().find(|tool| !tool.by_isrc);
        let search = search.ok_or_else(|| {
            let problem = "this upstream server has no tool to search";
            StepFailure::Failed(SyncError::new(ErrorCode::CapabilityMissing, problem))
        })?;
        let agent = simple(upstream.tool(search, told_of_found));
        let ended = sync_agents::run(ctx, &agent).await;
        upstream.close(ctx).await;
        match ended? {
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

impl AgentsAtWork for SimpleAgentSync {
    fn work(&self) -> &Work {
        &self.work
    }

    fn work_mut(&mut self) -> &mut Work {
        &mut self.work
    }
}

impl Steps for SimpleAgentSync {
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
