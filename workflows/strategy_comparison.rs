//! `StrategyComparison`: the same songs found twice, by the pipeline and by agents, and nothing added.
//!
//! Both search as they do in a sync: the pipeline by its ladder of queries through the same activity, the
//! agents as [`AgentSync`] in a dry run. What both found stands in the result side by side, with what
//! follows from it ([`Verdict`]).

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_common::search_attributes::{SearchAttributeUpdate, SearchAttributes};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ChildWorkflowOptions, ContinueAsNewOptions, MemoValue, ParentClosePolicy,
    SignalWorkflowOptions, SyncWorkflowContext, WorkflowCancellationToken, WorkflowContext,
    WorkflowContextView, WorkflowResult, WorkflowTermination,
};

use crate::{
    activities::Activities,
    agent_sync::{AgentSync, AgentSyncInput},
    batch::Packed,
    comparison::{Comparison, Finding, Pair, Prices, Song, Verdict},
    error::{ErrorCode, SyncError},
    matching::{Match, find_match},
    names,
    review::ReviewTerms,
    step::{StepFailure, StepPolicy, Steps, now, run_step},
    sync::{McpConnection, PlaylistRef, Strategy, SyncInput, SyncStatus, Wait, attributes},
    turn::{internal, of_child},
};

/// Searching: as in [`MusicSync`](crate::music_sync::MusicSync).
const SEARCH: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(30),
    heartbeat: Duration::from_secs(5),
    attempts: 3,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// Songs that are looked for at a time.
const AT_A_TIME: usize = 4;
/// Songs of one run of the workflow: some 20 events each.
const SONGS_A_RUN: usize = 40;

/// What to compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonInput {
    /// Whose comparison it is.
    pub user_id: String,
    /// The songs, at most [`MOST_SONGS`](crate::comparison::MOST_SONGS).
    pub songs: Packed<Vec<Song>>,
    /// The confidence that a match needs, 0.0 to 1.0.
    pub match_threshold: f64,
    /// What the model's tokens cost, if the configuration knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// What the runs before this one found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) so_far: Option<SoFar>,
}

/// What the runs of a comparison hand on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SoFar {
    pairs: Packed<Vec<Pair>>,
    started_at: Timestamp,
}

impl ComparisonInput {
    /// A comparison of these songs.
    ///
    /// # Errors
    /// The songs have no form in JSON.
    pub fn new(
        user_id: String,
        songs: &Vec<Song>,
        match_threshold: f64,
        prices: Option<Prices>,
    ) -> Result<Self, crate::batch::NotPacked> {
        Ok(Self {
            user_id,
            songs: Packed::of(songs)?,
            match_threshold,
            prices,
            so_far: None,
        })
    }

    /// The search attributes of a comparison in this state.
    pub fn attributes(&self, status: SyncStatus) -> SearchAttributes {
        SearchAttributes::new([
            names::USER_ID.value_set(names::attribute_value(&self.user_id)),
            names::SYNC_STATUS.value_set(status.as_str().to_owned()),
        ])
    }
}

/// See the module.
#[workflow]
pub struct StrategyComparison {
    input: ComparisonInput,
    songs: Vec<Song>,
    pairs: Vec<Pair>,
    started_at: Option<Timestamp>,
    times_woken: u32,
}

