//! The whole search for one track: ask, score, and ask again until the answer is good.

use std::collections::BTreeSet;

use super::decide::{Decision, Match, best};
use super::queries::{Query, ladder};
use super::score::{MatchMethod, Score, ScoreParts};
use crate::track::{Candidate, SourceTrack};

/// Most candidates read from one answer. Spotify gives at most 10; a stranger may give more.
const MAX_CANDIDATES_PER_QUERY: usize = 50;

/// Answers per page of Spotify's search. A shorter answer holds everything that fits the query, so
/// another query would only bring what fits worse.
const FULL_PAGE: usize = 10;

/// From this confidence no further question is asked, however much more the upstream may have. All
/// but perfect: a famous song fills several pages, and the pressing asked for may be on a later one.
const GOOD_ENOUGH: f64 = 0.995;

/// Finds the track that fits a source track best, or none. A source that names Spotify's track itself
/// is taken by its word, and nothing is searched.
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
    if let Some(given) = given(source) {
        return Ok(Decision {
            matched: Some(given.clone()),
            candidates: vec![given],
            candidates_found: 1,
            ..Decision::default()
        });
    }
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
        let found = decision.matched.as_ref().or(decision.rival.as_ref());
        if found.is_some_and(|m| all_there_is || m.score.confidence >= GOOD_ENOUGH) {
            break;
        }
    }
    Ok(decision)
}

/// The track that the source names, as far as the source describes it.
fn given(source: &SourceTrack) -> Option<Match> {
    let id = source.spotify_id.clone()?;
    let candidate = Candidate {
        uri: format!("spotify:track:{id}"),
        id,
        title: source.title.clone(),
        artists: vec![source.artist.clone()],
        album: source.album.clone(),
        duration_ms: source.duration_ms,
        isrc: source.isrc.clone(),
    };
    let score = Score {
        confidence: 1.0,
        method: MatchMethod::Given,
        parts: ScoreParts {
            title: 1.0,
            artist: 1.0,
            version: 1.0,
            ..ScoreParts::default()
        },
        version_note: None,
    };
    Some(Match { candidate, score })
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::matching::DEFAULT_THRESHOLD;

    fn source() -> SourceTrack {
        SourceTrack {
            title: "Under Pressure".into(),
            artist: "Queen".into(),
            isrc: Some("GBUM71029622".into()),
            ..SourceTrack::default()
        }
    }

    fn candidate(id: &str, title: &str) -> Candidate {
        Candidate {
            id: id.into(),
            title: title.into(),
            artists: vec!["Queen".into()],
            ..Candidate::default()
        }
    }

    /// Runs the search with the answers in order, and nothing after the last. Gives the decision and
    /// how many questions were asked.
    fn run(answers: &[Vec<Candidate>]) -> (Decision, usize) {
        let mut asked = 0;
        let decision = block_on(find_match(&source(), DEFAULT_THRESHOLD, async |_| {
            asked += 1;
            Ok::<_, ()>(answers.get(asked - 1).cloned().unwrap_or_default())
        }));
        (decision.expect("no answer was an error"), asked)
    }

    #[test]
    fn a_track_that_the_source_names_is_not_searched() {
        let named = SourceTrack {
            spotify_id: Some("0VjIjW4GlUZAMYd2vXMi3b".into()),
            ..source()
        };
        let found = find_match(&named, 1.0, async |_| Err("asked"));
        let matched = block_on(found).expect("not asked").matched;
        let matched = matched.expect("a match");
        assert_eq!(
            matched.candidate.uri,
            "spotify:track:0VjIjW4GlUZAMYd2vXMi3b"
        );
        assert_eq!(matched.candidate.title, named.title);
        assert_eq!(matched.score.method, MatchMethod::Given);
        assert_eq!(matched.score.confidence, 1.0);
    }

    #[test]
    fn a_good_answer_ends_the_search() {
        let mut right = candidate("right", "Under Pressure");
        right.isrc = source().isrc;
        let (decision, asked) = run(&[vec![right]]);
        assert_eq!(asked, 1);
        assert_eq!(
            decision.matched.map(|m| m.candidate.id).as_deref(),
            Some("right")
        );
    }

    #[test]
    fn an_isrc_that_finds_nothing_is_followed_by_text() {
        let (decision, asked) = run(&[vec![], vec![candidate("right", "Under Pressure")]]);
        assert_eq!(asked, 2);
        assert_eq!(
            decision.matched.map(|m| m.candidate.id).as_deref(),
            Some("right")
        );
    }

    #[test]
    fn without_a_match_every_question_is_asked_and_candidates_are_merged() {
        let live = candidate("live", "Under Pressure (Live)");
        let again = vec![live.clone(), candidate("other", "Under Attack")];
        let (decision, asked) = run(&[vec![live], again]);
        assert_eq!(asked, ladder(&source()).len());
        assert_eq!((decision.matched, decision.candidates_found), (None, 2));
        assert_eq!(decision.candidates[0].candidate.id, "live");
    }

    #[test]
    fn a_failed_search_is_not_an_empty_one() {
        let result = block_on(find_match(&source(), DEFAULT_THRESHOLD, async |_| {
            Err("down")
        }));
        assert_eq!(result, Err("down"));
    }
}
