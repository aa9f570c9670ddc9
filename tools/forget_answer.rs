//! `forget_answer`: takes back what the user said about a track.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{names, remembered_answer::RememberedAnswer};
use serde::{Deserialize, Serialize};
use temporalio_client::{
    Client, WorkflowDescribeOptions, WorkflowExecuteUpdateOptions, WorkflowExecutionStatus,
    errors::WorkflowInteractionError,
};

use crate::{Segue, answer::Answer, args::Args, error::ToolError};

/// What `forget_answer` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The id of the answer, as list_answers shows it.
    pub answer_id: String,
}

/// What was forgotten.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The answer that is no more.
    pub answer_id: String,
}

#[tool_router(router = forget_answer_router, vis = "pub(crate)")]
impl Segue {
    /// Forgets what the user answered about a track, so that the next sync that is uncertain about it
    /// asks again. What is in a playlist stays there.
    #[tool(
        title = "Forget an answer",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "Forget an answer",
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn forget_answer(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<Output>, ToolError> {
        let engine = self.engine().ready(&context).await?;
        let answer_id = params.answer_id;
        if !is_theirs(&engine.client, self.user_id(), &answer_id).await? {
            return Err(ToolError::unknown_answer(&answer_id));
        }
        engine
            .client
            .get_workflow_handle::<RememberedAnswer>(&answer_id)
            .execute_update(
                RememberedAnswer::forget,
                (),
                WorkflowExecuteUpdateOptions::default(),
            )
            .await
            .map_err(|error| ToolError::engine_failed("forget the answer", &error))?;
        Ok(Answer {
            sentence: "The answer is forgotten.".to_owned() + &engine.note(),
            data: Output { answer_id },
        })
    }
}

/// Whether there is such an answer, and it is this user's.
async fn is_theirs(client: &Client, user_id: &str, answer_id: &str) -> Result<bool, ToolError> {
    if !names::is_answer_id(answer_id) {
        return Ok(false);
    }
    let kept = client.get_workflow_handle::<RememberedAnswer>(answer_id);
    match kept.describe(WorkflowDescribeOptions::default()).await {
        Ok(kept) => Ok(kept.status() == WorkflowExecutionStatus::Running
            && kept.search_attributes().get(&names::USER_ID).as_deref() == Some(user_id)),
        Err(WorkflowInteractionError::NotFound(_)) => Ok(false),
        Err(error) => Err(ToolError::engine_failed("look up the answer", &error)),
    }
}
