//! `list_answers`: what the user said about tracks before, and Segue remembers.

use futures::future::try_join_all;
use jiff::Timestamp;
use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    names,
    remembered_answer::{ANSWER_MEMO, Remembered, RememberedAnswer},
};
use serde::{Deserialize, Serialize};
use temporalio_client::{Client, WorkflowDescribeOptions};

use crate::{
    Segue,
    answer::Answer,
    args::Args,
    error::ToolError,
    report::ReportedMatch,
    text,
    visibility::{self, equals},
};

/// What `list_answers` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Only answers about this title, spelt as it was given.
    #[serde(default)]
    pub track: Option<String>,
    /// Only answers about this artist, spelt as it was given.
    #[serde(default)]
    pub artist: Option<String>,
    /// Answers on a page, 1 to 100. Default 20.
    #[serde(default)]
    #[schemars(range(min = 1, max = visibility::LARGEST_LIMIT))]
    pub limit: Option<u32>,
    /// The next_cursor of the page before, to read on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A page of answers, the latest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The answers.
    pub answers: Vec<AnswerView>,
    /// Give it as cursor to read the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// An answer that is remembered.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AnswerView {
    /// The id by which forget_answer knows it.
    pub answer_id: String,
    /// The title that was asked about, as its source spells it.
    pub title: String,
    /// The artist.
    pub artist: String,
    /// The track that it is; absent if the user said that none of the candidates was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<ReportedMatch>,
    /// When the user said so.
    pub answered_at: Timestamp,
}

#[tool_router(router = list_answers_router, vis = "pub(crate)")]
impl Segue {
    /// Lists what the user answered in reviews: it is remembered, so that the same track is not asked
    /// about again. forget_answer takes one back.
    #[tool(
        title = "List remembered answers",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "List remembered answers",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn list_answers(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<Output>, ToolError> {
        let limit = visibility::limit(params.limit)?;
        let page_token = visibility::cursor(params.cursor.as_deref())?;
        let mut query = format!(
            "WorkflowType = 'RememberedAnswer' AND ExecutionStatus = 'Running' AND {}",
            equals(names::USER_ID.name(), self.user_id())
        );
        for (key, given) in [
            (
                names::TRACK_NAME,
                text::optional("track", params.track.as_deref(), 500)?,
            ),
            (
                names::ARTIST_NAME,
                text::optional("artist", params.artist.as_deref(), 500)?,
            ),
        ] {
            if let Some(given) = given {
                query.push_str(&format!(" AND {}", equals(key.name(), &given)));
            }
        }
        let engine = self.engine().ready(&context).await?;
        let page = visibility::list(&engine.client, query, limit, page_token).await?;
        let answers = try_join_all(page.ids().map(|id| answer(&engine.client, id))).await?;
        let answers: Vec<AnswerView> = answers.into_iter().flatten().collect();
        let sentence = match (answers.len(), &page.next_cursor) {
            (0, None) => "No answers are remembered.".to_owned(),
            (1, None) => "One answer is remembered.".to_owned(),
            (many, None) => format!("{many} answers are remembered."),
            (many, Some(_)) => {
                format!("Here are {many} answers; give next_cursor as cursor for more.")
            }
        };
        Ok(Answer {
            sentence: sentence + &engine.note(),
            data: Output {
                answers,
                next_cursor: page.next_cursor,
            },
        })
    }
}

async fn answer(client: &Client, answer_id: &str) -> Result<Option<AnswerView>, ToolError> {
    let kept = client.get_workflow_handle::<RememberedAnswer>(answer_id);
    let described = kept
        .describe(WorkflowDescribeOptions::default())
        .await
        .map_err(|error| ToolError::engine_failed("read the answers", &error))?;
    let remembered: Option<Remembered> = described.memo().get(ANSWER_MEMO).ok().flatten();
    Ok(remembered.map(|remembered| AnswerView {
        answer_id: answer_id.to_owned(),
        title: remembered.source.title,
        artist: remembered.source.artist,
        chosen: remembered.pick.as_ref().map(ReportedMatch::from),
        answered_at: remembered.answered_at,
    }))
}
