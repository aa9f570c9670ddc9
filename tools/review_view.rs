//! A review as its reader sees it: what the user has, and the candidates side by side.

use futures::future::try_join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use segue_workflows::{
    batch::Pick,
    matching::differences,
    names,
    review::{AtDeadline, REVIEW_MEMO, Review, ReviewCard},
    track::SourceTrack,
};
use serde::Serialize;
use temporalio_client::{
    Client, WorkflowDescribeOptions, WorkflowExecutionDescription, WorkflowExecutionStatus,
    errors::WorkflowInteractionError,
};

use crate::{
    error::ToolError,
    report::ReportedMatch,
    visibility::{self, Page, equals},
};

/// A track that waits for the user's word.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ReviewView {
    /// The id by which review_match knows it.
    pub review_id: String,
    /// The sync that asks.
    pub sync_id: String,
    /// The number of the row in its source, from 1, if the sync is a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
    /// The title as the source spells it.
    pub title: String,
    /// The artist as the source spells it.
    pub artist: String,
    /// The album as the source spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// The length in milliseconds, if the source knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// The playlist that it is for: its id, or its name.
    pub playlist: String,
    /// What it could be, the best first.
    pub candidates: Vec<CandidateView>,
    /// Until when it waits.
    pub deadline: Timestamp,
    /// What happens then.
    pub at_deadline: AtDeadline,
}

/// A track that it could be.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct CandidateView {
    /// Its number, from 1: what review_match takes as choice.
    pub number: u32,
    /// The track.
    #[serde(flatten)]
    pub track: ReportedMatch,
    /// Its length in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// What sets it apart from what the user has; empty if nothing known does.
    pub differs: Vec<String>,
}

impl From<ReviewCard> for ReviewView {
    fn from(card: ReviewCard) -> Self {
        let review = card.review;
        let candidate = |(number, pick): (u32, &Pick)| CandidateView {
            number,
            track: pick.into(),
            duration_ms: pick.track.duration_ms,
            differs: differences(&review.source, &pick.track),
        };
        let candidates = (1..).zip(&review.candidates).map(candidate).collect();
        let SourceTrack {
            title,
            artist,
            album,
            duration_ms,
            ..
        } = review.source;
        Self {
            review_id: names::review_id(&review.sync_id, review.row),
            sync_id: review.sync_id,
            row: review.number,
            title,
            artist,
            album,
            duration_ms,
            playlist: review.playlist,
            candidates,
            deadline: card.deadline,
            at_deadline: review.terms.at_deadline,
        }
    }
}

/// The description of a review of this user's. Somebody else's is as unknown as none.
pub(crate) async fn describe(
    client: &Client,
    user_id: &str,
    review_id: &str,
) -> Result<WorkflowExecutionDescription, ToolError> {
    if names::sync_of_review(review_id).is_none() {
        return Err(ToolError::unknown_review(review_id));
    }
    let review = client.get_workflow_handle::<Review>(review_id);
    match review.describe(WorkflowDescribeOptions::default()).await {
        Ok(described)
            if described
                .search_attributes()
                .get(&names::USER_ID)
                .as_deref()
                == Some(user_id) =>
        {
            Ok(described)
        }
        Ok(_) | Err(WorkflowInteractionError::NotFound(_)) => {
            Err(ToolError::unknown_review(review_id))
        }
        Err(error) => Err(ToolError::engine_failed("look up the review", &error)),
    }
}

/// What the review shows; nothing in the first moment of its life.
pub(crate) fn of(described: &WorkflowExecutionDescription) -> Option<ReviewView> {
    let card: Option<ReviewCard> = described.memo().get(REVIEW_MEMO).ok().flatten();
    card.map(ReviewView::from)
}

/// The reviews of a page, as they are shown.
pub(crate) async fn of_page(
    client: &Client,
    user_id: &str,
    page: &Page,
) -> Result<Vec<ReviewView>, ToolError> {
    let described = try_join_all(page.ids().map(|id| describe(client, user_id, id))).await?;
    // The list is a moment behind: some may be over by now.
    let open = described
        .iter()
        .filter(|review| review.status() == WorkflowExecutionStatus::Running);
    Ok(open.filter_map(of).collect())
}

/// The open reviews of a sync, as many as one asks about at a time.
pub(crate) async fn of_sync(
    client: &Client,
    user_id: &str,
    sync_id: &str,
    limit: u32,
) -> Result<Vec<ReviewView>, ToolError> {
    let page = visibility::list(client, open(user_id, Some(sync_id)), limit, Vec::new()).await?;
    of_page(client, user_id, &page).await
}

/// The engine's query for the open reviews of a user, or of one of their syncs.
pub(crate) fn open(user_id: &str, sync_id: Option<&str>) -> String {
    let mut query = format!(
        "WorkflowType = 'Review' AND ExecutionStatus = 'Running' AND {}",
        equals(names::USER_ID.name(), user_id)
    );
    if let Some(sync_id) = sync_id.filter(|id| names::is_sync_id(id)) {
        let prefix = names::review_id(sync_id, None);
        query.push_str(&format!(" AND WorkflowId STARTS_WITH '{prefix}'"));
    }
    query
}
