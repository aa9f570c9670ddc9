//! "Review what waits": the words, and the questions that are open now.

use rmcp::{
    RoleServer,
    model::{Prompt, PromptArgument, PromptMessage},
    service::RequestContext,
};
use segue_workflows::{
    model::fence::{ABOUT_FENCES, fenced},
    names,
};
use serde_json::json;

use super::{Arguments, user};
use crate::{Segue, error::ToolError, icons, review_view, view, visibility};

pub(super) const NAME: &str = "review_what_waits";

/// Questions at a time: what a person goes through in one sitting.
const AT_A_TIME: u32 = 10;

/// How it stands in the list.
pub(super) fn definition() -> Prompt {
    let arguments = vec![
        PromptArgument::new("sync_id")
            .with_title("Sync")
            .with_description("The sync whose questions are meant; all syncs unless one is given.")
            .with_required(false),
    ];
    Prompt::new(
        NAME,
        Some(
            "Go through the songs whose match is uncertain and that wait for the user's word, the candidates \
             side by side.",
        ),
        Some(arguments),
    )
    .with_title("Review what waits")
    .with_icons(icons::choice())
}

/// What a model is told, with the questions.
pub(super) async fn messages(
    segue: &Segue,
    arguments: &Arguments,
    context: &RequestContext<RoleServer>,
) -> Result<Vec<PromptMessage>, ToolError> {
    let sync_id = arguments.text("sync_id", 100)?;
    if let Some(sync_id) = sync_id.as_deref().filter(|id| !names::is_sync_id(id)) {
        return Err(ToolError::unknown_sync(sync_id));
    }
    let engine = segue.engine().ready(context).await?;
    let (client, user_id) = (&engine.client, segue.user_id());
    if let Some(sync_id) = &sync_id {
        view::describe(client, user_id, sync_id).await?;
    }
    let query = review_view::open(user_id, sync_id.as_deref());
    let page = visibility::list(client, query, AT_A_TIME, Vec::new()).await?;
    let more = page.next_cursor.is_some();
    let reviews = review_view::of_page(client, user_id, &page).await?;
    if reviews.is_empty() {
        return Ok(vec![user(NOTHING.to_owned())]);
    }
    let more = match more {
        true => " There are more: when these are done, call list_reviews and go on.",
        false => "",
    };
    Ok(vec![user(format!(
        "Go through the songs with me whose match Segue was not sure of. These wait for my word: {} \
         {ABOUT_FENCES}{more}\n{STEPS}",
        fenced(&json!(reviews))
    ))])
}

const NOTHING: &str = "\
I wanted to go through what waits for my review, but nothing does. Tell me so.";

const STEPS: &str = "\
For one song after the other:
1. Show me title and artist as I have them, and below them the candidates side by side, each with its number, \
title, artists, album, length, score and what it differs in. Say until when it waits, and what happens then.
2. Ask me which it is; none of them, or another song by its Spotify link, is an answer, too. Never choose for me, \
not even when one scores high.
3. Call review_match with the review_id and my choice: the number, the Spotify link, or none.
When all are done, tell me what was chosen. What I have said is remembered: list_answers shows it, and \
forget_answer takes it back.";