#[workflow_methods]
impl StrategyComparison {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: ComparisonInput) -> Self {
        let so_far = input.so_far.as_ref();
        let pairs = so_far.and_then(|so_far| so_far.pairs.unpack().ok());
        Self {
            started_at: so_far.map(|so_far| so_far.started_at),
            songs: input.songs.unpack().unwrap_or_default(),
            pairs: pairs.unwrap_or_default(),
            input,
            times_woken: 0,
        }
    }

    /// The story.
    #[run(name = "StrategyComparison")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Comparison> {
        let first = ctx.state(|told| told.pairs.len());
        let songs = ctx.state(|told| told.songs.clone());
        let begun = now(ctx);
        ctx.state_mut(|told| _ = told.started_at.get_or_insert(begun));
        // What is shown does not go along from run to run.
        Self::show(ctx, &ctx.state(Self::told));
        let mut stopped_by = None;
        for (number, some) in (first..)
            .step_by(AT_A_TIME)
            .zip(songs[first..].chunks(AT_A_TIME))
        {
            if number - first >= SONGS_A_RUN {
                let input = ctx
                    .state(Self::going_on)
                    .map_err(|error| internal(&error))?;
                ctx.continue_as_new(input, ContinueAsNewOptions::default())?;
                return Err(WorkflowTermination::cancelled());
            }
            let found = (number..)
                .zip(some)
                .map(|(number, song)| Self::both(ctx, number, song));
            let found: Result<Vec<Pair>, StepFailure> = join_all(found).await.into_iter().collect();
            match found {
                Ok(pairs) => {
                    stopped_by = out_of_reach(&pairs);
                    ctx.state_mut(|told| told.pairs.extend(pairs));
                }
                Err(StepFailure::Failed(error)) => {
                    stopped_by = Some(error);
                    break;
                }
                Err(StepFailure::Cancelled { .. }) => {
                    let told = Self::end(ctx, SyncStatus::Cancelled, None);
                    return Err(WorkflowTermination::cancelled_with_details(told));
                }
            }
            let told = ctx.state(Self::told);
            Self::show(ctx, &told);
            if stopped_by.is_some() {
                break;
            }
        }
        Ok(Self::end(ctx, SyncStatus::Completed, stopped_by))
    }

    /// One that looks for a song waits, or is at work again.
    #[signal(name = "child_waits_for")]
    pub fn child_waits_for(&mut self, ctx: &mut SyncWorkflowContext<Self>, wait: Option<Wait>) {
        ctx.upsert_search_attributes(waits(wait));
    }

    /// What it waits for may be over: it is to look at once.
    #[signal(name = "wake")]
    pub async fn wake(ctx: &mut WorkflowContext<Self>) {
        ctx.state_mut(|told| told.times_woken += 1);
        let first = ctx.state(|told| told.pairs.len());
        for number in first..first + AT_A_TIME {
            let id = names::compared_id(ctx.workflow_id(), number);
            let options = SignalWorkflowOptions::builder()
                .cancellation_token(WorkflowCancellationToken::new())
                .build();
            let agents = ctx.external_workflow(id, None);
            let _ = agents.signal(AgentSync::wake, (), options).await;
        }
    }
}

impl StrategyComparison {
    async fn both(
        ctx: &WorkflowContext<Self>,
        number: usize,
        song: &Song,
    ) -> Result<Pair, StepFailure> {
        Ok(Pair {
            pipeline: Self::by_pipeline(ctx, song).await?,
            agents: Self::by_agents(ctx, number, song).await?,
        })
    }

    async fn by_pipeline(ctx: &WorkflowContext<Self>, song: &Song) -> Result<Finding, StepFailure> {
        let threshold = ctx.state(|told| told.input.match_threshold);
        let token = ctx.cancellation_token();
        let begun = now(ctx);
        let decision = find_match(&song.track, threshold, async |query| {
            run_step(
                ctx,
                SEARCH,
                &token,
                || Activities::search,
                |_| query.clone(),
            )
            .await
        })
        .await;
        let found = match decision {
            Ok(decision) => found(decision.matched.as_ref()),
            Err(failure) => failed(failure)?,
        };
        Ok(Finding {
            milliseconds: since(ctx, begun),
            ..found
        })
    }

    async fn by_agents(
        ctx: &WorkflowContext<Self>,
        number: usize,
        song: &Song,
    ) -> Result<Finding, StepFailure> {
        let id = names::compared_id(ctx.workflow_id(), number);
        let input = AgentSyncInput {
            sync: ctx.state(|told| told.as_sync(song)),
            sync_id: id.clone(),
            playlist_id: String::new(),
            dry_run: true,
            so_far: None,
        };
        let options = ChildWorkflowOptions::builder()
            .workflow_id(id)
            .parent_close_policy(ParentClosePolicy::RequestCancel)
            .build();
        let begun = now(ctx);
        let started = ctx
            .start_child_workflow(AgentSync::run, input, options)
            .await
            .map_err(|error| match error.as_cancelled() {
                Some(_) => StepFailure::Cancelled { tried: false },
                None => internal(&error),
            })?;
        let found = match started.result().await {
            Ok(outcome) => Finding {
                usage: outcome.usage,
                ..match outcome.failed {
                    Some(error) => failed(StepFailure::Failed(error))?,
                    None => found(outcome.chosen.as_ref()),
                }
            },
            Err(error) => failed(of_child(&error))?,
        };
        Ok(Finding {
            milliseconds: since(ctx, begun),
            ..found
        })
    }

