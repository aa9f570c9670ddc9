//! Waiting for a sync on behalf of a caller who asked for it, with progress as it comes.

use std::time::{Duration, Instant};

use rmcp::{
    RoleServer,
    model::{InputRequiredResult, ProgressNotificationParam},
    service::RequestContext,
};
use segue_workflows::{music_sync::MusicSync, sync::SyncOutcome};
use temporalio_client::{Client, WorkflowGetResultOptions};
use tokio::time::timeout;

use crate::{
    asking::{self, Asked},
    error::ToolError,
    log_messages, review_match, review_view,
    view::{self, SyncView},
};

/// The longest wait that a caller may ask for, in seconds: assistants drop a call after 60.
pub(crate) const LONGEST_WAIT_SECONDS: u32 = 45;

/// How long the first look at a sync that has just been started waits for its end. Where Spotify is quick most have
/// ended by then, and each look costs the engine as much as a step of the sync.
const FIRST_LOOK: Duration = Duration::from_millis(200);

/// Time between two looks at a sync that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Reviews of one sync that one answer asks about.
pub(crate) const ASKED_AT_A_TIME: u32 = 10;

/// Time for a workflow to start another: two round trips through the engine.
const START_LIMIT: Duration = Duration::from_secs(5);
/// Time between two looks whether it has.
const START_LOOK_EVERY: Duration = Duration::from_millis(20);

/// The wait that was asked for, checked.
pub(crate) fn seconds(asked: Option<u32>) -> Result<Duration, ToolError> {
    match asked.unwrap_or(0) {
        seconds @ 0..=LONGEST_WAIT_SECONDS => Ok(Duration::from_secs(seconds.into())),
        _ => Err(ToolError::invalid(
            "wait_seconds",
            "is too large",
            "0 to 45 seconds; a sync goes on without being waited for",
        )),
    }
}

/// The same for a sync that another workflow is about to start: until it has, it is not unknown.
pub(crate) async fn for_started(
    client: &Client,
    context: &RequestContext<RoleServer>,
    user_id: &str,
    sync_id: &str,
    wait: Duration,
) -> Result<SyncView, ToolError> {
    until_started(client, user_id, sync_id).await?;
    for_sync(client, context, user_id, sync_id, wait).await
}

/// Waits until the engine knows a sync that another workflow is about to start.
pub(crate) async fn until_started(
    client: &Client,
    user_id: &str,
    sync_id: &str,
) -> Result<(), ToolError> {
    let until = Instant::now() + START_LIMIT;
    loop {
        match view::describe(client, user_id, sync_id).await {
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => tokio::time::sleep(START_LOOK_EVERY).await,
            Ok(_) => return Ok(()),
        }
    }
}

/// Looks at the sync until it has ended, the time is up, or the caller has gone; then says where it
/// stands. A caller that gave a progress token is told of every change.
pub(crate) async fn for_sync(
    client: &Client,
    context: &RequestContext<RoleServer>,
    user_id: &str,
    sync_id: &str,
    wait: Duration,
) -> Result<SyncView, ToolError> {
    let waited = wait_for(client, context, user_id, sync_id, wait, AtQuestion::WaitOn).await?;
    Ok(waited.view)
}

/// The same, and no longer than until the user has to be asked.
pub(crate) async fn for_end_or_question(
    client: &Client,
    context: &RequestContext<RoleServer>,
    user_id: &str,
    sync_id: &str,
    wait: Duration,
) -> Result<SyncView, ToolError> {
    let waited = wait_for(client, context, user_id, sync_id, wait, AtQuestion::Leave).await?;
    Ok(waited.view)
}

/// The same, and what comes to wait for the user's word meanwhile is asked in place, if the client can
/// do that. Who does not answer is not asked again by this call, which then waits no longer.
pub(crate) async fn for_sync_asking(
    client: &Client,
    context: &RequestContext<RoleServer>,
    user_id: &str,
    sync_id: &str,
    wait: Duration,
) -> Result<Waited, ToolError> {
    let at_question = match asking::can_ask(context) {
        true => AtQuestion::Ask,
        false => AtQuestion::WaitOn,
    };
    wait_for(client, context, user_id, sync_id, wait, at_question).await
}

/// What a call does when its sync comes to wait for the user's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtQuestion {
    /// It waits on: the word may come from elsewhere.
    WaitOn,
    /// It asks, in place.
    Ask,
    /// It ends its wait.
    Leave,
}

/// What waiting for a sync came to.
pub(crate) struct Waited {
    /// Where the sync stands.
    pub view: SyncView,
    /// The question with which the call is to be answered.
    pub question: Option<InputRequiredResult>,
}

/// Waits for the end of a sync that has just been started, a moment of the wait that was asked for, and says what
/// came of it if it has completed.
pub(crate) async fn for_a_moment(
    client: &Client,
    sync_id: &str,
    wait: Duration,
) -> Option<SyncOutcome> {
    let moment = FIRST_LOOK.min(wait);
    if moment.is_zero() {
        return None;
    }
    let handle = client.get_workflow_handle::<MusicSync>(sync_id);
    // How it ended otherwise is read by the first look.
    let result = handle.get_result(WorkflowGetResultOptions::default());
    timeout(moment, result).await.ok()?.ok()
}

async fn wait_for(
    client: &Client,
    context: &RequestContext<RoleServer>,
    user_id: &str,
    sync_id: &str,
    wait: Duration,
    at_question: AtQuestion,
) -> Result<Waited, ToolError> {
    let until = Instant::now() + wait;
    let handle = client.get_workflow_handle::<MusicSync>(sync_id);
    let mut told = String::new();
    let mut count = 0.0;
    loop {
        let view = view::read(client, user_id, sync_id).await?;
        let left = until.saturating_duration_since(Instant::now());
        let leaves = at_question == AtQuestion::Leave && view.waits_for_user();
        if view.is_ended() || left.is_zero() || leaves || context.ct.is_cancelled() {
            return Ok(Waited {
                view,
                question: None,
            });
        }
        if at_question == AtQuestion::Ask && view.waits_for_user() {
            let open = review_view::of_sync(client, user_id, sync_id, ASKED_AT_A_TIME).await?;
            if asking::asks_by_answering(context) {
                let question = asking::questions(&open, Some(sync_id.to_owned()));
                if question.is_some() {
                    return Ok(Waited { view, question });
                }
            } else if let Some(review) = open.first() {
                match asking::ask(context, review, left).await {
                    Asked::Answer(answer) => {
                        review_match::deliver(client, review, answer).await?;
                    }
                    // Who closes the question wants to be left alone.
                    _ => {
                        return Ok(Waited {
                            view,
                            question: None,
                        });
                    }
                }
                continue;
            }
        }
        let message = match &view.saying {
            Some(saying) => format!("{} A model is saying: {saying}", view.message),
            None => view.message.clone(),
        };
        if told != message {
            if let Some(token) = context.meta.get_progress_token() {
                // Progress has to grow with every notification, also when a step is repeated.
                count = f64::max(count + 0.01, view.steps_completed.into());
                let progress = ProgressNotificationParam::new(token, count)
                    .with_total(view.steps_total.into())
                    .with_message(message.clone());
                // A client that is gone will not read the answer either.
                let _ = context.peer.notify_progress(progress).await;
            }
            log_messages::tell(context, &view, &message).await;
            told = message;
        }
        // Ends early when the sync does; how it ended is read by the next look.
        let look = LOOK_EVERY.min(left);
        let _ = timeout(look, handle.get_result(WorkflowGetResultOptions::default())).await;
    }
}
