//! Where the tools of an MCP server come from, for agents.
//!
//! The *stateless* way calls each time on whatever connection there is, from whatever worker, and connects
//! anew by itself. The *stateful* way speaks in one session all along, for servers that remember what was
//! said: the session is held by one worker, and every call of it goes to that worker's own task queue. If
//! the worker or the server is gone, so is the session: the workflow sees
//! [`McpSessionLost`](ErrorCode::McpSessionLost). A search loses nothing by being asked again in a new
//! session, so that is what happens here, a few times.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures::FutureExt;
use serde_json::Value;
use temporalio_sdk::{WaitConditionOptions, WorkflowCancellationToken, WorkflowContext};

use super::{Tool, ToolFailure};
use crate::{
    activities::{CallInSession, McpActivities, McpCall, McpSession, SessionActivities},
    error::ErrorCode,
    model::{ToolSpec, fence::shown},
    step::{Manner, StepFailure, StepPolicy, Steps, run_step, run_step_as},
    track::Candidate,
    upstream::SearchTool,
};

/// A call, and what it takes to come to one.
const CALL: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(30),
    heartbeat: Duration::from_secs(5),
    attempts: 3,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// Sessions that are opened one after the other for one call: a server that breaks three of them is broken.
const SESSIONS_A_CALL: u32 = 3;

/// A provider of tools. Clones are the same one.
#[derive(Clone)]
pub(crate) enum Provider {
    /// Each call for itself.
    Stateless,
    /// In the session that is open, one call after the other.
    Stateful(Rc<RefCell<Conversing>>),
}

/// The session, and whether a call is under way in it.
#[derive(Default)]
pub(crate) struct Conversing {
    open: Option<McpSession>,
    busy: bool,
}

impl Provider {
    pub(crate) fn stateless() -> Self {
        Self::Stateless
    }

    pub(crate) fn stateful() -> Self {
        Self::Stateful(Rc::default())
    }

    /// The tools that the server has for agents.
    pub(crate) async fn tools<W: Steps>(
        &self,
        ctx: &WorkflowContext<W>,
    ) -> Result<Vec<SearchTool>, StepFailure> {
        let token = ctx.cancellation_token();
        run_step(ctx, CALL, &token, || McpActivities::list_mcp_tools, |_| ()).await
    }

    /// One of them as a tool of an agent. `told` is what the model is told of an answer.
    pub(crate) fn tool<W: Steps>(
        &self,
        tool: SearchTool,
        told: fn(&WorkflowContext<W>, Vec<Candidate>) -> Value,
    ) -> Tool<W> {
        let spec = ToolSpec {
            name: tool.name.clone(),
            description: tool.description,
            parameters: tool.parameters,
        };
        let provider = self.clone();
        let name = tool.name;
        Tool::new(spec, move |ctx: WorkflowContext<W>, arguments: Value| {
            let (provider, name) = (provider.clone(), name.clone());
            async move {
                let Value::Object(arguments) = arguments else {
                    return Err(ToolFailure::Told(
                        "the arguments are no JSON object".to_owned(),
                    ));
                };
                let call = McpCall {
                    tool: name,
                    arguments,
                };
                let found = provider.call(&ctx, call).await?;
                Ok(told(&ctx, found))
            }
            .boxed_local()
        })
    }

    async fn call<W: Steps>(
        &self,
        ctx: &WorkflowContext<W>,
        call: McpCall,
    ) -> Result<Vec<Candidate>, ToolFailure> {
        let called = match self {
            Self::Stateless => {
                let token = ctx.cancellation_token();
                run_step(
                    ctx,
                    CALL,
                    &token,
                    || McpActivities::call_mcp_tool,
                    |_| call.clone(),
                )
                .await
            }
            Self::Stateful(conversing) => call_in_turn(ctx, conversing, &call).await,
        };
        match called {
            // The model chose the arguments: it can choose better ones.
            Err(StepFailure::Failed(error)) if error.code == ErrorCode::InvalidRequest => {
                Err(ToolFailure::Told(shown(&error.message)))
            }
            called => Ok(called?),
        }
    }

    /// Closes the session, if one is open. One that is lost is closed as well.
    pub(crate) async fn close<W: Steps>(&self, ctx: &WorkflowContext<W>) {
        let Self::Stateful(conversing) = self else {
            return;
        };
        let Some(session) = conversing.borrow_mut().open.take() else {
            return;
        };
        // A token of its own, or a cancelled sync would leave it open.
        let token = WorkflowCancellationToken::new();
        let manner = pinned_to(&session);
        let once = StepPolicy {
            attempts: 1,
            ..CALL
        };
        let _ = run_step_as(
            ctx,
            once,
            manner,
            &token,
            || SessionActivities::close_mcp_session,
            |_| session.clone(),
        )
        .await;
    }
}

/// Calls in the session when no other call is: those of one turn come at the same time, and would each open
/// a session of its own. A lock of another crate would not do: the SDK lets nobody wake a workflow but itself.
async fn call_in_turn<W: Steps>(
    ctx: &WorkflowContext<W>,
    conversing: &Rc<RefCell<Conversing>>,
    call: &McpCall,
) -> Result<Vec<Candidate>, StepFailure> {
    let token = ctx.cancellation_token();
    while conversing.borrow().busy {
        let options = WaitConditionOptions::builder()
            .cancellation_token(token.clone())
            .build();
        let conversing = Rc::clone(conversing);
        let free = move |_: &W| !conversing.borrow().busy;
        let _ = ctx.wait_condition_with_options(free, options).await;
        if token.is_cancelled() {
            return Err(StepFailure::Cancelled { tried: false });
        }
    }
    conversing.borrow_mut().busy = true;
    let called = call_in_session(ctx, conversing, call).await;
    conversing.borrow_mut().busy = false;
    // Who waits looks again when the state has been touched.
    ctx.state_mut(|_| ());
    called
}

async fn call_in_session<W: Steps>(
    ctx: &WorkflowContext<W>,
    conversing: &RefCell<Conversing>,
    call: &McpCall,
) -> Result<Vec<Candidate>, StepFailure> {
    let token = ctx.cancellation_token();
    let mut sessions = 0;
    loop {
        let open = conversing.borrow().open.clone();
        let session = match open {
            Some(session) => session,
            None => {
                sessions += 1;
                let opened = run_step(
                    ctx,
                    CALL,
                    &token,
                    || McpActivities::open_mcp_session,
                    |_| (),
                )
                .await?;
                conversing.borrow_mut().open = Some(opened.clone());
                opened
            }
        };
        let asked = CallInSession {
            call: call.clone(),
            session: session.clone(),
        };
        let called = run_step_as(
            ctx,
            CALL,
            pinned_to(&session),
            &token,
            || SessionActivities::call_in_mcp_session,
            |_| asked.clone(),
        )
        .await;
        match called {
            Err(StepFailure::Failed(error)) if error.code == ErrorCode::McpSessionLost => {
                conversing.borrow_mut().open = None;
                if sessions >= SESSIONS_A_CALL {
                    return Err(StepFailure::Failed(error));
                }
            }
            called => return called,
        }
    }
}

fn pinned_to(session: &McpSession) -> Manner {
    Manner {
        pinned_to: Some(session.queue.clone()),
        ..Manner::default()
    }
}
