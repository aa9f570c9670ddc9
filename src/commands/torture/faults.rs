//! The kinds of faults that the torture bench orders.

use serde_json::{Value, json};

/// What a fault is done to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Blow {
    /// The simulated Spotify gets this order.
    Order(fn(u64) -> Value),
    /// Every access token ends now.
    ExpireTokens,
    /// The upstream's process stands still for some seconds.
    FreezeUpstream,
}

/// A kind of fault: its name in the report, and what it does. The number that an order is given is
/// random, for what varies.
pub(super) const KINDS: [(&str, Blow); 34] = [
    (
        "search: 500",
        order(|_| json!({"endpoint": "search", "status": 500})),
    ),
    (
        "search: 503, several",
        order(|n| json!({"endpoint": "search", "status": 503, "count": 2 + n % 3})),
    ),
    (
        "search: 429",
        order(|n| json!({"endpoint": "search", "status": 429, "retry_after": 1 + n % 3})),
    ),
    (
        "search: 429 without Retry-After",
        order(|_| json!({"endpoint": "search", "status": 429})),
    ),
    (
        "search: 401",
        order(|_| json!({"endpoint": "search", "status": 401})),
    ),
    (
        "search: connection dropped",
        order(|_| json!({"endpoint": "search", "drop": "before"})),
    ),
    (
        "search: slow",
        order(|n| json!({"endpoint": "search", "latency_ms": 500 + n % 2_500})),
    ),
    (
        "search: HTML for JSON",
        order(|_| json!({"endpoint": "search", "body": "malformed"})),
    ),
    (
        "search: cut off",
        order(|_| json!({"endpoint": "search", "body": "truncated"})),
    ),
    (
        "search: no body",
        order(|_| json!({"endpoint": "search", "body": "empty"})),
    ),
    (
        "search: never ends",
        order(|_| json!({"endpoint": "search", "body": "endless"})),
    ),
    (
        "search: 64 MiB",
        order(|_| json!({"endpoint": "search", "body": "huge"})),
    ),
    (
        "search: wrong ids",
        order(|_| json!({"endpoint": "search", "body": "wrong_ids"})),
    ),
    (
        "search: other songs",
        order(|_| json!({"endpoint": "search", "body": "unrelated"})),
    ),
    (
        "playlist: 500",
        order(|_| json!({"endpoint": "playlist_items", "status": 500})),
    ),
    (
        "playlist: 429",
        order(|n| json!({"endpoint": "playlist_items", "status": 429, "retry_after": 1 + n % 3})),
    ),
    (
        "playlist: connection dropped",
        order(|_| json!({"endpoint": "playlist_items", "drop": "after"})),
    ),
    (
        "playlist: slow",
        order(|n| json!({"endpoint": "playlist_items", "latency_ms": 500 + n % 2_500})),
    ),
    (
        "playlist: HTML for JSON",
        order(|_| json!({"endpoint": "playlist_items", "body": "malformed"})),
    ),
    (
        "playlist: empty page",
        order(|_| json!({"endpoint": "playlist_items", "body": "no_items"})),
    ),
    (
        "add: 500 before the effect",
        order(|_| json!({"endpoint": "add_items", "status": 500})),
    ),
    (
        "add: 502 after the effect",
        order(|_| json!({"endpoint": "add_items", "status_after": 502})),
    ),
    (
        "add: 201 without effect",
        order(|_| json!({"endpoint": "add_items", "no_effect": true})),
    ),
    (
        "add: 429",
        order(|n| json!({"endpoint": "add_items", "status": 429, "retry_after": 1 + n % 3})),
    ),
    (
        "add: dropped before",
        order(|_| json!({"endpoint": "add_items", "drop": "before"})),
    ),
    (
        "add: dropped after",
        order(|_| json!({"endpoint": "add_items", "drop": "after"})),
    ),
    (
        "add: slow before",
        order(|n| json!({"endpoint": "add_items", "latency_ms": 500 + n % 2_500})),
    ),
    (
        "add: slow after",
        order(|n| json!({"endpoint": "add_items", "latency_after_ms": 500 + n % 2_500})),
    ),
    (
        "add: cut off",
        order(|_| json!({"endpoint": "add_items", "body": "truncated"})),
    ),
    (
        "remove: 500",
        order(|_| json!({"endpoint": "remove_items", "status": 500})),
    ),
    (
        "remove: dropped after",
        order(|_| json!({"endpoint": "remove_items", "drop": "after"})),
    ),
    (
        "all: down for 15 requests",
        order(|_| json!({"endpoint": "any", "status": 503, "count": 15})),
    ),
    ("sign-in: access tokens expire", Blow::ExpireTokens),
    ("upstream: stands still", Blow::FreezeUpstream),
];

const fn order(order: fn(u64) -> Value) -> Blow {
    Blow::Order(order)
}
