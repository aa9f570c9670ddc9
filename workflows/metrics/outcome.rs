//! How a workflow ended, read from the command by which it ends.

use std::time::Duration;

use serde::{Deserialize, de::IgnoredAny};
use temporalio_common::protos::{
    coresdk::workflow_commands::workflow_command::Variant as Command,
    temporal::api::{
        common::v1::Payload,
        failure::v1::{Failure, failure::FailureInfo},
    },
};

use super::UNKNOWN;
use crate::{
    error::{ErrorCode, SyncError},
    matching::MatchMethod,
    notice::NOT_DELIVERED,
};

/// The workflow that is a sync of one song.
pub(super) const SYNC: &str = "MusicSync";
/// The label of a success that no match led to.
pub(super) const NO_METHOD: &str = "none";
/// The label of a sync that found no match: a result, and no fault.
pub(super) const NO_MATCH: &str = "no_match";
/// The label of what came to its end, and left something out.
pub(super) const INCOMPLETE: &str = "incomplete";

/// An end that was proposed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    pub(crate) how: How,
    /// The time that it took, where the workflow says so: over all its runs.
    seconds: Option<f64>,
    /// It is kept by a dead letter.
    pub(super) dead_lettered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Success { method: &'static str },
    Failure { error: &'static str },
    Cancelled,
}

/// What results and the details of failures say, where they say it.
#[derive(Debug, Default, Deserialize)]
struct Told {
    success: Option<bool>,
    match_method: Option<MatchMethod>,
    execution_time_seconds: Option<f64>,
    error: Option<SyncError>,
    dead_letter: Option<IgnoredAny>,
    /// In the failure of a batch.
    outcome: Option<Box<Told>>,
}

impl End {
    /// The end that a command of such a workflow proposes; none if the workflow goes on.
    pub(crate) fn of(command: &Command, workflow_type: &str) -> Option<Self> {
        let (how, told) = match command {
            Command::CompleteWorkflowExecution(completed) => {
                let told = Told::of(completed.result.as_ref());
                let how = match (told.success, &told.error) {
                    (Some(false), Some(error)) => How::Failure {
                        error: error.code.as_str(),
                    },
                    (Some(false), None) if workflow_type == SYNC => {
                        How::Failure { error: NO_MATCH }
                    }
                    (Some(false), None) => How::Failure { error: INCOMPLETE },
                    _ => How::Success {
                        method: told.match_method.map_or(NO_METHOD, MatchMethod::as_str),
                    },
                };
                (how, told)
            }
            Command::FailWorkflowExecution(failed) => {
                let (error, details) = failed.failure.as_ref().map_or((UNKNOWN, None), read);
                (How::Failure { error }, Told::of(details))
            }
            Command::CancelWorkflowExecution(cancelled) => {
                let details = cancelled.details.as_ref();
                let first = details.and_then(|details| details.payloads.first());
                (How::Cancelled, Told::of(first))
            }
            _ => return None,
        };
        let outcome = told.outcome.as_deref().unwrap_or(&told);
        Some(Self {
            how,
            seconds: outcome.execution_time_seconds,
            dead_lettered: told.dead_letter.is_some(),
        })
    }

    /// The time that it says it took.
    pub(super) fn time(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.seconds?).ok()
    }
}

/// The stable code of a failure, and its details.
fn read(failure: &Failure) -> (&'static str, Option<&Payload>) {
    let Some(FailureInfo::ApplicationFailureInfo(info)) = &failure.failure_info else {
        return (UNKNOWN, None);
    };
    let code = match info.r#type.as_str() {
        NOT_DELIVERED => NOT_DELIVERED,
        code => ErrorCode::parse(code).map_or(UNKNOWN, ErrorCode::as_str),
    };
    let details = info.details.as_ref();
    (code, details.and_then(|details| details.payloads.first()))
}

impl Told {
    /// What this payload says; nothing, if it says none of this.
    fn of(payload: Option<&Payload>) -> Self {
        let told = payload.and_then(|payload| serde_json::from_slice(&payload.data).ok());
        told.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use temporalio_common::protos::{
        coresdk::workflow_commands::{
            CancelWorkflowExecution, CompleteWorkflowExecution, FailWorkflowExecution,
        },
        temporal::api::{common::v1::Payloads, failure::v1::ApplicationFailureInfo},
    };

    use super::*;

    fn payload(value: &Value) -> Payload {
        Payload {
            data: value.to_string().into_bytes(),
            ..Payload::default()
        }
    }

    fn completed(result: &Value) -> Command {
        Command::CompleteWorkflowExecution(CompleteWorkflowExecution {
            result: Some(payload(result)),
        })
    }

    fn failed(code: &str, details: &Value) -> Command {
        let info = ApplicationFailureInfo {
            r#type: code.to_owned(),
            details: Some(Payloads {
                payloads: vec![payload(details)],
            }),
            ..ApplicationFailureInfo::default()
        };
        Command::FailWorkflowExecution(FailWorkflowExecution {
            failure: Some(Failure {
                failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
                ..Failure::default()
            }),
        })
    }

    #[test]
    fn how_it_ended_is_read_from_what_it_says() {
        let rate_limited = SyncError::new(ErrorCode::RateLimited, "later");
        let letter = json!({"error": rate_limited, "dead_letter": "letter-1"});
        let failure = |error| How::Failure { error };
        let none = How::Success { method: "none" };
        for (command, workflow_type, how, dead_lettered) in [
            (
                completed(&json!({"success": false})),
                SYNC,
                failure("no_match"),
                false,
            ),
            (
                completed(&json!({"success": false})),
                "BatchSync",
                failure("incomplete"),
                false,
            ),
            (
                completed(&json!({"success": false, "error": rate_limited})),
                "ScheduledSync",
                failure("rate_limited"),
                false,
            ),
            (
                completed(&json!({"success": "of sorts"})),
                "Other",
                none,
                false,
            ),
            (completed(&json!(["success"])), "Other", none, false),
            (
                failed("rate_limited", &letter),
                SYNC,
                failure("rate_limited"),
                true,
            ),
            (
                failed("not_delivered", &json!({})),
                "Notice",
                failure("not_delivered"),
                false,
            ),
            (
                failed("My playlist", &json!({})),
                SYNC,
                failure("unknown"),
                false,
            ),
            (
                Command::CancelWorkflowExecution(CancelWorkflowExecution::default()),
                SYNC,
                How::Cancelled,
                false,
            ),
        ] {
            let end = End::of(&command, workflow_type).expect("an end");
            assert_eq!(
                (end.how, end.dead_lettered),
                (how, dead_lettered),
                "{command:?}"
            );
        }
    }

    #[test]
    fn the_time_of_a_batch_is_that_of_all_its_runs() {
        let outcome = json!({"success": true, "execution_time_seconds": 90.5});
        let failure = json!({"outcome": outcome});
        for command in [completed(&outcome), failed("internal", &failure)] {
            let end = End::of(&command, "BatchSync").expect("an end");
            assert_eq!(end.time(), Some(Duration::from_millis(90_500)));
        }
        let absurd = completed(&json!({"execution_time_seconds": -1.0}));
        assert_eq!(End::of(&absurd, SYNC).and_then(|end| end.time()), None);
    }
}
