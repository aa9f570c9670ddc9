//! A search for which a task of the workflow itself waits: short, or not at all.
//!
//! While it is made its workflow hears of nothing, and holds one of the places in which this process takes the tasks
//! of all workflows. Whatever keeps it from an answer, the workflow searches by an activity of its own, which may wait.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Activities;
use crate::{matching::Query, track::Candidate, upstream::UpstreamError};

/// How many are made at a time: a fifth of the places for tasks of workflows.
pub(super) const MOST: usize = 20;

/// Time to get leave: after a rest the process has to ask for its share of the calls first, which takes some
/// milliseconds.
const LEAVE: Duration = Duration::from_millis(500);

/// Time to be connected: the first call of a process starts the upstream's own.
const CONNECTION: Duration = Duration::from_millis(1_500);

/// Time for the answer. Spotify takes a fraction of a second.
const ANSWER: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "came_to")]
pub enum AtOnce {
    /// These.
    Found {
        /// In the upstream's order.
        candidates: Vec<Candidate>,
    },
    /// No call was made: leave or a connection was not to be had at once, or too many are at it.
    NotNow,
    /// A call was made, and had no answer in time.
    GivenUp,
}

impl Activities {
    pub(super) async fn found_at_once(&self, query: &Query) -> Result<AtOnce, UpstreamError> {
        let Ok(_place) = self.searches_at_once.try_acquire() else {
            return Ok(AtOnce::NotNow);
        };
        let Some(leave) = self.upstream.leave_to_search_within(LEAVE).await else {
            return Ok(AtOnce::NotNow);
        };
        let connected = tokio::select! {
            connected = self.upstream.connected_within(CONNECTION, leave) => connected?,
            // A worker that stops does not wait for what it will not use.
            () = self.stopping.cancelled() => None,
        };
        let Some(leave) = connected else {
            return Ok(AtOnce::NotNow);
        };
        Ok(
            match self
                .upstream
                .candidates_within(ANSWER, leave, query)
                .await?
            {
                Some(candidates) => AtOnce::Found { candidates },
                None => AtOnce::GivenUp,
            },
        )
    }
}
