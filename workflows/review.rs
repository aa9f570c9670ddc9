//! `Review`: a match too uncertain to be made alone, waiting for the user's word.
//!
//! 1. Show the candidates where they are looked for: in its memo.
//! 2. Wait for the word, or for the deadline.
//! 3. Remember the word ([`RememberedAnswer`]), so that the same track is not asked again.
//! 4. The verdict is its result; a batch, which may have continued as new meanwhile, is told.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use temporalio_common::{MemoValue, search_attributes::SearchAttributes};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ChildWorkflowCancellationType, ChildWorkflowOptions, ParentClosePolicy, SignalWorkflowOptions,
    SyncWorkflowContext, WorkflowCancellationToken, WorkflowContext, WorkflowContextView,
    WorkflowResult, WorkflowTermination,
};

use crate::{
    batch::Pick,
    batch_sync::BatchSync,
    error::{ErrorCode, SyncError},
    matching::MatchMethod,
    names,
    remembered_answer::{self, Remembered},
    step::{now, rest},
    sync::{SyncStatus, Wait},
    track::{Candidate, SourceTrack},
};

/// The key in a review's memo under which its [`ReviewCard`] stands.
pub const REVIEW_MEMO: &str = "review";

/// How long the user is given, and what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewTerms {
    /// Seconds from the question to the deadline.
    pub seconds: u64,
    /// What happens at the deadline.
    pub at_deadline: AtDeadline,
}

impl ReviewTerms {
    /// The deadline of a review that begins now.
    pub(crate) fn deadline<W>(&self, ctx: &WorkflowContext<W>) -> Timestamp {
        let seconds = i64::try_from(self.seconds).unwrap_or(i64::MAX);
        let deadline = now(ctx).saturating_add(SignedDuration::from_secs(seconds));
        deadline.unwrap_or(Timestamp::MAX)
    }
}

/// The wait of a sync for as many reviews, the last of which ends then.
pub(crate) fn wait(until: Timestamp, reviews: u32) -> Wait {
    let reason = match reviews {
        1 => "one track has no certain match".to_owned(),
        n => format!("{n} tracks have no certain match"),
    };
    Wait {
        until,
        reason: SyncError::new(ErrorCode::ReviewNeeded, reason),
    }
}

impl Default for ReviewTerms {
    /// Seven days, and then the track is left out.
    fn default() -> Self {
        Self {
            seconds: 7 * 24 * 3600,
            at_deadline: AtDeadline::default(),
        }
    }
}

/// What becomes of a track whose review nobody has answered by its deadline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtDeadline {
    /// It is not added; it stays uncertain.
    #[default]
    Skip,
    /// The best candidate is taken.
    Best,
}

/// What is to be decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewInput {
    /// The sync that asks.
    pub sync_id: String,
    /// Whose sync it is.
    pub user_id: String,
    /// The row, if it is of a batch: its place, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
    /// The number of that row in its source, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The playlist that it is for: its id, or its name.
    pub playlist: String,
    /// What the user has.
    pub source: SourceTrack,
    /// What it could be, the best first.
    pub candidates: Vec<Pick>,
    /// How long the user has.
    pub terms: ReviewTerms,
}

/// A review as it is read from outside, without asking the workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewCard {
    /// What is to be decided.
    pub review: ReviewInput,
    /// Until when.
    pub deadline: Timestamp,
}

/// The user's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewAnswer {
    /// The candidate with this Spotify id.
    Candidate(String),
    /// Another track of Spotify's, by its id.
    Track(String),
    /// None of the candidates.
    Nothing,
}

/// What came of a review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Who decided.
    pub decided_by: DecidedBy,
    /// The track to take, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick: Option<Pick>,
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The user.
    User,
    /// Nobody, until the deadline was over.
    Deadline,
    /// The sync ended before.
    Withdrawn,
}

/// A verdict and the row of the batch that it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reviewed {
    /// The row's place, counted from 0.
    pub row: u32,
    /// What came of it.
    pub verdict: Verdict,
}

/// See the module.
#[workflow]
pub struct Review {
    input: ReviewInput,
    answer: Option<ReviewAnswer>,
    withdrawn: bool,
    decided: bool,
}

