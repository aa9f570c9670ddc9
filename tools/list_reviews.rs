//! `list_reviews`: the tracks that wait for the user's word.

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::names;
use serde::{Deserialize, Serialize};

use crate::{
    Segue,
    answer::Answer,
    args::Args,
    error::ToolError,
    review_view::{self, ReviewView},
    visibility,
};

/// What `list_reviews` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Only those of this sync.
    #[serde(default)]
    pub sync_id: Option<String>,
    /// Reviews on a page, 1 to 100. Default 20.
    #[serde(default)]
    #[schemars(range(min = 1, max = visibility::LARGEST_LIMIT))]
    pub limit: Option<u32>,
    /// The next_cursor of the page before, to read on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A page of reviews, the latest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The reviews.
    pub reviews: Vec<ReviewView>,
    /// Give it as cursor to read the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[tool_router(router = list_reviews_router, vis = "pub(crate)")]
impl Segue {
    /// Lists the tracks whose match is too uncertain to be made alone and that wait for the user's word:
    /// what the user has, the candidates side by side, and what differs. Show them to the user, and
    /// answer each with review_match.
    #[tool(
        title = "List what waits for review",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "List what waits for review",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn list_reviews(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<Output>, ToolError> {
        let limit = visibility::limit(params.limit)?;
        let page_token = visibility::cursor(params.cursor.as_deref())?;
        if let Some(sync_id) = params
            .sync_id
            .as_deref()
            .filter(|id| !names::is_sync_id(id))
        {
            return Err(ToolError::unknown_sync(sync_id));
        }
        let engine = self.engine().ready(&context).await?;
        let query = review_view::open(self.user_id(), params.sync_id.as_deref());
        let page = visibility::list(&engine.client, query, limit, page_token).await?;
        let reviews = review_view::of_page(&engine.client, self.user_id(), &page).await?;
        let sentence = match (reviews.len(), &page.next_cursor) {
            (0, None) => "Nothing waits for review.".to_owned(),
            (1, None) => "One track waits for review; answer with review_match.".to_owned(),
            (many, None) => format!("{many} tracks wait for review; answer with review_match."),
            (many, Some(_)) => format!(
                "Here are {many} tracks that wait for review; give next_cursor as cursor for more."
            ),
        };
        Ok(Answer {
            sentence: sentence + &engine.note(),
            data: Output {
                reviews,
                next_cursor: page.next_cursor,
            },
        })
    }
}
