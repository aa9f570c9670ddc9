//! The one workflow of the fixture. What it does is its input; what it asks, it shows in its memo, as
//! the protocol has it; the answers come by an update; and its result is that of the tool.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use temporalio_common::{MemoValue, error::ApplicationFailure};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    SyncWorkflowContext, TimerOptions, WorkflowCancellationToken, WorkflowContext,
    WorkflowContextView, WorkflowResult, WorkflowTermination,
};

/// The key in a job's memo under which it stands what is to be asked: `inputRequests`, by their keys.
pub(crate) const ASKS: &str = "asks";

/// What a job is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "tool")]
pub(crate) enum Order {
    SlowCompute { milliseconds: u64, label: String },
    FailingJob,
    ProtocolErrorJob,
    ConfirmDelete { filename: String },
    MultiInput,
    Greeting { user_name: String },
}

/// See the module.
#[workflow]
pub(crate) struct Job {
    order: Order,
    /// What is still to be asked.
    asks: BTreeMap<String, Value>,
    answers: BTreeMap<String, Value>,
}

#[workflow_methods]
impl Job {
    #[init]
    fn new(_ctx: &WorkflowContextView, order: Order) -> Self {
        Self {
            order,
            asks: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    #[run(name = "Job")]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Value> {
        match ctx.state(|job| job.order.clone()) {
            Order::SlowCompute {
                milliseconds,
                label,
            } => {
                Self::rest(ctx, Duration::from_millis(milliseconds)).await?;
                Ok(said(&format!("{label} took {milliseconds} ms."), false))
            }
            Order::FailingJob => {
                Self::rest(ctx, Duration::from_secs(1)).await?;
                Ok(said("The job did not work out.", true))
            }
            Order::ProtocolErrorJob => {
                let broken = anyhow::anyhow!("the job broke");
                Err(ApplicationFailure::builder(broken)
                    .non_retryable(true)
                    .build()
                    .into())
            }
            Order::ConfirmDelete { filename } => {
                let confirm = question(&format!("Delete {filename}?"), "confirm", "boolean");
                let answers = Self::ask(ctx, [("confirm".to_owned(), confirm)].into()).await?;
                let answer = &answers["confirm"];
                let confirmed =
                    answer["action"] == "accept" && answer["content"]["confirm"] == true;
                Ok(said(
                    &match confirmed {
                        true => format!("{filename} is deleted."),
                        false => format!("{filename} is kept."),
                    },
                    false,
                ))
            }
            Order::MultiInput => {
                let asked = ["first", "second"].map(|which| {
                    let question =
                        question(&format!("What is the {which} name?"), "name", "string");
                    (which.to_owned(), question)
                });
                let answers = Self::ask(ctx, asked.into()).await?;
                let name = |which: &str| answers[which]["content"]["name"].clone();
                let names = json!([name("first"), name("second")]);
                Ok(said(&names.to_string(), false))
            }
            Order::Greeting { user_name } => Ok(said(&format!("Hello, {user_name}!"), false)),
        }
    }

    #[update_validator(answer)]
    fn may_answer(
        &self,
        _ctx: &WorkflowContextView,
        answers: &BTreeMap<String, Value>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match answers.keys().find(|key| !self.asks.contains_key(*key)) {
            Some(key) => Err(format!("nothing is asked under {key:?}").into()),
            None => Ok(()),
        }
    }

    /// Answers, by the keys of their questions.
    #[update(name = "answer")]
    pub(crate) fn answer(
        &mut self,
        ctx: &mut SyncWorkflowContext<Self>,
        answers: BTreeMap<String, Value>,
    ) {
        self.asks.retain(|key, _| !answers.contains_key(key));
        self.answers.extend(answers);
        // In the same transaction: who asks after this has been taken sees what is left.
        show(&self.asks, |shown| ctx.upsert_memo(shown));
    }
}

impl Job {
    /// Waits until the time is over, or the job is cancelled. The timer itself is not: see `rest` in
    /// `workflows/step.rs`.
    async fn rest(ctx: &WorkflowContext<Self>, time: Duration) -> Result<(), WorkflowTermination> {
        let timer = TimerOptions::builder(time)
            .cancellation_token(WorkflowCancellationToken::new())
            .build();
        temporalio_sdk::workflows::select! {
            _ = ctx.timer(timer) => Ok(()),
            _ = pin!(ctx.wait_condition(|_| false)) => Err(WorkflowTermination::cancelled()),
        }
    }

    /// Asks all of these at once, and waits for all answers.
    async fn ask(
        ctx: &WorkflowContext<Self>,
        asked: BTreeMap<String, Value>,
    ) -> Result<BTreeMap<String, Value>, WorkflowTermination> {
        show(&asked, |shown| ctx.upsert_memo(shown));
        ctx.state_mut(|job| job.asks = asked);
        let all_answered = ctx.wait_condition(|job| job.asks.is_empty()).await;
        all_answered.map_err(|_| WorkflowTermination::cancelled())?;
        Ok(ctx.state(|job| job.answers.clone()))
    }
}

/// Shows what is still to be asked.
fn show<E: std::fmt::Display>(
    asks: &BTreeMap<String, Value>,
    upsert: impl FnOnce([(&'static str, Option<MemoValue>); 1]) -> Result<(), E>,
) {
    if let Err(error) = upsert([(ASKS, Some(MemoValue::new(asks.clone())))]) {
        panic!("what is asked cannot be shown: {error}");
    }
}

/// The result of a tool that says this.
fn said(text: &str, is_error: bool) -> Value {
    json!({
        "resultType": "complete", "isError": is_error,
        "content": [{"type": "text", "text": text}],
    })
}

/// A form with one field.
pub(crate) fn question(message: &str, field: &str, kind: &str) -> Value {
    json!({
        "method": "elicitation/create",
        "params": {
            "mode": "form", "message": message,
            "requestedSchema": {
                "type": "object", "properties": {field: {"type": kind}}, "required": [field],
            },
        },
    })
}
