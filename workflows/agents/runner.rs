//! The run of agents, in workflow code: ask, call, hand on, until there is a final answer.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use temporalio_sdk::WorkflowContext;

use super::{Agent, Conversation, Guardrails, HANDOFF, ToolFailure};
use crate::{
    activities::{Invoke, ModelActivities, Payer},
    error::{ErrorCode, SyncError},
    model::{Ask, Message, Reply, ToolCall, choice::json_in},
    step::{StepFailure, StepPolicy, Steps, run_step},
};

/// A turn of the model.
const TURN: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(120),
    heartbeat: Duration::from_secs(5),
    attempts: 3,
    first_retry: Duration::from_secs(2),
    longest_retry: Duration::from_secs(30),
};

/// Turns of a conversation at most: six are usual.
pub(crate) const MOST_TURNS: u32 = 20;
/// Turns of one run of the workflow; then it continues as new, or the history would carry the conversation
/// ever again.
const TURNS_A_RUN: u32 = 10;
/// Tokens of an answer.
const MOST_TOKENS: u32 = 2_000;

/// How a run ended.
pub(crate) enum Ending {
    /// With this answer of the last agent, which has passed the guardrail.
    Answer(Value),
    /// It is to go on in a new run of the workflow.
    GrownLong,
}

/// Runs the agents on a conversation.
pub(crate) async fn run<W: Steps>(
    ctx: &WorkflowContext<W>,
    agents: &[Agent<W>],
    guardrails: Guardrails,
    payer: &Payer,
    conversation: &mut Conversation,
) -> Result<Ending, StepFailure> {
    if let (0, Some(task)) = (conversation.turns, conversation.messages.first()) {
        (guardrails.input)(task).map_err(|problem| gave_up(&problem))?;
    }
    let mut turns_left = TURNS_A_RUN;
    loop {
        let agent = agents.iter().find(|agent| agent.name == conversation.agent);
        let agent =
            agent.ok_or_else(|| gave_up("the conversation is with an agent that there is not"))?;
        if conversation.turns >= MOST_TURNS || conversation.is_too_long() {
            return Err(gave_up(&format!(
                "the agents came to no end in {} turns",
                conversation.turns
            )));
        }
        if turns_left == 0 {
            return Ok(Ending::GrownLong);
        }
        turns_left -= 1;
        let reply = invoke_model(ctx, agent, payer, conversation).await?;
        let reply = conversation.hear(reply);
        if let Some(refusal) = reply.refusal {
            let message = format!("the model refuses: {refusal}");
            return Err(StepFailure::Failed(SyncError::new(
                ErrorCode::ModelRefused,
                message,
            )));
        }
        if reply.calls.is_empty() {
            match final_answer(agent, guardrails, &reply.text) {
                Ok(answer) => return Ok(Ending::Answer(answer)),
                Err(problem) => conversation.remind(&problem),
            }
            continue;
        }
        let handed_to = call_tools(ctx, agent, reply.calls, conversation).await?;
        if let Some(place) = handed_to {
            let handoff = &agent.handoffs[place];
            let messages = std::mem::take(&mut conversation.messages);
            conversation.messages = (handoff.filter)(messages);
            handoff.to.clone_into(&mut conversation.agent);
        }
    }
}

async fn invoke_model<W: Steps>(
    ctx: &WorkflowContext<W>,
    agent: &Agent<W>,
    payer: &Payer,
    conversation: &Conversation,
) -> Result<Reply, StepFailure> {
    let instructions = Message::System {
        text: agent.instructions.clone(),
    };
    let messages = std::iter::once(instructions).chain(conversation.messages.iter().cloned());
    let invoke = Invoke {
        payer: payer.clone(),
        agent: agent.name.to_owned(),
        ask: Ask {
            messages: messages.collect(),
            tools: agent.specs(),
            // A model that is told a form uses it at once, before it calls anything.
            form: agent.form.clone().filter(|_| agent.tools.is_empty()),
            most_tokens: MOST_TOKENS,
        },
    };
    let token = ctx.cancellation_token();
    run_step(
        ctx,
        TURN,
        &token,
        || ModelActivities::invoke_model,
        |_| invoke.clone(),
    )
    .await
}

/// Calls what the model wants called, all at once, and tells it what came of it. Gives the place of the
/// handoff that it takes.
async fn call_tools<W: Steps>(
    ctx: &WorkflowContext<W>,
    agent: &Agent<W>,
    calls: Vec<ToolCall>,
    conversation: &mut Conversation,
) -> Result<Option<usize>, StepFailure> {
    let mut handed_to = None;
    let mut work = Vec::new();
    for call in &calls {
        let handoff = agent
            .handoffs
            .iter()
            .position(|handoff| handoff.name() == call.name);
        if handoff.is_some() && handed_to.is_none() {
            handed_to = handoff;
        }
        let tool = agent.tools.iter().find(|tool| tool.spec.name == call.name);
        work.push(async move {
            match (tool, handoff) {
                (Some(tool), _) => tool.call(ctx.clone(), &call.arguments).await,
                (None, Some(_)) => Ok(json!({"handed_over": true})),
                (None, None) => Err(ToolFailure::Told(unknown(agent, &call.name))),
            }
        });
    }
    let results = join_all(work).await;
    for (call, result) in calls.into_iter().zip(results) {
        let result = match result {
            Ok(result) => result,
            Err(ToolFailure::Told(problem)) => json!({ "error": problem }),
            Err(ToolFailure::Ended(failure)) => return Err(failure),
        };
        conversation.tell(call.id, &result);
    }
    Ok(handed_to)
}

/// What the model is told that called what there is not.
fn unknown<W>(agent: &Agent<W>, name: &str) -> String {
    let known: Vec<String> = agent.specs().into_iter().map(|spec| spec.name).collect();
    let what = match name.starts_with(HANDOFF) {
        true => "agent",
        false => "tool",
    };
    format!("there is no such {what}; there are: {}", known.join(", "))
}

/// The answer, or what to tell the model of what is wrong with it.
fn final_answer<W>(agent: &Agent<W>, guardrails: Guardrails, text: &str) -> Result<Value, String> {
    let Some(form) = &agent.form else {
        return Err("This is not the end of your work: call a tool, or hand over.".to_owned());
    };
    let answer: Option<Value> = serde_json::from_str(json_in(text)).ok();
    let answer = answer.filter(|answer| has_form(answer, &form.schema));
    let Some(answer) = answer else {
        return Err(format!(
            "Your answer must be JSON alone, of this form: {}",
            form.schema
        ));
    };
    (guardrails.output)(&answer)?;
    Ok(answer)
}

/// Whether an object has what the schema requires of one: the forms of answers are flat.
fn has_form(answer: &Value, schema: &Value) -> bool {
    let required = schema["required"].as_array().into_iter().flatten();
    answer.is_object()
        && required
            .filter_map(Value::as_str)
            .all(|name| answer.get(name).is_some())
}

fn gave_up(problem: &str) -> StepFailure {
    StepFailure::Failed(SyncError::new(ErrorCode::AgentsGaveUp, problem))
}
