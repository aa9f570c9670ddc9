//! Faults to order: what goes wrong, where, and how often.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;

/// How many orders may wait at once, so that a runaway test cannot fill the memory.
const MAX_ORDERS: usize = 1_000;
/// The longest latency to order, in milliseconds: ten minutes outlast every client's timeout.
const MAX_LATENCY_MS: u64 = 600_000;

/// One order: the next `count` requests for `endpoint`, after `skip` that pass, go wrong.
///
/// Orders are served in the order they were given; a request meets at most one of them. While an
/// order still skips, later orders get to see the request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The endpoint it concerns.
    pub endpoint: Endpoint,
    /// How many requests it hits; 0 means every one, until the faults are cleared.
    #[serde(default = "once")]
    pub count: u32,
    /// How many matching requests pass first.
    #[serde(default)]
    pub skip: u32,
    /// Refuse with this HTTP status (400 to 599); the request has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Carry the request out, and answer with this HTTP status (400 to 599) all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_after: Option<u16>,
    /// Change nothing, and answer as if it had been changed. For edits of a playlist's items.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_effect: bool,
    /// The `Retry-After` header of an ordered status, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// Wait this many milliseconds before the request takes effect, or until it is released. A
    /// client that hangs up meanwhile takes its request with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub latency_ms: u64,
    /// Wait this many milliseconds after the effect, before the answer, or until it is released.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub latency_after_ms: u64,
    /// Close the connection instead of answering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<DropWhen>,
    /// Spoil the body of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyFault>,
}

/// When a connection is closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropWhen {
    /// Before the request took effect.
    Before,
    /// After it: it happened, and the client can't know.
    After,
}

/// What is wrong with the body of an answer. Status and effect are those of a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyFault {
    /// A page of HTML that claims to be JSON.
    Malformed,
    /// Half of what `Content-Length` promises, then the end of the connection.
    Truncated,
    /// No bytes at all.
    Empty,
    /// The right JSON, followed by 64 MiB of white space: valid, and too much.
    Huge,
    /// The right JSON, followed by a drop of white space now and then, until the client hangs up.
    Endless,
    /// A page with the right total, and nothing on it.
    NoItems,
    /// A page of a playlist whose first song Spotify no longer has.
    FirstGone,
    /// The right songs, with ids and URIs that are none.
    WrongIds,
    /// Other songs than those that were found, as many of them.
    Unrelated,
}

impl BodyFault {
    /// Whether answers of this endpoint have what this fault spoils.
    fn suits(self, endpoint: Endpoint) -> bool {
        use Endpoint::{MyPlaylists, PlaylistItems, Search};
        match self {
            Self::Malformed | Self::Truncated | Self::Empty | Self::Huge | Self::Endless => true,
            Self::NoItems => matches!(endpoint, Search | PlaylistItems | MyPlaylists),
            Self::FirstGone => endpoint == PlaylistItems,
            Self::WrongIds | Self::Unrelated => endpoint == Search,
        }
    }

    /// Whether it spoils the JSON of a good answer, which a refusal does not have.
    fn needs_success(self) -> bool {
        matches!(
            self,
            Self::NoItems | Self::FirstGone | Self::WrongIds | Self::Unrelated
        )
    }
}

fn once() -> u32 {
    1
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Fault {
    /// Refuses an order that could not be carried out as written, so that a test never waits for
    /// a fault that does not come.
    fn check(&self) -> Result<(), &'static str> {
        let edits = [
            Endpoint::AddItems,
            Endpoint::UpdateItems,
            Endpoint::RemoveItems,
        ];
        let ordered = [self.status, self.status_after];
        let refused = ordered.iter().any(Option::is_some);
        if ordered
            .iter()
            .flatten()
            .any(|status| !(400..=599).contains(status))
        {
            return Err("status and status_after must be 400 to 599");
        }
        if ordered.iter().all(Option::is_some) {
            return Err("a request is refused before its effect or after it, not both");
        }
        if self.retry_after.is_some() && !refused {
            return Err("retry_after needs a status");
        }
        if self.drop.is_some() && (refused || self.body.is_some()) {
            return Err("a dropped connection has neither status nor body");
        }
        if self.no_effect && !edits.contains(&self.endpoint) {
            return Err("no_effect is for add_items, update_items and remove_items");
        }
        if self.no_effect && (refused || self.drop.is_some()) {
            return Err("no_effect is a success: it goes with no status and no drop");
        }
        if self.body.is_some_and(|body| !body.suits(self.endpoint)) {
            return Err("this endpoint's answers have nothing that such a body could spoil");
        }
        if refused && self.body.is_some_and(BodyFault::needs_success) {
            return Err("a refusal has neither items nor ids");
        }
        if self.latency_ms.max(self.latency_after_ms) > MAX_LATENCY_MS {
            return Err("a latency is at most 600000 ms");
        }
        let harmless = !refused
            && !self.no_effect
            && self.drop.is_none()
            && self.body.is_none()
            && self.latency_ms + self.latency_after_ms == 0;
        if harmless {
            return Err(
                "order at least one of status, status_after, no_effect, latency_ms, \
                 latency_after_ms, drop, body",
            );
        }
        Ok(())
    }

    /// The status ordered in place of the effect, which [`Fault::check`] found in range.
    pub(crate) fn refusal(&self) -> Option<StatusCode> {
        self.status
            .and_then(|status| StatusCode::from_u16(status).ok())
    }

    /// The status ordered in spite of the effect.
    pub(crate) fn denial(&self) -> Option<StatusCode> {
        self.status_after
            .and_then(|status| StatusCode::from_u16(status).ok())
    }
}

