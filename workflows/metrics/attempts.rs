//! The attempts of activities, counted by the process that runs them.

use std::time::Instant;

use temporalio_sdk::{
    activities::ActivityError,
    interceptors::{ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next},
};

use super::{Metrics, Status};

/// Counts every attempt of every activity of a worker.
pub(crate) struct Attempts {
    metrics: Metrics,
}

impl Attempts {
    /// Counts with this.
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl ActivityInboundInterceptor for Attempts {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        let activity = info.activity_type.clone();
        if info.attempt > 1 {
            // At its beginning: one that is killed has been made as well.
            let labels = [("activity_type", &*activity)];
            self.metrics.count(|i| &i.activity_retries, 1, &labels);
        }
        Box::pin(async move {
            let begun = now();
            let result = next.run(input).await;
            let status = match &result {
                Ok(_) => Status::Success,
                Err(ActivityError::Cancelled { .. }) => Status::Cancelled,
                Err(_) => Status::Failure,
            };
            self.metrics.with(|on| {
                let labels = [("activity_type", &*activity), ("status", status.as_str())];
                let seconds = &on.instruments.activity_seconds;
                seconds.record(begun.elapsed(), &on.attributes(&labels));
            });
            result
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "an attempt is not replayed")]
fn now() -> Instant {
    Instant::now()
}
