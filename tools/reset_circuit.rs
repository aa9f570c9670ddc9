//! `reset_circuit`: call the upstream again now, instead of when its time has come.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    call_budget::{CallBudget, Reset},
    gate::Group,
    names,
    sync::SyncStatus,
    waking,
};
use serde::{Deserialize, Serialize};
use temporalio_client::{
    WorkflowQueryOptions, WorkflowSignalOptions, errors::WorkflowInteractionError,
};

use crate::{Segue, answer::Answer, args::Args, error::ToolError};

/// Time between two resets that guests of this process ask for, all of them together. Each lets every sync of every
/// user call an upstream again that was left alone for a reason.
const PAUSE: Duration = Duration::from_secs(60);

/// When a guest has last reset something. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resets(Arc<Mutex<Option<Instant>>>);

impl Resets {
    /// Takes the turn, if it has come; otherwise tells how long it takes.
    fn take_turn(&self) -> Result<(), Duration> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = last.map(|last| PAUSE.saturating_sub(last.elapsed()));
        match left {
            Some(left) if !left.is_zero() => Err(left),
            _ => {
                *last = Some(Instant::now());
                Ok(())
            }
        }
    }
}

/// What `reset_circuit` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What to reset. Default: every circuit.
    #[serde(default)]
    pub part: Part,
}

/// What can be reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// The circuits of all kinds of calls.
    #[default]
    All,
    /// The circuit of searches.
    Search,
    /// The circuit of reading and changing playlists.
    Playlist,
    /// The circuit of the model.
    Model,
    /// The time that Spotify asked to wait. Spotify may answer calls before it with a longer one.
    RateLimit,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// What was reset.
    pub part: Part,
    /// Syncs that waited for it, and look again now.
    pub woken: usize,
}

#[tool_router(router = reset_circuit_router, vis = "pub(crate)")]
impl Segue {
    /// Calls the upstream again at once, after it was left alone because it failed again and again,
    /// and lets the syncs that wait for it go on. Use it when what was wrong has been mended; it
    /// would also be noticed by itself within a minute or some.
    #[tool(
        title = "Call the upstream again now",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "Call the upstream again now",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    pub(crate) async fn reset_circuit(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<Output>, ToolError> {
        let engine = self.engine().ready(&context).await?;
        if self.is_guest() {
            self.may_reset(params.part)?;
        }
        let (reset, status) = match params.part {
            Part::All => (Reset::Circuits(None), SyncStatus::WaitingForUpstream),
            Part::Search => (
                Reset::Circuits(Some(Group::Search)),
                SyncStatus::WaitingForUpstream,
            ),
            Part::Playlist => (
                Reset::Circuits(Some(Group::Playlist)),
                SyncStatus::WaitingForUpstream,
            ),
            Part::Model => (
                Reset::Circuits(Some(Group::Model)),
                SyncStatus::WaitingForUpstream,
            ),
            Part::RateLimit => (Reset::Limit, SyncStatus::WaitingForRateLimit),
        };
        // Here at once; the other workers hear of it when they next renew their share.
        match reset {
            Reset::Circuits(group) => self.gate().reset(group),
            Reset::Limit => self.gate().lift_block(),
        }
        let budget = engine
            .client
            .get_workflow_handle::<CallBudget>(names::BUDGET_ID);
        let told = budget
            .signal(CallBudget::reset, reset, WorkflowSignalOptions::default())
            .await;
        match told {
            // Nobody has called yet: there is nothing to set back.
            Ok(()) | Err(WorkflowInteractionError::NotFound(_)) => {}
            Err(error) => return Err(ToolError::engine_failed("tell the other workers", &error)),
        }
        if params.part == Part::RateLimit {
            // A worker that has not heard of it would send its syncs back to sleep.
            let facts = budget.query(CallBudget::facts, (), WorkflowQueryOptions::default());
            if let Ok(facts) = facts.await {
                tokio::time::sleep(facts.known_to_all_after()).await;
            }
        }
        // Whose else waits goes on when it looks by itself.
        let whose = self.is_guest().then(|| self.user_id());
        let woken = waking::wake(&engine.client, &[status], whose)
            .await
            .map_err(|error| ToolError::engine_failed("wake the syncs that wait", &error))?;
        Ok(Answer {
            sentence: format!(
                "The upstream is called again. {woken} sync(s) that waited look now.{}",
                engine.note()
            ),
            data: Output {
                part: params.part,
                woken,
            },
        })
    }
}

impl Segue {
    /// Whether a guest may reset this now: the account and the process are not theirs alone.
    fn may_reset(&self, part: Part) -> Result<(), ToolError> {
        if part == Part::RateLimit {
            return Err(ToolError::not_for_guests(
                "Spotify's time holds for all who share this server.",
                "Wait until it is over, as your syncs do by themselves; whoever runs the server can end it.",
            ));
        }
        self.resets().take_turn().map_err(|left| {
            let seconds = left.as_secs() + 1;
            ToolError::not_yet(format!(
                "Somebody had the upstream called again a moment ago; the next time is in {seconds} s."
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_have_one_turn_a_minute_between_them() {
        let resets = Resets::default();
        assert_eq!(resets.take_turn(), Ok(()));
        let left = resets.clone().take_turn().expect_err("just now");
        assert!(left <= PAUSE && left > PAUSE / 2, "{left:?}");
        *resets.0.lock().expect("alone") = Instant::now().checked_sub(PAUSE);
        assert_eq!(resets.take_turn(), Ok(()));
    }
}
