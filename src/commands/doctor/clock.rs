//! Clocks: how far those of others are ahead of this machine's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use temporalio_client::{Client, NamespacedClient, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{DescribeTaskQueueRequest, PollWorkflowTaskQueueRequest},
};
use tokio::time::{sleep, timeout};

use super::check::Check;

/// Seconds that clocks may differ by before somebody should look. Segue counts waits as lengths, so that a
/// clock that is wrong changes what is shown, and when schedules run, but loses nothing.
const TOLERATED: f64 = 30.0;
/// How long the engine gets to tell.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What there is to say of a clock that is so many seconds ahead of ours.
pub(super) fn judged(part: &'static str, whose: &str, seconds: f64) -> Check {
    if seconds.abs() <= TOLERATED {
        return Check::ok(part, format!("{whose} and this machine's agree"));
    }
    let way = match seconds > 0.0 {
        true => "ahead of",
        false => "behind",
    };
    Check::attention(
        part,
        format!("{whose} is {:.0} s {way} this machine's", seconds.abs()),
        "timedatectl set-ntp true",
    )
}

/// Seconds that the engine's clock is ahead of ours. Temporal has no question for it; but it tells when it was
/// last asked for work on a queue, so it is asked on one where there never is any.
pub(super) async fn engine_ahead(client: &Client) -> Option<f64> {
    let queue = TaskQueue {
        name: format!("segue-doctor-{}", uuid::Uuid::new_v4().simple()),
        ..TaskQueue::default()
    };
    let poll = PollWorkflowTaskQueueRequest {
        namespace: client.namespace(),
        task_queue: Some(queue.clone()),
        identity: "segue-doctor".to_owned(),
        ..PollWorkflowTaskQueueRequest::default()
    };
    let before = seconds_now();
    let polling = async {
        let mut service = client.connection().workflow_service();
        WorkflowService::poll_workflow_task_queue(&mut *service, poll.into_request()).await
    };
    let looking = async {
        let mut service = client.connection().workflow_service();
        loop {
            let look = DescribeTaskQueueRequest {
                namespace: client.namespace(),
                task_queue: Some(queue.clone()),
                ..DescribeTaskQueueRequest::default()
            };
            let seen = WorkflowService::describe_task_queue(&mut *service, look.into_request());
            let seen = seen.await.ok()?.into_inner();
            let at = seen
                .pollers
                .first()
                .and_then(|poller| poller.last_access_time);
            if let Some(at) = at {
                return Some(at.seconds as f64 + f64::from(at.nanos) / 1e9);
            }
            sleep(LOOK_EVERY).await;
        }
    };
    let told = async {
        tokio::select! {
            _ = polling => None,
            at = looking => at,
        }
    };
    let there = timeout(PATIENCE, told).await.ok().flatten()?;
    // It was some time between the question and the answer.
    Some(there - there.clamp(before, seconds_now().max(before)))
}

fn seconds_now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn a_clock_may_differ_by_a_moment() {
        assert_eq!(judged("clock", "theirs", -29.0).state, State::Ok);
        let wrong = judged("clock", "theirs", -3_600.0);
        assert_eq!(wrong.state, State::Attention);
        assert!(wrong.finding.contains("3600 s behind"), "{wrong:?}");
    }
}
