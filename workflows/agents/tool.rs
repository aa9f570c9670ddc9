//! Tools of agents: an activity with the policy of its step, or what workflow code can do itself.

use std::rc::Rc;

use futures::future::{FutureExt, LocalBoxFuture};
use schemars::{JsonSchema, schema_for};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use temporalio_common::ActivityDefinition;
use temporalio_sdk::WorkflowContext;

use crate::{
    activities::Attempted,
    model::ToolSpec,
    step::{StepFailure, StepPolicy, Steps, run_step},
};

/// Why a tool gave no result.
#[derive(Debug)]
pub(crate) enum ToolFailure {
    /// The model can do better: it is told what is wrong, and goes on.
    Told(String),
    /// The work cannot go on.
    Ended(StepFailure),
}

impl From<StepFailure> for ToolFailure {
    fn from(failure: StepFailure) -> Self {
        Self::Ended(failure)
    }
}

type Called = LocalBoxFuture<'static, Result<Value, ToolFailure>>;

/// Something that an agent can call.
pub(crate) struct Tool<W> {
    /// What the model is told of it.
    pub(crate) spec: ToolSpec,
    call: Rc<dyn Fn(WorkflowContext<W>, Value) -> Called>,
}

impl<W> Tool<W> {
    /// A tool of this description, which is called so.
    pub(crate) fn new(
        spec: ToolSpec,
        call: impl Fn(WorkflowContext<W>, Value) -> Called + 'static,
    ) -> Self {
        Self {
            spec,
            call: Rc::new(call),
        }
    }

    /// Calls it with what the model gave as arguments.
    pub(crate) async fn call(
        &self,
        ctx: WorkflowContext<W>,
        arguments: &str,
    ) -> Result<Value, ToolFailure> {
        // Some models say nothing where they mean no arguments.
        let arguments = match arguments.trim() {
            "" => "{}",
            given => given,
        };
        let arguments = serde_json::from_str(arguments)
            .map_err(|error| ToolFailure::Told(format!("the arguments are not JSON: {error}")))?;
        (self.call)(ctx, arguments).await
    }
}

/// An activity as a tool. The schema is that of `I`, which the model fills in; `input` makes the activity's
/// input of it, and `told` is what the model is told of the result.
pub(crate) fn activity_as_tool<W, I, A, T>(
    (name, description): (&str, &str),
    policy: StepPolicy,
    activity: impl Fn() -> A + Clone + 'static,
    input: impl Fn(&WorkflowContext<W>, I) -> Result<A::Input, String> + Clone + 'static,
    told: impl Fn(&WorkflowContext<W>, T) -> Value + Clone + 'static,
) -> Tool<W>
where
    W: Steps,
    I: JsonSchema + DeserializeOwned + 'static,
    A: ActivityDefinition<Output = Attempted<T>> + 'static,
    A::Input: Clone,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    workflow_tool(
        (name, description),
        move |ctx: WorkflowContext<W>, arguments: I| {
            let (activity, input, told) = (activity.clone(), input.clone(), told.clone());
            async move {
                let input = input(&ctx, arguments).map_err(ToolFailure::Told)?;
                let token = ctx.cancellation_token();
                let done = run_step(&ctx, policy, &token, activity, |_| input.clone()).await?;
                Ok(told(&ctx, done))
            }
        },
    )
}

/// What workflow code does itself as a tool.
pub(crate) fn workflow_tool<W, I, F>(
    (name, description): (&str, &str),
    call: impl Fn(WorkflowContext<W>, I) -> F + 'static,
) -> Tool<W>
where
    I: JsonSchema + DeserializeOwned + 'static,
    F: Future<Output = Result<Value, ToolFailure>> + 'static,
{
    let mut parameters = schema_for!(I).to_value();
    if let Some(schema) = parameters.as_object_mut() {
        schema.remove("$schema");
        schema.remove("title");
    }
    let spec = ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters,
    };
    Tool::new(spec, move |ctx, arguments| {
        match serde_json::from_value(arguments) {
            Ok(arguments) => call(ctx, arguments).boxed_local(),
            Err(error) => {
                let told = format!("the arguments do not have the tool's form: {error}");
                std::future::ready(Err(ToolFailure::Told(told))).boxed_local()
            }
        }
    })
}