/// The orders that are still to be served.
#[derive(Debug, Default)]
pub(crate) struct FaultBook {
    orders: Vec<Fault>,
}

impl FaultBook {
    /// Takes all of `faults`, or none of them.
    pub(crate) fn order(&mut self, faults: Vec<Fault>) -> Result<(), &'static str> {
        faults.iter().try_for_each(Fault::check)?;
        if self.orders.len() + faults.len() > MAX_ORDERS {
            return Err("too many faults are waiting; clear them first");
        }
        self.orders.extend(faults);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.orders.clear();
    }

    /// What is left, with the counts that remain.
    pub(crate) fn remaining(&self) -> &[Fault] {
        &self.orders
    }

    /// The fault that a request for `endpoint` meets now, if any.
    pub(crate) fn take(&mut self, endpoint: Endpoint) -> Option<Fault> {
        for at in 0..self.orders.len() {
            let order = &mut self.orders[at];
            if !order.endpoint.covers(endpoint) {
                continue;
            }
            if order.skip > 0 {
                order.skip -= 1;
                continue;
            }
            return Some(match order.count {
                0 => order.clone(),
                1 => self.orders.remove(at),
                _ => {
                    order.count -= 1;
                    order.clone()
                }
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn book(faults: serde_json::Value) -> FaultBook {
        let mut book = FaultBook::default();
        book.order(serde_json::from_value(faults).unwrap()).unwrap();
        book
    }

    fn statuses(book: &mut FaultBook, requests: usize) -> Vec<Option<u16>> {
        (0..requests)
            .map(|_| book.take(Endpoint::Search).and_then(|fault| fault.status))
            .collect()
    }

    #[test]
    fn a_fault_hits_once_unless_told_otherwise() {
        let mut book = book(json!([{"endpoint": "search", "status": 500}]));
        assert_eq!(statuses(&mut book, 2), [Some(500), None]);
        assert!(book.remaining().is_empty());
    }

    #[test]
    fn skip_lets_requests_pass_and_count_hits_several() {
        let mut book = book(json!([{"endpoint": "search", "status": 500, "skip": 1, "count": 2}]));
        assert_eq!(statuses(&mut book, 4), [None, Some(500), Some(500), None]);
    }

    #[test]
    fn count_zero_lasts_until_cleared() {
        let mut book = book(json!([{"endpoint": "any", "status": 503, "count": 0}]));
        assert_eq!(statuses(&mut book, 3), [Some(503); 3]);
        book.clear();
        assert_eq!(statuses(&mut book, 1), [None]);
    }

    #[test]
    fn orders_are_served_in_turn() {
        let mut book = book(json!([
            {"endpoint": "search", "status": 500},
            {"endpoint": "search", "status": 429, "retry_after": 3},
        ]));
        assert_eq!(statuses(&mut book, 3), [Some(500), Some(429), None]);
    }

    #[test]
    fn other_endpoints_are_left_alone() {
        let mut book = book(json!([{"endpoint": "add_items", "drop": "after"}]));
        assert!(book.take(Endpoint::PlaylistItems).is_none());
        assert!(book.take(Endpoint::AddItems).is_some());
    }

    #[test]
    fn every_lie_can_be_ordered_and_is_told_back_as_it_was() {
        for order in [
            json!({"endpoint": "add_items", "count": 1, "skip": 0, "status_after": 503}),
            json!({"endpoint": "add_items", "count": 1, "skip": 0, "no_effect": true}),
            json!({"endpoint": "playlist_items", "count": 1, "skip": 0, "body": "no_items"}),
            json!({"endpoint": "any", "count": 1, "skip": 0, "body": "endless"}),
            json!({"endpoint": "search", "count": 1, "skip": 0, "body": "wrong_ids"}),
            json!({"endpoint": "search", "count": 1, "skip": 0, "body": "unrelated"}),
            json!({"endpoint": "playlist_items", "count": 1, "skip": 0, "body": "first_gone"}),
        ] {
            let book = book(json!([order.clone()]));
            assert_eq!(json!(book.remaining()), json!([order]));
        }
    }

    #[test]
    fn orders_that_make_no_sense_are_refused() {
        for order in [
            json!({"endpoint": "search"}),
            json!({"endpoint": "search", "status": 200}),
            json!({"endpoint": "search", "latency_ms": 600_001}),
            json!({"endpoint": "search", "latency_ms": 5, "retry_after": 5}),
            json!({"endpoint": "search", "status": 500, "drop": "before"}),
            json!({"endpoint": "add_items", "status_after": 200}),
            json!({"endpoint": "add_items", "status": 500, "status_after": 500}),
            json!({"endpoint": "add_items", "status_after": 500, "drop": "after"}),
            json!({"endpoint": "search", "no_effect": true}),
            json!({"endpoint": "any", "no_effect": true}),
            json!({"endpoint": "add_items", "no_effect": false}),
            json!({"endpoint": "add_items", "no_effect": true, "status_after": 500}),
            json!({"endpoint": "add_items", "no_effect": true, "drop": "after"}),
            json!({"endpoint": "add_items", "body": "no_items"}),
            json!({"endpoint": "any", "body": "wrong_ids"}),
            json!({"endpoint": "playlist_items", "body": "unrelated"}),
            json!({"endpoint": "search", "body": "no_items", "status": 500}),
            json!({"endpoint": "search", "body": "first_gone"}),
        ] {
            let fault: Fault = serde_json::from_value(order.clone()).unwrap();
            assert!(FaultBook::default().order(vec![fault]).is_err(), "{order}");
        }
        assert!(
            serde_json::from_value::<Fault>(json!({"endpoint": "search", "stats": 1})).is_err()
        );
    }
}
