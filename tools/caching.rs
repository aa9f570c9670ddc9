//! How long a client may keep what it was told, and for whom: `ttlMs` and `cacheScope`. Protocols before
//! 2026-07-28 know neither, and leave them unread.

/// For what changes with a new build alone and is the same for everybody: tools, prompts, templates, and
/// what the server says of itself. An hour, in milliseconds.
pub(crate) const DEFINITIONS_MS: u64 = 3_600_000;

/// For the list of the user's syncs, in milliseconds: long enough to open a picker twice.
pub(crate) const LISTED_MS: u64 = 5_000;

/// For what never changes again, such as the report of a batch that has completed. A day, in milliseconds,
/// which is far less than an engine keeps it.
pub(crate) const ENDED_MS: u64 = 86_400_000;

/// For what may be another in a moment.
pub(crate) const MOVING_MS: u64 = 0;
