//! The engine's schedules as the tools use them: made, looked up and changed, one user's alone.

use std::time::Duration;

use segue_workflows::{
    batch::Target,
    names,
    schedule::{Overlap, Rule, ScheduleInput, When, Work},
    sync::{PlaylistRef, SyncStatus},
};
use temporalio_client::{
    Client, NamespacedClient,
    schedules::{ScheduleDescription, ScheduleDescriptionAction, ScheduleError, ScheduleHandle},
};
use temporalio_common::{
    data_converters::{SerializationContextData, WorkflowSerializationContext},
    protos::temporal::api::{
        common::v1::{Payloads, WorkflowType},
        enums::v1::ScheduleOverlapPolicy,
        schedule::v1::{
            IntervalSpec, Schedule, ScheduleAction, SchedulePolicies, ScheduleSpec, ScheduleState,
            schedule_action::Action,
        },
        taskqueue::v1::TaskQueue,
        workflow::v1::NewWorkflowExecutionInfo,
        workflowservice::v1::{CreateScheduleRequest, UpdateScheduleRequest},
    },
    search_attributes::SearchAttributes,
};
use tonic::{Code, Request, Status};

use crate::{error::ToolError, timing};

/// A schedule of this user's.
pub(crate) struct Known {
    pub(crate) schedule_id: String,
    /// What it was made of.
    pub(crate) input: ScheduleInput,
    /// What the engine says of it.
    pub(crate) described: ScheduleDescription,
}

/// The engine's handle of a schedule.
pub(crate) fn handle(client: &Client, schedule_id: &str) -> ScheduleHandle<Client> {
    client.get_schedule_handle(schedule_id)
}

/// Looks up a schedule of this user's. Somebody else's is as unknown as none.
pub(crate) async fn find(
    client: &Client,
    user_id: &str,
    schedule_id: &str,
) -> Result<Known, ToolError> {
    if !names::is_schedule_id(schedule_id) {
        return Err(ToolError::unknown_schedule(schedule_id));
    }
    let described = handle(client, schedule_id)
        .describe(Default::default())
        .await
        .map_err(|error| failed(schedule_id, "look up the schedule", &error))?;
    let owner = described.search_attributes().get(&names::USER_ID);
    if owner.as_deref() != Some(user_id) {
        return Err(ToolError::unknown_schedule(schedule_id));
    }
    let input = match described.action() {
        ScheduleDescriptionAction::StartWorkflow(action) => action.args::<ScheduleInput>().await,
        _ => Ok(None),
    };
    let input = input
        .map_err(|error| ToolError::engine_failed("read the schedule", &error))?
        .ok_or_else(|| ToolError::unknown_schedule(schedule_id))?;
    Ok(Known {
        schedule_id: schedule_id.to_owned(),
        input,
        described,
    })
}

/// Makes a schedule.
pub(crate) async fn create(
    client: &Client,
    schedule_id: &str,
    input: &ScheduleInput,
    paused: bool,
) -> Result<(), ToolError> {
    let state = ScheduleState {
        paused,
        ..ScheduleState::default()
    };
    let request = CreateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: schedule_id.to_owned(),
        schedule: Some(schedule(client, schedule_id, input, state).await?),
        identity: client.identity(),
        // A request that is sent twice makes one schedule.
        request_id: schedule_id.to_owned(),
        search_attributes: Some(attributes_of(input).into_proto()),
        ..CreateScheduleRequest::default()
    };
    let mut service = client.connection().workflow_service();
    let created = service.create_schedule(Request::new(request)).await;
    created
        .map(drop)
        .map_err(|status| refused("make the schedule", &status))
}

/// Changes a schedule, unless somebody else has since it was looked up.
pub(crate) async fn change(
    client: &Client,
    known: Known,
    input: &ScheduleInput,
) -> Result<(), ToolError> {
    let Known {
        schedule_id,
        described,
        ..
    } = known;
    let raw = described.into_raw();
    let state = raw.schedule.and_then(|schedule| schedule.state);
    let request = UpdateScheduleRequest {
        namespace: client.namespace(),
        schedule: Some(schedule(client, &schedule_id, input, state.unwrap_or_default()).await?),
        schedule_id,
        conflict_token: raw.conflict_token,
        identity: client.identity(),
        ..UpdateScheduleRequest::default()
    };
    let mut service = client.connection().workflow_service();
    let changed = service.update_schedule(Request::new(request)).await;
    changed
        .map(drop)
        .map_err(|status| refused("change the schedule", &status))
}

