//! The whole search for one track: ask, score, and ask again until the answer is good.

use std::collections::BTreeSet;

use super::decide::{Decision, best};
use super::queries::{Query, ladder};
use crate::track::{Candidate, SourceTrack};

/// Most candidates read from one answer. Spotify gives at most 10; a stranger may give more.
const MAX_CANDIDATES_PER_QUERY: usize = 50;

/// An answer shorter than a page holds everything that fits the query, so another query would only
/// bring what fits worse.
const FULL_PAGE: usize = 10;

/// From this confidence no further question is asked.
const GOOD_ENOUGH: f64 = 0.97;

/// Finds the track that fits a source track best, or none.
///
/// `search` answers one query; candidates keep the order in which they first came. Deterministic:
/// it depends on nothing but its arguments and the answers, so a workflow can call it with an
/// activity as `search`.
///
/// # Errors
///
/// The first error of `search`, unchanged: a failed search is not the same as an empty one.
pub async fn find_match<E>(
    source: &SourceTrack,
    threshold: f64,
    mut search: impl AsyncFnMut(Query) -> Result<Vec<Candidate>, E>,
) -> Result<Decision, E> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut decision = Decision::default();
    for query in ladder(source) {
        let found = search(query).await?;
        let all_there_is = found.len() < FULL_PAGE;
        let new = found
            .into_iter()
            .take(MAX_CANDIDATES_PER_QUERY)
            .filter(|candidate| seen.insert(candidate.id.clone()));
        candidates.extend(new);
        decision = best(source, &candidates, threshold);
        decision.candidates_found = candidates.len();
        let matched = decision.matched.as_ref().map(|m| m.score.confidence);
        if matched.is_some_and(|confidence| all_there_is || confidence >= GOOD_ENOUGH) {
            break;
        }
    }
    Ok(decision)
}
