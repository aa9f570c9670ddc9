//! The log of requests: what a client asked for, and what became of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde::Serialize;

use super::endpoint::Endpoint;
use super::locked;

/// How many requests are remembered; the oldest leave first.
const MAX_ENTRIES: usize = 100_000;

/// One request. It is listed from the moment it has arrived.
#[derive(Debug, Clone, Serialize)]
pub struct LoggedRequest {
    /// Counts from 1 over the life of the simulator, across clearings of the log.
    pub seq: u64,
    /// When it arrived, in milliseconds since the simulator started.
    pub at_ms: u64,
    /// What it asked for.
    pub endpoint: Endpoint,
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query as it was sent, percent-encoded; empty if there was none.
    pub query: String,
    /// The status of the answer; `None` while in flight, and if there was no answer.
    pub status: Option<u16>,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether a playlist was created or changed by it.
    pub took_effect: bool,
    /// The URIs that an add, replace or remove carried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uris: Option<Vec<String>>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not been answered yet.
    InFlight,
    /// An answer was handed to the connection.
    Answered,
    /// No answer: a fault closed the connection, or the client hung up.
    Dropped,
}

/// A request as it arrives, before anything has become of it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) uris: Option<Vec<String>>,
}

/// The requests since the start, or since the last clearing.
#[derive(Debug, Clone)]
pub(crate) struct RequestLog {
    started: Instant,
    entries: Arc<Mutex<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    last_seq: u64,
    list: VecDeque<LoggedRequest>,
}

impl RequestLog {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            entries: Arc::default(),
        }
    }

    /// Lists a request, and returns the pen to write its outcome with.
    pub(crate) fn open(&self, arrival: Arrival) -> Pen {
        let at_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut entries = locked(&self.entries);
        entries.last_seq += 1;
        let seq = entries.last_seq;
        if entries.list.len() == MAX_ENTRIES {
            entries.list.pop_front();
        }
        let Arrival {
            endpoint,
            method,
            path,
            query,
            uris,
        } = arrival;
        entries.list.push_back(LoggedRequest {
            seq,
            at_ms,
            endpoint,
            method,
            path,
            query,
            status: None,
            outcome: Outcome::InFlight,
            took_effect: false,
            uris,
        });
        Pen {
            log: self.clone(),
            seq,
        }
    }

    pub(crate) fn all(&self) -> Vec<LoggedRequest> {
        locked(&self.entries).list.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        locked(&self.entries).list.clear();
    }

    fn write(&self, seq: u64, change: impl FnOnce(&mut LoggedRequest)) {
        let mut entries = locked(&self.entries);
        // Sequence numbers rise along the list. A cleared request is gone, and stays gone.
        if let Ok(at) = entries.list.binary_search_by_key(&seq, |entry| entry.seq) {
            change(&mut entries.list[at]);
        }
    }
}

/// The right to write what became of one request. Letting it go unanswered, as happens when the
/// client hangs up and its request is cancelled, records the request as dropped.
#[derive(Debug)]
pub(crate) struct Pen {
    log: RequestLog,
    seq: u64,
}

impl Pen {
    pub(crate) fn took_effect(&self) {
        self.log.write(self.seq, |entry| entry.took_effect = true);
    }

    pub(crate) fn answered(self, status: u16) {
        self.log.write(self.seq, |entry| {
            entry.status = Some(status);
            entry.outcome = Outcome::Answered;
        });
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        self.log.write(self.seq, |entry| {
            if entry.outcome == Outcome::InFlight {
                entry.outcome = Outcome::Dropped;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival() -> Arrival {
        Arrival {
            endpoint: Endpoint::Me,
            method: "GET".into(),
            path: "/v1/me".into(),
            query: String::new(),
            uris: None,
        }
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_answered() {
        let log = RequestLog::new();
        let pen = log.open(arrival());
        assert_eq!(log.all()[0].outcome, Outcome::InFlight);
        pen.answered(200);
        assert_eq!(log.all()[0].outcome, Outcome::Answered);
        assert_eq!(log.all()[0].status, Some(200));
    }

    #[test]
    fn a_request_nobody_answered_is_dropped() {
        let log = RequestLog::new();
        let pen = log.open(arrival());
        pen.took_effect();
        drop(pen);
        assert_eq!(log.all()[0].outcome, Outcome::Dropped);
        assert!(log.all()[0].took_effect);
        assert_eq!(log.all()[0].status, None);
    }

    #[test]
    fn clearing_forgets_but_goes_on_counting() {
        let log = RequestLog::new();
        let early = log.open(arrival());
        log.clear();
        log.open(arrival()).answered(200);
        early.answered(500);
        let all = log.all();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].seq, all[0].status), (2, Some(200)));
    }
}
