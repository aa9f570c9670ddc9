//! Work that only one workflow may be at: its workflow id names what it is about, and the engine
//! runs one workflow of an id at a time. Whoever comes second waits.

use std::time::Duration;

use temporalio_common::WorkflowDefinition;
use temporalio_common::data_converters::TemporalDeserializable;
use temporalio_common::error::{
    ChildWorkflowExecutionError, ChildWorkflowStartError, IncomingError,
};
use temporalio_sdk::{
    ChildWorkflowCancellationType, ChildWorkflowOptions, ParentClosePolicy,
    StartChildWorkflowExecutionFailedCause, StartedChildWorkflow, WorkflowContext,
};

use crate::{
    error::{ErrorCode, SyncError},
    step::{StepFailure, rest},
};

/// Time before asking again whether the other has ended; it doubles from time to time.
const FIRST: Duration = Duration::from_millis(250);
/// The longest time between two such questions, for the first hour.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest after that: each question is ten events, and the engine ends a workflow at 51,200. The other may be
/// waiting for weeks, for a sign-in.
const LONGEST_LATER: Duration = Duration::from_secs(15 * 60);
/// Waited so long, one is patient.
const LATER: Duration = Duration::from_secs(60 * 60);

/// Starts a child when its turn has come. `details` is what the engine shows of it beside its history.
pub(crate) async fn start_in_turn<W, C>(
    ctx: &WorkflowContext<W>,
    workflow: impl Fn() -> C,
    input: &C::Input,
    id: &str,
    details: Option<String>,
) -> Result<StartedChildWorkflow<C>, StepFailure>
where
    W: 'static,
    C: WorkflowDefinition + 'static,
    C::Input: Clone,
    C::Output: TemporalDeserializable,
{
    let (mut pause, mut waited) = (FIRST, Duration::ZERO);
    loop {
        let options = ChildWorkflowOptions::builder()
            .workflow_id(id.to_owned())
            .cancel_type(ChildWorkflowCancellationType::WaitCancellationCompleted)
            .parent_close_policy(ParentClosePolicy::RequestCancel)
            .maybe_static_details(details.clone())
            .build();
        match ctx
            .start_child_workflow(workflow(), input.clone(), options)
            .await
        {
            Ok(started) => return Ok(started),
            Err(error) if is_taken(&error) => {}
            Err(error) if error.as_cancelled().is_some() => {
                return Err(StepFailure::Cancelled { tried: false });
            }
            Err(error) => return Err(internal(&error)),
        }
        let token = ctx.cancellation_token();
        rest(ctx, pause, "another sync's turn".to_owned(), &token, |_| {
            false
        })
        .await;
        if token.is_cancelled() {
            return Err(StepFailure::Cancelled { tried: false });
        }
        waited += pause;
        pause = next(pause, waited);
    }
}

fn next(pause: Duration, waited: Duration) -> Duration {
    let longest = match waited < LATER {
        true => LONGEST,
        false => LONGEST_LATER,
    };
    (pause * 2).min(longest)
}

fn is_taken(error: &ChildWorkflowStartError) -> bool {
    matches!(
        error,
        ChildWorkflowStartError::StartFailed {
            cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
            ..
        }
    )
}

/// A fault of ours, or of the engine, that no code of ours names.
pub(crate) fn internal(error: &impl std::fmt::Display) -> StepFailure {
    StepFailure::Failed(SyncError::new(ErrorCode::Internal, error.to_string()))
}

/// How a child that did not come to its end failed.
pub(crate) fn of_child(error: &ChildWorkflowExecutionError) -> StepFailure {
    if error.as_cancelled().is_some() {
        return StepFailure::Cancelled { tried: true };
    }
    match error.cause() {
        Some(IncomingError::Application(failure)) => match failure.details::<SyncError>() {
            Ok(Some(known)) => StepFailure::Failed(known),
            _ => internal(failure),
        },
        _ => internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_in_line_is_far_from_the_end_of_a_history() {
        const EVENTS: u32 = 10;
        let (mut pause, mut waited, mut questions) = (FIRST, Duration::ZERO, 0);
        while waited < Duration::from_secs(30 * 24 * 3_600) {
            waited += pause;
            pause = next(pause, waited);
            questions += 1;
        }
        assert!(questions * EVENTS < 51_200 * 3 / 4, "{questions} questions");
        assert_eq!(
            next(Duration::from_secs(40), Duration::from_secs(60)),
            LONGEST
        );
    }
}