#[workflow_methods]
impl Review {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: ReviewInput) -> Self {
        Self {
            input,
            answer: None,
            withdrawn: false,
            decided: false,
        }
    }

    /// The story.
    #[run(name = "Review")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Verdict> {
        Self::show(ctx);
        let token = ctx.cancellation_token();
        let time = Duration::from_secs(ctx.state(|review| review.input.terms.seconds));
        rest(ctx, time, "its deadline".to_owned(), &token, |review| {
            review.answer.is_some() || review.withdrawn
        })
        .await;
        let is_answered = ctx.state_mut(|review| {
            // Whatever comes from now on comes too late, and is told so.
            review.decided = true;
            review.answer.is_some()
        });
        if token.is_cancelled() && !is_answered {
            return Err(WorkflowTermination::cancelled());
        }
        let verdict = ctx.state(Self::verdict);
        if verdict.decided_by == DecidedBy::User {
            let remembered = Remembered {
                user_id: ctx.state(|review| review.input.user_id.clone()),
                source: ctx.state(|review| review.input.source.clone()),
                pick: verdict.pick.clone(),
                answered_at: now(ctx),
            };
            remembered_answer::remember(ctx, remembered).await;
        }
        if verdict.decided_by != DecidedBy::Withdrawn {
            Self::tell_batch(ctx, &verdict).await;
        }
        Ok(verdict)
    }

    #[update_validator(answer)]
    fn may_answer(
        &self,
        _ctx: &WorkflowContextView,
        answer: &ReviewAnswer,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.answer.is_some() || self.decided || self.withdrawn {
            return Err("it has been decided already".into());
        }
        match answer {
            ReviewAnswer::Candidate(id) if self.candidate(id).is_none() => {
                Err(format!("{id:?} is not one of its candidates").into())
            }
            ReviewAnswer::Track(id) if !crate::upstream::is_spotify_id(id) => {
                Err(format!("{id:?} is not the id of a track").into())
            }
            _ => Ok(()),
        }
    }

    /// The user's word. It is refused if it names no candidate, or comes too late.
    #[update(name = "answer")]
    pub fn answer(&mut self, _ctx: &mut SyncWorkflowContext<Self>, answer: ReviewAnswer) {
        self.answer = Some(answer);
    }

    /// The sync has ended: nothing is to be decided any more.
    #[signal(name = "withdraw")]
    pub fn withdraw(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _nothing: ()) {
        self.withdrawn = true;
    }
}

impl Review {
    fn show(ctx: &WorkflowContext<Self>) {
        let review = ctx.state(|review| review.input.clone());
        let card = ReviewCard {
            deadline: review.terms.deadline(ctx),
            review,
        };
        let shown = ctx.upsert_memo([(REVIEW_MEMO, Some(MemoValue::new(card)))]);
        if let Err(error) = shown {
            tracing::debug!("the review cannot be shown: {error}");
        }
    }

    fn candidate(&self, id: &str) -> Option<&Pick> {
        let candidates = &self.input.candidates;
        candidates.iter().find(|pick| pick.track.id == id)
    }

    fn verdict(&self) -> Verdict {
        let by_user = |pick| Verdict {
            decided_by: DecidedBy::User,
            pick,
        };
        match &self.answer {
            Some(ReviewAnswer::Candidate(id) | ReviewAnswer::Track(id)) => {
                by_user(Some(self.chosen(id)))
            }
            Some(ReviewAnswer::Nothing) => by_user(None),
            None if self.withdrawn => Verdict {
                decided_by: DecidedBy::Withdrawn,
                pick: None,
            },
            None => Verdict {
                decided_by: DecidedBy::Deadline,
                pick: match self.input.terms.at_deadline {
                    AtDeadline::Skip => None,
                    AtDeadline::Best => self.input.candidates.first().cloned(),
                },
            },
        }
    }

    /// The track that the user chose. Of one that was not among the candidates nothing but its id is
    /// known; it goes by the names that the source has for it.
    fn chosen(&self, id: &str) -> Pick {
        let known = self.candidate(id).cloned();
        let source = &self.input.source;
        let pick = known.unwrap_or_else(|| Pick {
            track: Candidate {
                id: id.to_owned(),
                uri: format!("spotify:track:{id}"),
                title: source.title.clone(),
                artists: vec![source.artist.clone()],
                ..Candidate::default()
            },
            confidence_score: 1.0,
            match_method: MatchMethod::Review,
        });
        Pick {
            match_method: MatchMethod::Review,
            ..pick
        }
    }

    async fn tell_batch(ctx: &WorkflowContext<Self>, verdict: &Verdict) {
        let (sync_id, row) = ctx.state(|review| (review.input.sync_id.clone(), review.input.row));
        let Some(row) = row else {
            return;
        };
        let options = SignalWorkflowOptions::builder()
            .cancellation_token(WorkflowCancellationToken::new())
            .build();
        let batch = ctx.external_workflow(&sync_id, None);
        let reviewed = Reviewed {
            row,
            verdict: verdict.clone(),
        };
        // One that has ended has nothing to be told.
        let _ = batch.signal(BatchSync::reviewed, reviewed, options).await;
    }
}

/// The options with which a review starts as a child. `policy` says what becomes of it when its
/// parent's run ends; it is cancelled by this token.
pub(crate) fn options(
    id: String,
    input: &ReviewInput,
    policy: ParentClosePolicy,
    token: WorkflowCancellationToken,
) -> ChildWorkflowOptions {
    let value = names::attribute_value;
    ChildWorkflowOptions::builder()
        .workflow_id(id)
        .parent_close_policy(policy)
        .cancellation_token(token)
        .cancel_type(ChildWorkflowCancellationType::WaitCancellationCompleted)
        .search_attributes(SearchAttributes::new([
            names::USER_ID.value_set(value(&input.user_id)),
            names::PLAYLIST_ID.value_set(value(&input.playlist)),
            names::SYNC_STATUS.value_set(SyncStatus::WaitingForReview.as_str().to_owned()),
        ]))
        .build()
}
