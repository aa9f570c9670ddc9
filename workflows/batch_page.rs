//! `BatchPage`: a page of a batch, searched and matched.
//!
//! It changes nothing, so it may run ahead of what is being added. Its rows are searched some at a
//! time, several such groups beside each other; what was found stays found, whatever comes between.
//! What a preview found of the same page is taken over, and only what that could not search is
//! searched.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use temporalio_common::RetryPolicy;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, SignalWorkflowOptions, SyncWorkflowContext, WorkflowCancellationToken,
    WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{
    activities::{BatchActivities, EngineActivities, Payer, SearchRows},
    batch::{Found, Packed, Pick, Row, SourcePage},
    batch_sync::BatchSync,
    disambiguation::{self, Answers},
    error::{ErrorCode, SyncError},
    matching::MatchMethod,
    model::{
        Usage,
        choice::{Choice, Doubt, MOST_CANDIDATES, Offer},
    },
    remembered_answer::recall,
    step::{StepFailure, StepPolicy, Steps, run_step},
    sync::Wait,
    track::SourceTrack,
    turn::internal,
};

/// Searching some rows. Each waits for its turn in the budget of calls; a lost attempt is noticed
/// soon, because it is the whole page that waits for it.
const SEARCH: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(600),
    heartbeat: Duration::from_secs(3),
    attempts: 5,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// Reading a page of a preview from the engine.
const READ_ATTEMPT: Duration = Duration::from_secs(10);
const READ_ATTEMPTS: u32 = 5;

/// Rows that one activity searches: the fewer, the more events in the history; the more, the larger
/// what its heartbeat has to carry.
pub(crate) const ROWS_A_SEARCH: usize = 25;

/// What to search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageInput {
    /// The rows.
    pub rows: SourcePage,
    /// Those that came before in the batch, by their place: they are not searched again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeated: Vec<u32>,
    /// The confidence that a match needs, 0.0 to 1.0.
    pub match_threshold: f64,
    /// The same page of a preview: its workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previewed: Option<String>,
    /// Whose answers of earlier reviews hold for rows that are uncertain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Whose account a model is asked on about rows whose match is not certain; nobody's: it is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<Payer>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageFound {
    /// The rows, and what their search came to.
    pub rows: Packed<Vec<Row>>,
    /// Attempts that had to be repeated.
    pub retries: u32,
    /// What the model was used for.
    #[serde(default, skip_serializing_if = "Usage::is_none")]
    pub model: Usage,
    /// Why the model could not be asked about all rows in doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_error: Option<SyncError>,
}

/// See the module.
#[workflow]
pub struct BatchPage {
    input: PageInput,
    found: BTreeMap<u32, Found>,
    retries: u32,
    waiting: u32,
    times_woken: u32,
}

#[workflow_methods]
impl BatchPage {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: PageInput) -> Self {
        Self {
            input,
            found: BTreeMap::new(),
            retries: 0,
            waiting: 0,
            times_woken: 0,
        }
    }

    /// The story.
    #[run(name = "BatchPage")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<PageFound> {
        let input = ctx.state(|page| page.input.clone());
        let rows = input.rows.unpack().map_err(|error| internal(&error))?;
        ctx.state_mut(|page| {
            let repeated = input.repeated.iter().map(|&row| (row, Found::Repeated));
            page.found.extend(repeated);
        });
        if let Some(previewed) = input.previewed {
            Self::take_over(ctx, previewed).await;
        }
        let open: Vec<_> = (0u32..)
            .zip(rows.iter().cloned())
            .filter(|(row, _)| ctx.state(|page| !page.found.contains_key(row)))
            .collect();
        let groups = open.chunks(ROWS_A_SEARCH).map(<[_]>::to_vec);
        let searches = groups.map(|rows| Self::search(ctx, rows, input.match_threshold));
        for searched in join_all(searches).await {
            searched?;
        }
        if let Some(user_id) = input.user_id {
            // What the user has said goes before what a model would say.
            Self::recall(ctx, user_id, &rows).await?;
        }
        let answers = match &input.payer {
            Some(payer) => Self::ask_model(ctx, payer, &rows).await?,
            None => Answers::default(),
        };
        let (mut found, retries) = ctx.state(|page| (page.found.clone(), page.retries));
        let rows: Vec<Row> = (0..)
            .zip(rows)
            .map(|(place, source)| Row {
                source,
                found: found.remove(&place).unwrap_or(Found::Nothing),
            })
            .collect();
        let rows = Packed::of(&rows).map_err(|error| internal(&error))?;
        Ok(PageFound {
            rows,
            retries,
            model: answers.usage,
            model_error: answers.error,
        })
    }

    /// What it waits for may be over: it is to look at once.
    #[signal(name = "wake")]
    pub fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _nothing: ()) {
        self.times_woken += 1;
    }
}

impl BatchPage {
    /// Takes over what a preview found. Where that cannot be read any more, all is searched again.
    async fn take_over(ctx: &WorkflowContext<Self>, previewed: String) {
        let options = ActivityOptions::with_start_to_close_timeout(READ_ATTEMPT)
            .retry_policy(
                RetryPolicy::builder()
                    .maximum_attempts(READ_ATTEMPTS)
                    .build(),
            )
            .build();
        let activity = EngineActivities::previewed_page;
        let Ok(found) = ctx.execute_activity(activity, previewed, options).await else {
            return;
        };
        let rows = found.and_then(|found| found.rows.unpack().ok());
        let usable = |found: &Found| !matches!(found, Found::Failed(_) | Found::Repeated);
        ctx.state_mut(|page| {
            for (row, found) in (0..).zip(rows.unwrap_or_default()) {
                if usable(&found.found) {
                    page.found.entry(row).or_insert(found.found);
                }
            }
        });
    }