/// What the engine's words mean, when it was asked something of a schedule.
pub(crate) fn failed(schedule_id: &str, during: &str, error: &ScheduleError) -> ToolError {
    match error {
        ScheduleError::Rpc(status) if status.code() == Code::NotFound => {
            ToolError::unknown_schedule(schedule_id)
        }
        ScheduleError::Rpc(status) => ToolError::engine_failed(during, &status.message()),
        error => ToolError::engine_failed(during, error),
    }
}

/// What it means that the engine refuses a schedule.
fn refused(during: &str, status: &Status) -> ToolError {
    let words = status.message();
    let lower = words.to_lowercase();
    match status.code() {
        Code::InvalidArgument if lower.contains("time zone") || lower.contains("timezone") => {
            timing::zone_refused(format!("is refused by the engine: {words}"))
        }
        Code::InvalidArgument => timing::cron_refused(format!("is refused by the engine: {words}")),
        _ => ToolError::engine_failed(during, &words),
    }
}

async fn schedule(
    client: &Client,
    schedule_id: &str,
    input: &ScheduleInput,
    state: ScheduleState,
) -> Result<Schedule, ToolError> {
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    let payloads = client
        .data_converter()
        .to_payloads(&context, input)
        .await
        .map_err(|error| ToolError::engine_failed("write the schedule down", &error))?;
    let run = NewWorkflowExecutionInfo {
        workflow_id: names::schedule_run_id(schedule_id),
        workflow_type: Some(WorkflowType {
            name: "ScheduledSync".to_owned(),
        }),
        task_queue: Some(TaskQueue {
            name: names::SYNC_QUEUE.to_owned(),
            ..TaskQueue::default()
        }),
        input: Some(Payloads { payloads }),
        search_attributes: Some(attributes_of(input).into_proto()),
        ..NewWorkflowExecutionInfo::default()
    };
    Ok(Schedule {
        spec: Some(spec(&input.when)),
        action: Some(ScheduleAction {
            action: Some(Action::StartWorkflow(run)),
        }),
        policies: Some(policies(&input.when)),
        state: Some(state),
    })
}

fn spec(when: &When) -> ScheduleSpec {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into()).try_into().ok();
    let mut spec = ScheduleSpec {
        jitter: seconds(when.jitter_seconds),
        ..ScheduleSpec::default()
    };
    match &when.rule {
        Rule::Interval { seconds: every } => spec.interval.push(IntervalSpec {
            interval: seconds(*every),
            phase: None,
        }),
        Rule::Cron {
            expression,
            time_zone,
        } => {
            spec.cron_string.push(expression.clone());
            spec.timezone_name.clone_from(time_zone);
        }
    }
    spec
}

fn policies(when: &When) -> SchedulePolicies {
    let overlap = match when.overlap {
        Overlap::Skip => ScheduleOverlapPolicy::Skip,
        Overlap::BufferOne => ScheduleOverlapPolicy::BufferOne,
        Overlap::BufferAll => ScheduleOverlapPolicy::BufferAll,
        Overlap::CancelOther => ScheduleOverlapPolicy::CancelOther,
    };
    SchedulePolicies {
        overlap_policy: overlap.into(),
        catchup_window: Duration::from_secs(when.catch_up_seconds.into())
            .try_into()
            .ok(),
        ..SchedulePolicies::default()
    }
}

/// The search attributes of a schedule and of its runs.
fn attributes_of(input: &ScheduleInput) -> SearchAttributes {
    let value = names::attribute_value;
    let mut attributes = SearchAttributes::new([
        names::USER_ID.value_set(value(&input.user_id)),
        names::SYNC_STATUS.value_set(SyncStatus::Running.as_str().to_owned()),
    ]);
    if let Work::Sync(batch) = &input.work {
        let target = batch.target.as_str();
        attributes.apply(names::PLAYLIST_ID.value_set(value(target)));
        if !matches!(batch.target, Target::Playlist(PlaylistRef::Id(_))) {
            attributes.apply(names::PLAYLIST_NAME.value_set(value(target)));
        }
    }
    attributes
}
