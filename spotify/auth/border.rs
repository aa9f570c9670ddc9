//! Where the browser comes in, for the fuzz targets in `fuzz/`. No API: it changes with them.

use super::redirect;

/// What a visit with this query says to a sign-in with this state: the code, or why there is none;
/// nothing if it is not of this sign-in.
#[must_use]
pub fn visit(query: &str, state: &str) -> Option<Result<String, String>> {
    redirect::read(query)?.outcome(state)
}
