//! A task in the words of the protocol.

use std::time::Duration;

use jiff::Timestamp;
use rmcp::model::{
    CreateTaskResult, DetailedTask, GetTaskResult, JsonObject, Task, TaskPayload, TaskStatus,
};
use serde::Serialize;
use serde_json::Value;

use super::{Standing, TaskError};

/// Time that a client is asked to leave between two looks at work that goes on.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The same while a person has to answer first.
const LOOK_AGAIN_AT_PERSON: Duration = Duration::from_secs(3);

/// Characters of a message.
const LONGEST_MESSAGE: usize = 1_000;

/// What the engine knows of a task's time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When it began.
    pub(super) created_at: Timestamp,
    /// When something last happened to it.
    pub(super) updated_at: Timestamp,
    /// Until when it is kept; nothing while it is open, because then it is kept for as long as it takes.
    pub(super) kept_until: Option<Timestamp>,
}

/// The answer of a call that has started a task.
pub(super) fn created(task_id: &str, standing: &Standing, times: &Times) -> CreateTaskResult {
    CreateTaskResult::new(task(task_id, standing, times))
}

/// The answer to `tasks/get`.
pub(super) fn told(
    task_id: &str,
    standing: Standing,
    times: &Times,
) -> Result<GetTaskResult, TaskError> {
    let task = task(task_id, &standing, times);
    let payload = match standing {
        Standing::Working(_) => TaskPayload::Working,
        Standing::InputRequired { requests, .. } => TaskPayload::InputRequired {
            input_requests: requests,
        },
        Standing::Completed { result, .. } => TaskPayload::Completed {
            result: object(&result)?,
        },
        Standing::Failed(error) => TaskPayload::Failed {
            error: object(&error)?,
        },
        Standing::Cancelled(_) => TaskPayload::Cancelled,
    };
    Ok(GetTaskResult::new(DetailedTask::new(task, payload)))
}

fn task(task_id: &str, standing: &Standing, times: &Times) -> Task {
    let (status, message) = match standing {
        Standing::Working(message) => (TaskStatus::Working, message.as_str()),
        Standing::InputRequired { message, .. } => (TaskStatus::InputRequired, message.as_str()),
        Standing::Completed { message, .. } => (TaskStatus::Completed, message.as_str()),
        Standing::Failed(error) => (TaskStatus::Failed, &*error.message),
        Standing::Cancelled(message) => (TaskStatus::Cancelled, message.as_str()),
    };
    let at = |at: Timestamp| format!("{at:.3}");
    let mut task = Task::new(task_id, status, at(times.created_at), at(times.updated_at));
    if !message.is_empty() {
        let message: String = message.chars().take(LONGEST_MESSAGE).collect();
        task = task.with_status_message(message);
    }
    task.ttl_ms = times.kept_until.map(|until| {
        let kept_for = until.duration_since(times.created_at).as_millis();
        u64::try_from(kept_for).unwrap_or_default().max(1)
    });
    let poll = match standing {
        Standing::InputRequired { .. } => LOOK_AGAIN_AT_PERSON,
        _ => LOOK_AGAIN,
    };
    task.poll_interval_ms = (!standing.is_ended()).then(|| milliseconds(poll));
    task
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn object(data: &impl Serialize) -> Result<JsonObject, TaskError> {
    match serde_json::to_value(data) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(TaskError::Engine("The result is no object.".to_owned())),
        Err(error) => Err(TaskError::engine("write the result", &error)),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::{
        ErrorData,
        model::{CallToolResult, ContentBlock, InputRequests},
    };
    use serde_json::json;

    use super::*;

    fn times(kept_until: Option<&str>) -> Times {
        let at = |text: &str| text.parse().expect("a time");
        Times {
            created_at: at("2026-11-26T04:00:00Z"),
            updated_at: at("2026-11-26T04:00:01.5Z"),
            kept_until: kept_until.map(at),
        }
    }

    fn read(standing: Standing, times: &Times) -> Value {
        let told = told("sync-1", standing, times).expect("it can be told");
        serde_json::to_value(told).expect("JSON")
    }

    #[test]
    fn an_open_task_is_kept_without_end_and_an_ended_one_for_its_retention() {
        let open = read(Standing::Working("Searching.".into()), &times(None));
        assert_eq!(
            open,
            json!({
                "resultType": "complete", "taskId": "sync-1", "status": "working",
                "statusMessage": "Searching.", "createdAt": "2026-11-26T04:00:00.000Z",
                "lastUpdatedAt": "2026-11-26T04:00:01.500Z", "ttlMs": null, "pollIntervalMs": 1000,
            })
        );
        let result = CallToolResult::error(vec![ContentBlock::text("No.")]);
        let ended = Standing::Completed {
            message: "It failed.".into(),
            result: Box::new(result),
        };
        let ended = read(ended, &times(Some("2026-11-26T05:00:00Z")));
        assert_eq!(
            (&ended["status"], &ended["ttlMs"]),
            (&json!("completed"), &json!(3_600_000))
        );
        assert_eq!(ended["result"]["isError"], true, "{ended:#}");
        assert!(ended.get("pollIntervalMs").is_none(), "{ended:#}");
    }

    #[test]
    fn only_an_error_of_the_protocol_is_a_failure() {
        let error = ErrorData::internal_error("It broke.", None);
        let failed = read(Standing::Failed(error), &times(None));
        assert_eq!(
            failed["error"],
            json!({"code": -32603, "message": "It broke."})
        );
        assert_eq!(
            (&failed["status"], failed.get("result")),
            (&json!("failed"), None)
        );
    }

    #[test]
    fn what_is_to_be_asked_stands_beside_the_status() {
        let standing = Standing::InputRequired {
            message: "Which track?".into(),
            requests: InputRequests::new(),
        };
        let told = read(standing, &times(None));
        assert_eq!(
            (&told["status"], &told["inputRequests"]),
            (&json!("input_required"), &json!({}))
        );
    }

    #[test]
    fn a_call_is_answered_with_a_task_and_nothing_else() {
        let created = created("sync-1", &Standing::Working(String::new()), &times(None));
        let created = serde_json::to_value(created).expect("JSON");
        assert_eq!(
            created,
            json!({
                "resultType": "task", "taskId": "sync-1", "status": "working",
                "createdAt": "2026-11-26T04:00:00.000Z", "lastUpdatedAt": "2026-11-26T04:00:01.500Z",
                "ttlMs": null, "pollIntervalMs": 1000,
            })
        );
    }
}
