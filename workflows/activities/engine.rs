//! What a workflow has to know of others, read from the engine: it cannot ask them itself.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use temporalio_client::{
    Client, WorkflowDescribeOptions, WorkflowExecutionStatus, WorkflowGetResultOptions,
    errors::{WorkflowGetResultError, WorkflowInteractionError},
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{
    batch::Pick,
    batch_page::{BatchPage, PageFound},
    names,
    remembered_answer::{ANSWER_MEMO, Remembered, RememberedAnswer},
    track::SourceTrack,
};

/// Answers that are looked for at a time.
const AT_A_TIME: usize = 10;

/// The activities that speak to the engine alone.
pub struct EngineActivities;

/// Tracks that the user may have been asked about before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedBefore {
    /// Whose answers.
    pub user_id: String,
    /// The tracks, by their numbers.
    pub tracks: BTreeMap<u32, SourceTrack>,
}

/// What the user said before, by the number of the track: the one to take, or that none is right.
pub type Recalled = BTreeMap<u32, Option<Pick>>;

#[activities]
impl EngineActivities {
    /// What the user said before about these tracks.
    #[activity(name = "recall_answers")]
    pub async fn recall(
        self: Arc<Self>,
        ctx: ActivityContext,
        asked: AskedBefore,
    ) -> Result<Recalled, ActivityError> {
        let client = ctx.client();
        let found = stream::iter(asked.tracks)
            .map(|(number, track)| {
                let answer = answer_of(&client, &asked.user_id, track);
                async move { answer.await.map(|answer| (number, answer)) }
            })
            .buffer_unordered(AT_A_TIME)
            .try_collect::<Vec<_>>()
            .await
            .map_err(anyhow::Error::from)?;
        let known = found.into_iter().filter_map(|(number, answer)| {
            let answer = answer?;
            Some((number, answer.pick))
        });
        Ok(known.collect())
    }

    /// What the page of a preview found; nothing if the engine has forgotten it.
    #[activity(name = "previewed_page")]
    pub async fn previewed_page(
        self: Arc<Self>,
        ctx: ActivityContext,
        page_id: String,
    ) -> Result<Option<PageFound>, ActivityError> {
        let page = ctx.client().get_workflow_handle::<BatchPage>(page_id);
        match page.get_result(WorkflowGetResultOptions::default()).await {
            Ok(found) => Ok(Some(found)),
            Err(WorkflowGetResultError::NotFound(_)) => Ok(None),
            Err(error) => Err(anyhow::Error::from(error).into()),
        }
    }
}

async fn answer_of(
    client: &Client,
    user_id: &str,
    track: SourceTrack,
) -> Result<Option<Remembered>, WorkflowInteractionError> {
    let id = names::answer_id(user_id, &track);
    let kept = client.get_workflow_handle::<RememberedAnswer>(id);
    match kept.describe(WorkflowDescribeOptions::default()).await {
        Ok(kept) if kept.status() == WorkflowExecutionStatus::Running => {
            Ok(kept.memo().get(ANSWER_MEMO).ok().flatten())
        }
        Ok(_) | Err(WorkflowInteractionError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