    /// The song as a sync into no playlist.
    fn as_sync(&self, song: &Song) -> SyncInput {
        SyncInput {
            user_id: self.input.user_id.clone(),
            playlist: PlaylistRef::Id(String::new()),
            track: song.track.clone(),
            match_threshold: self.input.match_threshold,
            retry_of: None,
            kept_by_letter: false,
            on_ambiguous: None,
            review: ReviewTerms::default(),
            strategy: Strategy::Agents,
            agent_connection: McpConnection::default(),
            notify: false,
            search_at_once: false,
        }
    }

    fn told(&self) -> Comparison {
        let started_at = self.started_at.unwrap_or_default();
        Comparison::of(&self.songs, &self.pairs, self.input.prices, started_at)
    }

    fn going_on(&self) -> Result<ComparisonInput, crate::batch::NotPacked> {
        Ok(ComparisonInput {
            so_far: Some(SoFar {
                pairs: Packed::of(&self.pairs)?,
                started_at: self.started_at.unwrap_or_default(),
            }),
            ..self.input.clone()
        })
    }

    /// Shows how far it is where that is looked for: in its memo.
    fn show(ctx: &WorkflowContext<Self>, told: &Comparison) {
        // What is told one by one is told at the end.
        let told = Comparison {
            differences: Vec::new(),
            ..told.clone()
        };
        let memo = (names::PROGRESS_MEMO.to_owned(), Some(MemoValue::new(told)));
        if let Err(error) = ctx.upsert_memo([memo]) {
            tracing::debug!("the progress cannot be shown: {error}");
        }
    }

    fn end(
        ctx: &WorkflowContext<Self>,
        status: SyncStatus,
        stopped_by: Option<SyncError>,
    ) -> Comparison {
        ctx.upsert_search_attributes([names::SYNC_STATUS.value_set(status.as_str().to_owned())]);
        let mut told = ctx.state(Self::told);
        told.stopped_by = stopped_by;
        told.verdict = Some(Verdict::of(&told));
        told
    }
}

fn found(found: Option<&Match>) -> Finding {
    Finding {
        track_id: found.map(|found| found.candidate.id.clone()),
        name: found.map(|found| {
            let candidate = &found.candidate;
            format!(
                "\"{}\" by {}",
                candidate.title,
                candidate.artists.join(", ")
            )
        }),
        ..Finding::default()
    }
}

/// A song on which one of the two failed counts as that. What would fail on every other song as well ends
/// the comparison.
fn failed(failure: StepFailure) -> Result<Finding, StepFailure> {
    match failure {
        StepFailure::Failed(error) if !ends_all(error.code) => Ok(Finding {
            failed: Some(error.code),
            ..Finding::default()
        }),
        failure => Err(failure),
    }
}

/// Why to go no further, if a model that is out of reach has failed the agents on every song of a group: each
/// of the next would wait for a day in vain.
fn out_of_reach(pairs: &[Pair]) -> Option<SyncError> {
    let mut failed = pairs.iter().map(|pair| pair.agents.failed);
    let all = failed.all(|code| code == Some(ErrorCode::ModelUnavailable));
    all.then(|| SyncError::new(ErrorCode::ModelUnavailable, "the model is out of reach"))
}

fn ends_all(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ModelNotConfigured
            | ErrorCode::ModelKeyRefused
            | ErrorCode::ModelDayIsSpent
            | ErrorCode::AuthExpired
            | ErrorCode::InsufficientScope
            | ErrorCode::CapabilityMissing
    )
}

fn since(ctx: &WorkflowContext<StrategyComparison>, begun: Timestamp) -> u64 {
    let milliseconds = now(ctx).duration_since(begun).as_millis();
    u64::try_from(milliseconds).unwrap_or(0)
}

impl Steps for StrategyComparison {
    fn is_patient(_ctx: &WorkflowContext<Self>) -> bool {
        true
    }

    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>) {
        ctx.upsert_search_attributes(waits(wait));
    }

    /// Nobody asks how often something was repeated.
    fn count_retries(&mut self, _retries: u32) {}

    fn times_woken(&self) -> u32 {
        self.times_woken
    }
}

fn waits(wait: Option<Wait>) -> [SearchAttributeUpdate; 2] {
    let status = wait.as_ref().map_or(SyncStatus::Running, Wait::status);
    attributes(status, wait.as_ref())
}
