//! `RememberedAnswer`: what the user once said about a track, kept until they take it back.
//!
//! Its workflow id names the user and the track as the source spells it, so that it is found without
//! a search; it is open as long as the answer holds, so that the engine never forgets it by itself.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_common::{MemoValue, RetryPolicy, search_attributes::SearchAttributes};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, ChildWorkflowCancellationType, ChildWorkflowOptions, ParentClosePolicy,
    SignalWorkflowOptions, SyncWorkflowContext, WorkflowCancellationToken, WorkflowContext,
    WorkflowContextView, WorkflowResult,
};

use crate::{
    activities::{AskedBefore, EngineActivities, Recalled},
    batch::Pick,
    names,
    step::StepFailure,
    track::SourceTrack,
};

/// The key in the memo under which what is [`Remembered`] stands.
pub const ANSWER_MEMO: &str = "answer";

/// An answer of the user's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// Whose answer it is.
    pub user_id: String,
    /// What was asked about.
    pub source: SourceTrack,
    /// The track that it is; none if the user said that there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick: Option<Pick>,
    /// When it was answered.
    pub answered_at: Timestamp,
}

/// See the module.
#[workflow]
pub struct RememberedAnswer {
    answer: Remembered,
    shown: bool,
    forgotten: bool,
}

#[workflow_methods]
impl RememberedAnswer {
    #[init]
    fn new(_ctx: &WorkflowContextView, answer: Remembered) -> Self {
        Self {
            answer,
            shown: false,
            forgotten: false,
        }
    }

    /// The story.
    #[run(name = "RememberedAnswer")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        while !ctx.state(|kept| kept.forgotten) {
            Self::show(ctx);
            ctx.wait_condition(|kept| kept.forgotten || !kept.shown)
                .await?;
        }
        Ok(())
    }

    /// The user has said otherwise since.
    #[signal(name = "change")]
    pub fn change(&mut self, _ctx: &mut SyncWorkflowContext<Self>, answer: Remembered) {
        self.answer = answer;
        self.shown = false;
    }

    /// Takes the answer back: the track will be asked about again.
    #[update(name = "forget")]
    pub fn forget(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _nothing: ()) {
        self.forgotten = true;
    }
}

impl RememberedAnswer {
    fn show(ctx: &WorkflowContext<Self>) {
        let answer = ctx.state_mut(|kept| {
            kept.shown = true;
            kept.answer.clone()
        });
        let shown = ctx.upsert_memo([(ANSWER_MEMO, Some(MemoValue::new(answer)))]);
        if let Err(error) = shown {
            tracing::debug!("the answer cannot be shown: {error}");
        }
    }
}

/// Looking for answers, again and again: it needs nothing but the engine, which the workflow needs as
/// well, and what the user said is not to be passed over.
const RECALL_ATTEMPT: Duration = Duration::from_secs(10);
const RECALL_LONGEST_RETRY: Duration = Duration::from_secs(10);

/// What the user said before about these tracks.
pub(crate) async fn recall<W>(
    ctx: &WorkflowContext<W>,
    user_id: String,
    tracks: BTreeMap<u32, SourceTrack>,
) -> Result<Recalled, StepFailure> {
    if tracks.is_empty() {
        return Ok(Recalled::new());
    }
    let retries = RetryPolicy::builder()
        .maximum_interval(RECALL_LONGEST_RETRY)
        .build();
    let options = ActivityOptions::with_start_to_close_timeout(RECALL_ATTEMPT)
        .retry_policy(retries)
        .build();
    let asked = AskedBefore { user_id, tracks };
    let recalled = ctx.execute_activity(EngineActivities::recall, asked, options);
    let recalled = recalled.await;
    // A cancelled workflow has not learnt that nothing was said.
    if ctx.cancellation_token().is_cancelled() && ctx.patched(names::RECALL_PATCH) {
        return Err(StepFailure::Cancelled { tried: false });
    }
    Ok(recalled.unwrap_or_default())
}

/// Remembers an answer, in place of an earlier one to the same question.
pub(crate) async fn remember<W: 'static>(ctx: &WorkflowContext<W>, answer: Remembered) {
    let id = names::answer_id(&answer.user_id, &answer.source);
    let value = names::attribute_value;
    let options = ChildWorkflowOptions::builder()
        .workflow_id(id.clone())
        .parent_close_policy(ParentClosePolicy::Abandon)
        .cancel_type(ChildWorkflowCancellationType::Abandon)
        .cancellation_token(WorkflowCancellationToken::new())
        .search_attributes(SearchAttributes::new([
            names::USER_ID.value_set(value(&answer.user_id)),
            names::TRACK_NAME.value_set(value(&answer.source.title)),
            names::ARTIST_NAME.value_set(value(&answer.source.artist)),
        ]))
        .build();
    let started = ctx
        .start_child_workflow(RememberedAnswer::run, answer.clone(), options)
        .await;
    if started.is_err() {
        // There is one already: two syncs asked about the same track at the same time.
        let options = SignalWorkflowOptions::builder()
            .cancellation_token(WorkflowCancellationToken::new())
            .build();
        let kept = ctx.external_workflow(&id, None);
        if let Err(error) = kept.signal(RememberedAnswer::change, answer, options).await {
            tracing::debug!("the answer could not be remembered: {error}");
        }
    }
}