    /// Gives the rows that are uncertain what the user said of them before.
    async fn recall(
        ctx: &WorkflowContext<Self>,
        user_id: String,
        rows: &[SourceTrack],
    ) -> Result<(), StepFailure> {
        let unsure = ctx.state(|page| {
            let unsure = page.found.iter();
            let unsure = unsure.filter(|(_, found)| matches!(found, Found::Unsure(_)));
            let source = |(&row, _): (&u32, &Found)| Some((row, rows.get(row as usize)?.clone()));
            unsure.filter_map(source).collect()
        });
        let recalled = recall(ctx, user_id, unsure).await?;
        ctx.state_mut(|page| {
            let said = recalled
                .into_iter()
                .map(|(row, pick)| (row, pick.map_or(Found::Declined, Found::Match)));
            page.found.extend(said);
        });
        Ok(())
    }

    /// Searches a group of rows. Rows for which no answer can be had have failed; the others have
    /// not.
    async fn search(
        ctx: &WorkflowContext<Self>,
        mut rows: Vec<(u32, SourceTrack)>,
        match_threshold: f64,
    ) -> Result<(), StepFailure> {
        let token = ctx.cancellation_token();
        while !rows.is_empty() {
            let searched = run_step(
                ctx,
                SEARCH,
                &token,
                || BatchActivities::search_rows,
                |_| SearchRows {
                    rows: rows.clone(),
                    match_threshold,
                },
            );
            let mut found = match searched.await {
                Ok(searched) => searched.found,
                Err(StepFailure::Failed(error)) => failed(&rows, &error),
                Err(cancelled) => return Err(cancelled),
            };
            if found.is_empty() {
                let nothing = SyncError::new(ErrorCode::Internal, "a search came to nothing");
                found = failed(&rows, &nothing);
            }
            rows.retain(|(row, _)| !found.contains_key(row));
            ctx.state_mut(|page| page.found.extend(found));
        }
        Ok(())
    }

    /// Asks the model about the rows in doubt, all of the page together. Those that it decides have a
    /// match then; the others stay as they are.
    async fn ask_model(
        ctx: &WorkflowContext<Self>,
        payer: &Payer,
        rows: &[SourceTrack],
    ) -> Result<Answers, StepFailure> {
        let doubts: Vec<Doubt> = ctx.state(|page| {
            let doubt = |(&row, found): (&u32, &Found)| match found {
                Found::Unsure(picks) => Some(Doubt {
                    row,
                    source: rows.get(row as usize)?.clone(),
                    candidates: possible(picks),
                }),
                _ => None,
            };
            page.found.iter().filter_map(doubt).collect()
        });
        let answers = disambiguation::ask(ctx, payer, &doubts).await?;
        ctx.state_mut(|page| {
            for (row, choice) in &answers.choices {
                let Some(found) = page.found.get_mut(row) else {
                    continue;
                };
                if let Found::Unsure(picks) = found
                    && let Some(decided) = decided(picks, choice)
                {
                    *found = decided;
                }
            }
        });
        Ok(answers)
    }
}

fn possible(picks: &[Pick]) -> Vec<Offer> {
    let offer = |pick: &Pick| Offer {
        track: pick.track.clone(),
        score: pick.confidence_score,
    };
    picks.iter().take(MOST_CANDIDATES).map(offer).collect()
}

/// What became of a row in doubt after the model's word: a match, or what it was.
fn decided(picks: &[Pick], choice: &Choice) -> Option<Found> {
    let place = choice.taken()? as usize;
    let pick = picks.iter().take(MOST_CANDIDATES).nth(place)?;
    Some(Found::Match(Pick {
        track: pick.track.clone(),
        confidence_score: choice.confidence,
        match_method: MatchMethod::Ai,
    }))
}

fn failed(rows: &[(u32, SourceTrack)], error: &SyncError) -> BTreeMap<u32, Found> {
    let failed = |(row, _): &(u32, SourceTrack)| (*row, Found::Failed(error.clone()));
    rows.iter().map(failed).collect()
}

impl Steps for BatchPage {
    fn is_patient(_ctx: &WorkflowContext<Self>) -> bool {
        true
    }

    /// The wait is shown by the batch. Several groups may wait at a time; the first to wait is told,
    /// and the last to go on.
    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>) {
        let told = ctx.state_mut(|page| {
            match wait {
                Some(_) => page.waiting += 1,
                None => page.waiting = page.waiting.saturating_sub(1),
            }
            page.waiting == u32::from(wait.is_some())
        });
        if told {
            tell_batch(ctx, wait).await;
        }
    }

    fn count_retries(&mut self, retries: u32) {
        self.retries += retries;
    }

    fn times_woken(&self) -> u32 {
        self.times_woken
    }
}

/// Shows a wait where it is looked for: in the batch.
pub(crate) async fn tell_batch<W>(ctx: &WorkflowContext<W>, wait: Option<Wait>) {
    let Some(batch) = ctx.info().parent() else {
        return;
    };
    let options = SignalWorkflowOptions::builder()
        .cancellation_token(WorkflowCancellationToken::new())
        .build();
    // A batch that was terminated has nobody to show the wait to.
    let batch = ctx.external_workflow(batch.workflow_id(), None);
    let _ = batch
        .signal(BatchSync::child_waits_for, wait, options)
        .await;
}
